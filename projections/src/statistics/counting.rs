//! The projection: what is counted and measured of each delivery, and when.

use domain::delivery::{DeliveryEvent, Failure, Milestone, Order, RejectReason};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Position, Record};
use serde::{Deserialize, Serialize};

use super::distribution::Distribution;
use super::{Period, Stage};
use crate::key::Key;
use crate::overlay::{Overlay, Row};
use crate::parking::Poison;
use crate::projection::{Facts, Projection};
use crate::stored::event_time;
use crate::view_store::ViewStoreError;

/// The index of the deliveries under way.
pub(super) const UNDER_WAY: u8 = 1;

/// The number of the counts in the keys of their rows.
pub(super) const COUNTS: u32 = 0;

/// What is spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    Stage(Stage),
    Early,
    NotEarly,
}

impl Measure {
    /// The number in the keys of its rows. Not that of the counts.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Stage(Stage::Waiting) => 1,
            Self::Stage(Stage::ToPickup) => 2,
            Self::Stage(Stage::AtPickup) => 3,
            Self::Stage(Stage::ToDropoff) => 4,
            Self::Stage(Stage::AtDropoff) => 5,
            Self::Stage(Stage::Total) => 6,
            Self::Early => 7,
            Self::NotEarly => 8,
        }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) created: u64,
    pub(super) completed: u64,
    pub(super) late: u64,
    pub(super) cancelled: u64,
    #[serde(with = "crate::stored")]
    pub(super) rejected: Vec<(RejectReason, u64)>,
    pub(super) reopened: u64,
    pub(super) returned: u64,
    #[serde(with = "crate::stored")]
    pub(super) failed: Vec<(Failure, u64)>,
    /// The last record that was counted.
    position: Position,
}

/// A delivery under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnderWay {
    #[serde(with = "crate::stored")]
    pub(super) created_at: Timestamp,
    #[serde(with = "crate::stored")]
    pub(super) deliver_by: Option<Timestamp>,
    /// When its drone was expected at the drop-off as it was assigned.
    #[serde(with = "crate::stored")]
    pub(super) expected_at: Option<Timestamp>,
    /// The steps of the newest mission that bound a stage, each once.
    #[serde(with = "crate::stored")]
    pub(super) reached: Vec<(Milestone, Timestamp)>,
    pub(super) position: Position,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct HourlyStatistics;

impl Projection for HourlyStatistics {
    fn name(&self) -> &'static str {
        "statistics"
    }

    fn version(&self) -> u32 {
        2
    }

    fn poison(&self) -> Poison {
        Poison::Skip
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let Facts::Delivery(events) = facts else {
            return Ok(());
        };
        if !events.iter().any(counts) {
            return Ok(());
        }
        let key = Key::index(UNDER_WAY).id(record.stream.key.as_bytes());
        let before = view.row::<UnderWay>(&key)?;
        if before
            .as_ref()
            .is_some_and(|before| before.position >= record.position)
        {
            return Ok(());
        }
        let mut now = before.clone();
        for (event, recorded) in events.iter().zip(&record.events) {
            now = step(view, record, now, event, event_time(recorded))?;
        }
        match now {
            now if now == before => {}
            None => view.remove(key),
            Some(mut now) => {
                now.position = record.position;
                view.put_row(key, now);
            }
        }
        Ok(())
    }
}

impl Row for UnderWay {
    fn heap_bytes(&self) -> usize {
        self.reached.capacity() * size_of::<(Milestone, Timestamp)>()
    }
}

impl Row for Counts {
    fn heap_bytes(&self) -> usize {
        self.failed.capacity() * size_of::<(Failure, u64)>()
            + self.rejected.capacity() * size_of::<(RejectReason, u64)>()
    }
}

/// Whether an event may be counted or measured. Most are not, and cost nothing.
const fn counts(event: &DeliveryEvent) -> bool {
    match event {
        DeliveryEvent::Created(_)
        | DeliveryEvent::Rescheduled(_)
        | DeliveryEvent::DroneAssigned(_)
        | DeliveryEvent::ArrivedAtPickup { .. }
        | DeliveryEvent::PickedUp { .. }
        | DeliveryEvent::ArrivedAtDropoff { .. }
        | DeliveryEvent::DeliveryComplete { .. }
        | DeliveryEvent::Returned { .. }
        | DeliveryEvent::Cancelled
        | DeliveryEvent::Failed { .. }
        | DeliveryEvent::Rejected { .. }
        | DeliveryEvent::Reopened { .. }
        | DeliveryEvent::MilestoneTimeCorrected { .. } => true,
        DeliveryEvent::Scheduled
        | DeliveryEvent::DroneUnassigned { .. }
        | DeliveryEvent::HeadedToPickup { .. }
        | DeliveryEvent::InTransit { .. }
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::ReturnStarted { .. }
        | DeliveryEvent::ArrivedAtHub { .. }
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::Released { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. } => false,
    }
}

