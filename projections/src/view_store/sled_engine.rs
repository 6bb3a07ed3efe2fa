//! The views in sled: one database, a tree for each view.
//!
//! What it is not asked for, on purpose: `flush_async` (deadlocks under
//! concurrent callers), `generate_id` and `watch_prefix`. Its panics are caught.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    Batch, Checkpoint, Direction, Entry, ViewStore, ViewStoreError, ViewTree, panic_words,
};
use crate::key::{CHECKPOINT_KEY, KeyRange};

/// How often sled hands what it has to the disk by itself, ms.
const FLUSH_EVERY_MS: u64 = 200;

/// What sled says when another one has locked its files. It has no kind of
/// error of its own for that, and such views must not be taken for damaged.
const LOCKED: &str = "could not acquire lock";

/// How often more a locked database is tried. One that was closed a moment ago
/// lets go of its lock only when its own threads have ended.
const LOCK_TRIES_MORE: u32 = 20;

/// The pause before each of these tries: a second in all.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The tree that every sled database has.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// A sled database. It locks its files as long as it or one of its trees lives.
#[derive(Debug)]
pub(super) struct SledViewStore {
    db: sled::Db,
    folder: PathBuf,
    /// Which file it was opened in, if that could be told.
    place: Option<FilePlace>,
    /// Held while something is written to one of the trees.
    writer: Arc<Mutex<()>>,
}

/// A file by its device and its number there: another one in its place has
/// others.
#[derive(Debug, PartialEq, Eq)]
struct FilePlace(u64, u64);

impl FilePlace {
    /// Of the database in a folder.
    fn of(folder: &Path) -> io::Result<Self> {
        let file = fs::metadata(folder.join("db"))?;
        Ok(Self(file.dev(), file.ino()))
    }
}

#[derive(Debug)]
struct SledTree {
    tree: sled::Tree,
    writer: Arc<Mutex<()>>,
}

fn guarded<T>(
    doing: &'static str,
    action: impl FnOnce() -> sled::Result<T>,
) -> Result<T, ViewStoreError> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) if takes_no_writes(&error) => {
            let why = error.to_string();
            Err(ViewStoreError::NoRoom { doing, why })
        }
        Ok(Err(error)) => {
            let why = error.to_string();
            Err(ViewStoreError::Engine { doing, why })
        }
        Err(panic) => {
            let why = panic_words(&*panic);
            Err(ViewStoreError::Panicked { doing, why })
        }
    }
}

/// Whether a disk is full, or may not be written to: nothing is wrong with what is on it.
pub(crate) fn takes_no_writes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
    )
}

impl SledViewStore {
    /// Opens or creates the database in a folder.
    pub(super) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, ViewStoreError> {
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let mut tries_left = LOCK_TRIES_MORE;
        loop {
            match guarded("opening", || config.open()) {
                Err(ViewStoreError::Engine { doing: _, why }) if why.contains(LOCKED) => {
                    if tries_left == 0 {
                        return Err(ViewStoreError::InUse { why });
                    }
                    tries_left -= 1;
                    std::thread::park_timeout(LOCK_PAUSE);
                }
                opened => {
                    return Ok(Self {
                        db: opened?,
                        folder: folder.to_owned(),
                        place: FilePlace::of(folder).ok(),
                        writer: Arc::default(),
                    });
                }
            }
        }
    }
}

impl SledViewStore {
    /// In the database's own folder: it goes where that goes.
    fn stash_path(&self, tree: &str) -> PathBuf {
        self.folder.join(format!("stash-{tree}"))
    }
}

impl ViewStore for SledViewStore {
    fn open_tree(&self, name: &str) -> Result<Arc<dyn ViewTree>, ViewStoreError> {
        let tree = guarded("opening", || self.db.open_tree(name))?;
        let writer = Arc::clone(&self.writer);
        Ok(Arc::new(SledTree { tree, writer }))
    }

    fn remove_tree(&self, name: &str) -> Result<(), ViewStoreError> {
        guarded("removing one of", || self.db.drop_tree(name)).map(drop)
    }

    fn tree_names(&self) -> Result<Vec<String>, ViewStoreError> {
        let names = guarded("listing", || Ok(self.db.tree_names()))?;
        let ours = names.into_iter().filter(|name| name != DEFAULT_TREE);
        Ok(ours
            .map(|name| String::from_utf8_lossy(&name).into_owned())
            .collect())
    }

    fn note(&self, name: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        let note = guarded("reading", || self.db.get(name))?;
        Ok(note.map(|note| note.to_vec()))
    }

    fn set_note(&self, name: &str, note: &[u8]) -> Result<(), ViewStoreError> {
        guarded("writing", || self.db.insert(name, note)).map(drop)
    }

    fn stash(&self, tree: &str, writes: &[u8]) -> Result<(), ViewStoreError> {
        guarded("stashing what goes into", || {
            Ok(fs::write(self.stash_path(tree), writes)?)
        })
    }

    fn stashed(&self, tree: &str) -> Result<Option<Vec<u8>>, ViewStoreError> {
        guarded("reading what was stashed for", || {
            match fs::read(self.stash_path(tree)) {
                Ok(writes) => Ok(Some(writes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn drop_stash(&self, tree: &str) -> Result<(), ViewStoreError> {
        guarded("removing what was stashed for", || {
            match fs::remove_file(self.stash_path(tree)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            }
        })
    }

    fn flush(&self) -> Result<(), ViewStoreError> {
        guarded("flushing", || self.db.flush()).map(drop)
    }

    fn size_bytes(&self) -> Result<u64, ViewStoreError> {
        guarded("measuring", || self.db.size_on_disk())
    }

    fn check_place(&self) -> Result<(), ViewStoreError> {
        let is_in_place = match FilePlace::of(&self.folder) {
            Ok(place) => self.place.as_ref().is_none_or(|opened| *opened == place),
            // Whatever else keeps us from looking says nothing about the file.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if is_in_place {
            return Ok(());
        }
        Err(ViewStoreError::Engine {
            doing: "looking for",
            why: "their files were removed or replaced while they were in use".to_owned(),
        })
    }
}

impl ViewTree for SledTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewStoreError> {
        let value = guarded("reading", || self.tree.get(key))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, ViewStoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |entry: sled::Result<(sled::IVec, sled::IVec)>| {
            entry.map(|(key, value)| (key.to_vec(), value.to_vec()))
        };
        guarded("reading", || {
            let entries = match &range.end {
                Some(end) => self.tree.range(range.start.as_slice()..end.as_slice()),
                None => self.tree.range(range.start.as_slice()..),
            };
            match direction {
                Direction::Forward => entries.take(limit).map(entry).collect(),
                Direction::Backward => entries.rev().take(limit).map(entry).collect(),
            }
        })
    }

    fn apply(&self, batch: &Batch) -> Result<(), ViewStoreError> {
        let checkpoint = postcard::to_stdvec(&batch.checkpoint)
            .expect("a checkpoint holds nothing that postcard cannot write");
        let mut writes = sled::Batch::default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.insert(key.as_slice(), value.as_slice()),
                None => writes.remove(key.as_slice()),
            }
        }
        writes.insert(&CHECKPOINT_KEY, checkpoint);
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        guarded("writing", || self.tree.apply_batch(writes))
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>, ViewStoreError> {
        let Some(bytes) = self.get(&CHECKPOINT_KEY)? else {
            return Ok(None);
        };
        let checkpoint = postcard::from_bytes(&bytes)
            .map_err(|error| ViewStoreError::unreadable(format!("its checkpoint: {error}")))?;
        Ok(Some(checkpoint))
    }
}
