//! The views' folder: which database in it is the current one, whether it was
//! left in good order, and where a damaged one goes.
//!
//! ```text
//! views/store-3/          the database; the number grows with every new one
//! views/clean             there after a clean stop, gone while in use
//! views/boot              during which boot of the machine it was known to be in order
//! views-quarantined-2/    the last database that was set aside, for diagnosis
//! ```
//! A new database gets a new folder, because what is left of an old one may
//! still write into its own for a moment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sled_engine::{SledViewStore, takes_no_writes};
use super::{MemoryViewStore, ViewStore, ViewStoreError};

const STORE: &str = "store-";
const CLEAN: &str = "clean";
const BOOT: &str = "boot";
const QUARANTINED: &str = "-quarantined-";

/// The same for one that cannot leave the views' folder.
const KEPT_INSIDE: &str = "quarantined-";

/// What lies in a views' folder under a name that is given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewsEntry {
    /// A database; the one with the highest number is the current one.
    Store(u64),
    /// The mark of views that were left in good order.
    Clean,
    /// The mark of views that were found to be in order, and when.
    Boot,
}

impl ViewsEntry {
    /// What an entry of this name is; nothing if it is not just as it is given
    /// here. It says nothing about what the entry holds.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let number = name.strip_prefix(STORE).and_then(|it| it.parse().ok());
        let known = [Self::Clean, Self::Boot].into_iter();
        let mut known = known.chain(number.map(Self::Store));
        known.find(|it| it.name() == name)
    }

    /// Its name in the folder.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Store(number) => format!("{STORE}{number}"),
            Self::Clean => CLEAN.to_owned(),
            Self::Boot => BOOT.to_owned(),
        }
    }
}

/// Where the views of one service live, on disk or in memory.
#[derive(Debug)]
pub(crate) enum ViewFolder {
    /// In a folder.
    Disk(DiskFolder),
    /// In this store, until it is set aside.
    Memory(Arc<MemoryViewStore>),
    /// In the stores that a test makes, one after the other.
    #[cfg(test)]
    Made(MadeStores),
}

/// Makes the next store whenever one is opened.
#[cfg(test)]
pub(crate) struct MadeStores(pub(crate) Box<dyn FnMut() -> Arc<dyn ViewStore> + Send>);

#[cfg(test)]
impl std::fmt::Debug for MadeStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MadeStores")
    }
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
    /// How it was left.
    pub(crate) left: Left,
}

/// How a store was left by whoever used it last: what its entries can be trusted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It was stopped: its entries need not be checked.
    InGoodOrder,
    /// The process ended in the middle of something, and the machine went on:
    /// whatever it had written is there. Its entries are shown while they are checked.
    ByItsProcess,
    /// The machine may have gone down with it: nothing is shown before it was checked.
    ByItsMachine,
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
            #[cfg(test)]
            Self::Made(MadeStores(make)) => Ok(OpenedStore {
                store: make(),
                left: Left::ByItsMachine,
            }),
            Self::Disk(folder) => folder.open(),
            Self::Memory(store) => Ok(OpenedStore {
                store: Arc::<MemoryViewStore>::clone(store),
                left: Left::ByItsMachine,
            }),
        }
    }

    /// Moves the store out of the way, so that [`ViewFolder::open`] creates an
    /// empty one. Says where it went, if it is kept.
    pub(crate) fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        match self {
            Self::Disk(folder) => folder.set_aside(),
            Self::Memory(store) => {
                *store = Arc::default();
                Ok(None)
            }
            #[cfg(test)]
            Self::Made(_) => Ok(None),
        }
    }

    /// Says that the store's entries are in order as long as this machine goes on.
    pub(crate) fn mark_checked(&self) -> io::Result<()> {
        match self {
            Self::Disk(folder) => folder.mark_checked(),
            Self::Memory(_) => Ok(()),
            #[cfg(test)]
            Self::Made(_) => Ok(()),
        }
    }

    /// Makes durable what was flushed, and says that the store was left in good order.
    pub(crate) fn mark_clean(&self) -> io::Result<()> {
        match self {
            Self::Disk(folder) => folder.mark_clean(),
            Self::Memory(_) => Ok(()),
            #[cfg(test)]
            Self::Made(_) => Ok(()),
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
            #[cfg(test)]
            Self::Made(_) => Ok(()),
        }
    }
}