/// The delivery after an event, while it is under way; what ends is counted.
fn step(
    view: &mut Overlay<'_>,
    record: &Record,
    delivery: Option<UnderWay>,
    event: &DeliveryEvent,
    at: Timestamp,
) -> Result<Option<UnderWay>, ViewStoreError> {
    let Some(mut delivery) = delivery else {
        return begin(view, record, event, at);
    };
    match event {
        DeliveryEvent::Rescheduled(plan) => delivery.deliver_by = plan.deliver_by,
        DeliveryEvent::DroneAssigned(assignment) => {
            delivery.reached = vec![(Milestone::Assigned, at)];
            delivery.expected_at = assignment.eta_dropoff;
        }
        DeliveryEvent::ArrivedAtPickup { .. } => delivery.reach(Milestone::ArrivedAtPickup, at),
        DeliveryEvent::PickedUp { .. } => delivery.reach(Milestone::PickedUp, at),
        DeliveryEvent::ArrivedAtDropoff { .. } => delivery.reach(Milestone::ArrivedAtDropoff, at),
        DeliveryEvent::MilestoneTimeCorrected {
            milestone,
            was,
            now,
        } => delivery.correct(*milestone, *was, *now),
        DeliveryEvent::DeliveryComplete { .. } => {
            delivery.complete(view, record, at)?;
            return Ok(None);
        }
        DeliveryEvent::Returned { .. } => {
            count(view, record, at, |counts| counts.returned += 1)?;
            return Ok(None);
        }
        DeliveryEvent::Cancelled => {
            count(view, record, at, |counts| counts.cancelled += 1)?;
            return Ok(None);
        }
        DeliveryEvent::Rejected { reason } => {
            count(view, record, at, |counts| {
                add(&mut counts.rejected, *reason, 1);
            })?;
            return Ok(None);
        }
        DeliveryEvent::Failed { mission: _, reason } => {
            count(view, record, at, |counts| {
                add(&mut counts.failed, *reason, 1);
            })?;
            return Ok(None);
        }
        DeliveryEvent::Created(_)
        | DeliveryEvent::Scheduled
        | DeliveryEvent::DroneUnassigned { .. }
        | DeliveryEvent::HeadedToPickup { .. }
        | DeliveryEvent::InTransit { .. }
        | DeliveryEvent::AttemptFailed { .. }
        | DeliveryEvent::ReturnStarted { .. }
        | DeliveryEvent::ArrivedAtHub { .. }
        | DeliveryEvent::CancellationRequested { .. }
        | DeliveryEvent::CancellationRejected { .. }
        | DeliveryEvent::AnomalyRecorded { .. }
        | DeliveryEvent::DeadlineMissed { .. }
        | DeliveryEvent::Confirmed { .. }
        | DeliveryEvent::Corrected { .. }
        | DeliveryEvent::ConditionChanged { .. }
        | DeliveryEvent::EtaRevised { .. }
        | DeliveryEvent::Released { .. }
        | DeliveryEvent::ConfirmationOverdue
        | DeliveryEvent::Stranded { .. }
        | DeliveryEvent::GivenUp { .. }
        | DeliveryEvent::HandedBack { .. }
        | DeliveryEvent::Vouched { .. }
        | DeliveryEvent::Reopened { .. } => {}
    }
    Ok(Some(delivery))
}

/// What is new, or goes on after its end. It was counted before if a later record was.
fn begin(
    view: &mut Overlay<'_>,
    record: &Record,
    event: &DeliveryEvent,
    at: Timestamp,
) -> Result<Option<UnderWay>, ViewStoreError> {
    if let DeliveryEvent::Reopened { .. } = event {
        count(view, record, at, |counts| {
            counts.reopened += u64::from(counts.position < record.position);
        })?;
    }
    let DeliveryEvent::Created(order) = event else {
        return Ok(None);
    };
    // It has ended long since if its creation was counted before.
    let is_new = count(view, record, at, |counts| {
        let is_new = counts.position < record.position;
        counts.created += u64::from(is_new);
        is_new
    })?;
    Ok(is_new.then(|| UnderWay::new(order, at)))
}

