//! Removing what was derived from a log that is gone, when another takes its
//! place, and putting views that were built anew into the place of others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use projections::ViewsEntry;

use crate::service::Folders;

/// Removes the views and the snapshots that a former log has left: nothing of
/// it is to be taken for the new one's. To be called when the new log is
/// complete and checked, and only lacks its place.
///
/// Only what bears a name that we give is removed. Whatever else lies in these
/// folders stays, and so do the folders then.
pub(super) fn remove_derived(folders: &Folders) -> anyhow::Result<()> {
    remove_named(&folders.views, &is_of_views)?;
    remove_named(&folders.snapshots, &is_of_snapshots)
}

/// Refuses to read from among what was derived from a log, be it of these
/// folders or of other ones: it may be removed at any time, now above all.
pub(super) fn refuse_among_derived(folders: &Folders, from: &Path) -> anyhow::Result<()> {
    // What is not there is refused for that.
    let Ok(real) = from.canonicalize() else {
        return Ok(());
    };
    let ours = [&folders.views, &folders.snapshots];
    let ours = ours.map(|folder| folder.canonicalize().ok());
    let is_derived = |folder: &&Path| {
        let is_ours = ours.iter().flatten().any(|it| it == folder);
        let others = folder.parent().map(Folders::of);
        let is_others = others.is_some_and(|others| {
            others.journal.is_dir() && [&*others.views, &*others.snapshots].contains(folder)
        });
        is_ours || is_others
    };
    if let Some(derived) = real.ancestors().find(is_derived) {
        bail!(
            "{} lies in {}, where only what can be built anew belongs, and where it may be removed: copy it elsewhere first",
            from.display(),
            derived.display()
        );
    }
    Ok(())
}

/// The name, in the views' folder, of views that are being built anew: they
/// lie on the same disk, whatever that folder is a link to.
const REBUILDING: &str = "rebuilding";

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
    /// the former ones are there, or these.
    pub(super) fn install(self) -> anyhow::Result<()> {
        let Self { views, folder } = &self;
        let doing = || format!("putting {} into its place", folder.display());
        // A number of its own: what is left of a former store may still write
        // into its own folder for a moment, and the highest one is opened.
        let former = named(views, &is_of_views).with_context(doing)?;
        let highest = former.iter().filter_map(|path| number_of(path)).max();
        let number = highest.unwrap_or_default().saturating_add(1);
        let store = ViewsEntry::Store(number).name();
        let built = named(folder, &is_of_views).with_context(doing)?;
        for path in built.iter().filter(|path| number_of(path).is_some()) {
            fs::rename(path, views.join(&store)).with_context(doing)?;
        }
        sync(views).with_context(doing)?;
        remove_each(views, &|name| {
            is_of_views(name) && name != store && name != REBUILDING
        })?;
        let clean = ViewsEntry::Clean.name();
        fs::rename(folder.join(&clean), views.join(&clean)).with_context(doing)?;
        sync(views).with_context(doing)?;
        self.give_up()
    }
}

/// The number in the name of a store's folder.
fn number_of(path: &Path) -> Option<u64> {
    match ViewsEntry::of(path.file_name()?.to_str()?)? {
        ViewsEntry::Store(number) => Some(number),
        ViewsEntry::Clean | ViewsEntry::Boot => None,
    }
}

fn remove_named(folder: &Path, is_ours: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
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
fn remove_each(folder: &Path, is_ours: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
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

fn named(folder: &Path, is_ours: &dyn Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
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

/// What the views' own folder has, and what an interrupted rebuild has left there.
fn is_of_views(name: &str) -> bool {
    name == REBUILDING || ViewsEntry::of(name).is_some()
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

    #[test]
    fn given_something_among_what_is_derived_it_is_not_read_from_there() {
        let data = TempDir::new().unwrap();
        let folders = Folders::of(data.path());
        let [views, snapshots] = [&folders.views, &folders.snapshots];
        for derived in [views, snapshots] {
            fs::create_dir_all(derived.join("store-1/copy")).unwrap();
            std::os::unix::fs::symlink(derived, data.path().join("link")).unwrap();
            for from in [
                derived.clone(),
                derived.join("store-1/copy"),
                derived.join("../journal/..").join(derived),
                data.path().join("link/store-1"),
            ] {
                let refused = refuse_among_derived(&folders, &from);
                assert!(refused.is_err(), "{}", from.display());
            }
            fs::remove_file(data.path().join("link")).unwrap();
        }
        let (others, new) = (TempDir::new().unwrap(), data.path().join("new"));
        let theirs = Folders::of(others.path());
        fs::create_dir_all(theirs.views.join("copy")).unwrap();
        refuse_among_derived(&Folders::of(&new), &theirs.views.join("copy")).unwrap();
        fs::create_dir_all(&theirs.journal).unwrap();
        let refused = refuse_among_derived(&Folders::of(&new), &theirs.views.join("copy"));
        assert!(refused.is_err(), "views of another data folder");
        for elsewhere in [data.path().to_owned(), data.path().join("views-of-mine")] {
            fs::create_dir_all(&elsewhere).unwrap();
            refuse_among_derived(&folders, &elsewhere).unwrap();
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
    fn given_views_built_anew_they_alone_are_left_under_a_number_of_their_own() {
        let data = TempDir::new().unwrap();
        let folders = Folders::of(data.path());
        let rebuilding = Rebuilding::beside(&folders);
        for (number, given) in [(1, vec![]), (2, vec!["store-1"]), (13, vec!["store-12"])] {
            let given = given.into_iter().map(|name| folders.views.join(name));
            for store in given.chain([rebuilding.folder().join("store-1")]) {
                fs::create_dir_all(&store).unwrap();
                fs::write(store.join("db"), store.to_str().unwrap()).unwrap();
            }
            for mark in [
                folders.views.join("boot"),
                rebuilding.folder().join("clean"),
            ] {
                fs::write(mark, "").unwrap();
            }
            fs::write(folders.views.join("notes.txt"), "mine").unwrap();
            Rebuilding::beside(&folders).install().unwrap();
            let store = format!("store-{number}");
            let mut left: Vec<_> = fs::read_dir(&folders.views)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            assert_eq!(left, ["clean", "notes.txt", &store]);
            let db = fs::read_to_string(folders.views.join(store).join("db")).unwrap();
            assert!(db.contains("rebuilding"), "{db}");
        }
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
