//! Tests of what was so and what was known.

use domain::delivery::Milestone;
use domain::stream::StreamName;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::any_log::{DeliveryStep, Happening, Service, delivery_life};
use crate::test_log::{Appending, TestLog, assigned, at, created, delivery, mission, user};

const ID: u128 = 0;

fn there<T: std::fmt::Debug>(found: Result<Found<T>, QueryError>) -> Past<T> {
    let found = found.unwrap();
    let Found::There(past) = found else {
        panic!("not there: {found:?}");
    };
    past
}

fn as_of(seconds: i64) -> Moment {
    Moment {
        as_of: Some(at(seconds)),
        known_at: None,
    }
}

fn known_at(position: u64) -> Moment {
    Moment {
        as_of: None,
        known_at: Some(KnownAt::Position(Position::new(position))),
    }
}

/// A log in which each commit has one event of a delivery, at these seconds.
fn log_of(events: &[(Occurrence<DeliveryEvent>, i64)]) -> TestLog {
    let mut log = TestLog::new();
    for (occurrence, second) in events {
        let occurrence = Occurrence {
            event_time: at(*second),
            ..occurrence.clone()
        };
        let stream = StreamName::delivery(delivery(ID));
        log.append(vec![Appending::new(stream, Some(user(0)), [occurrence])]);
    }
    log
}

/// Any life of a delivery, with any event times between the seconds 0 and 200.
fn any_life() -> impl Strategy<Value = Vec<(Occurrence<DeliveryEvent>, i64)>> {
    (delivery_life(40), vec(0..200_i64, 400)).prop_map(|(life, seconds)| {
        let create = DeliveryStep::Create {
            with_long_texts: false,
            named: true,
        };
        let mut service = Service::new();
        for step in [create].into_iter().chain(life) {
            service.happen(&Happening::Delivery(ID, step));
        }
        let occurrences = service.occurrences(ID).into_iter();
        occurrences.zip(seconds).collect()
    })
}

proptest! {
    /// Law: once all had happened, the past is the present; and so is what is known at the head.
    #[test]
    fn the_present_is_a_past_too(life in any_life()) {
        let log = log_of(&life);
        let views = Views::in_memory(log.store()).unwrap();
        let row = views.delivery(delivery(ID)).unwrap().unwrap();
        let history = views.history(delivery(ID)).unwrap().unwrap();
        // A correction may name a time after all event times; this is after each.
        let ever = Moment { as_of: Some(Timestamp::MAX), known_at: None };
        for moment in [Moment::default(), ever, known_at(log.head().get())] {
            prop_assert_eq!(&there(views.delivery_at(delivery(ID), moment)).shown, &row);
            prop_assert_eq!(&there(views.history_at(delivery(ID), moment)).shown, &history);
        }
    }

    /// Law: what is known at a position is what a log that ends there tells, at
    /// any time; by its recorded time it is the same.
    #[test]
    fn what_was_known_is_what_the_beginning_of_the_log_tells(
        life in any_life(),
        cut: prop::sample::Index,
        second in prop::option::of(0..200_i64),
    ) {
        let end = 1 + cut.index(life.len());
        let (whole, prefix) = (log_of(&life), log_of(&life[..end]));
        let (now, then) = (
            Views::in_memory(whole.store()).unwrap(),
            Views::in_memory(prefix.store()).unwrap(),
        );
        let id = delivery(ID);
        let unbounded = Moment { as_of: second.map(at), known_at: None };
        let position = KnownAt::Position(Position::new(end as u64));
        let time = KnownAt::Time(at(i64::try_from(end).unwrap()));
        for known_at in [position, time] {
            let moment = Moment { known_at: Some(known_at), ..unbounded };
            match (now.delivery_at(id, moment).unwrap(), then.delivery_at(id, unbounded).unwrap()) {
                (Found::There(now), Found::There(then)) => {
                    prop_assert_eq!(now.shown, then.shown);
                    prop_assert_eq!(now.known_to, then.known_to);
                    prop_assert_eq!(now.is_final, known_at == position || end < life.len());
                    prop_assert!(!then.is_final);
                }
                (now, then) => prop_assert_eq!(now, then),
            }
            match (now.history_at(id, moment).unwrap(), then.history_at(id, unbounded).unwrap()) {
                (Found::There(now), Found::There(then)) => prop_assert_eq!(now.shown, then.shown),
                (now, then) => prop_assert_eq!(now, then),
            }
        }
    }

    /// Law: as time goes on more has happened, never less; and a delivery's
    /// last event that is shown is the last of its history.
    #[test]
    fn what_had_happened_only_grows(life in any_life(), a in 0..200_i64, b in 0..200_i64) {
        let log = log_of(&life);
        let views = Views::in_memory(log.store()).unwrap();
        let id = delivery(ID);
        let Found::There(earlier) = views.history_at(id, as_of(a.min(b))).unwrap() else {
            return Ok(());
        };
        let later = there(views.history_at(id, as_of(a.max(b)))).shown;
        prop_assert!(earlier.shown.iter().all(|entry| later.contains(entry)));
        let row = there(views.delivery_at(id, as_of(a.max(b)))).shown;
        let last = later.last().unwrap();
        prop_assert_eq!((row.sequence, row.updated_at), (last.sequence, last.recorded_at));
    }
}

