//! A projection's tree with its checkpoint, read and written consistently.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError};
use std::time::Duration;

use eventstore::{LogHistory, Position, Record, Standing, StreamId};

use crate::gathering::resume;
use crate::key::KeyRange;
use crate::overlay::Overlay;
use crate::parking::{ParkedStreams, ParkingChange, Poison};
use crate::projection::{Facts, Halt, Projection};
use crate::view_store::{
    Batch, Checkpoint, Digest, Direction, Left, NoTree, ViewStore, ViewStoreError, ViewTree,
    panic_words,
};

/// How often a view is tried to be held still. A batch is applied within a
/// millisecond or some; whoever waits this long, half a second or more, waits for a
/// disk that hangs.
const HOLD_TRIES: u32 = 10_000;

/// The pause before each further try.
const HOLD_PAUSE: Duration = Duration::from_micros(50);

/// One view.
///
/// Only the thread that feeds it writes. Readers hold the gate while they put
/// an answer together, so that all they read is of one position.
#[derive(Debug)]
pub(crate) struct View {
    projection: &'static dyn Projection,
    tree_name: String,
    tree: Arc<dyn ViewTree>,
    /// Held for writing only while a batch is applied.
    gate: RwLock<Checkpoint>,
    /// The gate's position, for whoever must not wait for it.
    position: AtomicU64,
    /// Somebody has waited in vain to hold it still, and nobody could since.
    hangs: AtomicBool,
    /// The record up to which all is gathered, where that is more.
    gathered: AtomicU64,
    /// Whether anybody is shown its entries.
    is_shown: AtomicBool,
    /// The streams whose records wait.
    parked: ParkedStreams,
    /// How far its entries were held against its checkpoint; nothing once they all were.
    check: Mutex<Option<Check>>,
    /// Whether they all were, for whoever must not wait for a check that goes on.
    is_right: AtomicBool,
    halt: RwLock<Option<Halt>>,
}

impl std::fmt::Debug for dyn Projection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A view that stands still while it is held. Short-lived: it keeps the writer waiting.
#[derive(Debug)]
pub(crate) struct Reading<'v> {
    projection: &'static dyn Projection,
    tree: &'v dyn ViewTree,
    position: Position,
    _still: Option<RwLockReadGuard<'v, Checkpoint>>,
}

impl<'v> Reading<'v> {
    /// The record up to which the view holds all; the beginning of the log
    /// while it is not known to be in order.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The code that wrote it, to fold on with.
    pub(crate) fn projection(&self) -> &'static dyn Projection {
        self.projection
    }

    /// The view as it is, to fold on.
    pub(crate) fn overlay(&self) -> Overlay<'v> {
        Overlay::new(self.tree)
    }
}

/// What becomes of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its key.
    pub(crate) key: Vec<u8>,
    /// Its value before, if it was there.
    pub(crate) old: Option<Vec<u8>>,
    /// Its value after that, if it is there.
    pub(crate) new: Option<Vec<u8>>,
}

/// A check of a view's entries, which go on changing meanwhile.
#[derive(Debug)]
struct Check {
    /// The entries that are not checked yet.
    rest: KeyRange,
    /// Of the entries before those, as they are now.
    digest: Digest,
}

impl Check {
    fn begin() -> Self {
        Self {
            rest: KeyRange::all(),
            digest: Digest::default(),
        }
    }

    /// Follows a change of an entry that was checked already.
    fn toggle(&mut self, key: &[u8], value: &[u8]) {
        if key < self.rest.start.as_slice() {
            self.digest.toggle(key, value);
        }
    }
}

/// Why a view cannot go on from what is stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ViewOpenError {
    /// It is damaged.
    #[error(transparent)]
    Damaged(#[from] ViewStoreError),
    /// It has seen more than the log holds.
    #[error("view {view} has seen position {seen}")]
    Ahead {
        /// Its name.
        view: &'static str,
        /// Where it is.
        seen: Position,
    },
}

