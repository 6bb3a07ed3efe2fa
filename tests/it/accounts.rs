//! What a journal says of bookings and what they cost, held against what was charged outside.
//!
//! It is read as an auditor would: from the log alone, also beside a running service.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use domain::codec::StoredEvent;
use domain::decider::{Decider as _, Occurrence};
use domain::delivery::{Delivery, DeliveryEvent, Failure, Phase, ReturnReason};
use domain::id::{DeliveryId, OperationId};
use domain::process::Process as _;
use domain::scheduling::{Operation, OperationEvent, OperationKind, Scheduling};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{JournalReader, Position, Record};
use tests::Charge;

/// Every delivery and every operation of a log.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    deliveries: BTreeMap<DeliveryId, Life>,
    operations: BTreeMap<OperationId, Run>,
}

/// A delivery, as far as it concerns who pays for it.
#[derive(Debug, Default)]
struct Life {
    delivery: Option<Delivery>,
    /// Somebody cancelled it, in time or not.
    is_called_off: bool,
    /// Somebody wanted it back that was on its way.
    is_asked_back: bool,
}

/// An operation, and what was written down of it that counts.
#[derive(Debug, Default)]
struct Run {
    operation: Option<Operation>,
    starts: u32,
    authorized: BTreeSet<String>,
    voided: Vec<String>,
}

impl Accounts {
    /// Reads the journal of a data folder.
    pub(crate) fn read(data: &Path) -> Self {
        let journal = JournalReader::open(&data.join("journal"));
        let journal = journal.unwrap_or_else(|error| panic!("the journal cannot be read: {error}"));
        let mut accounts = Self::default();
        let walked = journal.walk(Position::START, &mut |record, _| {
            accounts.take(&record);
            ControlFlow::Continue(())
        });
        walked.unwrap_or_else(|error| panic!("the journal cannot be read: {error}"));
        accounts
    }

    fn take(&mut self, record: &Record) {
        let key = record.stream.key;
        let category = Category::from_number(record.stream.category.get());
        if category == Some(Category::Delivery) {
            let life = self.deliveries.entry(DeliveryId::from_uuid(key));
            let life = life.or_default();
            for occurrence in occurrences::<DeliveryEvent>(record) {
                life.is_called_off |= matches!(
                    occurrence.event,
                    DeliveryEvent::CancellationRequested { .. } | DeliveryEvent::Cancelled
                );
                life.is_asked_back |= matches!(
                    occurrence.event,
                    DeliveryEvent::ReturnStarted {
                        reason: ReturnReason::Requested,
                        ..
                    }
                );
                life.delivery = Delivery::evolve(life.delivery.take(), &occurrence);
            }
        }
        if category == Some(Category::Operation) {
            let run = self.operations.entry(OperationId::from_uuid(key));
            let run = run.or_default();
            for occurrence in occurrences::<OperationEvent>(record) {
                run.take(&occurrence);
            }
        }
    }

    /// Whether no operation has anything left to do.
    pub(crate) fn are_closed(&self) -> bool {
        let mut operations = self
            .operations
            .values()
            .filter_map(|run| run.operation.as_ref());
        operations.all(Operation::has_ended)
    }

    /// How many operations there are.
    pub(crate) fn operations(&self) -> usize {
        self.operations.len()
    }

    /// Every delivery was booked once, and cancelled, asked back and changed by one operation
    /// each time that it was; there are no other operations, and none began twice.
    #[track_caller]
    pub(crate) fn assert_no_operation_lost_or_doubled(&self) {
        let mut expected = BTreeMap::new();
        for (delivery, life) in &self.deliveries {
            expected.insert(OperationId::of_booking(*delivery), OperationKind::Schedule);
            if life.is_called_off {
                let kind = OperationKind::Cancel;
                expected.insert(OperationId::of(kind, *delivery, 0), kind);
            }
            if life.is_asked_back {
                let kind = OperationKind::Return;
                expected.insert(OperationId::of(kind, *delivery, 0), kind);
            }
            let revisions = life.delivery.as_ref().map_or(0, Delivery::revision);
            for revision in 1..=revisions {
                let kind = OperationKind::Reschedule;
                expected.insert(OperationId::of(kind, *delivery, revision), kind);
            }
        }
        for (id, kind) in &expected {
            let run = self.operations.get(id);
            let run = run.unwrap_or_else(|| panic!("lost: {id}, a {kind:?}"));
            assert_eq!(run.starts, 1, "{id} began so often");
            let known = run.operation.as_ref().map(Operation::kind);
            assert_eq!(known, Some(*kind), "{id}");
        }
        assert_eq!(self.operations.len(), expected.len(), "some are nobody's");
    }

