//! Packages that nobody comes for by themselves.

use super::*;

fn note(minute: i64) -> DeliveryCommand {
    DeliveryCommand::NoteStranded { now: at(minute) }
}

fn stranded(place: Stranding) -> DeliveryEvent {
    DeliveryEvent::Stranded { place }
}

fn needs_somebody(given: &Given<Delivery>) -> bool {
    given.state().unwrap().action_required()
}

/// Its drone flew home with the package, and says so at minute 9.
fn left_on_board() -> Given<Delivery> {
    at_dropoff().after(report(M1, 9, completed(Some(true))))
}

#[test]
fn a_package_that_was_left_on_board_is_waited_for_before_somebody_is_called() {
    let left = left_on_board();
    assert_eq!(left.state().unwrap().left_on_board_since(), Some(at(9)));
    assert!(!needs_somebody(&left));
    let noted = left
        .when(note(11))
        .then([now(stranded(Stranding::OnBoard), 11)]);
    assert!(needs_somebody(&noted));
    assert_eq!(noted.state().unwrap().left_on_board_since(), None);
    let said_again = noted.after(report(M1, 12, completed(None)));
    assert_eq!(said_again.state().unwrap().left_on_board_since(), None);
    said_again.when(note(14)).then_nothing();
}

#[test]
fn whoever_tells_where_the_package_went_is_not_waited_for_any_more() {
    let hub = Reported::Returned(ReturnedTo::Hub(HubPlace::Hub));
    let told = [
        released_at(NEAR),
        released_at(FAR),
        Reported::Returned(ReturnedTo::Sender),
        hub,
        Reported::Dropped,
        ended(Ending::Crashed),
    ];
    for reported in told {
        let found = left_on_board().after(report(M1, 10, reported.clone()));
        assert_eq!(
            found.state().unwrap().left_on_board_since(),
            None,
            "{reported:?}"
        );
    }
    let arrived = flown_as(
        pin_order(),
        [assigned(), loaded(), Reported::ArrivedAtDropoff(NEAR)],
    );
    let awaiting = arrived
        .after(report(M1, 9, completed(Some(true))))
        .after(report(M1, 10, released_at(NEAR)));
    assert_eq!(awaiting.state().unwrap().left_on_board_since(), None);
    awaiting.when(note(12)).then_nothing();
}

#[test]
fn a_drone_that_was_in_vain_and_has_a_package_all_the_same_is_looked_for() {
    let sent_away = at_pickup()
        .after(report(M1, 9, completed(Some(true))))
        .after(report(M1, 10, ended(Ending::Aborted)));
    assert_eq!(status(&sent_away), Status::Scheduled);
    let noted = sent_away
        .after(report(M2, 10, assigned()))
        .when(note(11))
        .then_events([stranded(Stranding::OnBoard)]);
    assert!(needs_somebody(&noted));
    assert!(needs_somebody(&noted.after(report(M2, 12, loaded()))));
}

/// A package that nobody took, back at a hub: its order says that it goes back to the sender.
fn left_at_hub() -> Given<Delivery> {
    let left = at_hub();
    assert!(left.state().unwrap().is_left_at_hub());
    left.when(note(12))
        .then_events([stranded(Stranding::AtHub)])
}

#[test]
fn a_package_that_is_not_brought_from_its_hub_once_more_is_for_somebody_to_see_to() {
    let left = left_at_hub();
    assert_eq!(status(&left), Status::AtHub);
    assert!(needs_somebody(&left));
    left.clone().when(note(13)).then_nothing();
    let ends = [
        left.clone()
            .after(report(M1, 20, Reported::Returned(ReturnedTo::Sender))),
        left.after(report(M2, 20, assigned())),
    ];
    for end in ends {
        assert!(!needs_somebody(&end), "{:?}", status(&end));
    }
}

