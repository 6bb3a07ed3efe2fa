//! A machine with a power switch: a disk in memory that keeps what is durable
//! apart from what was only written, and that fails when it is told to.
//!
//! A power cut loses what was not synced, all of it or any part: sectors,
//! lengths and names. A kill loses nothing, but makes nothing durable either.
//! After a failed sync what was written is still read, and never made durable
//! by a later sync: so do real systems behave.

// What lies on the disk.
mod content;
mod medium;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::fault_disk::{Call, EIO, ENOSPC, Effect};
use crate::disk::{Disk, DiskFile};
use content::Content;
use medium::Medium;

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survivors {
    /// No byte and no name.
    Nothing,
    /// All of it.
    Everything,
    /// What a seed decides: any sectors, torn ones, lengths without content, any names.
    Some(u64),
}

/// Which of the calls from now on go wrong, whatever they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    /// How many go well before.
    pub(super) after: usize,
    /// How many then go wrong.
    pub(super) times: usize,
    pub(super) effect: Effect,
    /// After how many more changes the power goes, if it does.
    pub(super) power_lasts: Option<usize>,
}

#[derive(Debug)]
struct State {
    medium: Medium,
    trouble: Option<Trouble>,
    /// The call that went wrong last.
    went_wrong: Option<(Call, PathBuf)>,
    /// Bytes.
    largest_read: usize,
    /// A segment's sync failed, in a way that is not want of space.
    sync_failed: bool,
    /// Calls so far, of every kind.
    calls: usize,
    /// Those of them that change something, or make it durable.
    changes: usize,
    /// The power goes before this change.
    cut_at: Option<usize>,
    is_off: bool,
    writer: Writer,
}

/// The journal's writer, as far as a [`Hold`] has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Runs,
    /// It is to wait at its next call.
    Stops,
    Waits,
}

/// How long is waited before another look at what else may have come.
const MOMENT: Duration = Duration::from_millis(1);
/// A segment without a block has this many.
const SEGMENT_HEADER_BYTES: usize = 64;
/// The thread that is held by [`Machine::hold_writer`].
const WRITER: &str = "journal-writer";

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct Machine(Arc<(Mutex<State>, Condvar)>);

/// Lets the writer go on when it is dropped, also by a test that fails.
#[derive(Debug)]
pub(super) struct Hold(Machine);

impl Hold {
    /// Waits a moment; whether the writer waits now, or never will.
    pub(super) fn is_in_force(&self) -> bool {
        let (state, changed) = &*self.0.0;
        let comes = |state: &mut State| state.writer == Writer::Stops && !state.is_off;
        let state = changed.wait_timeout_while(state.lock().unwrap(), MOMENT, comes);
        !state.unwrap().1.timed_out()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().writer = Writer::Runs;
        self.0.0.1.notify_all();
    }
}

impl Machine {
    pub(super) fn new() -> Self {
        Self::with(Medium::empty())
    }

    fn with(medium: Medium) -> Self {
        let state = State {
            medium,
            trouble: None,
            went_wrong: None,
            largest_read: 0,
            sync_failed: false,
            calls: 0,
            changes: 0,
            cut_at: None,
            is_off: false,
            writer: Writer::Runs,
        };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// From the next call on.
    pub(super) fn trouble(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// Whether no more calls will go wrong.
    pub(super) fn is_well(&self) -> bool {
        let state = self.state();
        !state.is_off && state.trouble.is_none_or(|trouble| trouble.times == 0)
    }

    /// The power goes before the `change`th change, counted from 0 and from the start.
    pub(super) fn cut_power_at(&self, change: usize) {
        self.state().cut_at = Some(change);
    }

    /// Calls so far, and how many of them changed something.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.calls, state.changes)
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().is_off
    }

    pub(super) fn went_wrong(&self) -> Option<(Call, PathBuf)> {
        self.state().went_wrong.clone()
    }

    /// The most that was asked for at once, bytes.
    pub(super) fn largest_read(&self) -> usize {
        self.state().largest_read
    }

    /// Whether a segment's sync failed since this was last forgotten.
    pub(super) fn sync_failed(&self) -> bool {
        self.state().sync_failed
    }

    pub(super) fn forget_failed_sync(&self) {
        self.state().sync_failed = false;
    }

    /// The writer waits at its next call, until the hold is dropped.
    pub(super) fn hold_writer(&self) -> Hold {
        self.state().writer = Writer::Stops;
        Hold(self.clone())
    }

    /// Everything stops at this moment. The same disk, as another process finds it.
    pub(super) fn kill(&self) -> Self {
        Self::with(self.stop().medium.clone())
    }

    /// The power goes at this moment. The disk once it is back.
    pub(super) fn cut_power(&self, survivors: Survivors) -> Self {
        Self::with(self.stop().medium.after_power_cut(survivors))
    }

    fn stop(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.is_off = true;
        self.0.1.notify_all();
        state
    }

    /// Another disk with the same names and bytes, all of it durable.
    pub(super) fn copy(&self) -> Self {
        Self::with(self.state().medium.after_power_cut(Survivors::Everything))
    }

    /// Every file below a folder.
    pub(super) fn paths(&self, below: &Path) -> Vec<PathBuf> {
        self.state().medium.paths(below)
    }

    /// A file's bytes.
    pub(super) fn bytes(&self, path: &Path) -> Vec<u8> {
        let mut state = self.state();
        let number = state.medium.open(path).unwrap();
        state.medium.file(number).now.clone()
    }

    /// Puts durable bytes in a file's place.
    pub(super) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let number = state.medium.create(path).unwrap();
        *state.medium.file(number) = Content::of(bytes);
    }

