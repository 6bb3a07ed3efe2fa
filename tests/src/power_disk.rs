//! A disk whose power can be cut: an ext4 file system in a file, mounted through a loop device.
//!
//! After a cut the kernel refuses everything that has not reached the disk,
//! and mounting it again shows what a machine would find after its power came
//! back. Needs root, `mount`, `mkfs.ext4` and `python3`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::poll_until;

/// Every disk's folder begins so, then come the process's number and the disk's.
const FOLDER_PREFIX: &str = "airpost-power-";

/// The size of a disk, bytes. The file is sparse: it takes what is written.
const DISK_BYTES: u64 = 1024 * 1024 * 1024;

/// How long any step may take.
const STEP_TIME_MAX: Duration = Duration::from_secs(20);

/// Where memory serves as a disk, and so much must be free there for a disk.
const MEMORY: &str = "/dev/shm";
const MEMORY_FREE_KIB_MIN: u64 = 512 * 1024;

/// What a power cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing but what was synced.
    AtOnce,
    /// Besides, what the file system knows of names and lengths.
    AfterItsJournal,
}

/// One disk, mounted. Dropped, it is unmounted and deleted, also when a test panics.
#[derive(Debug)]
pub struct PowerDisk {
    folder: PathBuf,
    switch: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl PowerDisk {
    /// Makes a disk with an empty file system and mounts it.
    ///
    /// # Panics
    /// When this machine cannot: the message says what is missing, and how to
    /// leave these tests out.
    pub async fn new() -> Self {
        static LEFTOVERS: Once = Once::new();
        static DISKS: AtomicU32 = AtomicU32::new(0);
        LEFTOVERS.call_once(clear_leftovers);
        let number = DISKS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{FOLDER_PREFIX}{}-{number}", std::process::id());
        let folder = place().join(name);
        std::fs::create_dir_all(folder.join("mnt"))
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("power/cut.py");
        let mut switch = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("python3: {error}; {LEAVE_OUT}"));
        let ask = switch.stdin.take().expect("the input was asked for");
        let answers = switch.stdout.take().expect("the output was asked for");
        let mut disk = Self {
            folder,
            switch,
            ask,
            answers: BufReader::new(answers).lines(),
        };
        disk.make().await;
        disk
    }

    /// Where the file system is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// Cuts the power: from now on nothing reaches the disk.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub async fn cut(&mut self, cut: Cut) {
        let flag = match cut {
            Cut::AtOnce => 2,
            Cut::AfterItsJournal => 1,
        };
        let line = format!("{flag} {}\n", self.path().display());
        let asked = self.ask.write_all(line.as_bytes()).await;
        asked.expect("the switch takes orders");
        let answer = tokio::time::timeout(STEP_TIME_MAX, self.answers.next_line()).await;
        let answer = answer.expect("the switch answers in time");
        let answer = answer.expect("its answer can be read").unwrap_or_default();
        assert!(
            answer == "cut",
            "the power cannot be cut: {answer}; {LEAVE_OUT}"
        );
    }

    /// The power comes back: whoever used the disk must be gone.
    ///
    /// # Panics
    /// When the file system cannot be mounted again.
    pub async fn restart(&mut self) {
        self.unmount().await;
        self.mount().await;
    }

    /// Begins anew with an empty file system.
    ///
    /// # Panics
    /// As [`PowerDisk::new`].
    pub async fn renew(&mut self) {
        self.unmount().await;
        self.make().await;
    }

    async fn make(&mut self) {
        let image = self.image();
        let made = std::fs::File::create(&image).and_then(|file| file.set_len(DISK_BYTES));
        made.unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        let format = ["-q", "-F", "-m", "0", "-N", "8192", "-J", "size=8"].map(OsStr::new);
        run("mkfs.ext4", format.into_iter().chain([image.as_os_str()])).await;
        self.mount().await;
    }

    async fn mount(&mut self) {
        let (image, path) = (self.image(), self.path());
        let options = ["-t", "ext4", "-o", "loop"].map(OsStr::new);
        let places = [image.as_os_str(), path.as_os_str()];
        run("mount", options.into_iter().chain(places)).await;
    }

    /// Whoever was killed may take a moment to let go.
    async fn unmount(&mut self) {
        let path = self.path();
        let look = || async {
            let mut command = Command::new("umount");
            let ended = command.arg(&path).stderr(Stdio::null()).status().await;
            ended.is_ok_and(|status| status.success()).then_some(())
        };
        poll_until(STEP_TIME_MAX, "the disk to be let go of", look).await;
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        drop(self.switch.start_kill());
        clear(&self.folder);
    }
}

/// How to run the other tests on a machine that cannot run these.
const LEAVE_OUT: &str = "power cuts need Linux, root, mount, mkfs.ext4, loop devices and python3; \
     to leave them out: tests/run --without-power-cuts, or AIRPOST_POWER_CUTS=off";

async fn run<'a>(program: &str, arguments: impl Iterator<Item = &'a OsStr>) {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(STEP_TIME_MAX, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} takes too long"));
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}; {LEAVE_OUT}"));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {why}{LEAVE_OUT}");
}

/// In memory if there is room: its syncs take microseconds, so that a cut
/// finds the program busy and not waiting. What a cut drops is the same.
fn place() -> PathBuf {
    let free_kib = || {
        let output = std::process::Command::new("df")
            .args(["--output=avail", MEMORY])
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().last()?.trim().parse::<u64>().ok()
    };
    if free_kib().is_some_and(|free| free >= MEMORY_FREE_KIB_MIN) {
        PathBuf::from(MEMORY)
    } else {
        std::env::temp_dir()
    }
}

/// Deletes what runs left behind that were killed themselves.
fn clear_leftovers() {
    for place in [PathBuf::from(MEMORY), std::env::temp_dir()] {
        let Ok(entries) = std::fs::read_dir(place) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name
                .strip_prefix(FOLDER_PREFIX)
                .and_then(|rest| rest.split('-').next());
            let is_gone = |owner: &str| !Path::new("/proc").join(owner).exists();
            if owner.is_some_and(is_gone) {
                clear(&entry.path());
            }
        }
    }
}

/// Unmounts a disk even if somebody still uses it, and deletes it. The loop
/// device goes with the mount.
fn clear(folder: &Path) {
    let mut unmount = std::process::Command::new("umount");
    let unmount = unmount.arg("-l").arg(folder.join("mnt"));
    drop(unmount.stderr(Stdio::null()).status());
    drop(std::fs::remove_dir_all(folder));
}