#[test]
fn an_operator_ends_what_waits_at_a_hub_and_says_why() {
    let reason = || words("the sender fetched it");
    let give_up = DeliveryCommand::GiveUp {
        reason: Some(reason()),
        now: at(30),
    };
    let failed = DeliveryEvent::Failed {
        mission: M1,
        reason: Failure::Undeliverable,
    };
    for waiting in [left_at_hub(), at_hub()] {
        let ended = waiting
            .when(give_up.clone())
            .then_events([DeliveryEvent::GivenUp { reason: reason() }, failed.clone()]);
        assert_eq!(ended.state().unwrap().custody(), Custody::Hub);
        ended.when(give_up.clone()).then_nothing();
    }
    at_dropoff()
        .when(give_up)
        .then_rejected(refusal(Status::AtDropoff, "given up", "the package has left the sender; ask for its return, confirm it, complete it, or hand it back"));
}

#[test]
fn given_a_package_that_an_operator_finds_damaged_at_its_hub_then_it_failed_so_and_is_not_tried_again()
 {
    let reason = || words("it is wet and torn");
    let damaged = |now| DeliveryCommand::FindDamaged {
        reason: reason(),
        now: at(now),
    };
    let failed = DeliveryEvent::Failed {
        mission: M1,
        reason: Failure::Damaged,
    };
    let ended = left_at_hub()
        .when(damaged(30))
        .then_events([DeliveryEvent::GivenUp { reason: reason() }, failed]);
    assert!(needs_somebody(&ended));
    assert!(!ended.state().unwrap().wants_another_attempt());
    ended.when(damaged(31)).then_nothing();
    for given in [at_dropoff(), booked(), left_at_hub().after(give_up(30))] {
        let refused = Delivery::decide(&damaged(31), &given.state());
        assert!(matches!(
            refused,
            Err(DeliveryRejection::WrongStatus {
                attempted: "given up as damaged",
                ..
            })
        ));
    }
}

#[test]
fn a_package_that_a_drone_did_not_fetch_from_its_hub_after_all_is_left_there_again() {
    let back = left_at_hub()
        .after(report(M2, 20, assigned()))
        .after(report(M2, 21, ended(Ending::Aborted)));
    assert_eq!(status(&back), Status::AtHub);
    back.when(note(22))
        .then_events([stranded(Stranding::AtHub)]);
}

/// Its drone does not say that it turned round.
fn not_stood_down(order: Order) -> Given<Delivery> {
    let asked = flown_as(order, [assigned()]).after(cancel(at(9)));
    assert!(asked.state().unwrap().is_left_to_drone());
    let noted = asked
        .when(note(12))
        .then_events([stranded(Stranding::WithSender)]);
    assert!(needs_somebody(&noted));
    noted.clone().when(note(13)).then_nothing();
    noted
}

#[test]
fn a_drone_that_did_not_turn_round_is_nobodys_matter_once_it_has_the_package() {
    let goes_on = Order {
        on_cancel_after_pickup: OnCancelAfterPickup::Continue,
        ..order()
    };
    for order in [order(), goes_on] {
        let silent = not_stood_down(order);
        let headed = silent.after(report(M1, 14, Reported::DepartedToPickup));
        assert!(needs_somebody(&headed), "it does not turn round yet");
        let late = headed.after(report(M1, 15, loaded()));
        assert!(!needs_somebody(&late), "{:?}", status(&late));
    }
}

#[test]
fn a_drone_that_came_down_needs_somebody_whatever_became_of_a_cancellation() {
    let down = Reported::EmergencyLanded { detail: None };
    let late = not_stood_down(order())
        .after(report(M1, 14, loaded()))
        .after(report(M1, 15, down));
    assert!(needs_somebody(&late));
}

#[test]
fn a_package_that_is_to_be_tried_again_from_its_hub_is_not_left_there() {
    let mut order = order();
    order.on_undeliverable = OnUndeliverable::Hold;
    let held = flown_as(
        order,
        [
            assigned(),
            loaded(),
            Reported::ArrivedAtDropoff(NEAR),
            Reported::DepartedToReturn,
            Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
        ],
    );
    assert!(!held.state().unwrap().is_left_at_hub());
    held.when(note(12)).then_nothing();
    for given in [booked(), awaiting()] {
        given.when(note(12)).then_nothing();
    }
}

