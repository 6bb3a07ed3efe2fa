//! What of a delivery had happened by an instant.
//!
//! Events are recorded in the order in which they became known, which need not
//! be the order in which they happened; and when a step happened may become
//! known only later. So the past is asked with all that is known of it, and
//! not by cutting the stream off.

use super::event::DeliveryEvent;
use super::state::Delivery;
use crate::decider::{Decider as _, Occurrence};
use crate::time::Timestamp;

/// When each of a delivery's events happened, as far as these events tell: its
/// own time, or the one that a later [`DeliveryEvent::MilestoneTimeCorrected`]
/// among them gives it. The correction counts from the same time on, since
/// what it says was so from then on.
///
/// The events are all of a delivery, or the first of them, in stream order.
/// There are as many times as events.
#[must_use]
pub fn effective_times(occurrences: &[Occurrence<DeliveryEvent>]) -> Vec<Timestamp> {
    let mut times: Vec<_> = occurrences.iter().map(|it| it.event_time).collect();
    // Which event reached each of the delivery's milestones, by its place.
    let mut reached_by = Vec::new();
    let mut delivery = Delivery::initial();
    for (place, occurrence) in occurrences.iter().enumerate() {
        delivery = Delivery::evolve(delivery, occurrence);
        let milestones = delivery.as_ref().map_or(&[][..], Delivery::milestones);
        if milestones.len() > reached_by.len() {
            reached_by.push(place);
        }
        // Only a correction changes the time of a milestone that is there.
        let corrected = milestones
            .iter()
            .zip(&reached_by)
            .find(|(reached, by)| times.get(**by) != Some(&reached.at))
            .map(|(reached, by)| (*by, reached.at));
        if let Some((by, at)) = corrected {
            for place in [by, place] {
                if let Some(time) = times.get_mut(place) {
                    *time = at;
                }
            }
        }
    }
    times
}

/// Which of a delivery's events had happened by an instant, itself included,
/// by their [`effective_times`]; `None` before the earliest of them.
///
/// `Created` always is among them: a recorded flight may be older than its
/// delivery, and without it nothing else means anything.
#[must_use]
pub fn happened_by(
    occurrences: &[Occurrence<DeliveryEvent>],
    instant: Timestamp,
) -> Option<Vec<bool>> {
    let times = effective_times(occurrences);
    if times.iter().all(|time| *time > instant) {
        return None;
    }
    let happened = |(occurrence, time): (&Occurrence<DeliveryEvent>, Timestamp)| {
        time <= instant || matches!(occurrence.event, DeliveryEvent::Created(_))
    };
    Some(occurrences.iter().zip(times).map(happened).collect())
}
