//! What the front, the readers and the thread that feeds the views share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use eventstore::{EventStore, LogHistory, Position};
use tokio::sync::watch;

use crate::audit::Audits;
use crate::feeding::FeedError;
use crate::opening::OpenError;
use crate::slot::{RebuildId, RebuildStatus};
use crate::view_set::{Projections, ViewSet};
use crate::view_store::{ViewFolder, ViewStoreError};

// How the views come and go.
mod reopening;

/// How often views that are damaged or hang are begun anew without having
/// followed the log in between, until that is given up.
const BEGUN_ANEW_MAX: u32 = 3;

/// How often a view is built anew because of an audit, while the process lives: more
/// than once, since a rebuild can be given up for want of room.
const MENDS_MAX: u32 = 3;

/// What is wanted of the thread that feeds the views.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    /// It shall end.
    pub(crate) stop: bool,
    /// Grows when there is something to look after: damage, or a rebuild that
    /// was asked for.
    alarms: u64,
}

/// Whether the views follow the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderState {
    /// They are being opened.
    Opening,
    /// They do.
    Following,
    /// They do not for now, and why: their disk takes no writes. They go on by
    /// themselves once it does.
    WaitingForRoom(String),
    /// They do not for now, and why: the log cannot be read, or damaged views
    /// cannot be set aside or begun anew. It is tried again and again.
    Retrying(String),
    /// They do not, for good, and why.
    Failed(String),
    /// They were stopped.
    Stopped,
}

/// Why writes are to wait for the views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteHold {
    /// What they show is more than five seconds old.
    Behind,
    /// They are being built, and would not get there while as much is written.
    Building,
}

/// The current views, and how far they are.
#[derive(Debug)]
pub(crate) struct Shared {
    projections: Projections,
    history: LogHistory,
    /// Exchanged as a whole when the views are built anew.
    set: RwLock<Arc<ViewSet>>,
    folder: Mutex<ViewFolder>,
    applied: watch::Sender<Position>,
    opening: watch::Sender<Opening>,
    /// Told whenever the views or a rebuild come on, or a rebuild ends.
    turns: watch::Sender<()>,
    /// Grows with everything that the thread that feeds the views does.
    beats: AtomicU64,
    audits: Audits,
    /// How old what the views show is, ms.
    lag_ms: AtomicU64,
    /// How old what each shows is, as of the watch's last look.
    lags: Mutex<BTreeMap<&'static str, Duration>>,
    /// Whether writes are to wait for them.
    held: Mutex<Option<WriteHold>>,
    /// How often they were begun anew since they last followed.
    in_a_row: AtomicU32,
    /// Which thread feeds the views: one that was given up is another one's elder.
    runner: AtomicU64,
    ended: watch::Sender<bool>,
    /// Whether nobody is to wait for them any more.
    closing: watch::Sender<bool>,
    control: watch::Sender<Control>,
    state: Mutex<State>,
}

/// Whether the views were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Not yet.
    UnderWay,
    /// They were.
    Done,
    /// They must not be, or cannot be: [`Shared::take_refusal`] says why.
    Refused,
}

#[derive(Debug)]
struct State {
    reader: ReaderState,
    refusal: Option<OpenError>,
    damage: Option<Damage>,
    /// Views that are to be built anew, each at most once.
    rebuilds_wanted: Vec<(&'static str, RebuildId)>,
    /// The first of them is being begun. It stays there until it is under way, so
    /// that at any moment it is known what becomes of it.
    is_beginning: bool,
    /// Lists are not answered before the views have reached this: the head when
    /// they were opened or begun anew.
    floor: Position,
    begun_anew: u32,
}

impl State {
    /// The rebuild that is being begun, if one is.
    fn beginning(&self) -> Option<(&'static str, RebuildId)> {
        let first = self.rebuilds_wanted.first().copied();
        first.filter(|_| self.is_beginning)
    }

    /// It waits no longer: what became of it is noted elsewhere.
    fn end_beginning(&mut self) {
        if self.beginning().is_some() {
            self.rebuilds_wanted.remove(0);
        }
        self.is_beginning = false;
    }
}

#[derive(Debug)]
struct Damage {
    error: ViewStoreError,
    set: Arc<ViewSet>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Views that are to be opened, of a log that ends at `head`. Until they
    /// are they show nothing.
    pub(crate) fn new(
        projections: Projections,
        history: LogHistory,
        head: Position,
        folder: ViewFolder,
    ) -> Self {
        Self {
            applied: watch::Sender::new(Position::START),
            set: RwLock::new(Arc::new(ViewSet::unopened(projections, &history))),
            projections,
            history,
            folder: Mutex::new(folder),
            opening: watch::Sender::new(Opening::UnderWay),
            turns: watch::Sender::new(()),
            beats: AtomicU64::new(0),
            audits: Audits::default(),
            lag_ms: AtomicU64::new(0),
            lags: Mutex::default(),
            held: Mutex::new(None),
            in_a_row: AtomicU32::new(0),
            runner: AtomicU64::new(0),
            ended: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            control: watch::Sender::new(Control::default()),
            state: Mutex::new(State {
                reader: ReaderState::Opening,
                refusal: None,
                damage: None,
                rebuilds_wanted: Vec::new(),
                is_beginning: false,
                floor: head,
                begun_anew: 0,
            }),
        }
    }

