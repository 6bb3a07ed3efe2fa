//! Drones that come back and say that they have the package.

use super::*;

const HUB: ReturnedTo = ReturnedTo::Hub(HubPlace::Hub);

fn brought_to(given: &Given<Delivery>, to: ReturnedTo) -> Given<Delivery> {
    given
        .clone()
        .after(report(M1, 30, Reported::BroughtBack(to)))
}

/// What somebody is told of a return that is said at minute 30, if it changes nothing else.
fn odd(given: &Given<Delivery>, to: ReturnedTo) -> Option<Anomaly> {
    let before = given.state();
    let told = report(M1, 30, Reported::BroughtBack(to));
    let events = Delivery::decide(&told, &before).unwrap();
    let [told] = events.as_slice() else {
        assert_eq!(events, [], "more than one thing follows");
        return None;
    };
    let DeliveryEvent::AnomalyRecorded { why, .. } = told.event else {
        panic!("{told:?}")
    };
    Some(why)
}

#[test]
fn a_package_that_comes_back_is_where_it_was_brought() {
    for given in [at_dropoff(), flown([assigned(), loaded()])] {
        assert_eq!(status(&brought_to(&given, HUB)), Status::AtHub);
        let sender = brought_to(&given, ReturnedTo::Sender);
        assert_eq!(status(&sender), Status::Returned);
    }
}

#[test]
fn a_drone_that_brings_back_what_was_handed_over_or_lost_contradicts_that() {
    let ends = [released_at(NEAR), released_at(FAR), Reported::Dropped];
    for end in ends {
        let ended = at_dropoff().after(report(M1, 9, end));
        for to in [HUB, ReturnedTo::Sender] {
            assert_eq!(odd(&ended, to), Some(Anomaly::ContradictsOutcome));
            let empty = report(M1, 30, Reported::Returned(to));
            ended.clone().when(empty).then_nothing();
        }
    }
    let called_off =
        at_pickup()
            .after(cancel(at(9)))
            .after(report(M1, 10, ended(Ending::StoodDown)));
    assert_eq!(odd(&called_off, HUB), Some(Anomaly::ContradictsOutcome));
    assert_eq!(odd(&called_off, ReturnedTo::Sender), None, "it lies there");
}

#[test]
fn a_drone_that_brings_back_what_it_has_not_or_no_more_is_told_of() {
    for given in [awaiting(), at_pickup()] {
        assert_eq!(odd(&given, HUB), Some(Anomaly::WrongStatus));
    }
    let off = flown([assigned(), ended(Ending::Aborted)]);
    assert_eq!(odd(&off, HUB), Some(Anomaly::TwoDrones));
    assert_eq!(odd(&off, ReturnedTo::Sender), None, "it lies there");
}

#[test]
fn what_is_said_twice_is_said_once() {
    let back = brought_to(&at_dropoff(), HUB);
    assert_eq!(odd(&back, HUB), None);
    let fetched = back
        .after(report(M2, 31, assigned()))
        .after(report(M2, 32, loaded()));
    assert_eq!(odd(&fetched, HUB), None);
    let home = brought_to(&at_dropoff(), ReturnedTo::Sender);
    assert_eq!(odd(&home, ReturnedTo::Sender), None);
}
