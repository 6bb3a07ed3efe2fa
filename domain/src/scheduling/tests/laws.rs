//! What holds whatever happens around an operation.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent as _;
use crate::decider::Decider as _;
use crate::delivery::{Confirmation, Ending, LoadVerdict, Reported, ReturnedTo, Status};
use crate::dispatch::DispatchEvent;
use crate::drone::Sender;
use crate::mission::MissionEvent;
use crate::snapshot::Snapshot as _;
use crate::spec;
use crate::time::Window;

/// Something that happens around an operation.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Bills(Bill),
    Forgets,
    Passes(i64),
    Cancels,
    Replans(i64),
    ReplansBack,
    Assigns,
    AssignsItsOwn(u8),
    Refuses,
    Ends(Ending),
    Does(Deed),
    HasItAfterAll,
    AnotherTakesThePackage(u8),
    AnotherIsOver,
    IsWantedBack,
    IsFoundAtHub,
    IsGivenUp,
}

/// Something that the live mission's drone does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Loads,
    LoadsTheWrongOne,
    Departs,
    ComesBack,
    ComesDown,
    LosesLink,
    IsHeardAgain,
    LetsGo,
    SeesTheRecipient,
    TurnsRound,
}

const DEEDS: [Deed; 10] = [
    Deed::Loads,
    Deed::LoadsTheWrongOne,
    Deed::Departs,
    Deed::ComesBack,
    Deed::ComesDown,
    Deed::LosesLink,
    Deed::IsHeardAgain,
    Deed::LetsGo,
    Deed::SeesTheRecipient,
    Deed::TurnsRound,
];

const BILLS: [Bill; 8] = [
    Bill::Unreachable,
    Bill::Unavailable,
    Bill::ActsUnheard,
    Bill::ActsUnavailable,
    Bill::Hangs,
    Bill::Answers,
    Bill::Declines,
    Bill::Refuses,
];

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => select(&BILLS[..]).prop_map(Happening::Bills),
        1 => Just(Happening::Forgets),
        4 => (1..120_i64).prop_map(Happening::Passes),
        1 => Just(Happening::Cancels),
        1 => (1..120_i64).prop_map(Happening::Replans),
        1 => Just(Happening::ReplansBack),
        3 => Just(Happening::Assigns),
        1 => (1..4_u8).prop_map(Happening::AssignsItsOwn),
        2 => Just(Happening::Refuses),
        2 => select(&Ending::ALL[..]).prop_map(Happening::Ends),
        8 => select(&DEEDS[..]).prop_map(Happening::Does),
        2 => Just(Happening::HasItAfterAll),
        1 => (2..4_u8).prop_map(Happening::AnotherTakesThePackage),
        1 => Just(Happening::AnotherIsOver),
        1 => Just(Happening::IsWantedBack),
        2 => select(vec![Happening::IsFoundAtHub, Happening::IsGivenUp]),
    ]
}

fn happen(world: &mut World, happening: Happening) {
    let live = world.live();
    match happening {
        Happening::Bills(bill) => {
            world.bill(bill);
            return;
        }
        // Whoever claimed something is gone, with or without having done it.
        Happening::Forgets => world.claimed = None,
        Happening::Passes(seconds) => {
            let wait = DurationMs::from_seconds(u32::try_from(seconds).unwrap());
            world.now = world.now.plus(wait);
        }
        Happening::Cancels => {
            world.cancel();
        }
        Happening::Replans(seconds) => {
            let wait = DurationMs::from_seconds(u32::try_from(seconds).unwrap());
            let begin = world.now.plus(wait);
            let window = Window::new(begin, begin.plus(DurationMs::from_seconds(3_600)));
            world.reschedule(|plan| plan.pickup_window = window.ok());
        }
        Happening::ReplansBack => {
            world.reschedule(|plan| plan.pickup_window = None);
        }
        Happening::Assigns => {
            if let Some((mission, _)) = world.asked.last().copied() {
                world.assign(mission);
            }
        }
        Happening::AssignsItsOwn(number) => {
            world.assign(MissionId::from_uuid(uuid::Uuid::from_u128(
                100 + u128::from(number),
            )));
        }
        Happening::Refuses => {
            if let Some((mission, _)) = world.asked.last().copied() {
                world.refuse(mission);
            }
        }
        Happening::Ends(how) => {
            if let Some(mission) = live {
                world.end_mission(mission, how);
            }
        }
        Happening::Does(deed) => {
            if let Some(mission) = live {
                does(world, mission, deed);
            }
        }
        Happening::AnotherTakesThePackage(number) => {
            world.let_another_take_the_package(u128::from(number));
        }
        Happening::AnotherIsOver => world.package_holder = None,
        Happening::HasItAfterAll => {
            if let Some((mission, _)) = world.asked.last().copied() {
                world.load(mission);
            }
        }
        Happening::IsWantedBack => {
            let now = world.now;
            world.command(&DeliveryCommand::RequestReturn { now });
        }
        Happening::IsFoundAtHub => {
            world.find_at_hub();
        }
        Happening::IsGivenUp => {
            world.give_up();
        }
    }
    // A claim that nobody answered is still the old one's until it is over.
    world.run();
}

