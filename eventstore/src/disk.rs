//! The seam to the file system: every call the journal makes of it, so that
//! tests can make each of them fail.

use std::fmt;
use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::error::OpenError;

/// A file system.
pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Makes one folder whose parent is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Whether something is at `path`.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// The names in a folder, in no order.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// An empty file to write and read; one that was there is emptied.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A file to write and read; never waits for anybody.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// A file to read; never waits for anybody.
    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Puts a file in another one's place.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// The free space an ordinary user may take, bytes.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads at most what fits the buffer; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes, at least one.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the content, and the length, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Its length, bytes.
    fn len(&self) -> io::Result<u64>;
}

impl dyn DiskFile + '_ {
    /// Writes all of it. A short write is continued; an interrupted one begun again.
    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills the buffer, as far as the file reaches; gives how far.
    pub(crate) fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// The `length` bytes from `offset` on, or as many as there are.
    pub(crate) fn read_range(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.read_up_to(&mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// The machine's own.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Arc::new(open_file(&mut options, path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = open_file(OpenOptions::new().read(true).write(true), path)?;
        Ok(Arc::new(file))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(open_file(OpenOptions::new().read(true), path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let folder = options.read(true).custom_flags(flags(OFlags::DIRECTORY));
        folder.open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let space = rustix::fs::statvfs(path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

/// Opens a file, and nothing else that has its name: to open a named pipe may
/// wait for ever for somebody at its other end.
pub(crate) fn open_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let opened = options.custom_flags(flags(OFlags::NONBLOCK)).open(path);
    let metadata = match &opened {
        Ok(file) => file.metadata(),
        // Folders, sockets and devices are refused in words that do not say so.
        Err(_) => fs::metadata(path),
    };
    match metadata {
        Ok(metadata) if !metadata.is_file() => Err(no_file(path, metadata.file_type())),
        Ok(_) | Err(_) => opened,
    }
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}

fn no_file(path: &Path, is: FileType) -> io::Error {
    let is = if is.is_dir() {
        "a folder"
    } else if is.is_fifo() {
        "a named pipe"
    } else if is.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    let path = path.display();
    let why = format!("{path} is {is} and not a file: move it away");
    io::Error::new(NO_FILE, why)
}

/// No error of the operating system is of this kind.
const NO_FILE: io::ErrorKind = io::ErrorKind::InvalidData;

/// Whether something else than a file has the name.
pub(crate) fn is_no_file(error: &io::Error) -> bool {
    error.kind() == NO_FILE
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// Makes a folder, its missing parents too, and every name durable: also that
/// of a folder which is there, for whoever made it may have been killed before
/// its name was durable.
pub(crate) fn create_folders(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    };
    if disk.exists(path)? {
        return match disk.sync_folder(parent) {
            // Whoever may not read a folder is not who made names in it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    create_folders(disk, parent)?;
    match disk.create_folder(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    disk.sync_folder(parent)
}

/// Whether an error says that there is no room, on the disk or for one more
/// open file: nothing is wrong with what is written, and it may pass.
pub(crate) fn is_full(error: &io::Error) -> bool {
    let has_no_handle = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    has_no_handle || has_no_space(error) || error.kind() == io::ErrorKind::FileTooLarge
}

/// Whether an error says that the disk, or this user's share of it, is full.
pub(crate) fn has_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Says what was being done, for the operator.
pub(crate) fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let doing = format!("{doing} {}", path.display());
    move |source| OpenError::Io { doing, source }
}
