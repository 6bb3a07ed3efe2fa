//! The lock on a data folder: one process at a time.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::disk::{RealDisk, create_folders, failed, open_file};
use crate::error::OpenError;

const LOCK_NAME: &str = "lock";

/// Longest note of who has it, bytes: the number of a process and a word.
const NOTE_BYTES_MAX: u64 = 100;

/// Who has a data folder, as far as they left it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The number of the process.
    pub process: u32,
    /// What it does there, as given to [`DataLock::acquire`].
    pub work: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.process, self.work)
    }
}

/// Holds a data folder for this process. The operating system lets go of it
/// when this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    path: PathBuf,
    /// Held, never read.
    _file: File,
}

impl DataLock {
    /// Takes the folder, which is made if it is missing, for some work, one word
    /// that others are told. Does not wait.
    ///
    /// It keeps out whoever takes the lock, not whoever opens a
    /// [`Journal`](crate::Journal) without it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process (or another lock in this
    /// one) has it, [`OpenError::Io`] when the operating system refuses.
    pub fn acquire(data_folder: &Path, work: &str) -> Result<Self, OpenError> {
        create_folders(&RealDisk, data_folder).map_err(failed("creating", data_folder))?;
        let path = data_folder.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open_file(&mut options, &path).map_err(failed("opening", &path))?;
        match file.try_lock() {
            Ok(()) => {
                // On a full disk the folder is still to be opened, if only to be read.
                let _ = leave_note(&file, work);
                Ok(Self { path, _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let holder = note_in(&file);
                Err(OpenError::Locked { lock: path, holder })
            }
            Err(TryLockError::Error(source)) => Err(failed("locking", &path)(source)),
        }
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Tells whoever finds the folder taken by whom. Only words: what locks is the
/// lock, and a note left by a process that is gone means nothing.
fn leave_note(mut file: &File, work: &str) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{} {work}", std::process::id())
}

fn note_in(file: &File) -> Option<LockHolder> {
    let mut text = String::new();
    file.take(NOTE_BYTES_MAX).read_to_string(&mut text).ok()?;
    let (process, work) = text.trim().split_once(' ')?;
    Some(LockHolder {
        process: process.parse().ok()?,
        work: work.to_owned(),
    })
}