impl View {
    /// Opens a projection's view of a log that ends at `head`, or begins it.
    ///
    /// A view of another log is emptied, and one that has seen what an earlier
    /// epoch of this log has given up. Unless the store was left in good order
    /// it is to be [checked](Self::check_on); if the machine may have gone down
    /// with it, it reads as if it were empty until then.
    pub(crate) fn open(
        projection: &'static dyn Projection,
        tree_name: String,
        store: &dyn ViewStore,
        left: Left,
        history: &LogHistory,
        head: Position,
    ) -> Result<Self, ViewOpenError> {
        let mut tree = store.open_tree(&tree_name)?;
        let found = tree.checkpoint()?;
        let whole = match found {
            Some(found) if found.is_amid_stash => resume(store, &*tree, &tree_name, found)?,
            found => found,
        };
        let kept = match whole {
            Some(whole) => keep(projection, whole, history, head)?,
            None => None,
        };
        if found.is_some() && kept.is_none() {
            // Also half of a gathering whose other half is lost: its entries
            // would be neither overwritten nor known to the checkpoint.
            drop(tree);
            store.remove_tree(&tree_name)?;
            store.drop_stash(&tree_name)?;
            tree = store.open_tree(&tree_name)?;
        } else if found.is_none() && head > Position::START {
            tracing::info!(
                view = tree_name,
                "the view is built from the beginning of the log"
            );
        }
        let checkpoint = kept.unwrap_or_else(|| Checkpoint::start(history.identity()));
        let is_checked = left == Left::InGoodOrder || holds_nothing(&*tree, &checkpoint)?;
        let is_shown = is_checked || left == Left::ByItsProcess;
        Ok(Self {
            projection,
            tree_name,
            parked: ParkedStreams::read(&*tree)?,
            hangs: AtomicBool::new(false),
            tree,
            gate: RwLock::new(checkpoint),
            position: AtomicU64::new(checkpoint.position.get()),
            gathered: AtomicU64::new(0),
            is_shown: AtomicBool::new(is_shown),
            check: Mutex::new((!is_checked).then(Check::begin)),
            is_right: AtomicBool::new(is_checked),
            halt: RwLock::new(None),
        })
    }

    /// Begins a view in a tree that nothing is in.
    pub(crate) fn create(
        projection: &'static dyn Projection,
        tree_name: String,
        store: &dyn ViewStore,
        history: &LogHistory,
    ) -> Result<Self, ViewStoreError> {
        let tree = store.open_tree(&tree_name)?;
        Ok(Self {
            tree_name,
            tree,
            is_shown: AtomicBool::new(true),
            check: Mutex::new(None),
            is_right: AtomicBool::new(true),
            ..Self::unopened(projection, history)
        })
    }

    /// The view of a store that is not open yet: it shows nothing.
    pub(crate) fn unopened(projection: &'static dyn Projection, history: &LogHistory) -> Self {
        Self {
            projection,
            tree_name: String::new(),
            tree: Arc::new(NoTree),
            parked: ParkedStreams::default(),
            hangs: AtomicBool::new(false),
            gate: RwLock::new(Checkpoint::start(history.identity())),
            position: AtomicU64::new(0),
            gathered: AtomicU64::new(0),
            is_shown: AtomicBool::new(false),
            check: Mutex::new(Some(Check::begin())),
            is_right: AtomicBool::new(false),
            halt: RwLock::new(None),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        self.projection.name()
    }

    /// What its tree is called.
    pub(crate) fn tree_name(&self) -> &str {
        &self.tree_name
    }

    /// The layout of its entries.
    pub(crate) fn version(&self) -> u32 {
        self.projection.version()
    }

    /// The record up to which it holds all, if it is in order.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.position.load(Ordering::Acquire))
    }

    /// The record up to which it holds all and shows it, as of a moment ago: it
    /// never waits. The beginning of the log once somebody has waited in vain for it.
    pub(crate) fn shown_to(&self) -> Position {
        let hangs = self.try_hold().is_none() && self.hangs.load(Ordering::Acquire);
        if self.is_shown() && !hangs {
            self.position()
        } else {
            Position::START
        }
    }

    /// The record up to which all is gathered for it or in it: how far the work is.
    pub(crate) fn worked_to(&self) -> Position {
        self.position()
            .max(Position::new(self.gathered.load(Ordering::Relaxed)))
    }

    /// Says how far what is gathered for it goes.
    pub(crate) fn set_gathered(&self, reached: Position) {
        self.gathered.store(reached.get(), Ordering::Relaxed);
    }

    /// Why it stands still, if it does.
    pub(crate) fn halt(&self) -> Option<Halt> {
        let halt = self.halt.read().unwrap_or_else(PoisonError::into_inner);
        halt.clone()
    }

    /// Stops it where it stands, loudly.
    pub(crate) fn halt_because(&self, halt: Halt) {
        tracing::error!(
            view = self.name(), error = %halt,
            "the view stands still; queries fold the log on top of it as far as they can"
        );
        *self.halt.write().unwrap_or_else(PoisonError::into_inner) = Some(halt);
    }

    /// The streams whose records wait because one could not be folded, and what
    /// was left out for the same reason.
    pub(crate) fn parked(&self) -> &ParkedStreams {
        &self.parked
    }

