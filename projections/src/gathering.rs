//! Views that are far behind: what many records write is gathered in memory,
//! each key once, and applied in the order of the keys, which is what the
//! engine is fastest at.
//!
//! A view is whole only when all of a gathering is in it, and the engine takes
//! it in many batches. So it is stashed first: after a crash in the middle all
//! of it is applied again, which changes nothing about what was applied before.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use eventstore::{Budget, EventStore, Filter, Position};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use crate::feeding::{FeedError, Hungry, check_contiguous, feed};
use crate::overlay::Overlay;
use crate::projection::Facts;
use crate::stored::from_bytes;
use crate::view::{Change, View};
use crate::view_store::{
    BATCH_KEYS, Batch, Checkpoint, Digest, ViewStore, ViewStoreError, ViewTree,
};

/// Most that is gathered for all views together, bytes, roughly.
const GATHERED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Batches that are applied in one step: some 20 ms. In tests every one is a
/// step, so that a crash can come between any two.
const BATCHES_PER_STEP: usize = if cfg!(test) { 1 } else { 20 };

/// Bytes of the hash before a stash.
const HASH_BYTES: usize = 8;

/// What is stashed: all writes of a gathering, and where the view is once they
/// are applied.
#[derive(Serialize, Deserialize)]
struct Stash<W> {
    /// Where the view was before: no other stash of the view tells this.
    from: Position,
    position: Position,
    writes: W,
}

type StashedRefs<'w> = Vec<(&'w Bytes, Option<&'w Bytes>)>;
type Stashed = Vec<(ByteBuf, Option<ByteBuf>)>;

/// Feeds views that are far behind until all are there, or stand still, while
/// nothing else feeds them. Tells now and then that it went on.
///
/// Two threads take half of the views each: while what one has gathered goes
/// into the engine, which takes one writer at a time, the other folds.
pub(crate) fn feed_in_halves(
    log: &dyn EventStore,
    store: &dyn ViewStore,
    views: &[Hungry],
    tell: &mut dyn FnMut(),
) -> Result<(), FeedError> {
    let has_failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (told, telling) = sync_channel(1);
        let halves = [0, 1].map(|first| {
            let half: Vec<Hungry> = views.iter().skip(first).step_by(2).cloned().collect();
            let (has_failed, told) = (&has_failed, told.clone());
            scope.spawn(move || feed_half(log, store, &half, has_failed, &told))
        });
        drop(told);
        while telling.recv().is_ok() {
            tell();
        }
        for half in halves {
            half.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        Ok(())
    })
}

