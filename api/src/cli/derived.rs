//! Removing what was derived from a log that is gone, when another takes its
//! place, and putting views that were built anew into the place of others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::service::Folders;

/// Removes the views and the snapshots that a former log has left: nothing of
/// it is to be taken for the new one's. To be called when the new log is
/// complete and checked, and only lacks its place.
///
/// Only what bears a name that we give is removed. Whatever else lies in these
/// folders stays, and so do the folders then.
pub(super) fn remove_derived(folders: &Folders) -> anyhow::Result<()> {
    remove_named(&folders.views, is_of_views)?;
    remove_named(&folders.snapshots, is_of_snapshots)
}

/// The name, in the views' folder, of views that are being built anew: they
/// lie on the same disk, whatever that folder is a link to.
const REBUILDING: &str = "rebuilding";

/// The mark of views that were left in good order.
const CLEAN: &str = "clean";

/// Where views are built anew while the ones before still lie in their place.
#[derive(Debug)]
pub(super) struct Rebuilding {
    views: PathBuf,
    folder: PathBuf,
}

impl Rebuilding {
    pub(super) fn beside(folders: &Folders) -> Self {
        let views = folders.views.clone();
        let folder = views.join(REBUILDING);
        Self { views, folder }
    }

    /// What to build them in.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes what was built; the views in their place stay as they are.
    pub(super) fn give_up(self) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    /// Puts views that are complete and closed into their place. Interrupted,
    /// there are no views, or not all: the next start builds them.
    pub(super) fn install(self) -> anyhow::Result<()> {
        let Self { views, folder } = &self;
        let is_of_former = |name: &str| is_of_views(name) && name != REBUILDING;
        remove_each(views, is_of_former)?;
        let doing = || format!("putting {} into its place", folder.display());
        let built = named(folder, is_of_views).with_context(doing)?;
        // The mark comes last: it speaks of all the others.
        let (marks, stores): (Vec<_>, Vec<_>) =
            built.into_iter().partition(|path| path.ends_with(CLEAN));
        for path in stores.iter().chain(&marks) {
            let name = path.file_name().unwrap_or_default();
            fs::rename(path, views.join(name)).with_context(doing)?;
            sync(views)?;
        }
        self.give_up()
    }
}

fn remove_named(folder: &Path, is_ours: fn(&str) -> bool) -> anyhow::Result<()> {
    remove_each(folder, is_ours)?;
    match fs::remove_dir(folder) {
        // It holds something of others, or is a link to a folder elsewhere.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        removed => removed.with_context(|| format!("removing {}", folder.display())),
    }
}