fn does(world: &mut World, mission: MissionId, deed: Deed) {
    let reported = match deed {
        Deed::Loads => return world.load(mission),
        Deed::LoadsTheWrongOne => return world.load_as(mission, LoadVerdict::WrongPackage),
        Deed::Departs => Reported::DepartedToDropoff,
        Deed::ComesBack => Reported::Returned(ReturnedTo::Sender),
        Deed::ComesDown => Reported::EmergencyLanded { detail: None },
        Deed::TurnsRound => Reported::DepartedToReturn,
        Deed::LosesLink => return world.lose_link(),
        Deed::LetsGo => return world.release(mission),
        Deed::SeesTheRecipient => return world.verify(mission),
        Deed::IsHeardAgain => {
            world.flown = None;
            Reported::LinkRestored
        }
    };
    world.report(mission, reported);
}

/// From now on everything works, nobody asks for anything new, and drones that fly hand over or come
/// back.
fn heal(world: &mut World) {
    for _ in 0..500 {
        if world.claimed.is_some() {
            world.bill(Bill::Answers);
            continue;
        }
        if world.has_ended() {
            return;
        }
        if let Some(mission) = world.live() {
            let was = world.status();
            match was {
                Status::Cancelling => world.end_mission(mission, Ending::StoodDown),
                Status::Pending
                | Status::Scheduled
                | Status::Assigned
                | Status::HeadedToPickup
                | Status::AtPickup
                | Status::Loaded
                | Status::InTransit
                | Status::AtDropoff
                | Status::Complete
                | Status::Rejected
                | Status::Cancelled
                | Status::Returning
                | Status::AtHub
                | Status::Returned
                | Status::Failed => {
                    world.report(mission, Reported::DepartedToDropoff);
                    // Whoever was waited for takes it, or else it comes back.
                    world.verify(mission);
                    world.report(mission, Reported::Returned(ReturnedTo::Sender));
                }
            }
        }
        if let Some(until) = world.run() {
            world.pass_to(until);
        } else if world.status() == Status::AtHub {
            // Somebody brings it.
            let newest = world.delivery.as_ref().unwrap().mission();
            let newest = newest.unwrap().assignment.mission;
            world.report(newest, Reported::Returned(ReturnedTo::Sender));
        }
    }
}

fn lived(happenings: &[Happening], has_billing: bool) -> World {
    let mut order = crate::delivery::tests::order();
    order.confirmation = Confirmation::Pin;
    order.plan.deliver_by = Some(at(900));
    let settings = SchedulingSettings {
        has_billing,
        ..SchedulingSettings::default()
    };
    let mut world = World::ordering(order, settings);
    world.run();
    for happening in happenings {
        happen(&mut world, *happening);
    }
    world
}

