//! Whether the journal takes appends, and why not.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the journal can do at this moment. Reads go on in every state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Appends are taken.
    Writable,
    /// The disk is full, or nearly so: appends are answered `Full` until there
    /// is space again; it is looked for by itself.
    Full,
    /// The disk failed in a way after which nothing it says about earlier
    /// writes can be trusted: appends are refused until the journal is opened again.
    ReadOnly {
        /// What happened.
        why: String,
    },
    /// It was closed.
    Closed,
}

/// The one place where the health is kept.
#[derive(Debug)]
pub(crate) struct HealthCell(Mutex<Health>);

impl HealthCell {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Health::Writable))
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Health {
        self.lock().clone()
    }

    pub(crate) fn set(&self, health: Health) {
        *self.lock() = health;
    }
}
