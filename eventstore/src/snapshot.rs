//! States that were folded once, kept so that a long stream need not be folded again.
//!
//! A snapshot is never the truth: it can be deleted at any time, is not synced,
//! and is given only if it is whole, of this log, of this code, and if the log
//! still holds the very record it was taken after. Whatever else lies there is
//! thrown away, and the stream is folded.

mod file;
mod shelf;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use file::{CodeFingerprint, Snapshot};

use crate::disk::{Disk, RealDisk, create_folders, is_no_file};
use crate::error::ReadError;
use crate::event::Record;
use crate::history::Standing;
use crate::limits::DISK_FREE_BYTES_MIN;
use crate::position::StreamVersion;
use crate::store::{Budget, EventStore};
use crate::stream::StreamId;
use file::{HEADER_BYTES, decode, digest, encode, name_of, stream_of};
use shelf::Shelf;

/// How many snapshots are kept, and how large they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotLimits {
    /// Largest state that is kept, bytes: a larger one is folded every time.
    pub state_bytes_max: usize,
    /// Most snapshots; the oldest is thrown away for a new one.
    pub snapshots_max: usize,
    /// Most bytes of all of them; the oldest are thrown away for a new one.
    pub all_bytes_max: u64,
}

impl Default for SnapshotLimits {
    /// A session of 200,000 facts fits 4 MiB; 2,048 files are looked at in well
    /// below a second when the folder is opened.
    fn default() -> Self {
        Self {
            state_bytes_max: 4 * 1024 * 1024,
            snapshots_max: 2_048,
            all_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// The snapshots in a folder: at most one for each stream.
///
/// Reads wait for no write but for the blink in which a name is noted. Writers
/// take turns.
#[derive(Debug)]
pub struct SnapshotStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    code: CodeFingerprint,
    limits: SnapshotLimits,
    shelf: Mutex<Shelf>,
    /// Who holds it writes.
    writing: Mutex<()>,
}

/// What there was for a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotLookup {
    /// A state that the log confirms.
    Found(Snapshot),
    /// Nothing.
    Absent,
    /// Something that must not be used; it is gone now.
    Discarded(DiscardReason),
}

/// Why a snapshot was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiscardReason {
    /// Its bytes are not what was written.
    Damaged,
    /// It could not be read.
    Unreadable,
    /// It has another format.
    OtherFormat,
    /// Other code folded it.
    OtherCode,
    /// It is of another stream than its name says.
    OtherStream,
    /// It is of another log.
    OtherLog,
    /// The log does not reach that far.
    Ahead,
    /// The log holds another record there: what it was taken after was given up.
    OtherRecord,
    /// Whoever kept the state does not understand it any more.
    NotUnderstood,
}

impl DiscardReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Damaged,
        Self::Unreadable,
        Self::OtherFormat,
        Self::OtherCode,
        Self::OtherStream,
        Self::OtherLog,
        Self::Ahead,
        Self::OtherRecord,
        Self::NotUnderstood,
    ];

    /// A word for it, in a metric's label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::OtherFormat => "other_format",
            Self::OtherCode => "other_code",
            Self::OtherStream => "other_stream",
            Self::OtherLog => "other_log",
            Self::Ahead => "ahead",
            Self::OtherRecord => "other_record",
            Self::NotUnderstood => "not_understood",
        }
    }
}

impl fmt::Display for DiscardReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why snapshots are not kept. Nothing is lost by it but time.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The state is too large.
    #[error("a state of {bytes} bytes is not kept, at most {max} are")]
    TooLarge {
        /// Its size, bytes.
        bytes: usize,
        /// The most that is kept, bytes.
        max: usize,
    },
    /// There is little room on the disk, and the log needs it.
    #[error("snapshots are not written while the disk is nearly full: free some space")]
    NoRoom,
    /// The operating system refused.
    #[error("{doing}: {source}; snapshots can be deleted at any time")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}

fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let doing = format!("{doing} {}", path.display());
    move |source| SnapshotError::Io { doing, source }
}