    /// Counts a call; gives the state to do it in, and what goes wrong.
    fn called(
        &self,
        call: Call,
        path: &Path,
    ) -> io::Result<(MutexGuard<'_, State>, Option<Effect>)> {
        let mut state = self.state();
        if state.writer == Writer::Stops && std::thread::current().name() == Some(WRITER) {
            state.writer = Writer::Waits;
            self.0.1.notify_all();
            let held = |state: &mut State| state.writer == Writer::Waits && !state.is_off;
            state = self.0.1.wait_while(state, held).unwrap();
        }
        if call.changes() && state.cut_at == Some(state.changes) {
            state.is_off = true;
            self.0.1.notify_all();
        }
        if state.is_off {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        state.calls += 1;
        state.changes += usize::from(call.changes());
        let effect = state.next_effect();
        if effect.is_some() {
            state.went_wrong = Some((call, path.to_owned()));
        }
        Ok((state, effect))
    }

    /// A call that is done whole or not at all.
    fn whole(&self, call: Call, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let (state, effect) = self.called(call, path)?;
        match effect {
            Some(Effect::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Effect::Short(_) | Effect::ShortThenFails(..)) | None => Ok(state),
        }
    }

    fn opened(&self, path: &Path, number: usize) -> Arc<dyn DiskFile> {
        Arc::new(MachineFile {
            machine: self.clone(),
            path: path.to_owned(),
            number,
        })
    }
}

impl State {
    fn next_effect(&mut self) -> Option<Effect> {
        let trouble = self.trouble.as_mut()?;
        if trouble.after > 0 {
            trouble.after -= 1;
            return None;
        }
        if trouble.times == 0 {
            return None;
        }
        if let Some(changes) = trouble.power_lasts.take() {
            self.cut_at = Some(self.changes + changes);
        }
        let effect = trouble.effect;
        match effect {
            Effect::ShortThenFails(_, errno) => trouble.effect = Effect::Fails(errno),
            Effect::Fails(_) | Effect::Short(_) => trouble.times -= 1,
        }
        Some(effect)
    }
}

impl Disk for Machine {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.whole(Call::CreateFolder, path)?;
        state.medium.create_folder(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.whole(Call::Exists, path)?.medium.exists(path))
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.whole(Call::Names, folder)?.medium.names(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.whole(Call::Create, path)?.medium.create(path)?;
        Ok(self.opened(path, number))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = self.whole(Call::Open, path)?.medium.open(path)?;
        Ok(self.opened(path, number))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(Call::Rename, to)?.medium.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole(Call::Remove, path)?.medium.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Call::SyncFolder, path)?.medium.sync_folder(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.whole(Call::FreeBytes, path).map(|_| u64::MAX)
    }
}

#[derive(Debug)]
struct MachineFile {
    machine: Machine,
    path: PathBuf,
    number: usize,
}

/// How much of a read or write is done.
fn cut_short(length: usize, effect: Option<Effect>) -> io::Result<usize> {
    match effect {
        None => Ok(length),
        Some(Effect::Fails(errno)) => Err(io::Error::from_raw_os_error(errno)),
        Some(Effect::Short(taken) | Effect::ShortThenFails(taken, _)) => Ok(taken.clamp(1, length)),
    }
}

impl DiskFile for MachineFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, effect) = self.machine.called(Call::Read, &self.path)?;
        state.largest_read = state.largest_read.max(buffer.len());
        let wanted = cut_short(buffer.len(), effect)?;
        let offset = usize::try_from(offset).unwrap();
        let content = &state.medium.file(self.number).now;
        let there = content.get(offset..).unwrap_or_default();
        let read = wanted.min(there.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut state, effect) = self.machine.called(Call::Write, &self.path)?;
        let written = cut_short(bytes.len(), effect)?;
        let offset = usize::try_from(offset).unwrap();
        let content = state.medium.file(self.number);
        content.write(offset, &bytes[..written]);
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, effect) = self.machine.called(Call::Sync, &self.path)?;
        let content = state.medium.file(self.number);
        let Some(Effect::Fails(errno)) = effect else {
            content.sync();
            return Ok(());
        };
        content.sync_failed();
        let holds_blocks = content.now.len() > SEGMENT_HEADER_BYTES;
        let is_segment = self.path.extension().is_some_and(|end| end == "seg");
        state.sync_failed |= is_segment && (holds_blocks || errno != ENOSPC);
        Err(io::Error::from_raw_os_error(errno))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.machine.whole(Call::Cut, &self.path)?;
        let length = usize::try_from(bytes).unwrap();
        state.medium.file(self.number).set_len(length);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.machine.whole(Call::Length, &self.path)?;
        let length = state.medium.file(self.number).now.len();
        Ok(u64::try_from(length).unwrap())
    }
}