/// Feeds until all are there, or the other half has failed.
fn feed_half(
    log: &dyn EventStore,
    store: &dyn ViewStore,
    half: &[Hungry],
    has_failed: &AtomicBool,
    told: &SyncSender<()>,
) -> Result<(), FeedError> {
    let mut gatherer = Gatherer::default();
    while !has_failed.load(Ordering::Relaxed) {
        match gatherer.go_on(log, store, half) {
            // If it is full there is something to be told already.
            Ok(true) => drop(told.try_send(())),
            Ok(false) => break,
            Err(error) => {
                has_failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Feeds some views at once that are far behind.
#[derive(Debug, Default)]
pub(crate) struct Gatherer {
    gatherings: Vec<Gathering>,
}

#[derive(Debug)]
struct Gathering {
    view: Arc<View>,
    /// Where the view was when it began.
    from: Position,
    /// The record up to which all is gathered or applied.
    reached: Position,
    /// The record up to which it gathers before it applies: where the end was
    /// when it began, for the end may move all the time.
    until: Position,
    state: State,
}

#[derive(Debug)]
enum State {
    Gathers(Overlay<'static>),
    Applies {
        changes: std::vec::IntoIter<Change>,
        was_shown: bool,
    },
    /// What was gathered is in the view.
    Done,
    /// A record could not be folded: it is fed page by page, and stands still
    /// where it must.
    Careful,
}

impl Gatherer {
    /// Goes on for a page of the log or some batches: for some 20 ms. `false`
    /// if all views are there, or stand still.
    ///
    /// Views that are not given any more are forgotten, with what was gathered
    /// for them; so one is not fed in another way in between.
    pub(crate) fn go_on(
        &mut self,
        log: &dyn EventStore,
        store: &dyn ViewStore,
        views: &[Hungry],
    ) -> Result<bool, FeedError> {
        self.keep(views);
        if self.apply_some(store)? {
            return Ok(true);
        }
        let careful = self.gatherings.iter();
        let careful = careful.filter(|it| matches!(it.state, State::Careful));
        let careful: Vec<Hungry> = careful
            .filter_map(|it| views.iter().find(|(view, _)| Arc::ptr_eq(view, &it.view)))
            .cloned()
            .collect();
        if feed(log, careful)?.is_some() {
            return Ok(true);
        }
        let is_fed = !self.is_full() && self.gather_page(log)?;
        Ok(is_fed || self.begin_to_apply(store)?)
    }

    /// Gathers a page, and forgets what was gathered once it is as much as may
    /// be. `false` if all are there.
    pub(crate) fn gather_only(
        &mut self,
        log: &dyn EventStore,
        views: &[Hungry],
    ) -> Result<bool, FeedError> {
        self.keep(views);
        if self.is_full() {
            for gathering in &mut self.gatherings {
                gathering.state = State::Gathers(gathering.view.gather());
            }
        }
        self.gather_page(log)
    }

    fn is_full(&self) -> bool {
        let bytes: usize = self.gatherings.iter().map(Gathering::bytes).sum();
        bytes >= GATHERED_BYTES_MAX
    }

    fn keep(&mut self, views: &[Hungry]) {
        let is_wanted = |view: &Arc<View>| views.iter().any(|(it, _)| Arc::ptr_eq(it, view));
        self.gatherings.retain(|gathering| {
            let is_of_use = match gathering.state {
                // Not if the view was fed in another way meanwhile.
                State::Gathers(_) => gathering.view.position() == gathering.from,
                State::Applies { .. } | State::Careful => true,
                State::Done => false,
            };
            let is_kept =
                is_wanted(&gathering.view) && gathering.view.halt().is_none() && is_of_use;
            if !is_kept {
                // Nothing is gathered for it any more.
                gathering.view.set_gathered(Position::START);
            }
            is_kept
        });
        for (view, last) in views {
            let mut gatherings = self.gatherings.iter();
            let is_known = gatherings.any(|gathering| Arc::ptr_eq(&gathering.view, view));
            if !is_known && view.halt().is_none() && view.position() < *last {
                self.gatherings.push(Gathering {
                    from: view.position(),
                    reached: view.position(),
                    until: *last,
                    state: State::Gathers(view.gather()),
                    view: Arc::clone(view),
                });
            }
        }
    }

    /// Gathers what a page writes. Nothing where all have reached their end.
    fn gather_page(&mut self, log: &dyn EventStore) -> Result<bool, FeedError> {
        let gathers =
            |it: &&mut Gathering| matches!(it.state, State::Gathers(_)) && it.reached < it.until;
        let mut hungry: Vec<&mut Gathering> = self.gatherings.iter_mut().filter(gathers).collect();
        let Some(after) = hungry.iter().map(|it| it.reached).min() else {
            return Ok(false);
        };
        let page = log.read_all(after, &Filter::everything(), Budget::PAGE)?;
        check_contiguous(after, &page)?;
        let facts: Vec<Facts> = page.records.iter().map(Facts::of).collect();
        for gathering in &mut hungry {
            let State::Gathers(overlay) = &mut gathering.state else {
                continue;
            };
            for (record, facts) in page.records.iter().zip(&facts) {
                if record.position <= gathering.reached || record.position > gathering.until {
                    continue;
                }
                if gathering.view.parked().contains(record.stream) {
                    gathering.reached = record.position;
                    continue;
                }
                if gathering.view.project(overlay, record, facts)?.is_err() {
                    gathering.state = State::Careful;
                    gathering.reached = gathering.view.position();
                    break;
                }
                gathering.reached = record.position;
            }
            gathering.view.set_gathered(gathering.reached);
        }
        Ok(true)
    }

    /// Stashes what was gathered. Nothing where nothing was.
    fn begin_to_apply(&mut self, store: &dyn ViewStore) -> Result<bool, ViewStoreError> {
        let mut begun = false;
        for gathering in &mut self.gatherings {
            let State::Gathers(overlay) = &mut gathering.state else {
                continue;
            };
            if gathering.reached > gathering.view.position() {
                let gathered = std::mem::replace(overlay, gathering.view.gather());
                gathering.begin_to_apply(store, gathered)?;
                begun = true;
            }
        }
        Ok(begun)
    }

    /// Applies some more batches. `false` if there is nothing to be applied.
    fn apply_some(&mut self, store: &dyn ViewStore) -> Result<bool, ViewStoreError> {
        let mut applying = self.gatherings.iter_mut();
        let applying = applying.find(|it| matches!(it.state, State::Applies { .. }));
        match applying {
            Some(gathering) => gathering.apply_some(store).map(|()| true),
            None => Ok(false),
        }
    }
}

impl Gathering {
    fn bytes(&self) -> usize {
        match &self.state {
            State::Gathers(overlay) => overlay.bytes(),
            State::Applies { .. } | State::Done | State::Careful => 0,
        }
    }

    fn begin_to_apply(
        &mut self,
        store: &dyn ViewStore,
        gathered: Overlay<'static>,
    ) -> Result<(), ViewStoreError> {
        let changes = self.view.changes(gathered)?;
        let was_shown = self.view.is_shown();
        if changes.len() > BATCH_KEYS {
            let writes = changes.iter();
            let stash = Stash {
                from: self.view.position(),
                position: self.reached,
                writes: writes
                    .map(|it| (Bytes::new(&it.key), it.new.as_deref().map(Bytes::new)))
                    .collect(),
            };
            store.stash(self.view.tree_name(), &sealed(&stash))?;
            self.view.hide();
        }
        self.state = State::Applies {
            changes: changes.into_iter(),
            was_shown,
        };
        Ok(())
    }

    fn apply_some(&mut self, store: &dyn ViewStore) -> Result<(), ViewStoreError> {
        let State::Applies { changes, was_shown } = &mut self.state else {
            return Ok(());
        };
        for _ in 0..BATCHES_PER_STEP {
            let batch: Vec<Change> = changes.by_ref().take(BATCH_KEYS).collect();
            let noted = self.view.checkpoint();
            let is_amid_stash = changes.len() > 0;
            let position = if is_amid_stash {
                noted.position
            } else {
                self.reached
            };
            let checkpoint = Checkpoint {
                position,
                is_amid_stash,
                ..noted
            };
            self.view.apply(batch, checkpoint)?;
            if !is_amid_stash {
                store.drop_stash(self.view.tree_name())?;
                self.view.show_again(*was_shown);
                self.state = State::Done;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A stash with a hash of it before it.
fn sealed(stash: &Stash<StashedRefs<'_>>) -> Vec<u8> {
    // It is as large as a window: there is one copy of it.
    let room = vec![0; HASH_BYTES];
    let mut sealed =
        postcard::to_extend(stash, room).expect("a stash holds nothing that postcard cannot write");
    if let Some((hash, bytes)) = sealed.split_first_chunk_mut::<HASH_BYTES>() {
        *hash = Digest::of(bytes).to_be_bytes();
    }
    sealed
}

fn unsealed(sealed: &[u8]) -> Option<Stash<Stashed>> {
    let (hash, bytes) = sealed.split_first_chunk()?;
    let is_whole = Digest::of(bytes).to_be_bytes() == *hash;
    is_whole.then(|| from_bytes(bytes).ok()).flatten()
}

/// Applies again what was stashed for a tree that a crash has left in the middle
/// of it. Where that was lost with the machine the tree is of no use:
/// nothing, and the view is begun anew.
pub(crate) fn resume(
    store: &dyn ViewStore,
    tree: &dyn ViewTree,
    tree_name: &str,
    found: Checkpoint,
) -> Result<Option<Checkpoint>, ViewStoreError> {
    let stash = store.stashed(tree_name)?;
    let stash = stash.as_deref().and_then(unsealed);
    let Some(stash) = stash.filter(|stash| stash.from == found.position) else {
        tracing::warn!(
            view = tree_name,
            "what was to go into the view is lost: it is begun anew"
        );
        return Ok(None);
    };
    let mut checkpoint = found;
    let mut writes = stash.writes.into_iter();
    while checkpoint.is_amid_stash {
        let mut batch = Vec::with_capacity(BATCH_KEYS);
        for (key, new) in writes.by_ref().take(BATCH_KEYS) {
            let (key, new) = (key.into_vec(), new.map(ByteBuf::into_vec));
            let old = tree.get(&key)?;
            for value in old.iter().chain(&new) {
                checkpoint.digest.toggle(&key, value);
            }
            batch.push((key, new));
        }
        if writes.len() == 0 {
            checkpoint.position = stash.position;
            checkpoint.is_amid_stash = false;
        }
        tree.apply(&Batch {
            writes: batch,
            checkpoint,
        })?;
    }
    store.drop_stash(tree_name)?;
    Ok(Some(checkpoint))
}
