//! The front of the read side: what is asked, and what is promised about the answers.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::id::{DeliveryId, ExternalId, UserId};
use domain::stream::{Category, StreamName};
use eventstore::{EventStore, Position, ReadError, StreamId};
use tokio::sync::watch;

use crate::delivery_history::{self, DeliveryHistory, HistoryEntry};
use crate::delivery_status::{self, DeliveryRow, DeliveryStatus};
use crate::opening::OpenError;
use crate::projection::Halt;
use crate::runner::Runner;
use crate::shared::{Opening, Shared};
use crate::slot::{RebuildId, RebuildStatus};
use crate::user::{User, UserRow};
use crate::user_deliveries::{self, UserDeliveries, UserDeliveriesPage, UserDeliveriesQuery};
use crate::view::{Reading, View};
use crate::view_set::{PROJECTIONS, Projections, ViewSet};
use crate::view_store::{MemoryViewStore, ViewFolder, ViewStoreError};
use crate::waiting_sessions::{self, Deadlines, DueSession, WaitingSessions};
use crate::watch::{CurrentRunner, TICK, Watch};

// What the views have not reached, folded on top of them.
mod on_top;
// The questions of those who keep the service going.
mod questions;

// What is current although its view is behind, and how far a list shows everything.
mod current;
mod lists;

// How they are.
mod health;
// How they end.
mod ending;

pub use health::{ViewHealth, ViewsHealth};
pub use lists::List;
pub use questions::{DeadLetter, GivenUpFact, RefusedLetter};

#[cfg(test)]
mod tests;

/// Most positions that a query for a user folds on top of the view; farther
/// behind it waits for the view instead.
const OVERLAY_POSITIONS_MAX: u64 = 2_000;

/// How long such a query waits.
const OVERLAY_WAIT: Duration = Duration::from_secs(2);

/// Memory for the engine's pages where nobody wants another amount, mebibytes.
/// What is not in it lies in the system's cache of the files: a GET at random among a
/// million deliveries takes 41 µs of a processor, and 28 where all of them are in it
/// (P4, see the README of the service); ten times as much memory saves three of them.
pub const CACHE_MIB_DEFAULT: u64 = 32;

/// How the views are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewsOptions {
    /// Memory that the storage engine may use for pages, bytes, roughly: it
    /// counts them as they are on disk, and takes up to twice as much. What it
    /// knows of every page, some 35 bytes an entry, comes on top.
    pub cache_bytes: u64,
    /// How long to wait for them to be opened. What takes longer, after a long
    /// run that nobody ended, goes on in the background.
    pub open_wait: Duration,
    /// Where in the log the auditor begins: any number, another one at every
    /// start, so that restarts do not lead it to the same records again and again.
    pub audit_from: u64,
}

impl Default for ViewsOptions {
    /// [`CACHE_MIB_DEFAULT`], and a quarter of a second: what is left of a
    /// start's second after the journal.
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_MIB_DEFAULT * 1024 * 1024,
            open_wait: Duration::from_millis(250),
            audit_from: 0,
        }
    }
}

/// All views of a log, kept up to date by a thread of their own.
///
/// * A query by id is *current*: it shows every record that was visible when
///   it was asked, also what the view has not reached yet.
/// * A list is as of the view's position; [`Views::wait_for`] waits for one.
/// * Answers depend on the log alone: views that are lost or damaged are built
///   anew and answer the same.
///
/// Queries are synchronous unless they may wait; they read memory and the page
/// cache, and now and then a disk.
#[derive(Debug)]
pub struct Views {
    shared: Arc<Shared>,
    log: Arc<dyn EventStore>,
    runner: CurrentRunner,
    watch: Mutex<Option<Watch>>,
}

