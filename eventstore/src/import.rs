//! Where a journal grows that is filled from an export: beside its place,
//! until all of it is there.

use std::path::{Path, PathBuf};

use crate::disk::{Disk, RealDisk, failed};
use crate::error::OpenError;
use crate::journal::recovery::staging_folders;

/// A place for a journal that is being imported.
///
/// Until [`ImportPlace::install`] no journal is in its place, and none is begun
/// there by opening it. It takes no lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPlace {
    journal: PathBuf,
    staging: PathBuf,
}

/// What restores and imports into a journal's place have left that are not
/// finished, or still under way: as long as one is there no journal is begun.
///
/// # Errors
/// When the operating system refuses to look.
pub fn unfinished_beside(journal: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut unfinished = Vec::new();
    for staging in staging_folders(journal) {
        let is_there = RealDisk.exists(&staging);
        if is_there.map_err(failed("looking for", &staging))? {
            unfinished.push(staging);
        }
    }
    Ok(unfinished)
}

/// Why nothing can be imported there.
#[derive(Debug, thiserror::Error)]
pub enum ImportPlaceError {
    /// Something is there already.
    #[error("{}: there is a journal already; import into a folder without one", journal.display())]
    Occupied {
        /// The journal's folder.
        journal: PathBuf,
    },
    /// A restore into this place was begun and not finished.
    #[error("{}: a restore was begun here; finish it, or remove that folder", staging.display())]
    Restoring {
        /// What there is of it.
        staging: PathBuf,
    },
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] OpenError),
}

impl ImportPlace {
    /// The place beside a journal's folder, which must not be there or be empty.
    ///
    /// # Errors
    /// [`ImportPlaceError`].
    pub fn beside(journal: &Path) -> Result<Self, ImportPlaceError> {
        let [restoring, staging] = staging_folders(journal);
        let is_there = |path: &Path| RealDisk.exists(path).map_err(failed("looking for", path));
        if is_there(&restoring)? {
            return Err(ImportPlaceError::Restoring { staging: restoring });
        }
        if is_there(journal)? {
            let names = RealDisk
                .names(journal)
                .map_err(failed("listing", journal))?;
            if !names.is_empty() {
                let journal = journal.to_owned();
                return Err(ImportPlaceError::Occupied { journal });
            }
        }
        let journal = journal.to_owned();
        Ok(Self { journal, staging })
    }

    /// Where to open the journal that is to be filled. What an interrupted
    /// import has left is there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.staging
    }

    /// Puts the journal, which is closed and complete, into its place, durably.
    ///
    /// # Errors
    /// When the operating system refuses. Then it is imported again, but where
    /// the place is told to be taken: the journal is there, and opening it
    /// makes that durable.
    pub fn install(self) -> Result<(), OpenError> {
        let Self { journal, staging } = self;
        let parent = journal
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        RealDisk
            .rename(&staging, &journal)
            .and_then(|()| RealDisk.sync_folder(parent))
            .map_err(failed("putting into its place", &journal))
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn given_an_import_that_was_begun_then_it_is_unfinished_until_it_is_installed() {
        let data = TempDir::new().unwrap();
        let journal = data.path().join("journal");
        let place = ImportPlace::beside(&journal).unwrap();
        assert_eq!(unfinished_beside(&journal).unwrap(), Vec::<PathBuf>::new());
        std::fs::create_dir(place.folder()).unwrap();
        assert_eq!(unfinished_beside(&journal).unwrap(), [place.folder()]);
        place.install().unwrap();
        assert_eq!(unfinished_beside(&journal).unwrap(), Vec::<PathBuf>::new());
    }
}