impl DiskFolder {
    fn open(&mut self) -> Result<OpenedStore, ViewStoreError> {
        let left = self.prepare().map_err(|error| {
            let doing = "preparing the folder of";
            let why = format!("{}: {error}", self.path.display());
            if takes_no_writes(&error) {
                ViewStoreError::NoRoom { doing, why }
            } else {
                ViewStoreError::Engine { doing, why }
            }
        })?;
        let store = SledViewStore::open(&self.store_path(), self.cache_bytes)?;
        Ok(OpenedStore {
            store: Arc::new(store),
            left,
        })
    }

    /// Finds the current store's number, removes older ones and the mark.
    fn prepare(&mut self) -> io::Result<Left> {
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
                fs::remove_dir_all(self.path.join(ViewsEntry::Store(old).name()))?;
            }
        }
        self.generation = self.generation.max(1);
        let clean = self.path.join(CLEAN);
        let left = if clean.exists() {
            // First, so that a full disk leaves them in good order.
            self.mark_checked()?;
            fs::remove_file(clean)?;
            Left::InGoodOrder
        } else if boot_id()
            .is_some_and(|boot| fs::read(self.path.join(BOOT)).is_ok_and(|it| it == boot))
        {
            Left::ByItsProcess
        } else {
            Left::ByItsMachine
        };
        if left == Left::ByItsMachine {
            // Said again once it was checked.
            let _was_there = removed(&self.path.join(BOOT))?;
        }
        sync_folder(&self.path)?;
        Ok(left)
    }

    /// Nothing is synced: whoever cuts the power ends the boot that it tells of.
    fn mark_checked(&self) -> io::Result<()> {
        match boot_id() {
            Some(boot) => fs::write(self.path.join(BOOT), boot),
            None => Ok(()),
        }
    }

    /// Nothing is kept where somebody has removed it, and what was kept before stays.
    fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        // Somebody may have removed all of it.
        fs::create_dir_all(&self.path)?;
        let (beside, name) = self.beside()?;
        let from = self.store_path();
        let mut kept = None;
        if from.exists() {
            let prefix = format!("{name}{QUARANTINED}");
            for old in numbered(&beside, &prefix)? {
                fs::remove_dir_all(beside.join(format!("{prefix}{old}")))?;
            }
            let mut to = beside.join(format!("{prefix}{}", self.generation));
            match fs::rename(&from, &to) {
                // A file system of its own: it stays inside.
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    for old in numbered(&self.path, KEPT_INSIDE)? {
                        fs::remove_dir_all(self.path.join(format!("{KEPT_INSIDE}{old}")))?;
                    }
                    to = self.path.join(format!("{KEPT_INSIDE}{}", self.generation));
                    fs::rename(&from, &to)?;
                }
                renamed => renamed?,
            }
            kept = Some(to);
        }
        self.generation += 1;
        // An empty folder keeps the number even if the next open fails.
        fs::create_dir_all(self.store_path())?;
        sync_folder(&self.path)?;
        sync_folder(&beside)?;
        Ok(kept)
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
                fs::remove_dir_all(self.path.join(ViewsEntry::Store(number).name()))?;
            }
        }
        Ok(())
    }

    fn store_path(&self) -> PathBuf {
        self.path.join(ViewsEntry::Store(self.generation).name())
    }
}

/// Which boot of this machine it is; nothing where the system does not say.
fn boot_id() -> Option<Vec<u8>> {
    let id = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id).filter(|id| !id.is_empty())
}

/// Removes a file, and says whether it was there.
fn removed(file: &Path) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