proptest! {
    /// Law: whatever happened, once everything works again the operation comes to its end; what
    /// was done for nothing is undone, what was fetched is paid, or a person is told.
    #[test]
    fn everything_comes_to_an_end_and_nothing_is_left_behind(
        happenings in prop::collection::vec(happening(), 0..40),
        has_billing: bool,
    ) {
        let mut world = lived(&happenings, has_billing);
        heal(&mut world);
        prop_assert!(world.has_ended(), "{:?} {:#?}", world.status(), world.written);
        prop_assert!(world.status().is_terminal(), "{:?}", world.status());
        prop_assert!(world.outcome().is_some());
        prop_assert!(!world.is_package_held);
        // Whoever found it at a hub says that somebody fetched it.
        let was_found = world.history.iter().any(|it| matches!(it, DeliveryEvent::Reopened { .. }));
        let is_picked_up = |it: &_| matches!(it, DeliveryEvent::PickedUp { .. });
        let was_fetched = was_found || world.history.iter().any(is_picked_up);
        let is_paid = world.billing.is_authorized && !world.billing.is_voided;
        let left = world.left();
        if !was_fetched {
            let is_told = left.iter().any(|left| *left != Left::UnpaidFlight);
            prop_assert!(!is_paid || is_told, "paid for nothing: {:#?}", world.written);
        }
        if world.outcome() == Some(Outcome::Succeeded) && was_fetched && has_billing {
            let is_told = left.contains(&Left::UnpaidFlight);
            prop_assert!(is_paid || is_told, "fetched for nothing: {:#?}", world.written);
        }
        // Its package may be another's in each of its lives.
        let once: Vec<_> = left.iter().filter(|left| !is_shared(left)).collect();
        let told: std::collections::HashSet<_> = once.iter().map(|left| format!("{left:?}")).collect();
        prop_assert_eq!(told.len(), once.len(), "told twice: {:?}", left);
    }

    /// Law: a delivery whose package is on its way has it for itself, or a person is told who else
    /// has it.
    #[test]
    fn no_package_is_in_two_deliveries_unseen(happenings in prop::collection::vec(happening(), 0..40)) {
        let world = lived(&happenings, false);
        let is_on_its_way = world.delivery.as_ref().unwrap().custody() == crate::delivery::Custody::Drone;
        if is_on_its_way && !world.is_package_held {
            let with = world.package_holder.expect("nobody else has it");
            let shared = world.left().into_iter().rfind(is_shared);
            prop_assert_eq!(shared, Some(Left::SharedPackage { delivery: world::DELIVERY, with }));
        }
    }

    /// Law: a mission that was asked for is taken, refused or stood down by the end.
    #[test]
    fn no_mission_is_left_asked_for(happenings in prop::collection::vec(happening(), 0..40)) {
        let mut world = lived(&happenings, false);
        heal(&mut world);
        let delivery = world.delivery.as_ref().unwrap();
        for (mission, dispatch) in &world.dispatches {
            let was_taken = delivery.milestones().iter().any(|step| step.mission == *mission);
            let is_settled = was_taken || dispatch.is_settled();
            prop_assert!(is_settled, "{mission} {dispatch:?}");
        }
    }

    /// Law: whoever is asked for a mission flies what is planned then, or is told otherwise.
    #[test]
    fn nobody_is_left_asked_for_another_plan(happenings in prop::collection::vec(happening(), 0..40)) {
        let world = lived(&happenings, false);
        let (delivery, live) = (world.delivery.as_ref().unwrap(), world.live());
        for (mission, dispatch) in &world.dispatches {
            // The package of one that is live is brought where the mission says.
            let was_taken = Some(*mission) != live
                && delivery.milestones().iter().any(|step| step.mission == *mission);
            let is_settled = was_taken || dispatch.is_settled();
            let plan = &delivery.order().plan;
            let is_on_board = delivery.custody() == crate::delivery::Custody::Drone;
            let is_wrong = if is_on_board && Some(*mission) == live {
                dispatch.is_misdirected(plan)
            } else {
                dispatch.is_outdated(plan)
            };
            prop_assert!(is_settled || !is_wrong, "{mission} {dispatch:?}");
        }
    }

    /// Law: looking once more changes nothing.
    #[test]
    fn a_look_too_many_changes_nothing(happenings in prop::collection::vec(happening(), 0..30)) {
        let mut world = lived(&happenings, true);
        let before = (world.written.len(), world.history.len(), world.asked.len());
        let claimed = world.claimed;
        world.run();
        prop_assert_eq!((world.written.len(), world.history.len(), world.asked.len()), before);
        prop_assert_eq!(world.claimed, claimed);
    }

    /// Law: the state is the fold of what is written, in one or in two parts.
    #[test]
    fn the_state_is_the_fold_of_what_is_written(
        events in prop::collection::vec(event(), 0..30), cut in any::<prop::sample::Index>(),
    ) {
        let fold = |state, events: &[OperationEvent]| {
            events.iter().fold(state, |state, event| {
                Scheduling::evolve(state, &Occurrence::new(event.clone(), at(1)))
            })
        };
        let (first, rest) = events.split_at(cut.index(events.len() + 1));
        prop_assert_eq!(fold(None, &events), fold(fold(None, first), rest));
    }

    #[test]
    fn what_is_stored_is_read_back(event in event()) {
        let stored = event.encode();
        let read = OperationEvent::decode(stored.event_type, stored.schema, &stored.payload);
        prop_assert_eq!(read, Ok(event));
    }

    /// Law: what is kept of an operation is all of it, whatever events it had.
    #[test]
    fn an_operation_is_kept_as_it_was_folded(
        events in prop::collection::vec((event(), any_of::time()), 0..40),
    ) {
        let started = OperationEvent::OperationStarted {
            kind: OperationKind::Schedule,
            delivery: DeliveryId::from_uuid(uuid::Uuid::nil()),
            user: crate::id::UserId::from_uuid(uuid::Uuid::nil()),
            sequence: 1,
        };
        let started = (started, Timestamp::MIN);
        let mut operation = None;
        for (event, at) in std::iter::once(started).chain(events) {
            operation = Scheduling::evolve(operation, &Occurrence::new(event, at));
        }
        let operation = operation.unwrap();
        let bytes = operation.to_snapshot();
        prop_assert_eq!(Operation::from_snapshot(&bytes), Some(operation));
        let longer = [bytes.as_slice(), &[0]].concat();
        prop_assert_eq!(Operation::from_snapshot(&longer), None);
    }
}

