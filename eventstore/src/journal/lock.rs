//! The lock on a data folder: one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::disk::{RealDisk, create_folders, failed, open_file};
use crate::error::OpenError;

const LOCK_NAME: &str = "lock";

/// Longest number of a process, digits.
const DIGITS_MAX: u64 = 10;

/// Holds a data folder for this process. The operating system lets go of it
/// when this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock {
    path: PathBuf,
    /// Held, never read.
    _file: File,
}

impl DataLock {
    /// Takes the folder, which is made if it is missing. Does not wait.
    ///
    /// It keeps out whoever takes the lock, not whoever opens a
    /// [`Journal`](crate::Journal) without it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process (or another lock in this
    /// one) has it, [`OpenError::Io`] when the operating system refuses.
    pub fn acquire(data_folder: &Path) -> Result<Self, OpenError> {
        create_folders(&RealDisk, data_folder).map_err(failed("creating", data_folder))?;
        let path = data_folder.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = open_file(&mut options, &path).map_err(failed("opening", &path))?;
        match file.try_lock() {
            Ok(()) => {
                // On a full disk the folder is still to be opened, if only to be read.
                let _ = leave_number(&file);
                Ok(Self { path, _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let holder = number_in(&file);
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
/// lock, and a number left by a process that is gone means nothing.
fn leave_number(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn number_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(DIGITS_MAX + 1).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
