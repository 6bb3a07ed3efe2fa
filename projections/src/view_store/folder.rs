//! The views' folder: which database in it is the current one, whether it was
//! left in good order, and where a damaged one goes.
//!
//! ```text
//! views/store-3/          the database; the number grows with every new one
//! views/clean             there after a clean stop, gone while in use
//! views-quarantined-2/    the last database that was set aside, for diagnosis
//! ```
//! A new database gets a new folder, because what is left of an old one may
//! still write into its own for a moment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sled_engine::SledViewStore;
use super::{MemoryViewStore, ViewStore, ViewStoreError};

const STORE: &str = "store-";
const CLEAN: &str = "clean";
const QUARANTINED: &str = "-quarantined-";

/// Where the views of one service live, on disk or in memory.
#[derive(Debug)]
pub(crate) enum ViewFolder {
    /// In a folder.
    Disk(DiskFolder),
    /// In this store, until it is set aside.
    Memory(Arc<MemoryViewStore>),
}

/// A folder with at most one database.
#[derive(Debug)]
pub(crate) struct DiskFolder {
    path: PathBuf,
    cache_bytes: u64,
    generation: u64,
}

/// An open store.
#[derive(Debug)]
pub(crate) struct OpenedStore {
    /// The store.
    pub(crate) store: Arc<dyn ViewStore>,
    /// It was stopped in good order, so its entries need not be checked.
    pub(crate) clean: bool,
}

impl ViewFolder {
    /// The views below `path`, which is created when the store is opened.
    pub(crate) fn disk(path: &Path, cache_bytes: u64) -> Self {
        Self::Disk(DiskFolder {
            path: path.to_owned(),
            cache_bytes,
            generation: 0,
        })
    }

    /// Opens the store, or creates an empty one, and marks it as in use.
    pub(crate) fn open(&mut self) -> Result<OpenedStore, ViewStoreError> {
        match self {
            Self::Disk(folder) => folder.open(),
            Self::Memory(store) => Ok(OpenedStore {
                store: Arc::<MemoryViewStore>::clone(store),
                clean: false,
            }),
        }
    }

    /// Moves the store out of the way, so that [`ViewFolder::open`] creates an
    /// empty one. Says where it went, if it is kept.
    pub(crate) fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        match self {
            Self::Disk(folder) => folder.set_aside().map(Some),
            Self::Memory(store) => {
                *store = Arc::default();
                Ok(None)
            }
        }
    }

    /// Makes durable what was flushed, and says that the store was left in good order.
    pub(crate) fn mark_clean(&self) -> io::Result<()> {
        match self {
            Self::Disk(folder) => folder.mark_clean(),
            Self::Memory(_) => Ok(()),
        }
    }

    /// Removes the store and everything in it, quarantined ones excepted.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        match self {
            Self::Disk(folder) => folder.clear(),
            Self::Memory(store) => {
                *store = Arc::default();
                Ok(())
            }
        }
    }
}

impl DiskFolder {
    fn open(&mut self) -> Result<OpenedStore, ViewStoreError> {
        let clean = self.prepare().map_err(|error| ViewStoreError::Engine {
            doing: "preparing the folder of",
            why: format!("{}: {error}", self.path.display()),
        })?;
        let store = SledViewStore::open(&self.store_path(), self.cache_bytes)?;
        Ok(OpenedStore {
            store: Arc::new(store),
            clean,
        })
    }

    /// Finds the current store's number, removes older ones and the mark.
    fn prepare(&mut self) -> io::Result<bool> {
        fs::create_dir_all(&self.path)?;
        if let Some(parent) = self.path.parent().filter(|parent| parent.is_dir()) {
            sync_folder(parent)?;
        }
        let mut generations = numbered(&self.path, STORE)?;
        generations.sort_unstable();
        if let Some(newest) = generations.pop() {
            self.generation = self.generation.max(newest);
        }
        for old in generations {
            if old != self.generation {
                fs::remove_dir_all(self.path.join(format!("{STORE}{old}")))?;
            }
        }
        self.generation = self.generation.max(1);
        let clean = match fs::remove_file(self.path.join(CLEAN)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        sync_folder(&self.path)?;
        Ok(clean)
    }

    fn set_aside(&mut self) -> io::Result<PathBuf> {
        let (beside, name) = self.beside()?;
        let prefix = format!("{name}{QUARANTINED}");
        for old in numbered(&beside, &prefix)? {
            fs::remove_dir_all(beside.join(format!("{prefix}{old}")))?;
        }
        let to = beside.join(format!("{prefix}{}", self.generation));
        let from = self.store_path();
        if from.exists() {
            fs::rename(from, &to)?;
        }
        self.generation += 1;
        // An empty folder keeps the number even if the next open fails.
        fs::create_dir_all(self.store_path())?;
        sync_folder(&self.path)?;
        sync_folder(&beside)?;
        Ok(to)
    }

    /// The folder that the views' folder lies in, and its name there.
    fn beside(&self) -> io::Result<(PathBuf, String)> {
        let path = fs::canonicalize(&self.path)?;
        let name = path.file_name().map(|name| name.to_string_lossy());
        match (path.parent(), name) {
            (Some(parent), Some(name)) => Ok((parent.to_owned(), name.into_owned())),
            _ => Err(io::Error::other("the views' folder is a root folder")),
        }
    }

    fn mark_clean(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.store_path())? {
            let path = entry?.path();
            if path.is_file() {
                fs::File::open(path)?.sync_all()?;
            }
        }
        sync_folder(&self.store_path())?;
        fs::File::create(self.path.join(CLEAN))?.sync_all()?;
        sync_folder(&self.path)
    }

    fn clear(&mut self) -> io::Result<()> {
        if self.path.exists() {
            for number in numbered(&self.path, STORE)? {
                fs::remove_dir_all(self.path.join(format!("{STORE}{number}")))?;
            }
        }
        Ok(())
    }

    fn store_path(&self) -> PathBuf {
        self.path.join(format!("{STORE}{}", self.generation))
    }
}

/// The numbers after `prefix` in the names of a folder's entries.
fn numbered(folder: &Path, prefix: &str) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix))
            .and_then(|number| number.parse::<u64>().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