fn is_shared(left: &Left) -> bool {
    matches!(left, Left::SharedPackage { .. })
}

proptest! {
    // The lives are random, so that few come to where something is asked of them.
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// Law: what the process has the delivery decide, the delivery takes, whatever was written down
    /// before. Else it would be refused again and again, and keep what comes later waiting.
    #[test]
    fn what_the_delivery_is_to_decide_it_takes(
        life in crate::delivery::arbitrary::life(),
        events in prop::collection::vec(event(), 0..12),
        is_settled: bool,
        (mission, asked) in (mission_around(), dispatch_around()),
        now in any_of::time(),
    ) {
        let delivery = Delivery::fold(&spec::lived::<Delivery>(&life));
        prop_assume!(delivery.is_some());
        let begun = OperationEvent::OperationStarted {
            kind: OperationKind::Schedule,
            delivery: world::DELIVERY,
            user: crate::id::UserId::from_uuid(uuid::Uuid::nil()),
            sequence: 1,
        };
        let checked = OperationEvent::StepPassed { step: Step::Payment };
        let settled = is_settled.then_some([checked, OperationEvent::OperationSucceeded]);
        let written = [begun].into_iter().chain(settled.into_iter().flatten()).chain(events);
        let operation = written.fold(None, |state, event| {
            Scheduling::evolve(state, &Occurrence::new(event, at(1)))
        });
        let around = Around {
            delivery: delivery.as_ref().unwrap(),
            asked: asked.as_ref(),
            live: mission.as_ref(),
            live_dispatch: asked.as_ref(),
            package_holder: None,
            now,
            deadlines_to: now,
            settings: &SchedulingSettings::default(),
        };
        if let Next::Decide(command) = Scheduling::react(&operation, &around) {
            let decided = Delivery::decide(&command, &delivery);
            prop_assert!(decided.is_ok_and(|events| !events.is_empty()), "{command:?}");
        }
    }
}

