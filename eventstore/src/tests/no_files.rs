//! What has the name of one of the journal's files and is none is refused by
//! name, or built anew if it only stands for an index: nobody waits for it.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::given::{
    contents, copy_of, everything, files, fill, journal_with, names, open, options,
};
use crate::journal::{Journal, JournalReader, verify};
use crate::snapshot::{CodeFingerprint, SnapshotStore};

const SEGMENT_BYTES: u64 = 400;
/// After so long something waits that never comes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Pipe,
    Folder,
    Socket,
}

const KINDS: [(Kind, &str); 3] = [
    (Kind::Pipe, "a named pipe"),
    (Kind::Folder, "a folder"),
    (Kind::Socket, "a socket"),
];

fn put(kind: Kind, path: &Path) {
    // It may be there as a file, or not at all.
    let _ = fs::remove_file(path);
    match kind {
        Kind::Pipe => mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        Kind::Folder => fs::create_dir(path).unwrap(),
        Kind::Socket => drop(UnixListener::bind(path).unwrap()),
    }
}

/// Does something that must not wait.
fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, wait) = channel();
    std::thread::spawn(move || drop(done.send(work())));
    let ended = wait.recv_timeout(PATIENCE);
    ended.expect("it ends, and waits for nobody")
}

#[test]
fn given_no_file_where_a_segment_or_the_head_should_be_it_is_refused_by_name() {
    let whole = journal_with(6, SEGMENT_BYTES);
    let segments = files(whole.path(), ".seg");
    let last = segments.last().unwrap();
    for place in [&segments[0], last, &whole.path().join("head")] {
        let name = place.file_name().unwrap().to_str().unwrap();
        for (kind, words) in KINDS {
            let folder = copy_of(whole.path());
            put(kind, &folder.path().join(name));
            let before = contents(folder.path());
            let path = folder.path().to_owned();
            let said = at_once(move || {
                [
                    Journal::open(&path, options(SEGMENT_BYTES))
                        .unwrap_err()
                        .to_string(),
                    JournalReader::open(&path).unwrap_err().to_string(),
                    verify(&path, &mut |_, _| ()).unwrap_err().to_string(),
                ]
            });
            for said in said {
                assert!(said.contains(name) && said.contains(words), "{said}");
            }
            assert_eq!(contents(folder.path()), before, "{kind:?}");
        }
    }
}

#[test]
fn given_no_file_where_an_index_should_be_it_is_found_and_memory_serves_or_it_is_built_anew() {
    let whole = journal_with(6, SEGMENT_BYTES);
    let records = everything(&open(whole.path(), SEGMENT_BYTES));
    let index = files(whole.path(), ".idx").remove(0);
    let name = index.file_name().unwrap().to_str().unwrap();
    for (kind, _) in KINDS {
        for name in [name.to_owned(), format!("{name}.new")] {
            let folder = copy_of(whole.path());
            let path = folder.path().to_owned();
            let is_new = Path::new(&name).extension().is_some_and(|end| end == "new");
            if is_new {
                fs::remove_file(path.join(index.file_name().unwrap())).unwrap();
            }
            put(kind, &path.join(&name));
            let (report, opened) = at_once(move || {
                let report = verify(&path, &mut |_, _| ()).unwrap();
                let journal = open(&path, SEGMENT_BYTES);
                let opened = everything(&journal);
                fill(&journal, 0);
                journal.close();
                (report, opened)
            });
            assert_eq!(opened, records, "{kind:?}");
            let found = report.findings.iter();
            let found = found.filter(|finding| finding.corruption.file.ends_with(&name));
            assert_eq!(found.count(), usize::from(!is_new), "{report:?}");
        }
    }
}

#[test]
fn given_no_file_where_a_snapshot_a_lock_or_a_manifest_should_be_nobody_waits() {
    let journal = journal_with(3, SEGMENT_BYTES);
    for (kind, words) in KINDS {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_owned();
        let snapshot = format!("{:020}-3-{}.snap", 1, uuid::Uuid::nil().simple());
        for name in [snapshot.as_str(), "lock", "manifest.json"] {
            put(kind, &path.join(name));
        }
        let from = journal.path().to_owned();
        let (snapshots, lock, backup) = at_once(move || {
            let snapshots = SnapshotStore::open(&path, CodeFingerprint([0; 16]));
            let lock = crate::DataLock::acquire(&path, "serve")
                .unwrap_err()
                .to_string();
            let backup = crate::backup(&from, &path, 0, &mut |_, _| ()).unwrap_err();
            (snapshots.unwrap().len(), lock, backup.to_string())
        });
        assert_eq!(snapshots, 0);
        for (said, name) in [(lock, "lock"), (backup, "manifest.json")] {
            assert!(said.contains(name) && said.contains(words), "{said}");
        }
        assert_eq!(names(folder.path()).len(), 3, "all is left alone");
    }
}