#[test]
fn a_drone_that_was_asked_to_turn_round_and_says_so_is_nobodys_matter_any_more() {
    let fetched_in_vain = at_pickup()
        .when(note(12))
        .then_events([stranded(Stranding::WithSender)]);
    assert!(needs_somebody(&fetched_in_vain));
    let stood_down = fetched_in_vain.after(report(M1, 13, ended(Ending::StoodDown)));
    assert_eq!(status(&stood_down), Status::Scheduled);
    assert!(!needs_somebody(&stood_down));

    let asked = || {
        let asked = at_dropoff().after(DeliveryCommand::RequestReturn { now: at(9) });
        assert!(asked.state().unwrap().is_to_turn_round());
        let noted = asked
            .when(note(12))
            .then_events([stranded(Stranding::UnderWay)]);
        assert!(needs_somebody(&noted));
        noted
    };
    let diverted = Reported::Diverted {
        to: Diversion::Home,
        detail: None,
    };
    for reported in [
        Reported::DepartedToReturn,
        ended(Ending::StoodDown),
        ended(Ending::Aborted),
        diverted,
    ] {
        let turned = asked().when(report(M1, 13, reported));
        let corrected = DeliveryEvent::MilestoneTimeCorrected {
            milestone: Milestone::ReturnStarted,
            was: at(9),
            now: at(13),
        };
        let turned = turned.then_events([corrected]);
        assert!(!needs_somebody(&turned));
        assert!(!turned.state().unwrap().is_to_turn_round());
    }
}

#[test]
fn an_operator_ends_a_cancellation_whose_drone_never_answers_and_says_why() {
    let reason = || words("the fleet is gone");
    let give_up = DeliveryCommand::GiveUp {
        reason: Some(reason()),
        now: at(30),
    };
    at_pickup()
        .after(cancel(at(9)))
        .when(give_up.clone())
        .then_rejected(refusal(
            Status::Cancelling,
            "given up",
            "it is being cancelled; wait until its drone has turned round, complete it, or hand it back",
        ));
    let ended = not_stood_down(order()).when(give_up).then_events([
        DeliveryEvent::GivenUp { reason: reason() },
        DeliveryEvent::Cancelled,
    ]);
    assert_eq!(ended.state().unwrap().custody(), Custody::Sender);
    assert!(!needs_somebody(&ended));
    let late = ended.after(report(M1, 40, loaded()));
    assert_eq!(status(&late), Status::Returning, "it is reopened");
}

#[test]
fn what_an_operator_found_at_a_hub_is_left_there_until_something_moves_it() {
    let found = at_dropoff()
        .after(report(M1, 9, ended(Ending::Crashed)))
        .after(DeliveryCommand::Reopen {
            to: ReopenedAs::AtHub,
            reason: words("it lies there"),
            now: at(20),
        });
    assert!(found.state().unwrap().is_kept_at_hub());
    let noted = found
        .when(note(21))
        .then_events([stranded(Stranding::AtHub)]);
    noted.clone().when(note(22)).then_nothing();
    let sent_for = noted.after(report(M2, 30, assigned()));
    assert!(sent_for.state().unwrap().is_kept_at_hub() && !needs_somebody(&sent_for));
    let in_vain = sent_for
        .clone()
        .after(report(M2, 31, ended(Ending::Aborted)));
    assert!(in_vain.state().unwrap().is_kept_at_hub());
    let fetched = sent_for.after(report(M2, 31, loaded()));
    let back = fetched.after(report(M2, 32, ended(Ending::Aborted)));
    let hub = Reported::Returned(ReturnedTo::Hub(HubPlace::Hub));
    let back = back.after(report(M2, 33, hub));
    assert_eq!(status(&back), Status::AtHub);
    assert!(!back.state().unwrap().is_kept_at_hub());
}