impl UnderWay {
    fn new(order: &Order, at: Timestamp) -> Self {
        Self {
            created_at: at,
            deliver_by: order.plan.deliver_by,
            expected_at: None,
            reached: Vec::new(),
            position: Position::START,
        }
    }

    fn at(&self, milestone: Milestone) -> Option<Timestamp> {
        let mut reached = self.reached.iter();
        reached.find_map(|(step, at)| (*step == milestone).then_some(*at))
    }

    fn reach(&mut self, milestone: Milestone, at: Timestamp) {
        if self.at(milestone).is_none() {
            self.reached.push((milestone, at));
        }
    }

    fn correct(&mut self, milestone: Milestone, was: Timestamp, now: Timestamp) {
        for (step, at) in &mut self.reached {
            if *step == milestone && *at == was {
                *at = now;
            }
        }
    }

    fn complete(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        at: Timestamp,
    ) -> Result<(), ViewStoreError> {
        let is_late = self.deliver_by.is_some_and(|deadline| deadline < at);
        count(view, record, at, |counts| {
            counts.completed += 1;
            counts.late += u64::from(is_late);
        })?;
        let created = Some(self.created_at);
        let bounds = [
            (Stage::Waiting, created, self.at(Milestone::Assigned)),
            (
                Stage::ToPickup,
                self.at(Milestone::Assigned),
                self.at(Milestone::ArrivedAtPickup),
            ),
            (
                Stage::AtPickup,
                self.at(Milestone::ArrivedAtPickup),
                self.at(Milestone::PickedUp),
            ),
            (
                Stage::ToDropoff,
                self.at(Milestone::PickedUp),
                self.at(Milestone::ArrivedAtDropoff),
            ),
            (
                Stage::AtDropoff,
                self.at(Milestone::ArrivedAtDropoff),
                Some(at),
            ),
            (Stage::Total, created, Some(at)),
        ];
        for (stage, begin, end) in bounds {
            if let (Some(begin), Some(end)) = (begin, end) {
                // What is said to have ended before it began took no time.
                let took = u64::try_from(elapsed_ms(begin, end)).unwrap_or(0);
                measure(view, at, Measure::Stage(stage), took)?;
            }
        }
        if let Some(expected_at) = self.expected_at {
            let arrived_at = self.at(Milestone::ArrivedAtDropoff).unwrap_or(at);
            let error = elapsed_ms(expected_at, arrived_at);
            let which = if error < 0 {
                Measure::Early
            } else {
                Measure::NotEarly
            };
            measure(view, at, which, error.unsigned_abs())?;
        }
        Ok(())
    }
}

/// From one instant to another, milliseconds; negative if the other is earlier.
const fn elapsed_ms(begin: Timestamp, end: Timestamp) -> i64 {
    (end.micros() - begin.micros()) / 1_000
}

/// Adds to the count of a reason; they lie in the order of the stored numbers.
pub(super) fn add<R: Copy + Ord>(counts: &mut Vec<(R, u64)>, reason: R, more: u64) {
    match counts.binary_search_by_key(&reason, |(known, _)| *known) {
        Ok(place) => {
            if let Some((_, count)) = counts.get_mut(place) {
                *count += more;
            }
        }
        Err(place) => counts.insert(place, (reason, more)),
    }
}

fn row_key(hour: i64, number: u32) -> Key {
    Key::row().instant(hour).number(number)
}

/// Counts in the hour of an instant, and notes up to which record.
fn count<T>(
    view: &mut Overlay<'_>,
    record: &Record,
    at: Timestamp,
    change: impl FnOnce(&mut Counts) -> T,
) -> Result<T, ViewStoreError> {
    let key = row_key(Period::Hour.begin(at.micros()), COUNTS);
    let told = view.change(key, |counts: &mut Option<Counts>| {
        let counts = counts.get_or_insert_default();
        let told = change(counts);
        counts.position = counts.position.max(record.position);
        Some(told)
    })?;
    Ok(told.expect("it is always changed"))
}

/// Adds a value to a measure in the hour of an instant.
fn measure(
    view: &mut Overlay<'_>,
    at: Timestamp,
    measure: Measure,
    value_ms: u64,
) -> Result<(), ViewStoreError> {
    let key = row_key(Period::Hour.begin(at.micros()), measure.number());
    view.change(key, |distribution: &mut Option<Distribution>| {
        distribution.get_or_insert_default().add(value_ms);
        Some(())
    })?;
    Ok(())
}
