//! Which bookings go on without their package, since another delivery has it by now.
//!
//! Nothing happens to such a booking when the other one lets the package go, so it is remembered
//! here whom it waits for. None of it is the truth about anything: all that are open are taken in
//! at a start, and looked at.

use std::collections::{BTreeSet, HashMap};

use domain::id::OperationId;
use domain::scheduling::Operation;

/// Most bookings that are remembered. Some 150 bytes each. Others have their package again when
/// they are looked at for another reason.
const SHARING_MAX: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// By the booking whose delivery has the package.
    waiting: BTreeSet<(OperationId, OperationId)>,
    waits_for: HashMap<OperationId, OperationId>,
}

impl Sharing {
    /// Takes in how an operation is now.
    pub(super) fn take_in(&mut self, id: OperationId, operation: &Operation) {
        if let Some(holder) = self.waits_for.remove(&id) {
            self.waiting.remove(&(holder, id));
        }
        let with = operation.shares_package_with();
        if let Some(with) = with.filter(|_| self.waits_for.len() < SHARING_MAX) {
            let holder = OperationId::of_booking(with);
            self.waits_for.insert(id, holder);
            self.waiting.insert((holder, id));
        }
    }

    /// Those that wait for the package that this one has.
    pub(super) fn waiting_for(&self, holder: OperationId) -> Vec<OperationId> {
        let first = (holder, OperationId::from_uuid(uuid::Uuid::nil()));
        let waiting = self.waiting.range(first..);
        let waiting = waiting.take_while(|(by, _)| *by == holder);
        waiting.map(|(_, id)| *id).collect()
    }
}