/// Of one mission: picked up at second 50 as told, whose way there was only
/// implied; the record after that corrects that the drone set out at 20.
fn told_late() -> TestLog {
    let departed = DeliveryEvent::HeadedToPickup {
        mission: mission(1),
    };
    let loaded = DeliveryEvent::PickedUp {
        mission: mission(1),
        tag: None,
        mass: None,
    };
    let corrected = DeliveryEvent::MilestoneTimeCorrected {
        milestone: Milestone::HeadedToPickup,
        was: at(50),
        now: at(20),
    };
    log_of(&[
        (Occurrence::new(created(user(0)), at(0)), 0),
        (Occurrence::new(DeliveryEvent::Scheduled, at(0)), 0),
        (Occurrence::new(assigned(mission(1), 1, None), at(10)), 10),
        (Occurrence::inferred(departed, at(50)), 50),
        (Occurrence::new(loaded, at(50)), 50),
        (Occurrence::new(corrected, at(20)), 20),
    ])
}

#[test]
fn a_late_event_changes_what_was_so_and_not_what_was_known() {
    let log = told_late();
    let views = Views::in_memory(log.store()).unwrap();
    let shown = |moment| {
        let row = there(views.delivery_at(delivery(ID), moment)).shown;
        let set_out = row.milestones.at(Milestone::HeadedToPickup);
        (row.status.word(), set_out, row.sequence.get())
    };
    assert_eq!(shown(as_of(30)), ("headed_to_pickup", Some(at(20)), 6));
    assert_eq!(shown(known_at(5)), ("loaded", Some(at(50)), 5));
    let both = Moment {
        known_at: known_at(5).known_at,
        ..as_of(30)
    };
    assert_eq!(shown(both), ("assigned", None, 3));
    assert_eq!(shown(Moment::default()), ("loaded", Some(at(20)), 6));
}

#[test]
fn where_there_was_nothing_it_is_told_why() {
    let log = told_late();
    let views = Views::in_memory(log.store()).unwrap();
    let of = |id, moment| views.delivery_at(id, moment).unwrap();
    assert_eq!(of(delivery(9), as_of(30)), Found::Unknown);
    assert_eq!(of(delivery(9), known_at(3)), Found::Unknown);
    assert_eq!(
        of(delivery(ID), as_of(-1)),
        Found::NotYet { earliest: at(0) }
    );
    assert_eq!(
        of(delivery(ID), known_at(0)),
        Found::NotKnownYet {
            first_recorded_at: at(1),
            first_position: Position::new(1)
        }
    );
}

#[test]
fn what_is_known_at_a_time_is_final_once_something_is_recorded_after_it() {
    let mut log = told_late();
    let views = Views::in_memory(log.store()).unwrap();
    let last = Moment {
        as_of: None,
        known_at: Some(KnownAt::Time(at(6))),
    };
    let before = there(views.delivery_at(delivery(ID), last));
    assert!(!before.is_final, "more may be recorded in that very moment");
    log.delivery(delivery(7), user(0), [created(user(0))]);
    let after = there(views.delivery_at(delivery(ID), last));
    assert!(after.is_final);
    assert_eq!(after.shown, before.shown);
    assert!(!there(views.delivery_at(delivery(ID), as_of(0))).is_final);
}

#[test]
fn a_past_ends_before_a_record_that_cannot_be_read_and_says_so() {
    let mut log = TestLog::new();
    let booked = log.delivery(delivery(ID), user(0), [created(user(0))]);
    let unreadable = crate::test_log::unreadable(&log, StreamName::delivery(delivery(ID)));
    log.delivery(delivery(ID), user(0), [DeliveryEvent::Scheduled]);
    let views = Views::in_memory(log.store()).unwrap();
    for moment in [as_of(99), known_at(3)] {
        let past = there(views.delivery_at(delivery(ID), moment));
        assert_eq!(past.degraded_since, Some(unreadable));
        assert_eq!((past.known_to, past.is_final), (booked, false));
        assert_eq!(past.shown.sequence, StreamVersion::new(1));
    }
    let history = there(views.history_at(delivery(ID), as_of(99)));
    assert_eq!(
        (history.shown.len(), history.degraded_since),
        (1, Some(unreadable))
    );

    // What does not look into it is whole, and what was known before it is final.
    let history = there(views.history_at(delivery(ID), known_at(3)));
    assert_eq!((history.shown.len(), history.degraded_since), (3, None));
    let past = there(views.delivery_at(delivery(ID), known_at(1)));
    assert_eq!((past.degraded_since, past.is_final), (None, true));
}
