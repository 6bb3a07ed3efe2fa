//! Snapshots on a disk that fails from any call on.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{CODE, append, assert_right, log, names, open, snapshot, stream};
use crate::disk::{Disk, DiskFile, RealDisk};
use crate::snapshot::{SnapshotLimits, SnapshotLookup, SnapshotStore};

/// The machine's disk, whose next calls fail from the k-th on.
#[derive(Debug)]
struct Failing {
    /// How many calls go well before; `u32::MAX` for all.
    left: Arc<AtomicU32>,
    errno: i32,
}

impl Failing {
    fn call(&self) -> io::Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(if left == u32::MAX {
                    left
                } else {
                    left.saturating_sub(1)
                })
            });
        if left == Ok(0) {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        Ok(())
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let (left, errno) = (Arc::clone(&self.left), self.errno);
        Arc::new(FailingFile(Self { left, errno }, file))
    }
}

#[derive(Debug)]
struct FailingFile(Failing, Arc<dyn DiskFile>);

impl Disk for Failing {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.create_folder(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.call().and_then(|()| RealDisk.exists(path))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.call().and_then(|()| RealDisk.names(folder))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        Ok(self.file(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        Ok(self.file(RealDisk.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call()?;
        Ok(self.file(RealDisk.open_to_read(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.remove(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.call().and_then(|()| RealDisk.sync_folder(path))
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.call().and_then(|()| RealDisk.free_bytes(path))
    }
}

impl DiskFile for FailingFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.call().and_then(|()| self.1.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // Half of it arrives before the disk fails.
        let half = bytes.get(..bytes.len().div_ceil(2)).unwrap_or_default();
        self.0.call().and_then(|()| self.1.write_at(half, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.call().and_then(|()| self.1.sync_data())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.call().and_then(|()| self.1.set_len(bytes))
    }

    fn len(&self) -> io::Result<u64> {
        self.0.call().and_then(|()| self.1.len())
    }
}

#[test]
fn given_a_disk_that_fails_from_any_call_on_what_is_given_is_right_and_the_next_start_is_too() {
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    for (calls, errno) in (0..40).flat_map(|calls| [(calls, EIO), (calls, ENOSPC)]) {
        let (folder, log) = (TempDir::new().unwrap(), log(1));
        let states = [append(&log, 1, 3), append(&log, 2, 1), append(&log, 1, 2)];
        let states = states.map(|record| snapshot(&log, &record));
        let left = Arc::new(AtomicU32::new(calls));
        let disk = Failing {
            left: Arc::clone(&left),
            errno,
        };
        let limits = SnapshotLimits::default();
        if let Ok(store) = SnapshotStore::open_on(Arc::new(disk), folder.path(), CODE, limits) {
            for state in &states {
                let _ = store.put(state);
                for key in [1, 2] {
                    assert_right(&store.get(&log, stream(key)).unwrap(), key);
                }
            }
        }
        let store = open(folder.path());
        for key in [1, 2] {
            let found = store.get(&log, stream(key)).unwrap();
            assert_right(&found, key);
            assert!(!matches!(found, SnapshotLookup::Discarded(_)), "{found:?}");
        }
        for state in &states {
            store.put(state).unwrap();
        }
        assert_eq!(names(folder.path()).len(), 2);
    }
}
