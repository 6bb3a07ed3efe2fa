//! Laws and invariants over random lives, numbered as in the README.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::arbitrary;
use super::*;
use crate::arbitrary as any_of;
use crate::spec::lived;

type Step = (Option<Delivery>, Occurrence<DeliveryEvent>, Delivery);

/// A life event by event: the state before, the event, the state after.
fn steps(life: &[DeliveryCommand]) -> Vec<Step> {
    let mut state = None;
    lived::<Delivery>(life)
        .into_iter()
        .map(|occurrence| {
            let before = state.clone();
            state = Delivery::evolve(before.clone(), &occurrence);
            (before, occurrence, state.clone().unwrap())
        })
        .collect()
}

fn status_of(state: Option<&Delivery>) -> Option<Status> {
    state.map(Delivery::status)
}

const fn is_outcome(event: &DeliveryEvent) -> bool {
    matches!(
        event,
        DeliveryEvent::DeliveryComplete { .. }
            | DeliveryEvent::Cancelled
            | DeliveryEvent::Returned { .. }
            | DeliveryEvent::Failed { .. }
            | DeliveryEvent::Rejected { .. }
    )
}

/// What the customer may see next of who has the package.
fn custody_may_move(from: Custody, to: Custody) -> bool {
    match from {
        // At a hub only by an operator's word, after a cancellation.
        Custody::Sender => [Custody::Sender, Custody::Drone, Custody::Hub].contains(&to),
        Custody::Hub => to != Custody::Recipient,
        Custody::Recipient => to == Custody::Recipient,
        // What nobody knows of is confirmed, or turns up: with the sender only by an operator's word.
        Custody::Drone | Custody::Unknown => true,
    }
}

/// How far a delivery seems to the customer; what goes beside the way out has no place on it.
const fn progress(status: Status) -> Option<u8> {
    match status {
        Status::Pending => Some(0),
        Status::Scheduled => Some(1),
        Status::Assigned => Some(2),
        Status::HeadedToPickup => Some(3),
        Status::AtPickup => Some(4),
        Status::Loaded => Some(5),
        Status::InTransit => Some(6),
        Status::AtDropoff => Some(7),
        Status::Complete => Some(8),
        Status::Rejected
        | Status::Cancelling
        | Status::Cancelled
        | Status::Returning
        | Status::AtHub
        | Status::Returned
        | Status::Failed => None,
    }
}

#[test]
fn the_random_lives_reach_every_status() {
    let mut runner = TestRunner::deterministic();
    let reached: HashSet<_> = (0..500)
        .flat_map(|_| steps(&arbitrary::life().new_tree(&mut runner).unwrap().current()))
        .map(|(_, _, after)| after.status())
        .collect();
    for status in Status::ALL {
        assert!(reached.contains(status), "{status}");
    }
}

