//! A disk that fails when it is told to, and remembers what it was asked.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::disk::{Disk, DiskFile, RealDisk};

/// What is asked of a disk and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Write,
    Sync,
    Cut,
    Rename,
    Remove,
    SyncFolder,
    CreateFolder,
    Open,
    Read,
    Length,
    Names,
    Exists,
    FreeBytes,
}

impl Call {
    /// Whether it changes something, or makes it durable.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Create
            | Self::Write
            | Self::Sync
            | Self::Cut
            | Self::Rename
            | Self::Remove
            | Self::SyncFolder
            | Self::CreateFolder => true,
            Self::Open
            | Self::Read
            | Self::Length
            | Self::Names
            | Self::Exists
            | Self::FreeBytes => false,
        }
    }
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing is done, and this error number is given.
    Fails(i32),
    /// A write takes that many bytes and says so.
    Short(usize),
    /// A write takes that many bytes, and the next one fails with this number.
    ShortThenFails(usize, i32),
}

pub(super) const EIO: i32 = 5;
pub(super) const EMFILE: i32 = 24;
pub(super) const ENOSPC: i32 = 28;
pub(super) const EROFS: i32 = 30;

/// Which calls go wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// `None` for any.
    pub(super) call: Option<Call>,
    /// What the path ends with; empty for any.
    pub(super) suffix: &'static str,
    /// How many such calls go well before.
    pub(super) after: usize,
    /// How many then go wrong.
    pub(super) times: usize,
    pub(super) effect: Effect,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    calls: Vec<(Call, PathBuf)>,
    free_bytes: Option<u64>,
    /// Calls of this kind wait.
    held: Option<Call>,
    waiting: usize,
}

/// How long a test waits for what must come, before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets all who wait go on when it is dropped, also by a test that fails.
#[derive(Debug)]
pub(super) struct Hold(FaultDisk);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().held = None;
        self.0.0.1.notify_all();
    }
}

/// A real disk with faults.
#[derive(Clone, Debug, Default)]
pub(super) struct FaultDisk(Arc<(Mutex<State>, Condvar)>);

impl FaultDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    pub(super) fn arm(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    pub(super) fn disarm(&self) {
        self.state().fault = None;
    }

    pub(super) fn set_free_bytes(&self, free: Option<u64>) {
        self.state().free_bytes = free;
    }

    /// Every call so far, and forgets them.
    pub(super) fn take_calls(&self) -> Vec<(Call, PathBuf)> {
        std::mem::take(&mut self.state().calls)
    }

    /// From now on calls of this kind wait, until the hold is dropped.
    pub(super) fn hold(&self, call: Call) -> Hold {
        self.state().held = Some(call);
        Hold(self.clone())
    }

    /// Returns once a held call waits.
    pub(super) fn until_somebody_waits(&self) {
        self.until("a held call", |state| state.waiting > 0);
    }

    /// Returns once such a call was made.
    pub(super) fn until_called(&self, call: Call, suffix: &str) {
        self.until("a call", |state| {
            let mut calls = state.calls.iter();
            calls.any(|(made, path)| *made == call && ends_with(path, suffix))
        });
    }

    fn until(&self, what: &str, come: impl Fn(&State) -> bool) {
        let state = self.state();
        let waited = self
            .0
            .1
            .wait_timeout_while(state, PATIENCE, |state| !come(state));
        let (state, waited) = waited.unwrap();
        drop(state);
        assert!(!waited.timed_out(), "{what} did not come");
    }

    /// Notes a call; gives its fault, if it has one.
    fn called(&self, call: Call, path: &Path) -> Option<Effect> {
        let mut state = self.state();
        state.calls.push((call, path.to_owned()));
        self.0.1.notify_all();
        state = self.wait_if_held(state, call);
        let fault = state.fault.as_mut()?;
        let is_meant =
            fault.call.is_none_or(|meant| meant == call) && ends_with(path, fault.suffix);
        if !is_meant || fault.times == 0 {
            return None;
        }
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let effect = fault.effect;
        match effect {
            Effect::ShortThenFails(_, errno) => fault.effect = Effect::Fails(errno),
            Effect::Fails(_) | Effect::Short(_) => fault.times -= 1,
        }
        Some(effect)
    }

    fn wait_if_held<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        call: Call,
    ) -> MutexGuard<'a, State> {
        if state.held == Some(call) {
            state.waiting += 1;
            self.0.1.notify_all();
            let held = |state: &mut State| state.held == Some(call);
            state = self.0.1.wait_while(state, held).unwrap();
            state.waiting -= 1;
        }
        state
    }

    /// A call that is done whole or not at all.
    fn whole(&self, call: Call, path: &Path) -> io::Result<()> {
        match self.called(call, path) {
            Some(Effect::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Effect::Short(_) | Effect::ShortThenFails(..)) | None => Ok(()),
        }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile {
            disk: self.clone(),
            path: path.to_owned(),
            file,
        })
    }
}

fn ends_with(path: &Path, suffix: &str) -> bool {
    path.to_str().unwrap().ends_with(suffix)
}

impl Disk for FaultDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Call::CreateFolder, path)?;
        RealDisk.create_folder(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        RealDisk.names(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.whole(Call::Create, path)?;
        Ok(self.wrap(path, RealDisk.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, RealDisk.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.wrap(path, RealDisk.open_to_read(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Call::Rename, to)?;
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole(Call::Remove, path)?;
        RealDisk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Call::SyncFolder, path)?;
        RealDisk.sync_folder(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let set = self.state().free_bytes;
        set.map_or_else(|| RealDisk.free_bytes(path), Ok)
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for FaultFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        // Reads are not noted, and do not fail here.
        drop(self.disk.wait_if_held(self.disk.state(), Call::Read));
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.disk.called(Call::Write, &self.path) {
            None => self.file.write_at(bytes, offset),
            Some(Effect::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Effect::Short(take) | Effect::ShortThenFails(take, _)) => {
                let take = take.clamp(1, bytes.len());
                self.file.write_at(&bytes[..take], offset)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.whole(Call::Sync, &self.path)?;
        self.file.sync_data()
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.whole(Call::Cut, &self.path)?;
        self.file.set_len(bytes)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
