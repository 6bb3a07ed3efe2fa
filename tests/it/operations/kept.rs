//! What lies in a data folder is removed only for a journal that is complete, and only what is ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{
    back_up, chance, ended, export_to, files, flip_a_bit, history, import, records, restore,
    scratch, verify,
};
use crate::scene::airpost;

const SNAPSHOT: &str = "00000000000000000007-2-0123456789abcdef0123456789abcdef.snap";
const FOREIGN: [&str; 7] = [
    "views/notes.txt",
    "views/store-/mine",
    "views/store-1b/mine",
    "views/restore-1/mine",
    "views-quarantined-1/conf",
    "snapshots/holiday.snap",
    "snapshots/notes/00000000000000000007-2-0123456789abcdef0123456789abcdef.snap",
];

/// Every file below a folder, but for what the journal's own folders hold, and the lock.
fn contents(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![data.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            let name = path.strip_prefix(data).expect("it lies below");
            let of_the_journal = name.to_string_lossy().starts_with("journal");
            if path.is_dir() && !of_the_journal {
                folders.push(path);
            } else if path.is_file() && name != Path::new("lock") {
                let bytes = std::fs::read(&path).expect("it can be read");
                found.insert(name.to_owned(), bytes);
            }
        }
    }
    found
}

fn put(data: &Path, name: &str) {
    let path = data.join(name);
    let folder = path.parent().expect("it lies in a folder");
    std::fs::create_dir_all(folder).expect("it can be made");
    std::fs::write(path, name).expect("it can be written");
}

/// A data folder that has lost its journal, with things of others in it; and
/// what is left of the log.
async fn without_a_journal() -> (TempDir, TempDir) {
    let (folder, _) = history(&mut chance()).await;
    let copies = scratch();
    ended(
        back_up(folder.path(), &copies.path().join("backup")).await,
        0,
    );
    let lines = copies.path().join("lines");
    ended(export_to(folder.path(), "ndjson", &lines).await, 0);
    std::fs::remove_dir_all(folder.path().join("journal")).expect("it can be removed");
    for name in FOREIGN {
        put(folder.path(), name);
    }
    put(folder.path(), &format!("snapshots/{SNAPSHOT}"));
    put(folder.path(), &format!("snapshots/{SNAPSHOT}.new"));
    assert!(folder.path().join("views/store-1").is_dir());
    assert!(folder.path().join("views/clean").is_file());
    (folder, copies)
}

#[tokio::test]
async fn a_restore_or_an_import_that_is_refused_removes_nothing() {
    let (folder, copies) = without_a_journal().await;
    let (data, backup) = (folder.path(), copies.path().join("backup"));
    let before = contents(data);
    let is_untouched = || assert!(contents(data) == before, "something was removed");

    for file in files(&backup) {
        if file.ends_with("lock") {
            continue;
        }
        let whole = std::fs::read(&file).expect("it can be read");
        flip_a_bit(&file, &mut chance());
        ended(restore(&backup, data).await, 1);
        is_untouched();
        std::fs::remove_file(&file).expect("it can be removed");
        ended(restore(&backup, data).await, 1);
        is_untouched();
        std::fs::write(&file, whole).expect("it can be written");
    }
    ended(restore(scratch().path(), data).await, 1);
    ended(restore(&copies.path().join("nowhere"), data).await, 1);
    is_untouched();
    // What was staged is in an import's way, until it is gone.
    let staged = data.join("journal.restoring");
    ended(
        import(&copies.path().join("lines"), "ndjson", data).await,
        1,
    );
    is_untouched();
    std::fs::remove_dir_all(staged).expect("it can be removed");

    let whole = std::fs::read(copies.path().join("lines")).expect("it can be read");
    let cut_short = whole[..whole.len() - 9].to_vec();
    let garbage = copies.path().join("garbage");
    for bytes in [b"a letter\nto somebody\n".to_vec(), vec![0; 99], cut_short] {
        std::fs::write(&garbage, bytes).expect("it can be written");
        ended(import(&garbage, "ndjson", data).await, 1);
        is_untouched();
    }
}

#[tokio::test]
async fn a_restore_and_an_import_remove_what_was_derived_and_leave_what_is_others() {
    let (folder, copies) = without_a_journal().await;
    let other = scratch();
    let given = contents(folder.path());
    for (name, bytes) in &given {
        put(other.path(), &name.to_string_lossy());
        std::fs::write(other.path().join(name), bytes).expect("it can be written");
    }
    let backup = copies.path().join("backup");
    ended(restore(&backup, folder.path()).await, 0);
    let lines = copies.path().join("lines");
    ended(import(&lines, "ndjson", other.path()).await, 0);
    for data in [folder.path(), other.path()] {
        let left: Vec<_> = contents(data).into_keys().collect();
        let mut foreign = FOREIGN.map(PathBuf::from);
        foreign.sort();
        assert_eq!(left, foreign);
    }
    assert_eq!(records(folder.path()).await, records(other.path()).await);
    for data in [folder.path(), other.path()] {
        airpost().serve(data).await.stop().await;
        verify(data).await;
    }
}