/// An answer, and how far it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsKnown<T> {
    /// What is known.
    pub shown: T,
    /// The first record that this release cannot fold, of a stream that the answer
    /// is made of: from there on that stream waits, for a release that can. None
    /// where the answer is current.
    pub degraded_since: Option<Position>,
}

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The view is too far behind to answer. It catches up by itself: ask again.
    #[error("the view is at position {position} of {wanted}: ask again shortly")]
    Lagging {
        /// Where the view is.
        position: Position,
        /// Where it must be.
        wanted: Position,
    },
    /// The views are damaged. They are being built anew: ask again.
    #[error("{0}; the views are built anew from the log: ask again shortly")]
    Views(#[from] ViewStoreError),
    /// The log was not read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// What was asked for has an event that this release cannot fold.
    #[error(transparent)]
    Halted(#[from] Halt),
    /// The views do not follow the log any more.
    #[error("the views have stopped: restart the service")]
    Stopped,
}

impl Views {
    /// Opens the views in a folder, or begins them, and follows the log.
    ///
    /// Damaged views are set aside beside the folder and begun anew; so are
    /// those of another log. Where opening takes longer than the options say,
    /// they are opened in the background: until then queries by id are folded
    /// from the log, lists are `Lagging`, and [`Views::opened`] tells how it ends.
    ///
    /// # Errors
    /// [`OpenError`]; above all where the views have seen more than the log holds.
    pub fn open(
        folder: &Path,
        log: Arc<dyn EventStore>,
        options: ViewsOptions,
    ) -> Result<Self, OpenError> {
        let folder = ViewFolder::disk(folder, options.cache_bytes);
        let views = Self::start(folder, log, options.open_wait)?;
        views.shared.audits().begin_at(options.audit_from);
        Ok(views)
    }

    /// Views that are nowhere but in memory, with everything else the same.
    ///
    /// # Errors
    /// [`OpenError`], if no thread can be started.
    pub fn in_memory(log: Arc<dyn EventStore>) -> Result<Self, OpenError> {
        Self::start(
            ViewFolder::Memory(Arc::<MemoryViewStore>::default()),
            log,
            Duration::MAX,
        )
    }

    pub(crate) fn start(
        folder: ViewFolder,
        log: Arc<dyn EventStore>,
        open_wait: Duration,
    ) -> Result<Self, OpenError> {
        Self::start_with(PROJECTIONS, folder, log, open_wait, TICK)
    }

    pub(crate) fn start_with(
        projections: Projections,
        folder: ViewFolder,
        log: Arc<dyn EventStore>,
        open_wait: Duration,
        tick: Duration,
    ) -> Result<Self, OpenError> {
        let head = *log.head().borrow();
        let shared = Shared::new(projections, log.history(), head, folder);
        let shared = Arc::new(shared);
        let (runner, is_opened) =
            Runner::start(Arc::clone(&shared), Arc::clone(&log)).map_err(OpenError::NotStarted)?;
        let runner = Arc::new(Mutex::new(Some(runner)));
        let watch = Watch::start(
            Arc::clone(&shared),
            Arc::clone(&log),
            Arc::clone(&runner),
            tick,
        );
        let views = Self {
            shared,
            log,
            runner,
            watch: Mutex::new(Some(watch.map_err(OpenError::NotStarted)?)),
        };
        // That the other end is dropped is the word; whatever else is no word yet.
        if is_opened.recv_timeout(open_wait) == Err(RecvTimeoutError::Timeout) {
            tracing::info!("opening the views takes long: it goes on in the background");
        }
        match views.shared.take_refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(views),
        }
    }

    /// Whether the views are open: only then is it known that they have not
    /// seen more than the log holds, and that no acknowledged event is missing.
    #[must_use]
    pub fn are_open(&self) -> bool {
        *self.shared.opening().borrow() == Opening::Done
    }

    /// Waits until they are, or it is decided that they will not be. Without an
    /// end: the caller limits it.
    pub async fn decided(&self) {
        let mut opening = self.shared.opening();
        let decided = opening.wait_for(|opening| *opening != Opening::UnderWay);
        // The sender lives as long as this does.
        let _ = decided.await;
    }

    /// Waits until they are open. Without an end: the caller limits it.
    ///
    /// # Errors
    /// [`OpenError`], if they will not be; told to one caller. Queries by id are
    /// answered from the log, but nothing should be appended to it any more.
    pub async fn opened(&self) -> Result<(), OpenError> {
        self.decided().await;
        self.shared.take_refusal().map_or(Ok(()), Err)
    }

    /// The log that the views are of: its epochs and its head are what tokens are judged by.
    #[must_use]
    pub fn log(&self) -> &dyn EventStore {
        &*self.log
    }

    /// A delivery, current; `None` if there is no such delivery. One with a record
    /// that this release cannot fold is as it was before that;
    /// [`Views::delivery_as_known`] says whether it is.
    ///
    /// # Errors
    /// [`QueryError`], but never `Lagging`.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, QueryError> {
        Ok(self.delivery_as_known(id)?.shown)
    }

    /// The same, and since when it is not current.
    ///
    /// # Errors
    /// As [`Views::delivery`].
    pub fn delivery_as_known(
        &self,
        id: DeliveryId,
    ) -> Result<AsKnown<Option<DeliveryRow>>, QueryError> {
        self.of_stream(&DeliveryStatus, id, delivery_status::sequence, |view| {
            delivery_status::delivery(view, id)
        })
    }

    /// All that happened to a delivery, current, oldest first; `None` if there
    /// is no such delivery. Of one with a record that this release cannot
    /// take in it is what happened before that.
    ///
    /// # Errors
    /// [`QueryError`], but never `Lagging`.
    pub fn history(&self, id: DeliveryId) -> Result<Option<Vec<HistoryEntry>>, QueryError> {
        Ok(self.history_as_known(id)?.shown)
    }

    /// The same, and since when it is not current.
    ///
    /// # Errors
    /// As [`Views::history`].
    pub fn history_as_known(
        &self,
        id: DeliveryId,
    ) -> Result<AsKnown<Option<Vec<HistoryEntry>>>, QueryError> {
        self.of_stream(&DeliveryHistory, id, delivery_history::sequence, |view| {
            let history = delivery_history::history(view, id)?;
            Ok(Some(history).filter(|history| !history.is_empty()))
        })
    }

    /// The delivery that bears a user's own name of it, as of the view's position.
    ///
    /// A delivery that was just created may not be found yet: the claim's own
    /// stream knows it.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn delivery_by_external_id(
        &self,
        user: UserId,
        external_id: &ExternalId,
    ) -> Result<Option<DeliveryId>, QueryError> {
        self.query(|set| {
            let view = set.view(&DeliveryStatus);
            let view = self.caught_up(&view)?;
            let found = delivery_status::by_external_id(&view.overlay(), user, external_id)?;
            Ok(found)
        })
    }

    /// A user, current, with what follows from all their deliveries; `None` if
    /// there is no such user. Far behind the log it waits up to two seconds for
    /// the view, so it wants a runtime with timers. Streams with a record that
    /// this release cannot fold are in it as they were before that;
    /// [`Views::user_as_known`] says whether there are any.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` if the view did not come near enough in time.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRow>, QueryError> {
        Ok(self.user_as_known(id).await?.shown)
    }

    /// The same, and since when it is not current.
    ///
    /// # Errors
    /// As [`Views::user`].
    pub async fn user_as_known(&self, id: UserId) -> Result<AsKnown<Option<UserRow>>, QueryError> {
        self.current(&User, || self.user_if_near(id)).await
    }

    /// A page of a user's deliveries, as of the view's position; an unknown
    /// user has none.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn user_deliveries(
        &self,
        user: UserId,
        query: &UserDeliveriesQuery,
    ) -> Result<UserDeliveriesPage, QueryError> {
        self.query(|set| {
            if let Some(external_id) = &query.external_id {
                // The index finds it at once where scanning might take many pages.
                let status = set.view(&DeliveryStatus);
                let status = self.caught_up(&status)?;
                let id = delivery_status::by_external_id(&status.overlay(), user, external_id)?;
                drop(status);
                let Some(id) = id else {
                    return Ok(UserDeliveriesPage::empty());
                };
                let list = set.view(&UserDeliveries);
                let list = self.caught_up(&list)?;
                return Ok(user_deliveries::page_of_one(
                    &list.overlay(),
                    user,
                    query,
                    id,
                )?);
            }
            let view = set.view(&UserDeliveries);
            let view = self.caught_up(&view)?;
            Ok(user_deliveries::page(&view.overlay(), user, query)?)
        })
    }

    /// The drone sessions for which something is to be done, as of the view's
    /// position, but for those with a record that this release cannot fold.
    ///
    /// # Errors
    /// [`QueryError`]; `Lagging` while the views are being built.
    pub fn due_sessions(&self, deadlines: Deadlines) -> Result<Vec<DueSession>, QueryError> {
        self.query(|set| {
            let answering = set.view(&WaitingSessions);
            let view = self.caught_up(&answering)?;
            let parked = answering.parked().streams().into_iter();
            let parked = parked.map(|(stream, _)| *stream.key.as_bytes());
            let parked = parked.collect::<BTreeSet<_>>();
            Ok(waiting_sessions::due(&view.overlay(), deadlines, &parked)?)
        })
    }

    /// The record up to which every view holds all, now and whenever it moves.
    /// It moves back when damaged views are begun anew.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.shared.applied()
    }

    /// Waits until every view holds all up to a position. Without an end: the
    /// caller limits it.
    ///
    /// # Errors
    /// `Stopped`, if that will not happen any more.
    pub async fn wait_for(&self, position: Position) -> Result<(), QueryError> {
        let mut applied = self.shared.applied();
        let mut ended = self.shared.ended();
        let reached = tokio::select! {
            biased;
            reached = applied.wait_for(|applied| *applied >= position) => reached.is_ok(),
            _ = ended.wait_for(|ended| *ended) => false,
        };
        if reached {
            Ok(())
        } else {
            Err(QueryError::Stopped)
        }
    }

    /// Asks for a view to be built anew beside the one that answers, which goes
    /// on answering and following the log until the new one is as far; then
    /// that takes its place at once. It goes on after a restart. What is
    /// returned names the rebuild: another one's name if one is under way
    /// already; nothing if no view is called so.
    #[must_use]
    pub fn rebuild(&self, view: &str, id: RebuildId) -> Option<RebuildId> {
        self.shared.want_rebuild(view, id)
    }

    /// Told whenever the views or a rebuild come on, or a rebuild ends: a time
    /// to ask how they are.
    #[must_use]
    pub fn turns(&self) -> watch::Receiver<()> {
        self.shared.turns()
    }

    /// What became of a rebuild, and of which view; nothing if it is not known.
    /// The last thousand that are over are kept beside the views, and lost with them.
    #[must_use]
    pub fn rebuild_status(&self, id: RebuildId) -> Option<(&'static str, RebuildStatus)> {
        self.shared.rebuild_status(id)
    }

    /// Whether a rebuild that is not known was asked for, as its id of version
    /// 7 tells, no later than some that are not kept any more.
    #[must_use]
    pub fn may_have_forgotten(&self, id: RebuildId) -> bool {
        self.shared.set().may_have_forgotten(id)
    }

    /// Asks the current views; damage that shows is looked after.
    fn query<T>(
        &self,
        ask: impl FnOnce(&ViewSet) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let set = self.shared.set();
        let answer = ask(&set);
        if let Err(QueryError::Views(error)) = &answer {
            self.shared.report_damage(&set, error);
        }
        answer
    }

    /// A view to answer a list from: one that was there or has caught up once.
    fn caught_up<'v>(&self, view: &'v View) -> Result<Reading<'v>, QueryError> {
        let wanted = self.shared.floor();
        let reading = view.read();
        let position = reading.position();
        if position < wanted {
            return Err(QueryError::Lagging { position, wanted });
        }
        Ok(reading)
    }
}

/// The stream of a delivery.
pub(crate) fn delivery_stream(id: DeliveryId) -> StreamId {
    let name = StreamName::delivery(id);
    let category = eventstore::Category::new(Category::Delivery.number());
    StreamId::new(category, name.key)
}