    /// The current views.
    pub(crate) fn set(&self) -> Arc<ViewSet> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&set)
    }

    /// The same, if this thread is the one that feeds them.
    pub(crate) fn set_of(&self, runner: u64) -> Option<Arc<ViewSet>> {
        // It is not exchanged while its lock is held, and so is not given up.
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        (self.runner() == runner).then(|| Arc::clone(&set))
    }

    /// Says that the thread that feeds the views has done something.
    pub(crate) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it did.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// How old what the views show is.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_millis(self.lag_ms.load(Ordering::Relaxed))
    }

    /// Says how old it is.
    pub(crate) fn set_lag(&self, lag: Duration) {
        let ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.lag_ms.store(ms, Ordering::Relaxed);
    }

    /// How old what a view shows is, as of the watch's last look.
    pub(crate) fn lag_of(&self, view: &str) -> Duration {
        locked(&self.lags).get(view).copied().unwrap_or_default()
    }

    /// Says how old each is.
    pub(crate) fn set_lags(&self, lags: BTreeMap<&'static str, Duration>) {
        *locked(&self.lags) = lags;
    }

    /// Whether writes are to wait for the views, and why.
    pub(crate) fn held(&self) -> Option<WriteHold> {
        *locked(&self.held)
    }

    /// Says whether they are.
    pub(crate) fn hold_writes(&self, held: Option<WriteHold>) {
        *locked(&self.held) = held;
    }

    /// The views are where the log ends.
    pub(crate) fn note_following(&self) {
        self.set_lag(Duration::ZERO);
        self.hold_writes(None);
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// Whether the views may be begun anew once more, which is counted.
    pub(crate) fn may_begin_anew(&self) -> bool {
        self.in_a_row.fetch_add(1, Ordering::Relaxed) < BEGUN_ANEW_MAX
    }

    /// The number of the thread that feeds the views.
    pub(crate) fn runner(&self) -> u64 {
        self.runner.load(Ordering::Acquire)
    }

    /// Gives up the thread that feeds the views, with their store: another one
    /// [begins anew](Self::replace_stalled).
    pub(crate) fn give_up_runner(&self) {
        let set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        self.runner.fetch_add(1, Ordering::AcqRel);
        drop(set);
    }

    /// Nothing feeds the views any more.
    pub(crate) fn fail(&self, why: String) {
        self.set_state(ReaderState::Failed(why));
        self.ended.send_replace(true);
    }

    /// Whether the views were opened, now and whenever that is decided.
    pub(crate) fn opening(&self) -> watch::Receiver<Opening> {
        self.opening.subscribe()
    }

    /// Why they were not, once.
    pub(crate) fn take_refusal(&self) -> Option<OpenError> {
        locked(&self.state).refusal.take()
    }

    /// The record up to which every view holds all, now and whenever it moves.
    /// It moves back when the views are built anew.
    pub(crate) fn applied(&self) -> watch::Receiver<Position> {
        self.applied.subscribe()
    }

    /// Whether nobody is to wait for the views any more.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Lets go of whoever waits.
    pub(crate) fn close_soon(&self) {
        self.closing.send_replace(true);
    }

    /// Whether the views have stopped following for good.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// What is wanted of the thread that feeds the views.
    pub(crate) fn control(&self) -> watch::Receiver<Control> {
        self.control.subscribe()
    }

    /// Tells that thread to end.
    pub(crate) fn stop(&self) {
        self.control.send_modify(|control| control.stop = true);
    }

    /// Says how far the views have come.
    pub(crate) fn publish(&self) {
        self.beat();
        let applied = self.set().applied();
        // First, so that whoever waits for a position finds that they follow.
        let mut state = locked(&self.state);
        if state.reader != ReaderState::Following {
            tracing::info!(position = %applied, "the views follow the log again");
            state.reader = ReaderState::Following;
        }
        drop(state);
        self.applied.send_if_modified(|before| {
            let moved = *before != applied;
            *before = applied;
            moved
        });
        self.turns.send_replace(());
    }

    /// Whether the views follow the log.
    pub(crate) fn state(&self) -> ReaderState {
        locked(&self.state).reader.clone()
    }

    /// Says that they do not.
    pub(crate) fn set_state(&self, reader: ReaderState) {
        locked(&self.state).reader = reader;
    }

    /// The position below which lists are not answered.
    pub(crate) fn floor(&self) -> Position {
        locked(&self.state).floor
    }

    /// How often the views were set aside and built anew.
    pub(crate) fn begun_anew(&self) -> u32 {
        locked(&self.state).begun_anew
    }

    /// A reader found these views damaged: the thread that feeds them looks after it.
    pub(crate) fn report_damage(&self, set: &Arc<ViewSet>, error: &ViewStoreError) {
        let damage = Damage {
            error: error.clone(),
            set: Arc::clone(set),
        };
        locked(&self.state).damage = Some(damage);
        self.control.send_modify(|control| control.alarms += 1);
    }

    /// What a reader found damaged about the current views.
    pub(crate) fn damage(&self) -> Option<ViewStoreError> {
        let damage = locked(&self.state).damage.take()?;
        Arc::ptr_eq(&damage.set, &self.set()).then_some(damage.error)
    }

    /// Asks for a view to be built anew. One rebuild answers all who ask before
    /// it begins: the id of the one that will is returned, nothing if there is
    /// no such view.
    pub(crate) fn want_rebuild(&self, name: &str, id: RebuildId) -> Option<RebuildId> {
        let mut projections = self.projections.iter();
        let name = projections.find(|it| it.name() == name)?.name();
        if let Some(id) = self.set().rebuild_under_way(name) {
            return Some(id);
        }
        let mut state = locked(&self.state);
        if let Some((_, id)) = state.rebuilds_wanted.iter().find(|(it, _)| *it == name) {
            return Some(*id);
        }
        state.rebuilds_wanted.push((name, id));
        drop(state);
        self.control.send_modify(|control| control.alarms += 1);
        Some(id)
    }

    /// Begins what was asked for, for the thread of this number. What cannot be begun
    /// has failed once the views are [closed](Self::close_views) for that; what was
    /// asked for after it goes on waiting. Whether anything was.
    pub(crate) fn begin_rebuilds(
        &self,
        runner: u64,
        set: &ViewSet,
    ) -> Result<bool, ViewStoreError> {
        let mut has_begun = false;
        while let Some((name, id)) = self.next_rebuild() {
            set.begin_rebuild(name, Some(id))?;
            has_begun = true;
            // The thread is not given up while this lock is held. If it was before,
            // what became of the rebuild is told already.
            let current = self.set.read().unwrap_or_else(PoisonError::into_inner);
            if self.runner() != runner {
                break;
            }
            locked(&self.state).end_beginning();
            drop(current);
        }
        Ok(has_begun)
    }

    fn next_rebuild(&self) -> Option<(&'static str, RebuildId)> {
        let mut state = locked(&self.state);
        let next = state.rebuilds_wanted.first().copied();
        state.is_beginning = next.is_some();
        next
    }

    /// Builds on what is being built, for a page.
    pub(crate) fn build_on(&self, set: &ViewSet, log: &dyn EventStore) -> Result<(), FeedError> {
        self.beat();
        let built = set.build_on(log);
        self.turns.send_replace(());
        for view in built? {
            self.audits.note_drift(view);
        }
        Ok(())
    }

    /// Audits some delivery, and begins to build anew whatever does not say of
    /// it what the log says: each view a few times. Where that does not help there
    /// would be no end to it.
    pub(crate) fn audit(&self, set: &ViewSet, log: &dyn EventStore) -> Result<(), FeedError> {
        for view in self.audits.audit_next(set, log)? {
            let mends = self.audits.count_mend(view);
            if mends <= MENDS_MAX {
                tracing::error!(view, "the view is built anew: it is not what the log says");
                set.begin_rebuild(view, None)?;
            } else if mends == MENDS_MAX + 1 {
                tracing::error!(
                    view,
                    "the view was built anew {MENDS_MAX} times and is not what the log says: verify the views, \
                     and build it anew once the cause is found"
                );
            }
        }
        self.turns.send_replace(());
        Ok(())
    }

    /// What was audited, and what was found.
    pub(crate) fn audits(&self) -> &Audits {
        &self.audits
    }

    /// Told whenever the views or a rebuild come on, or a rebuild ends.
    pub(crate) fn turns(&self) -> watch::Receiver<()> {
        self.turns.subscribe()
    }

    /// What became of a rebuild; nothing if it is not known.
    pub(crate) fn rebuild_status(&self, id: RebuildId) -> Option<(&'static str, RebuildStatus)> {
        let state = locked(&self.state);
        let waiting = state.rebuilds_wanted.iter().find(|(_, it)| *it == id);
        let waiting = waiting.map(|(name, _)| (*name, RebuildStatus::Waiting));
        drop(state);
        // In this order: it waits until the views know it.
        waiting.or_else(|| self.set().rebuild_status(id))
    }
}