    /// Since when what it shows of a stream is all that can be said, because the
    /// stream waits. For whoever holds it still.
    pub(crate) fn shows_parked(&self, stream: StreamId) -> Option<Position> {
        let parked = self.parked.get(stream).filter(|_| self.is_shown());
        parked.map(|parked| parked.position)
    }

    /// What becomes of a record that it cannot fold.
    pub(crate) fn poison(&self) -> Poison {
        self.projection.poison()
    }

    /// The code that writes it.
    pub(crate) fn projection(&self) -> &'static dyn Projection {
        self.projection
    }

    /// The streams whose first record ends a wait that a record begins.
    pub(crate) fn awaits(&self, facts: &Facts) -> Vec<StreamId> {
        self.projection.awaits(facts)
    }

    /// How many records it has left out.
    pub(crate) fn skipped(&self) -> u64 {
        self.parked.left_out().map_or(0, |it| it.records)
    }

    /// Holds it still to read it. Where the writer does not let go of it, what
    /// it is stored in hangs: then it shows nothing, and whoever reads it goes on.
    /// Those who come after one that has waited in vain do not wait any more.
    pub(crate) fn read(&self) -> Reading<'_> {
        let still = self.hold();
        let shown = still.filter(|_| self.is_shown());
        let (tree, position): (&dyn ViewTree, _) = match &shown {
            Some(still) => (&*self.tree, still.position),
            None => (&NoTree, Position::START),
        };
        Reading {
            projection: self.projection,
            tree,
            position,
            _still: shown,
        }
    }

    fn hold(&self) -> Option<RwLockReadGuard<'_, Checkpoint>> {
        for _ in 0..HOLD_TRIES {
            let held = self.try_hold();
            if held.is_some() || self.hangs.load(Ordering::Acquire) {
                return held;
            }
            std::thread::park_timeout(HOLD_PAUSE);
        }
        self.hangs.store(true, Ordering::Release);
        None
    }

    fn try_hold(&self) -> Option<RwLockReadGuard<'_, Checkpoint>> {
        let still = match self.gate.try_read() {
            Ok(still) => still,
            Err(TryLockError::Poisoned(still)) => still.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        if self.hangs.load(Ordering::Acquire) {
            self.hangs.store(false, Ordering::Release);
        }
        Some(still)
    }

    /// Whether its entries are shown.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown.load(Ordering::Acquire)
    }

    /// Whether its entries are known to be those of its checkpoint.
    pub(crate) fn is_checked(&self) -> bool {
        self.checking().is_none()
    }

    /// The same, as of a moment ago: it never waits.
    pub(crate) fn is_right(&self) -> bool {
        self.is_right.load(Ordering::Acquire)
    }

    /// Holds some more of its entries, at most so many, against its checkpoint;
    /// once it is [checked](Self::is_checked) there is nothing to do. For the
    /// thread that feeds it, which may do so in between.
    pub(crate) fn check_on(&self, entries_max: usize) -> Result<(), ViewStoreError> {
        let mut checking = self.checking();
        let Some(check) = &mut *checking else {
            return Ok(());
        };
        let entries = self
            .tree
            .scan(&check.rest, Direction::Forward, entries_max)?;
        for (key, value) in &entries {
            check.digest.toggle(key, value);
        }
        if let Some((last, _)) = entries.last() {
            check.rest = check.rest.after(last);
            return Ok(());
        }
        let noted = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if check.digest != noted.digest {
            return Err(ViewStoreError::unreadable(format!(
                "the entries of {} are not those of its checkpoint",
                self.name()
            )));
        }
        *checking = None;
        self.is_right.store(true, Ordering::Release);
        self.is_shown.store(true, Ordering::Release);
        Ok(())
    }

    fn checking(&self) -> MutexGuard<'_, Option<Check>> {
        self.check.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to come, on top of it. For the thread that feeds it.
    pub(crate) fn begin(&self) -> Overlay<'_> {
        Overlay::new(&*self.tree)
    }

    /// Its entries, to compare them.
    pub(crate) fn tree(&self) -> &dyn ViewTree {
        &*self.tree
    }

    /// Folds a record on top. What the projection does not want changes nothing.
    pub(crate) fn project(
        &self,
        overlay: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<Result<(), Halt>, ViewStoreError> {
        project(self.projection, overlay, record, facts)
    }

    /// Applies what was written, and moves the checkpoint to `position` with it.
    pub(crate) fn commit(
        &self,
        written: Overlay<'_>,
        position: Position,
    ) -> Result<(), ViewStoreError> {
        let changes = self.changes(written)?;
        let noted = self.checkpoint();
        self.apply(changes, Checkpoint { position, ..noted })
    }

    /// What is changed by what was written, in the order of the keys.
    pub(crate) fn changes(&self, written: Overlay<'_>) -> Result<Vec<Change>, ViewStoreError> {
        let changes = written
            .into_writes()
            .into_iter()
            .filter_map(|(key, new, known)| {
                let old = known.map_or_else(|| self.tree.get(&key), Ok);
                old.map(|old| (old != new).then_some(Change { key, old, new }))
                    .transpose()
            });
        changes.collect()
    }

    /// Where it is.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        *self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies some changes at once and moves the checkpoint; its digest follows
    /// from the changes. For the thread that feeds it.
    pub(crate) fn apply(
        &self,
        changes: Vec<Change>,
        mut checkpoint: Checkpoint,
    ) -> Result<(), ViewStoreError> {
        let noted = self.checkpoint();
        assert!(
            noted.position <= checkpoint.position,
            "a view never goes back: from {} to {}",
            noted.position,
            checkpoint.position
        );
        checkpoint.digest = noted.digest;
        let mut checking = self.checking();
        let mut writes = Vec::with_capacity(changes.len());
        let mut parking = Vec::new();
        for Change { key, old, new } in changes {
            for value in old.iter().chain(&new) {
                checkpoint.digest.toggle(&key, value);
                if let Some(check) = &mut *checking {
                    check.toggle(&key, value);
                }
            }
            parking.extend(ParkingChange::of(&key, new.as_deref())?);
            writes.push((key, new));
        }
        drop(checking);
        let batch = Batch { writes, checkpoint };
        let mut gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        self.tree.apply(&batch)?;
        // Behind the gate, so that nobody finds a stream parked and its row without
        // the records before that.
        self.parked.follow(parking);
        *gate = checkpoint;
        self.position
            .store(checkpoint.position.get(), Ordering::Release);
        Ok(())
    }

    /// Shows nothing of it any more, and waits for whoever reads it.
    pub(crate) fn hide(&self) {
        self.is_shown.store(false, Ordering::Release);
        drop(self.gate.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Shows it again, unless it was to be checked first.
    pub(crate) fn show_again(&self, was_shown: bool) {
        let is_shown = was_shown || self.is_checked();
        self.is_shown.store(is_shown, Ordering::Release);
    }

    /// Writes to come, on top of it, that many records make. For the thread that feeds it.
    pub(crate) fn gather(&self) -> Overlay<'static> {
        Overlay::gathering(Arc::clone(&self.tree))
    }
}

/// The checkpoint to go on from in this log; `None` if the view must be built
/// anew, which is said.
fn keep(
    projection: &dyn Projection,
    found: Checkpoint,
    history: &LogHistory,
    head: Position,
) -> Result<Option<Checkpoint>, ViewOpenError> {
    let view = projection.name();
    let (old, new, seen) = (found.identity, history.identity(), found.position);
    match history.judge(old, seen, head) {
        Standing::Valid => Ok(Some(Checkpoint {
            identity: new,
            ..found
        })),
        Standing::OtherLog => {
            tracing::warn!(
                view, %old, %new,
                "the view is of another log: it is built anew from this one"
            );
            Ok(None)
        }
        Standing::Beyond { kept_to } => {
            tracing::warn!(
                view, %old, %new, %seen, %kept_to,
                "the view has seen records that were given up when a new epoch began: it is built anew"
            );
            Ok(None)
        }
        Standing::Ahead => Err(ViewOpenError::Ahead { view, seen }),
    }
}

/// Folds a record on top of a view, with what a projection may do wrong caught.
pub(crate) fn project(
    projection: &dyn Projection,
    overlay: &mut Overlay<'_>,
    record: &Record,
    facts: &Facts,
) -> Result<Result<(), Halt>, ViewStoreError> {
    if !projection.wants(record) {
        return Ok(Ok(()));
    }
    if let Facts::Undecodable(undecodable) = facts
        && projection.needs_facts(record)
    {
        return Ok(Err(Halt::Undecodable(undecodable.clone())));
    }
    match catch_unwind(AssertUnwindSafe(|| {
        projection.project(overlay, record, facts)
    })) {
        Ok(Ok(())) => Ok(Ok(())),
        Ok(Err(error)) => Err(error),
        Err(panic) => Ok(Err(Halt::Panicked {
            position: record.position,
            why: panic_words(&*panic),
        })),
    }
}

/// Whether a tree is just begun: then there is nothing to be checked.
fn holds_nothing(tree: &dyn ViewTree, checkpoint: &Checkpoint) -> Result<bool, ViewStoreError> {
    Ok(checkpoint.position == Position::START
        && tree
            .scan(&KeyRange::all(), Direction::Forward, 1)?
            .is_empty())
}
