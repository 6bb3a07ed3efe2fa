//! How the views come back: opened at the start, closed while their disk takes no
//! writes, set aside and begun anew where they are damaged or hang.

use std::time::Duration;

use super::{Beginning, Follower};
use crate::opening::OpenError;
use crate::shared::ReaderState;
use crate::view_store::ViewStoreError;

/// After how long views whose disk took no writes are opened again, and the
/// first pause after another failure, which grows with every further one.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The longest such pause: within ten seconds after it became possible the
/// views are there again.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(8);

/// What rebuilds failed from that were under way in damaged views.
const BEGUN_ANEW: &str = "all views were damaged meanwhile and are begun anew";

impl Follower {
    /// Opens the views, or begins new ones. `false` if there are none.
    ///
    /// A disk without room keeps no service from starting: what has an id is
    /// answered from the log, and the views are opened once there is room.
    pub(super) fn begin(&mut self) -> bool {
        match self.beginning.take() {
            None => true,
            Some(Beginning::Anew) => self.begin_anew(ViewStoreError::Stalled),
            Some(Beginning::Open(opened)) => {
                let head = *self.head.borrow();
                match self.shared.open_views(self.number, head) {
                    Ok(()) => true,
                    Err(OpenError::NoRoom(error)) => {
                        self.note_no_room(&error);
                        // Nobody need wait for this: it may take days.
                        drop(opened);
                        self.come_back(None, &error.to_string())
                    }
                    Err(
                        refusal @ (OpenError::Regressed { .. }
                        | OpenError::NotSetAside { .. }
                        | OpenError::Unusable(_)
                        | OpenError::NotStarted(_)),
                    ) => {
                        self.shared.refuse(refusal);
                        false
                    }
                }
            }
        }
    }

    /// Closes views whose disk takes no writes, and opens them again once it
    /// does: the engine takes none itself any more once one was refused. `false`
    /// if they must not be opened, or whoever owns them wants to stop.
    pub(super) fn wait_for_room(&mut self, error: &ViewStoreError) -> bool {
        self.note_no_room(error);
        let (why, head) = (error.to_string(), *self.head.borrow());
        self.shared.close_views(self.number, &why, head);
        self.come_back(None, &why)
    }

    /// Sets damaged views aside and begins new ones. Not so after several in a row.
    pub(super) fn rebuild(&mut self, error: ViewStoreError) -> bool {
        if !self.shared.may_begin_anew() {
            let why = format!("the views were damaged again and again, last by: {error}");
            tracing::error!(why, "the views are given up: check the disk and restart");
            self.shared.set_state(ReaderState::Failed(why));
            return false;
        }
        self.begin_anew(error)
    }

    fn begin_anew(&mut self, damage: ViewStoreError) -> bool {
        let head = *self.head.borrow();
        self.shared.close_views(self.number, BEGUN_ANEW, head);
        self.shared.note_begun_anew();
        self.come_back(Some(damage), BEGUN_ANEW)
    }

    /// Opens views again that were closed, setting damaged ones aside before,
    /// and tries again until that is done: whoever repairs a disk, or removed
    /// the views' folder, need not restart the service. Rebuilds that were under
    /// way have failed, and this is why.
    fn come_back(&mut self, mut damage: Option<ViewStoreError>, why: &str) -> bool {
        let mut pause = match damage {
            Some(_) => Duration::ZERO,
            None => AGAIN_AFTER,
        };
        while !self.is_stopped_within(pause) && self.is_current() {
            let head = *self.head.borrow_and_update();
            let opened = self.shared.open_again(self.number, &mut damage, why, head);
            match opened {
                Ok(()) => return true,
                Err(_) if !self.is_current() => return false,
                Err(OpenError::NoRoom(error)) => {
                    self.note_no_room(&error);
                    pause = AGAIN_AFTER;
                }
                Err(
                    error @ (OpenError::NotSetAside { .. }
                    | OpenError::Unusable(_)
                    | OpenError::NotStarted(_)),
                ) => {
                    self.note_failed(&error);
                    pause = (pause * 2).clamp(AGAIN_AFTER, AGAIN_AFTER_MAX);
                }
                Err(refusal @ OpenError::Regressed { .. }) => {
                    self.shared.refuse(refusal);
                    return false;
                }
            }
        }
        false
    }

    /// Says that the disk takes no writes: once, and not with every further try.
    fn note_no_room(&self, error: &ViewStoreError) {
        let waiting = ReaderState::WaitingForRoom(error.to_string());
        if self.shared.state() != waiting {
            tracing::error!(
                %error,
                "the views do not follow the log, they are waiting for room; it is tried again every second"
            );
            self.shared.set_state(waiting);
        }
    }

    /// Says why the views are not there: once, and not with every further try.
    fn note_failed(&self, error: &OpenError) {
        let failed = ReaderState::Retrying(error.to_string());
        if self.shared.state() != failed {
            tracing::error!(
                %error,
                "the views cannot be opened again; it is tried again every few seconds"
            );
            self.shared.set_state(failed);
        }
    }

    /// Waits for so long, unless whoever owns the views wants to stop before.
    fn is_stopped_within(&mut self, pause: Duration) -> bool {
        let control = &mut self.control;
        let stopped = async {
            // An error means that nobody can say so any more, which is the same.
            drop(control.wait_for(|control| control.stop).await);
        };
        let waited = async { tokio::time::timeout(pause, stopped).await };
        self.runtime.block_on(waited).is_ok()
    }
}