/// A mission whose drone may not be heard.
fn mission_around() -> impl Strategy<Value = Option<Mission>> {
    let sender = (any_of::fleet(), any_of::drone()).prop_map(|(fleet, drone)| Sender {
        fleet,
        drone,
        session: "1".parse().unwrap(),
    });
    (sender, prop::option::of((any_of::fact(), any_of::time()))).prop_map(|(sender, lost)| {
        let (delivery, epoch) = (world::DELIVERY, 1);
        let bound = MissionEvent::MissionBound {
            delivery,
            epoch,
            sender,
        };
        let lost = lost.map(|(fact, at)| Occurrence::new(MissionEvent::LinkLost { fact }, at));
        let happened = [Occurrence::new(bound, at(1))].into_iter().chain(lost);
        happened.fold(None, |state, event| Mission::evolve(state, &event))
    })
}

/// What may have been asked about a mission.
fn dispatch_around() -> impl Strategy<Value = Option<Dispatch>> {
    let stand_down = (any_of::word(StandDownReason::ALL), any_of::time());
    prop::collection::vec(stand_down, 0..5).prop_map(|asked| {
        asked.into_iter().fold(None, |state, (reason, at)| {
            let delivery = world::DELIVERY;
            let asked = DispatchEvent::StandDownRequested { delivery, reason };
            Dispatch::evolve(state, &Occurrence::new(asked, at))
        })
    })
}

fn event() -> impl Strategy<Value = OperationEvent> {
    use OperationEvent as E;
    let reason = || any_of::word(RejectReason::ALL);
    let authorization = || any_of::text::<128>();
    prop_oneof![
        2 => (any_of::word(OperationKind::ALL), any_of::uuid(), any_of::uuid(), any::<u64>())
            .prop_map(|(kind, delivery, user, sequence)| E::OperationStarted {
                kind,
                delivery: DeliveryId::from_uuid(delivery),
                user: crate::id::UserId::from_uuid(user),
                sequence,
            }),
        1 => any_of::word(Step::ALL).prop_map(|step| E::StepPassed { step }),
        1 => (any_of::word(Step::ALL), reason())
            .prop_map(|(step, reason)| E::StepFailed { step, reason }),
        1 => (any_of::word(Effect::ALL), any::<u32>(), any_of::uuid(), any_of::time())
            .prop_map(|(effect, attempt, node, until)| E::EffectClaimed { effect, attempt, node, until }),
        1 => (any_of::word(Effect::ALL), any::<u32>(), any_of::word(Deferral::ALL), any_of::time())
            .prop_map(|(effect, attempt, why, retry_at)| E::EffectDeferred { effect, attempt, why, retry_at }),
        1 => authorization().prop_map(|authorization| E::PaymentAuthorized { authorization }),
        1 => reason().prop_map(|reason| E::PaymentDenied { reason }),
        1 => authorization().prop_map(|authorization| E::PaymentVoided { authorization }),
        1 => authorization().prop_map(|authorization| E::VoidRefused { authorization }),
        1 => (any_of::mission(), any::<u32>(), any::<u8>(), any_of::time())
            .prop_map(|(mission, epoch, ask, answer_by)| E::MissionAsked { mission, epoch, ask, answer_by }),
        1 => prop::option::of(any_of::time()).prop_map(|at| E::DeadlineSet { at }),
        1 => any_of::word(OperationProblem::ALL).prop_map(|problem| E::OperationFailed { problem }),
        1 => any_of::word(OperationProblem::ALL).prop_map(|problem| E::OperationTimedOut { problem }),
        1 => select(vec![
            E::PackageFreed, E::OperationSucceeded, E::OperationCancelled, E::ProcessEnded, E::ProcessResumed,
            E::PaymentLeftUnknown, E::FlightUnpaid, E::PackageKept,
        ]),
        1 => (any_of::uuid(), any_of::uuid()).prop_map(|(delivery, with)| E::PackageShared {
            delivery: DeliveryId::from_uuid(delivery),
            with: DeliveryId::from_uuid(with),
        }),
    ]
}

#[test]
fn every_event_that_the_process_hears_exists() {
    let names: Vec<_> = DeliveryEvent::TYPES
        .iter()
        .map(|known| known.name)
        .collect();
    for heard in HEARD {
        assert!(names.contains(&heard), "{heard}");
    }
}
