//! Where a backup may lie, and where one may be restored to.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::restore::{RestoreError, refuse_occupied};
use super::{BackupError, failed};
use crate::disk::RealDisk;
use crate::journal::recovery::staging_folders;

/// Refuses a folder for a backup that is the journal's own, or lies in it, or
/// in what a restore or an import makes into that journal: the copies would go
/// where the journal goes. Changes nothing, and follows symbolic links.
///
/// # Errors
/// [`BackupError`]: `InJournal`, or that a path cannot be followed.
pub fn check_backup_place(journal: &Path, to: &Path) -> Result<(), BackupError> {
    let place = followed(to).map_err(failed("looking for", to))?;
    let [restoring, importing] = staging_folders(journal);
    for taken in [journal.to_owned(), restoring, importing] {
        let taken = followed(&taken).map_err(failed("looking for", &taken))?;
        if place.starts_with(taken) {
            return Err(BackupError::InJournal {
                folder: to.to_owned(),
            });
        }
    }
    Ok(())
}

/// Refuses a restore into a place that is taken, or where the journal would
/// lie in the backup or the backup in the journal: each would be taken for the
/// other's files. Changes nothing, and follows symbolic links.
///
/// Whoever locks the data folder asks before that, as a folder that holds a
/// journal in use is locked, and is none to restore to for another reason;
/// [`stage_restore`](super::stage_restore) asks again.
///
/// # Errors
/// [`RestoreError`]: `Nested`, `Occupied`, `Importing`, or that a path cannot
/// be followed.
pub fn check_restore_place(from: &Path, journal: &Path) -> Result<(), RestoreError> {
    let source = followed(from).map_err(failed("looking for", from))?;
    let [restoring, importing] = staging_folders(journal);
    for made in [journal, &restoring] {
        let place = followed(made).map_err(failed("looking for", made))?;
        if place.starts_with(&source) || source.starts_with(&place) {
            return Err(RestoreError::Nested {
                backup: from.to_owned(),
                journal: journal.to_owned(),
            });
        }
    }
    refuse_occupied(&RealDisk, journal, importing)
}

/// A path without links and without `..`, also where its end is not there yet.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut place = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                place.push(component);
            }
            Component::CurDir => {}
            Component::ParentDir => {
                place.pop();
            }
        }
        place = match place.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => place,
            Err(error) => return Err(error),
        };
    }
    Ok(place)
}