    /// Each delivery was charged once, its booking heard of that very payment, and it was taken
    /// back, once, where the delivery came to nothing before a drone had the package. Gives how
    /// many were.
    #[track_caller]
    pub(crate) fn assert_charged_once(&self, charges: &[Charge]) -> usize {
        let by_delivery = by_delivery(charges);
        assert_eq!(
            by_delivery.len(),
            self.deliveries.len(),
            "charged deliveries"
        );
        let mut taken_back = 0;
        for (id, life) in &self.deliveries {
            let charge = by_delivery.get(id.to_string().as_str());
            let charge = charge.unwrap_or_else(|| panic!("{id} was never charged"));
            let booking = OperationId::of_booking(*id);
            assert_eq!(charge.operation, booking.to_string());
            let run = self.operations.get(&booking).expect("no operation is lost");
            let authorization = charge.authorization.clone();
            assert_eq!(
                run.authorized,
                BTreeSet::from([authorization.clone()]),
                "{id}"
            );
            let due: Vec<_> = life
                .is_for_nothing()
                .then_some(authorization)
                .into_iter()
                .collect();
            assert_eq!(run.voided, due, "{id}: {:?}", life.delivery);
            assert_eq!(charge.voided_under.len(), due.len(), "{id}: {charge:?}");
            taken_back += due.len();
        }
        taken_back
    }
}

/// The payments by their deliveries, of which none has two.
#[track_caller]
pub(crate) fn by_delivery(charges: &[Charge]) -> BTreeMap<&str, &Charge> {
    let mut by_delivery = BTreeMap::new();
    for charge in charges {
        let other = by_delivery.insert(charge.delivery.as_str(), charge);
        assert_eq!(other, None, "charged twice: {charge:?}");
    }
    by_delivery
}

impl Life {
    /// What was paid for it is given back.
    fn is_for_nothing(&self) -> bool {
        let delivery = self
            .delivery
            .as_ref()
            .expect("a stream begins with Created");
        match delivery.phase() {
            Phase::Cancelled | Phase::Rejected(_) | Phase::Failed(Failure::NoDrone) => true,
            Phase::Failed(
                Failure::DroneLost
                | Failure::PackageLost
                | Failure::Damaged
                | Failure::Misdelivered
                | Failure::Undeliverable,
            )
            | Phase::Complete
            | Phase::Returned => false,
            Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Released(_)
            | Phase::Returning
            | Phase::AtHub
            | Phase::Cancelling { .. } => panic!("its life is not over: {delivery:?}"),
        }
    }
}

impl Run {
    fn take(&mut self, occurrence: &Occurrence<OperationEvent>) {
        match &occurrence.event {
            OperationEvent::OperationStarted { .. } => self.starts += 1,
            OperationEvent::PaymentAuthorized { authorization } => {
                self.authorized.insert(authorization.to_string());
            }
            OperationEvent::PaymentVoided { authorization } => {
                self.voided.push(authorization.to_string());
            }
            OperationEvent::StepPassed { .. }
            | OperationEvent::StepFailed { .. }
            | OperationEvent::EffectClaimed { .. }
            | OperationEvent::EffectDeferred { .. }
            | OperationEvent::PaymentDenied { .. }
            | OperationEvent::VoidRefused { .. }
            | OperationEvent::PaymentLeftUnknown
            | OperationEvent::FlightUnpaid
            | OperationEvent::MissionAsked { .. }
            | OperationEvent::PackageFreed
            | OperationEvent::PackageKept
            | OperationEvent::PackageShared { .. }
            | OperationEvent::DeadlineSet { .. }
            | OperationEvent::OperationSucceeded
            | OperationEvent::OperationFailed { .. }
            | OperationEvent::OperationCancelled
            | OperationEvent::OperationTimedOut { .. }
            | OperationEvent::ProcessEnded
            | OperationEvent::ProcessResumed => {}
        }
        self.operation = Scheduling::evolve(self.operation.take(), occurrence);
    }
}

/// The events of a record.
pub(crate) fn occurrences<E: StoredEvent>(record: &Record) -> impl Iterator<Item = Occurrence<E>> {
    record.events.iter().map(|event| {
        let decoded = E::decode(event.event_type.0, event.schema.0, &event.payload);
        let event_time = Timestamp::from_micros(event.event_time_us);
        let recorded_at = Timestamp::from_micros(record.recorded_at_us);
        Occurrence {
            event: decoded.expect("what the service wrote can be read"),
            event_time: event_time.expect("what the service wrote can be read"),
            recorded_at: recorded_at.expect("what the service wrote can be read"),
            inferred: event.inferred,
        }
    })
}
