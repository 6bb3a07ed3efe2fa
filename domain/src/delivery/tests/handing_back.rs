//! Packages that an operator knows to be with the sender again, and those that nobody brings.

use super::*;

fn back() -> [DeliveryEvent; 2] {
    let reason = words("the sender rang");
    [
        DeliveryEvent::HandedBack { reason },
        DeliveryEvent::Returned { mission: M1 },
    ]
}

fn crashed() -> Given<Delivery> {
    at_dropoff().after(report(M1, 9, ended(Ending::Crashed)))
}

#[test]
fn an_operator_hands_back_what_left_the_sender_wherever_it_was_last() {
    let returning = at_dropoff().after(report(M1, 9, Reported::DepartedToReturn));
    for given in [
        flown([assigned(), loaded()]),
        at_dropoff(),
        awaiting(),
        returning,
        at_hub(),
    ] {
        let ended = given.when(hand_back(40)).then_events(back());
        assert_eq!(status(&ended), Status::Returned);
        assert_eq!(ended.state().unwrap().custody(), Custody::Sender);
        ended.when(hand_back(41)).then_nothing();
    }
}

#[test]
fn what_the_sender_has_still_or_the_recipient_has_is_not_handed_back() {
    booked().when(hand_back(40)).then_rejected(refusal(
        Status::Scheduled,
        "handed back",
        "the sender has the package still; cancel it, or reschedule it",
    ));
    at_dropoff()
        .after(report(M1, 9, released_at(NEAR)))
        .when(hand_back(40))
        .then_rejected(refusal(
            Status::Complete,
            "handed back",
            "its life is over; correct what is said of it, or order a new one",
        ));
}

#[test]
fn what_is_reopened_with_no_drone_under_way_is_for_somebody_to_see_to_until_it_ends() {
    for to in [ReopenedAs::InTransit, ReopenedAs::Returning] {
        let reason = Some(words("it lay in the yard"));
        let cause = ReopenCause::Operator;
        let place = Stranding::OnBoard;
        let looked_for = crashed().when(reopen(to, 20)).then_events([
            DeliveryEvent::Reopened { cause, to, reason },
            DeliveryEvent::Stranded { place },
        ]);
        assert!(looked_for.state().unwrap().action_required());
        let found = looked_for.when(hand_back(40)).then_events(back());
        assert!(!found.state().unwrap().action_required());
    }
}

#[test]
fn what_nobody_finds_is_given_up_and_lost() {
    let reason = || words("we looked everywhere");
    let give_up = |minute| DeliveryCommand::GiveUp {
        reason: Some(reason()),
        now: at(minute),
    };
    for to in [ReopenedAs::InTransit, ReopenedAs::Returning] {
        let lost = crashed()
            .after(reopen(to, 20))
            .when(give_up(30))
            .then_events([
                DeliveryEvent::GivenUp { reason: reason() },
                DeliveryEvent::Failed {
                    mission: M1,
                    reason: Failure::PackageLost,
                },
            ]);
        assert_eq!(lost.state().unwrap().custody(), Custody::Unknown);
        lost.when(give_up(31)).then_nothing();
    }
}
