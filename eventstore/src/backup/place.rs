//! Where a backup may lie.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::{BackupError, failed};
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