/// Durably, so that nothing comes back beside the new log after a power cut.
fn remove_each(folder: &Path, is_ours: fn(&str) -> bool) -> anyhow::Result<()> {
    for path in named(folder, is_ours).with_context(|| folder.display().to_string())? {
        remove(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    match sync(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.with_context(|| folder.display().to_string()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

fn named(folder: &Path, is_ours: fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut named = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_ours) {
            named.push(entry.path());
        }
    }
    Ok(named)
}

/// A link is removed itself, not what it leads to.
fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// `store-<number>` is a database, `clean` says that it was left in good order,
/// `rebuilding` has what an interrupted rebuild has left.
fn is_of_views(name: &str) -> bool {
    let number = name.strip_prefix("store-");
    name == CLEAN || name == REBUILDING || number.is_some_and(is_written::<u64>)
}

/// `<number>-<category>-<stream's key>.snap`; one that was being written ends in `.new`.
fn is_of_snapshots(name: &str) -> bool {
    let whole = name.strip_suffix(".new").unwrap_or(name);
    let parts = whole.strip_suffix(".snap").map(|parts| parts.split('-'));
    let parts = parts.map(Iterator::collect::<Vec<_>>);
    let Some([number, category, key]) = parts.as_deref() else {
        return false;
    };
    let is_of = |text: &str, digits: fn(u8) -> bool, length| {
        text.len() == length && text.bytes().all(digits)
    };
    let is_hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    is_of(number, |byte| byte.is_ascii_digit(), 20)
        && is_written::<u16>(category)
        && is_of(key, is_hexadecimal, 32)
}

/// Whether a text is a number just as we write it.
fn is_written<T: std::str::FromStr + ToString>(text: &str) -> bool {
    text.parse()
        .is_ok_and(|number: T| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use eventstore::{
        Category, CodeFingerprint, CommitId, Event, EventType, Label, LogIdentity, Position,
        Record, SchemaVersion, Snapshot, SnapshotStore, StreamId, StreamVersion,
    };
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn names_that_are_not_just_as_we_write_them_are_not_ours() {
        for ours in [
            "clean",
            "rebuilding",
            "store-1",
            "store-0",
            "store-18446744073709551615",
        ] {
            assert!(is_of_views(ours), "{ours}");
        }
        for foreign in [
            "",
            "cleaner",
            "store",
            "store-",
            "store-01",
            "store-+1",
            "store--1",
            "store-1.bak",
            "store-18446744073709551616",
            "Store-1",
        ] {
            assert!(!is_of_views(foreign), "{foreign}");
        }
        let key = "0123456789abcdef0123456789abcdef";
        let number = "00000000000000000007";
        for foreign in [
            String::new(),
            ".snap".to_owned(),
            "holiday.snap".to_owned(),
            format!("{number}-2-{key}"),
            format!("7-2-{key}.snap"),
            format!("{number}-02-{key}.snap"),
            format!("{number}-65536-{key}.snap"),
            format!("{number}-2-{}.snap", key.to_uppercase()),
            format!("{number}-2-{key}-3.snap"),
            format!("{number}-2-{key}.snap.bak"),
        ] {
            assert!(!is_of_snapshots(&foreign), "{foreign}");
        }
    }

    /// A snapshot just as the store writes it.
    fn snapshot(folder: &Path) {
        let stream = StreamId::new(Category::new(2), Uuid::from_u128(9));
        let record = Record {
            position: Position::new(1),
            stream,
            first_version: StreamVersion::new(1),
            commit_id: CommitId(Uuid::from_u128(1)),
            recorded_at_us: 0,
            actor: Label::new("a test").unwrap(),
            correlation_id: Uuid::nil(),
            owner: None,
            events: vec![Event {
                event_type: EventType(1),
                schema: SchemaVersion(1),
                event_time_us: 0,
                inferred: false,
                cause: None,
                payload: vec![1],
            }],
        };
        let identity = LogIdentity {
            log_id: Uuid::from_u128(7),
            epoch: 1,
        };
        let store = SnapshotStore::open(folder, CodeFingerprint([1; 16])).unwrap();
        store
            .put(&Snapshot::after(&record, identity, vec![1, 2]))
            .unwrap();
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn given_a_snapshot_as_it_is_written_it_goes_with_its_folder_and_others_files_stay() {
        let data = TempDir::new().unwrap();
        let folders = Folders::of(data.path());
        for foreign in [None, Some("notes.txt")] {
            snapshot(&folders.snapshots);
            if let Some(name) = foreign {
                fs::write(folders.snapshots.join(name), name).unwrap();
            }
            remove_derived(&folders).unwrap();
            assert_eq!(folders.snapshots.exists(), foreign.is_some());
        }
        let left: Vec<_> = fs::read_dir(&folders.snapshots).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn given_links_instead_of_folders_what_they_lead_to_stays() {
        let (data, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let folders = Folders::of(data.path());
        let store = elsewhere.path().join("store-1");
        fs::create_dir(&store).unwrap();
        fs::write(store.join("mine"), "mine").unwrap();
        fs::create_dir(&folders.views).unwrap();
        std::os::unix::fs::symlink(&store, folders.views.join("store-1")).unwrap();
        remove_derived(&folders).unwrap();
        assert!(store.join("mine").exists());
        assert!(!folders.views.exists());
        remove_derived(&folders).unwrap();
    }
}