proptest! {
    #[test]
    fn the_laws_of_a_decider_hold(life in arbitrary::life()) {
        // `lived` asserts them on every step.
        let _ = lived::<Delivery>(&life);
    }

    #[test]
    fn the_laws_hold_for_commands_in_any_order(life in prop::collection::vec(arbitrary::command(), 0..20)) {
        let _ = lived::<Delivery>(&life);
    }

    #[test]
    fn folding_in_two_parts_leads_where_folding_at_once_does(
        all in prop::collection::vec(arbitrary::occurrence(), 0..40),
        cut in 0..40_usize,
    ) {
        let (a, b) = all.split_at(cut.min(all.len()));
        prop_assert_eq!(Delivery::fold(&all), Delivery::fold_from(Delivery::fold(a), b));
    }

    /// Law: whatever the log took in when, the same is decided, and clients see the same. So how
    /// facts were split over requests, and when these came, makes no difference.
    #[test]
    fn when_events_were_recorded_is_no_part_of_any_decision(
        life in arbitrary::life(),
        recorded_at in prop::collection::vec(any_of::time(), 1..40),
        command in arbitrary::command(),
    ) {
        let events = lived::<Delivery>(&life);
        let times = recorded_at.into_iter().cycle();
        let told: Vec<_> = events
            .iter()
            .cloned()
            .zip(times)
            .map(|(event, at)| event.as_recorded(at))
            .collect();
        let (one, other) = (Delivery::fold(&events), Delivery::fold(&told));
        prop_assert_eq!(Delivery::decide(&command, &one), Delivery::decide(&command, &other));
        if let (Some(one), Some(other)) = (one, other) {
            prop_assert_eq!(one.status(), other.status());
            prop_assert_eq!(one.condition(), other.condition());
            prop_assert_eq!(one.action_required(), other.action_required());
            prop_assert_eq!(one.milestones(), other.milestones());
        }
    }

    #[test]
    fn any_event_in_any_state_leads_to_a_possible_state(
        life in arbitrary::life(),
        odd in prop::collection::vec(arbitrary::occurrence(), 0..40),
    ) {
        let mut state = Delivery::fold(&lived::<Delivery>(&life));
        for occurrence in &odd {
            let before = state.clone();
            state = Delivery::evolve(state, occurrence);
            if let (Some(before), Some(after)) = (&before, &state) {
                prop_assert!(after.attempt() <= ATTEMPTS_MAX);
                prop_assert!(after.anomalies.len() <= ANOMALIES_MAX);
                prop_assert!(after.epoch() >= before.epoch());
                let goes_on = matches!(occurrence.event, DeliveryEvent::Reopened { .. });
                if before.status().is_terminal() && !goes_on {
                    prop_assert_eq!(before.phase(), after.phase());
                }
            }
        }
    }

    #[test]
    fn every_event_that_is_decided_changes_the_state(life in arbitrary::life()) {
        for (before, occurrence, after) in steps(&life) {
            // What failed was counted when it was picked up; what an operator says is why the
            // next event came about.
            let may_be_counted = matches!(
                occurrence.event,
                DeliveryEvent::AttemptFailed { .. }
                    | DeliveryEvent::Vouched { .. }
                    | DeliveryEvent::GivenUp { .. }
                    | DeliveryEvent::HandedBack { .. }
            );
            prop_assert!(may_be_counted || before.as_ref() != Some(&after), "{:?}", occurrence);
        }
    }

    #[test]
    fn i1_a_terminal_status_has_no_successor_but_by_reopening(life in arbitrary::life()) {
        for (before, occurrence, after) in steps(&life) {
            let before = status_of(before.as_ref());
            if let DeliveryEvent::Reopened { .. } = occurrence.event {
                prop_assert!(matches!(before, Some(Status::Cancelled | Status::Failed)));
                prop_assert!(!after.status().is_terminal());
            } else if before.is_some_and(Status::is_terminal) {
                prop_assert_eq!(before, Some(after.status()), "{:?}", occurrence);
            }
        }
    }

    #[test]
    fn i2_a_finished_delivery_has_exactly_one_outcome(life in arbitrary::life()) {
        let events = lived::<Delivery>(&life);
        let outcomes = events.iter().filter(|o| is_outcome(&o.event)).count();
        let finished = status_of(Delivery::fold(&events).as_ref()).is_some_and(Status::is_terminal);
        let reopened = |o: &&Occurrence<DeliveryEvent>| matches!(o.event, DeliveryEvent::Reopened { .. });
        let reopenings = events.iter().filter(reopened).count();
        prop_assert_eq!(outcomes, usize::from(finished) + reopenings);
    }

    #[test]
    fn i3_the_package_goes_from_hand_to_hand(life in arbitrary::life()) {
        let mut by_operator = false;
        for (before, occurrence, after) in steps(&life) {
            let from = before.map_or(Custody::Sender, |before| before.custody());
            prop_assert!(custody_may_move(from, after.custody()), "{:?}", occurrence);
            let turned_up = from == Custody::Unknown && after.custody() == Custody::Sender;
            prop_assert!(by_operator || !turned_up, "{:?}", occurrence);
            by_operator = matches!(occurrence.event, DeliveryEvent::HandedBack { .. });
            if after.status() == Status::Complete {
                prop_assert_eq!(after.custody(), Custody::Recipient);
            }
            if after.status() == Status::Cancelled {
                prop_assert_eq!(after.custody(), Custody::Sender);
            }
        }
    }

    #[test]
    fn i4_nobody_cancels_what_the_sender_does_not_have(life in arbitrary::life()) {
        for (before, occurrence, _) in steps(&life) {
            if let DeliveryEvent::CancellationRequested { .. } = occurrence.event {
                prop_assert_eq!(before.map(|before| before.custody()), Some(Custody::Sender));
            }
        }
    }

    #[test]
    fn i5_missions_are_numbered_upwards_and_an_older_one_moves_nothing(
        life in arbitrary::life(),
        report in arbitrary::report(),
    ) {
        let mut epoch = 0;
        for (_, occurrence, after) in steps(&life) {
            if let DeliveryEvent::DroneAssigned(assignment) = &occurrence.event {
                prop_assert!(assignment.epoch > epoch);
                epoch = assignment.epoch;
            }
            prop_assert_eq!(after.epoch(), epoch);
        }
        let before = Delivery::fold(&lived::<Delivery>(&life));
        let newest = before.as_ref().and_then(Delivery::mission).map(|m| m.assignment.mission);
        let assigns = matches!(report.reported, Reported::Assigned { .. });
        if newest != Some(report.mission) && !assigns {
            let events = Delivery::decide(&DeliveryCommand::Report(report), &before).unwrap();
            let after = Delivery::fold_from(before.clone(), &events);
            prop_assert_eq!(before.map(|d| d.phase()), after.map(|d| d.phase()));
        }
    }

    #[test]
    fn i6_there_is_one_live_mission_at_most(life in arbitrary::life()) {
        for (before, occurrence, after) in steps(&life) {
            if let DeliveryEvent::DroneAssigned(assignment) = &occurrence.event {
                prop_assert!(before.is_some_and(|before| before.live_mission().is_none()));
                let live = after.live_mission().map(|live| live.assignment.clone());
                prop_assert_eq!(live.as_ref(), Some(assignment));
            }
        }
    }

    #[test]
    fn i7_there_are_three_attempts_at_most(life in arbitrary::life()) {
        let events = lived::<Delivery>(&life);
        let mut tried: Vec<MissionId> = events
            .iter()
            .filter_map(|o| {
                if let DeliveryEvent::PickedUp { mission, .. }
                | DeliveryEvent::AttemptFailed { mission, .. } = o.event
                {
                    Some(mission)
                } else {
                    None
                }
            })
            .collect();
        tried.dedup();
        let attempt = Delivery::fold(&events).map_or(0, |delivery| delivery.attempt());
        prop_assert!(attempt <= ATTEMPTS_MAX);
        // What was taken in spite of a cancellation was taken too.
        let taken = |o: &&Occurrence<DeliveryEvent>| {
            matches!(o.event, DeliveryEvent::Reopened { cause: ReopenCause::PickedUp, .. })
        };
        let after_all = events.iter().filter(taken).count();
        let (tried, attempt) = (tried.len(), usize::from(attempt));
        prop_assert!(tried <= attempt && attempt <= tried + after_all);
    }

    #[test]
    fn i8_what_is_complete_was_confirmed_and_let_go_there_or_vouched_for(life in arbitrary::life()) {
        let mut vouched = false;
        for (before, occurrence, _) in steps(&life) {
            if let DeliveryEvent::DeliveryComplete { distance, .. } = occurrence.event {
                let before = before.unwrap();
                let required = before.order().confirmation;
                let proven = before.confirmed().is_some_and(|it| it.kind >= required);
                let confirmed = required == Confirmation::None || proven;
                prop_assert!(vouched || (confirmed && distance.is_some()));
            }
            vouched = matches!(occurrence.event, DeliveryEvent::Vouched { .. });
        }
    }

    #[test]
    fn a_confirmation_is_at_least_what_was_asked_for(life in arbitrary::life()) {
        for (_, _, after) in steps(&life) {
            let required = after.order().confirmation;
            prop_assert!(after.confirmed().is_none_or(|it| it.kind >= required));
        }
    }

    #[test]
    fn who_has_to_be_looked_after_is_somewhere_where_the_package_is_not_safe(life in arbitrary::life()) {
        for (_, _, after) in steps(&life) {
            let is_safe = [Status::Pending, Status::Complete, Status::Returned, Status::Cancelled, Status::Rejected];
            prop_assert!(!after.action_required() || !is_safe.contains(&after.status()));
        }
    }

    #[test]
    fn whoever_has_to_look_after_a_delivery_that_goes_on_can_end_it(life in arbitrary::life()) {
        for (_, _, after) in steps(&life) {
            if !after.action_required() || after.status().is_terminal() {
                continue;
            }
            let phase = after.phase();
            let state = Some(after);
            let reason = Some(words("nobody comes"));
            let words = [
                DeliveryCommand::GiveUp { reason, now: at(60) },
                vouch(60),
                hand_back(60),
            ];
            let is_taken = |command| Delivery::decide(command, &state).is_ok_and(|it| !it.is_empty());
            prop_assert!(words.iter().any(is_taken), "{:?}", phase);
        }
    }

    #[test]
    fn i9_what_the_customer_sees_moves_back_only_where_an_event_says_so(life in arbitrary::life()) {
        for (before, occurrence, after) in steps(&life) {
            let says_so = matches!(
                occurrence.event,
                DeliveryEvent::DroneUnassigned { .. }
                    | DeliveryEvent::AttemptFailed { .. }
                    | DeliveryEvent::ReturnStarted { .. }
                    | DeliveryEvent::Reopened { .. }
            );
            let from = before.and_then(|before| progress(before.status()));
            if let (Some(from), Some(to)) = (from, progress(after.status())) {
                prop_assert!(from <= to || says_so, "{:?}", occurrence);
            }
        }
    }

    #[test]
    fn i10_order_is_what_counts_and_not_the_times_that_facts_tell(
        life in arbitrary::life(),
        times in prop::collection::vec(crate::arbitrary::time(), 45),
    ) {
        let retold: Vec<_> = life
            .iter()
            .zip(times)
            .map(|(command, event_time)| {
                let mut command = command.clone();
                if let DeliveryCommand::Report(report) = &mut command {
                    report.event_time = event_time;
                }
                command
            })
            .collect();
        let statuses = |life: &[DeliveryCommand]| {
            let mut statuses: Vec<_> = steps(life).iter().map(|(_, _, after)| (after.status(), after.custody())).collect();
            statuses.dedup();
            statuses
        };
        prop_assert_eq!(statuses(&life), statuses(&retold));
    }

    #[test]
    fn a_step_that_is_reached_is_never_unlearned(life in arbitrary::life()) {
        for (before, _, after) in steps(&life) {
            let before = before.map_or_else(Vec::new, |before| before.milestones().to_vec());
            prop_assert!(before.len() <= after.milestones().len());
            for (was, is) in before.iter().zip(after.milestones()) {
                prop_assert_eq!((was.milestone, was.mission), (is.milestone, is.mission));
                prop_assert!(was == is || (was.inferred && !is.inferred));
            }
        }
    }

    #[test]
    fn every_report_twice_is_every_report_once(life in arbitrary::life()) {
        let twice: Vec<_> = life
            .iter()
            .flat_map(|command| {
                let times = if matches!(command, DeliveryCommand::Report(_)) { 2 } else { 1 };
                std::iter::repeat_n(command.clone(), times)
            })
            .collect();
        prop_assert_eq!(lived::<Delivery>(&life), lived::<Delivery>(&twice));
    }
}
