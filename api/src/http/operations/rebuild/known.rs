//! Rebuilds that this process has been asked for or about: which is a view's
//! last one, at which pace it goes, and how it ended.
//!
//! The views themselves keep what is under way across a restart, by its id.
//! What is here is what they do not say, and lost with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use projections::{RebuildId, RebuildStatus, Views};

use super::pace::{Look, Pace};
use crate::environment::Environment;

/// The last rebuild of each view. Clones share it. Not more than there are views.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Rebuilds(Arc<Mutex<HashMap<&'static str, Known>>>);

#[derive(Debug)]
struct Known {
    id: RebuildId,
    pace: Pace,
}

/// A rebuild as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct Rebuild {
    pub(in crate::http) id: RebuildId,
    /// The name of its view.
    pub(in crate::http) view: &'static str,
    pub(in crate::http) status: RebuildStatus,
    /// The position to reach, which moves on while something is appended.
    pub(in crate::http) target: u64,
    /// How long it will still take, seconds, as far as that can be said.
    pub(in crate::http) remaining_s: Option<u64>,
}

impl Rebuilds {
    /// Asks for a view to be built anew: the rebuild's id, which is that of the
    /// one under way if there is one; nothing if no view is called so.
    pub(in crate::http) fn ask(
        &self,
        views: &Views,
        environment: &Environment,
        view: &str,
    ) -> Option<RebuildId> {
        let id = views.rebuild(view, RebuildId(environment.new_id().into_bytes()))?;
        let names = views.health().views.into_iter().map(|view| view.name);
        if let Some(name) = names.into_iter().find(|name| *name == view) {
            let mut known = self.known();
            if known.get(name).is_none_or(|known| known.id != id) {
                known.insert(name, Known::new(id));
            }
        }
        Some(id)
    }

    /// The last one of a view, if this process has heard of any.
    pub(in crate::http) fn of(
        &self,
        views: &Views,
        environment: &Environment,
        view: &str,
    ) -> Option<Rebuild> {
        let id = self.known().get(view)?.id;
        let found = self.find(views, environment, id);
        if found.is_none() {
            // Damaged views are begun anew, and what was built beside them goes with them.
            self.known().remove(view);
        }
        found
    }

    /// The one with this id, if the views know it.
    pub(in crate::http) fn find(
        &self,
        views: &Views,
        environment: &Environment,
        id: RebuildId,
    ) -> Option<Rebuild> {
        let (view, status) = views.rebuild_status(id)?;
        let target = views.log().head().borrow().get();
        let is_over = match &status {
            RebuildStatus::Succeeded | RebuildStatus::Failed { .. } => true,
            RebuildStatus::Waiting | RebuildStatus::Running { .. } => false,
        };
        let mut known = self.known();
        if !is_over && known.get(view).is_none_or(|known| known.id != id) {
            // It was begun by an earlier process.
            known.insert(view, Known::new(id));
        }
        let known = known.get_mut(view).filter(|known| known.id == id);
        let now = environment.elapsed();
        let remaining_s = known.and_then(|known| known.look(now, &status, target));
        Some(Rebuild {
            id,
            view,
            status,
            target,
            remaining_s,
        })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<&'static str, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new(id: RebuildId) -> Self {
        Self {
            id,
            pace: Pace::default(),
        }
    }

    /// Notes how it is, and says how long it will still take, as far as that can be said.
    fn look(&mut self, at: Duration, status: &RebuildStatus, target: u64) -> Option<u64> {
        match status {
            RebuildStatus::Waiting | RebuildStatus::Succeeded | RebuildStatus::Failed { .. } => {
                None
            }
            RebuildStatus::Running { position } => {
                let position = position.get();
                let look = Look { at, position };
                self.pace.note(look);
                self.pace.remaining_s(look, target)
            }
        }
    }
}