impl SnapshotStore {
    /// The snapshots in a folder, which is made if it is missing, for states
    /// that this code folds. Looks at names and lengths only; what was left of
    /// an unfinished write, and what is too much, is removed.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn open(folder: &Path, code: CodeFingerprint) -> Result<Self, SnapshotError> {
        let limits = SnapshotLimits::default();
        Self::open_on(Arc::new(RealDisk), folder, code, limits)
    }

    /// The same, on a disk that may fail.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        code: CodeFingerprint,
        limits: SnapshotLimits,
    ) -> Result<Self, SnapshotError> {
        create_folders(disk.as_ref(), folder).map_err(failed("creating", folder))?;
        let names = disk.names(folder).map_err(failed("listing", folder))?;
        let mut shelf = Shelf::default();
        let mut leftovers = Vec::new();
        for name in names {
            let Some((number, stream)) = stream_of(&name) else {
                leftovers.extend(Some(name).filter(|name| is_ours(name)));
                continue;
            };
            let path = folder.join(&name);
            let bytes = match disk.open_to_read(&path).and_then(|file| file.len()) {
                Err(error) if is_no_file(&error) => {
                    tracing::warn!(%error, "what has a snapshot's name is left alone");
                    continue;
                }
                length => length.map_err(failed("looking at", &path))?,
            };
            let older = shelf.put(stream, number, bytes);
            leftovers.extend(older.map(|number| name_of(number, stream)));
        }
        let store = Self {
            disk,
            folder: folder.to_owned(),
            code,
            limits,
            shelf: Mutex::new(shelf),
            writing: Mutex::new(()),
        };
        for name in leftovers {
            store.remove(&name);
        }
        store.make_room();
        Ok(store)
    }

    /// The state of a stream, if there is one that the log confirms.
    ///
    /// # Errors
    /// If the log was not read. Trouble with the snapshot itself is no error.
    pub fn get(&self, log: &dyn EventStore, stream: StreamId) -> Result<SnapshotLookup, ReadError> {
        let Some(number) = self.shelf().number(stream) else {
            return Ok(SnapshotLookup::Absent);
        };
        let read = match self.read(&name_of(number, stream)) {
            Ok(bytes) => decode(&bytes, self.code),
            // A newer one took its place just now, or it was deleted by hand.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.shelf().take(stream, number);
                return Ok(SnapshotLookup::Absent);
            }
            Err(_) => Err(DiscardReason::Unreadable),
        };
        let confirmed = match read {
            Err(why) => Err(why),
            Ok(snapshot) if snapshot.stream != stream => Err(DiscardReason::OtherStream),
            Ok(snapshot) => confirm(&snapshot, log)?.map_or(Ok(snapshot), Err),
        };
        Ok(match confirmed {
            Ok(snapshot) => SnapshotLookup::Found(snapshot),
            Err(why) => {
                self.throw_away(stream, number);
                SnapshotLookup::Discarded(why)
            }
        })
    }

    /// Keeps a state in place of the stream's former one. It is not synced: a
    /// power cut may lose or damage it, which is found when it is read.
    ///
    /// # Errors
    /// [`SnapshotError`]; the former one is then kept.
    pub fn put(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let (bytes, max) = (snapshot.state.len(), self.limits.state_bytes_max);
        if bytes > max {
            return Err(SnapshotError::TooLarge { bytes, max });
        }
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.disk.free_bytes(&self.folder);
        if free.map_err(failed("looking at", &self.folder))? < DISK_FREE_BYTES_MIN {
            return Err(SnapshotError::NoRoom);
        }
        let stream = snapshot.stream;
        let number = self.shelf().next_number();
        let bytes = encode(snapshot, self.code);
        let name = name_of(number, stream);
        if let Err(error) = self.write(&name, &bytes) {
            self.remove(&format!("{name}{NEW}"));
            return Err(failed("writing", &self.folder.join(name))(error));
        }
        let older = self.shelf().put(stream, number, bytes.len() as u64);
        if let Some(older) = older {
            self.remove(&name_of(older, stream));
        }
        self.make_room();
        Ok(())
    }

    /// Throws a stream's snapshot away, whose state is not understood.
    pub fn discard(&self, stream: StreamId) {
        let number = self.shelf().number(stream);
        if let Some(number) = number {
            self.throw_away(stream, number);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelf().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let most = HEADER_BYTES + self.limits.state_bytes_max + size_of::<u32>();
        let file = self.disk.open_to_read(&self.folder.join(name))?;
        // One byte more than there may be, so that what is too long is found out.
        let bytes = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        file.read_range(0, bytes.min(most + 1))
    }

    /// Writes aside and puts it in place, so that a name never shows a part.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(format!("{name}{NEW}"));
        self.disk.create(&new)?.write_all_at(bytes, 0)?;
        self.disk.rename(&new, &self.folder.join(name))
    }

    fn make_room(&self) {
        loop {
            let oldest = self.shelf().take_surplus(&self.limits);
            let Some((stream, number)) = oldest else {
                return;
            };
            self.remove(&name_of(number, stream));
        }
    }

    fn throw_away(&self, stream: StreamId, number: u64) {
        if self.shelf().take(stream, number) {
            self.remove(&name_of(number, stream));
        }
    }

    fn remove(&self, name: &str) {
        let path = self.folder.join(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let file = path.display();
                tracing::warn!(%file, %error, "a snapshot could not be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // The shelf is whole after every call, so a panic elsewhere leaves nothing half done.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the name of an unfinished file ends with.
const NEW: &str = ".new";

/// Whether a name is one that is given here; others' files are left alone.
fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(NEW).unwrap_or_default();
    stream_of(whole).is_some()
}

/// Why the log does not confirm a snapshot; `None` if it does.
fn confirm(snapshot: &Snapshot, log: &dyn EventStore) -> Result<Option<DiscardReason>, ReadError> {
    let head = *log.head().borrow();
    let (identity, position) = (snapshot.identity, snapshot.position);
    match log.history().judge(identity, position, head) {
        Standing::Valid => {}
        Standing::OtherLog => return Ok(Some(DiscardReason::OtherLog)),
        Standing::Beyond { .. } => return Ok(Some(DiscardReason::OtherRecord)),
        Standing::Ahead => return Ok(Some(DiscardReason::Ahead)),
    }
    let Some(before) = snapshot.version.get().checked_sub(1) else {
        return Ok(Some(DiscardReason::Damaged));
    };
    let one = Budget {
        records_max: 1,
        ..Budget::PAGE
    };
    let page = log.read_stream(snapshot.stream, StreamVersion::new(before), one)?;
    let is_it = |record: &Record| {
        record.last_version() == snapshot.version
            && record.position == snapshot.position
            && record.commit_id == snapshot.commit_id
            && digest(record) == snapshot.record_digest
    };
    Ok(match page.records.first() {
        None => Some(DiscardReason::Ahead),
        Some(record) if is_it(record) => None,
        Some(_) => Some(DiscardReason::OtherRecord),
    })
}
