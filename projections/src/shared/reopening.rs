//! How the views come and go: opened, closed, set aside and begun anew, and
//! left in good order at the end.

use std::sync::{Arc, PoisonError, TryLockError};

use eventstore::Position;

use super::{Opening, ReaderState, Shared, locked};
use crate::opening::{OpenError, open_views, set_aside, unusable};
use crate::view_set::ViewSet;
use crate::view_store::ViewStoreError;

impl Shared {
    /// Opens the views for the first time, of a log that ends at `head`, and shows them.
    pub(crate) fn open_views(&self, runner: u64, head: Position) -> Result<(), OpenError> {
        let mut folder = locked(&self.folder);
        let set = open_views(self.projections, &mut folder, &self.history, head)?;
        drop(folder);
        self.show(runner, set);
        self.set_state(ReaderState::Following);
        self.opening.send_replace(Opening::Done);
        Ok(())
    }

    /// The views will not be opened. Whoever waits for that is told.
    pub(crate) fn refuse(&self, refusal: OpenError) {
        tracing::error!(error = %refusal, "the views are not opened");
        let mut state = locked(&self.state);
        state.reader = ReaderState::Failed(refusal.to_string());
        state.refusal = Some(refusal);
        drop(state);
        self.opening.send_replace(Opening::Refused);
    }

    /// Lets these views answer, unless the thread that opened them was given up meanwhile.
    fn show(&self, runner: u64, set: ViewSet) {
        let (applied, set) = (set.applied(), Arc::new(set));
        let mut current = self.set.write().unwrap_or_else(PoisonError::into_inner);
        if self.runner() == runner {
            *current = set;
            drop(current);
            self.applied.send_replace(applied);
        }
    }

    /// Lets go of views whose disk takes no writes, or that are damaged or hang,
    /// and shows nothing until they are [opened again](Self::open_again).
    /// Rebuilds that were under way or about to be have failed, and this is why.
    pub(crate) fn close_views(&self, runner: u64, why: &str, head: Position) {
        let closed = ViewSet::unopened(self.projections, &self.history);
        if let Err(error) = closed.take_over(&self.set(), why) {
            tracing::warn!(%error, "what became of rebuilds is not known any more");
        }
        let mut state = locked(&self.state);
        if let Some((view, id)) = state.beginning() {
            closed.note_not_begun(id, view, why);
        }
        // Before they can be seen, so that no list is answered from them too early.
        state.floor = state.floor.max(head);
        drop(state);
        self.show(runner, closed);
        if self.runner() == runner {
            locked(&self.state).end_beginning();
        }
    }

    /// Counts that the views are begun anew.
    pub(crate) fn note_begun_anew(&self) {
        locked(&self.state).begun_anew += 1;
    }

    /// Opens views again that were closed, setting them aside before if they are
    /// damaged; that is forgotten once it is done. What was being built beside
    /// them is given up, or it would take what room there is now. As long as it
    /// fails nothing is shown, and it may be tried again.
    pub(crate) fn open_again(
        &self,
        runner: u64,
        damage: &mut Option<ViewStoreError>,
        why: &str,
        head: Position,
    ) -> Result<(), OpenError> {
        // Whoever found the closed ones wanting keeps them, and their store, in use.
        drop(self.damage());
        let mut folder = match self.folder.try_lock() {
            Ok(folder) => folder,
            Err(TryLockError::Poisoned(folder)) => folder.into_inner(),
            // A thread that was given up may hang in it.
            Err(TryLockError::WouldBlock) => return Err(unusable(ViewStoreError::Stalled)),
        };
        if let Some(damage) = damage {
            set_aside(&mut folder, damage)?;
        }
        *damage = None;
        let set = open_views(self.projections, &mut folder, &self.history, head)?;
        drop(folder);
        set.take_over(&self.set(), why)
            .and_then(|()| set.give_up_building(why))
            .and_then(|()| set.flush())
            .map_err(unusable)?;
        self.show(runner, set);
        self.opening.send_replace(Opening::Done);
        Ok(())
    }

    /// Notes that every entry was found to be in order.
    pub(crate) fn mark_checked(&self) {
        if let Err(error) = locked(&self.folder).mark_checked() {
            tracing::warn!(%error, "that the views are in order was not noted: should this process be killed, they show nothing until they are checked again");
        }
    }

    /// The views will not be fed any more. Leaves them in good order if they are.
    pub(crate) fn end_following(&self) {
        let failed = match self.state() {
            ReaderState::Failed(_) => true,
            ReaderState::Opening
            | ReaderState::Following
            | ReaderState::WaitingForRoom(_)
            | ReaderState::Retrying(_)
            | ReaderState::Stopped => false,
        };
        if !failed {
            self.set_state(ReaderState::Stopped);
            if !self.set().is_checked() {
                tracing::info!("the views were not checked to the end: the next start does it");
                self.ended.send_replace(true);
                return;
            }
            let flushed = self.set().flush().map_err(|error| error.to_string());
            let marked =
                flushed.and_then(|()| locked(&self.folder).mark_clean().map_err(|e| e.to_string()));
            if let Err(error) = marked {
                tracing::warn!(
                    error,
                    "the views were not left in good order: they are checked at the next start"
                );
            }
        }
        self.ended.send_replace(true);
    }
}
