//! Which operations wait for what happens to which delivery.

use std::collections::{BTreeSet, HashMap};

use domain::id::{DeliveryId, OperationId};
use domain::scheduling::OperationKind;
use projections::OpenOperation;

/// Most operations beside bookings of which it is known what they wait for.
const WATCHERS_MAX: usize = 100_000;

/// Operations that are not their delivery's booking, by the delivery whose events they wait for.
///
/// That of the booking follows from the delivery. One that finds no place here goes on when its
/// deadline is over.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_delivery: HashMap<DeliveryId, BTreeSet<OperationId>>,
    deliveries: HashMap<OperationId, DeliveryId>,
}

impl Watchers {
    /// Notes what an operation waits for.
    pub(super) fn watch(&mut self, operation: OpenOperation) {
        let OpenOperation { id, kind, delivery } = operation;
        if kind == OperationKind::Schedule || self.deliveries.len() >= WATCHERS_MAX {
            return;
        }
        self.deliveries.insert(id, delivery);
        self.by_delivery.entry(delivery).or_default().insert(id);
    }

    /// Forgets an operation that has ended. Takes no longer where many others wait.
    pub(super) fn forget(&mut self, id: OperationId) {
        let Some(delivery) = self.deliveries.remove(&id) else {
            return;
        };
        let Some(watchers) = self.by_delivery.get_mut(&delivery) else {
            return;
        };
        watchers.remove(&id);
        if watchers.is_empty() {
            self.by_delivery.remove(&delivery);
        }
    }

    /// Those that wait for what happens to a delivery.
    pub(super) fn of(&self, delivery: DeliveryId) -> impl Iterator<Item = OperationId> {
        self.by_delivery
            .get(&delivery)
            .into_iter()
            .flatten()
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn delivery(number: u128) -> DeliveryId {
        DeliveryId::from_uuid(Uuid::from_u128(number))
    }

    fn operation(kind: OperationKind, delivery: DeliveryId) -> OpenOperation {
        OpenOperation {
            id: OperationId::of(kind, delivery, 0),
            kind,
            delivery,
        }
    }

    #[test]
    fn an_operation_waits_for_its_delivery_until_it_has_ended_and_nothing_is_left_of_it() {
        let mut watchers = Watchers::default();
        let cancel = operation(OperationKind::Cancel, delivery(1));
        let back = operation(OperationKind::Return, delivery(1));
        let other = operation(OperationKind::Cancel, delivery(2));
        let booking = operation(OperationKind::Schedule, delivery(3));
        for operation in [cancel, back, other, booking, cancel] {
            watchers.watch(operation);
        }
        let of =
            |watchers: &Watchers, number| watchers.of(delivery(number)).collect::<BTreeSet<_>>();
        assert_eq!(of(&watchers, 1), BTreeSet::from([cancel.id, back.id]));
        assert_eq!(of(&watchers, 2), BTreeSet::from([other.id]));
        assert_eq!(of(&watchers, 3), BTreeSet::new());

        watchers.forget(cancel.id);
        watchers.forget(booking.id);
        assert_eq!(of(&watchers, 1), BTreeSet::from([back.id]));
        watchers.forget(back.id);
        watchers.forget(other.id);
        assert!(watchers.by_delivery.is_empty() && watchers.deliveries.is_empty());
    }

    #[test]
    fn the_number_of_those_that_wait_is_bounded() {
        let mut watchers = Watchers::default();
        for number in 0..=WATCHERS_MAX {
            let number = u128::try_from(number).unwrap();
            watchers.watch(operation(OperationKind::Cancel, delivery(number)));
        }
        assert_eq!(watchers.deliveries.len(), WATCHERS_MAX);
        assert_eq!(watchers.by_delivery.len(), WATCHERS_MAX);
    }
}
