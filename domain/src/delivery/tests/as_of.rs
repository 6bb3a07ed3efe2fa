//! What of a delivery had happened by an instant.

use proptest::prelude::*;

use super::super::arbitrary;
use super::*;
use crate::codec::StoredEvent as _;
use crate::spec::lived;

fn occurrences(commands: impl IntoIterator<Item = DeliveryCommand>) -> Vec<Event> {
    lived::<Delivery>(&commands.into_iter().collect::<Vec<_>>())
}

type Event = Occurrence<DeliveryEvent>;

/// Booked at minute 0, assigned at 1, picked up at 5 as far as is known; then
/// it is told late that the drone set out at `departed`.
fn told_late(departed: i64) -> Vec<Event> {
    occurrences([
        create(order(), at(0)),
        DeliveryCommand::Schedule { now: at(0) },
        report(M1, 1, assigned()),
        report(M1, 5, loaded()),
        report(M1, departed, Reported::DepartedToPickup),
    ])
}

fn kept(events: &[Event], minute: i64) -> Vec<&'static str> {
    let kept = happened_by(events, at(minute)).unwrap();
    let kept = events.iter().zip(kept).filter(|(_, kept)| *kept);
    kept.map(|(event, _)| event.event.name()).collect()
}

#[test]
fn a_corrected_step_counts_from_its_corrected_time_on_and_so_does_the_correction() {
    let before = told_late(2);
    let known_first = before.split_last().unwrap().1;
    let booked = ["Created", "Scheduled", "DroneAssigned"];
    assert_eq!(kept(known_first, 3), booked);
    assert_eq!(
        kept(&before, 3),
        [&booked[..], &["HeadedToPickup", "MilestoneTimeCorrected"]].concat()
    );
    assert_eq!(effective_times(&before), [0, 0, 1, 2, 5, 5, 2].map(at));
    // A clock that ran ahead: the step is later than it seemed.
    let ahead = told_late(9);
    assert_eq!(effective_times(&ahead), [0, 0, 1, 9, 5, 5, 9].map(at));
    assert_eq!(
        kept(&ahead, 8),
        [&booked[..], &["ArrivedAtPickup", "PickedUp"]].concat()
    );
}

#[test]
fn before_the_earliest_event_there_was_nothing_and_from_it_on_there_is_the_order() {
    // A recorded flight, older than its delivery.
    let events = occurrences([
        create(order(), at(100)),
        DeliveryCommand::Schedule { now: at(100) },
        report(M1, 1, assigned()),
        report(M1, 2, Reported::DepartedToPickup),
    ]);
    assert_eq!(happened_by(&events, at(0)), None);
    assert_eq!(kept(&events, 1), ["Created", "DroneAssigned"]);
    assert_eq!(
        kept(&events, 99),
        ["Created", "DroneAssigned", "HeadedToPickup"]
    );
    assert_eq!(kept(&events, 100).len(), 4);
    assert_eq!(happened_by(&[], at(0)), None);
}

fn is_correction(event: &Event) -> bool {
    matches!(event.event, DeliveryEvent::MilestoneTimeCorrected { .. })
}

proptest! {
    /// Law: every event has one effective time, its own unless one is corrected.
    #[test]
    fn without_corrections_events_count_from_their_own_times_on(life in arbitrary::life()) {
        let events = occurrences(life);
        let times = effective_times(&events);
        prop_assert_eq!(times.len(), events.len());
        if !events.iter().any(is_correction) {
            prop_assert_eq!(times, events.iter().map(|it| it.event_time).collect::<Vec<_>>());
        }
    }

    /// Law: a delivery's milestones have the effective times of its events.
    #[test]
    fn milestones_lie_at_effective_times(life in arbitrary::life()) {
        let events = occurrences(life);
        let times = effective_times(&events);
        for reached in Delivery::fold(&events).iter().flat_map(Delivery::milestones) {
            prop_assert!(times.contains(&reached.at), "{:?}", reached);
        }
    }

    /// Law: what had happened once has happened ever after, and all has in the end.
    #[test]
    fn what_had_happened_has_happened_ever_after(life in arbitrary::life(), pair: (u8, u8)) {
        let events = occurrences(life);
        let times = effective_times(&events);
        let mut sorted = times.clone();
        sorted.sort_unstable();
        let pick = |place: u8| sorted.get(usize::from(place) % sorted.len().max(1)).copied();
        let (Some(a), Some(b)) = (pick(pair.0), pick(pair.1)) else {
            return Ok(());
        };
        let earlier = happened_by(&events, a.min(b)).unwrap();
        let later = happened_by(&events, a.max(b)).unwrap();
        prop_assert!(earlier.iter().zip(&later).all(|(earlier, later)| earlier <= later));
        let last = sorted.last().copied().unwrap();
        prop_assert!(happened_by(&events, last).unwrap().into_iter().all(|kept| kept));
        let first = sorted.first().unwrap().micros();
        if let Ok(before) = Timestamp::from_micros(first - 1) {
            prop_assert_eq!(happened_by(&events, before), None);
        }
    }
}
