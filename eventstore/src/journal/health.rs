//! Whether the journal takes appends, and why not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::Health;

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
