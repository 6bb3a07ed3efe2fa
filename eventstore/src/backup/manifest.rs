//! What a backup holds, as a file that people and programs can read.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BackupError, LogIdentity, Position, failed};
use crate::disk::Disk;
use crate::error::Corruption;
use crate::journal::block::{Chain, first_chain};
use crate::journal::verify::VerifyReport;

/// The manifest's name in a backup's folder.
pub(super) const MANIFEST_NAME: &str = "manifest.json";
const NEW_NAME: &str = "manifest.json.new";
/// What a copy is called until it is whole.
pub(super) const PART_SUFFIX: &str = ".part";
/// The manifest's format, and the only one that is read.
const FORMAT: u32 = 1;
/// The longest manifest that is read, bytes: some 200,000 segments, 12 TB of
/// journal; another file of that name must not take all memory.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most bytes that all copies may have: what is read counts them twice,
/// and no disk comes near.
const COPIES_BYTES_MAX: u64 = u64::MAX / 2;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupManifest {
    /// The format of this manifest, 1.
    pub format: u32,
    /// The log that was backed up.
    pub log_id: Uuid,
    /// Its epoch at the backup's end.
    pub epoch: u32,
    /// The last position that the backup holds.
    pub head: Position,
    /// The chain after it, in hexadecimal.
    pub chain: String,
    /// The caller's clock when it was taken, microseconds since the Unix epoch, UTC.
    pub created_at_us: i64,
    /// The copies, by first position, without a gap.
    pub files: Vec<BackupFile>,
}

/// A copy of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupFile {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3 hash, in hexadecimal.
    pub blake3: String,
    /// The segment's first position.
    pub first: Position,
    /// The last position in it; the one before `first` if it has no record.
    pub last: Position,
    /// The segment's epoch.
    pub epoch: u32,
    /// The chain after its last record, in hexadecimal.
    pub chain: String,
}

/// The file: the manifest, and what its bytes are checked by.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    manifest: BackupManifest,
    /// Of the manifest as compact JSON, in hexadecimal.
    manifest_blake3: String,
}

impl BackupFile {
    /// The chain after its last record.
    pub(super) fn chain_bytes(&self) -> Option<Chain> {
        from_hex(&self.chain)
    }
}

impl BackupManifest {
    /// A backup that holds nothing yet.
    pub(super) fn new(LogIdentity { log_id, epoch }: LogIdentity, created_at_us: i64) -> Self {
        Self {
            format: FORMAT,
            log_id,
            epoch,
            head: Position::START,
            chain: to_hex(&first_chain(log_id)),
            created_at_us,
            files: Vec::new(),
        }
    }

    /// One copy more, behind all others.
    pub(super) fn push(&mut self, file: BackupFile) {
        self.head = file.last;
        self.epoch = file.epoch;
        self.chain.clone_from(&file.chain);
        self.files.push(file);
    }

    /// No farther than with the copy that holds a position; at least the first copy.
    pub(super) fn cut_behind(&mut self, position: Position) {
        let is_needed = |file: &&BackupFile| file.first <= position;
        let needed = self.files.iter().filter(is_needed).count().max(1);
        self.files.truncate(needed);
        if let Some(last) = self.files.pop() {
            self.push(last);
        }
    }

    /// The log, and its epoch at the backup's end.
    #[must_use]
    pub fn identity(&self) -> LogIdentity {
        LogIdentity {
            log_id: self.log_id,
            epoch: self.epoch,
        }
    }

    /// The length of all copies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether the copies, read through, end where it says, in its epoch.
    pub(super) fn agrees_with(&self, report: &VerifyReport) -> bool {
        report.head == self.head
            && from_hex(&self.chain) == Some(report.chain)
            && report.identity == Some(self.identity())
    }
}

/// The name of the copy of a segment up to a position.
pub(super) fn backup_name(first: Position, last: Position) -> String {
    format!("{:020}-{:020}.seg", first.get(), last.get())
}

/// Whether a name is one that backups give.
pub(super) fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(PART_SUFFIX).unwrap_or(name);
    let numbers = whole
        .strip_suffix(".seg")
        .and_then(|numbers| numbers.split_once('-'));
    let is_number =
        |digits: &str| digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    numbers.is_some_and(|(first, last)| is_number(first) && is_number(last))
}

/// The manifest in a folder; `None` if there is none.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<BackupManifest>, BackupError> {
    let path = folder.join(MANIFEST_NAME);
    if !disk.exists(&path).map_err(failed("looking for", &path))? {
        return Ok(None);
    }
    let bytes = disk.open_to_read(&path).and_then(|file| {
        let length = file.len()?.min(MANIFEST_BYTES_MAX);
        file.read_range(0, usize::try_from(length).unwrap_or(usize::MAX))
    });
    let bytes = bytes.map_err(failed("reading", &path))?;
    let manifest = decode(&bytes).map_err(|why| BackupError::Manifest {
        file: path,
        why,
        advice: super::ANOTHER_BACKUP,
    })?;
    Ok(Some(manifest))
}

/// The manifest in a folder, which must have one.
pub(super) fn read_existing(disk: &dyn Disk, folder: &Path) -> Result<BackupManifest, BackupError> {
    read(disk, folder)?.ok_or_else(|| BackupError::Manifest {
        file: folder.join(MANIFEST_NAME),
        why: "there is no manifest, so there is no backup here, or none that was completed"
            .to_owned(),
        advice: "name another folder, or complete the backup by backing up into this one again",
    })
}

/// Replaces the manifest: at once, and durable with all copies when this returns.
pub(super) fn write(
    disk: &dyn Disk,
    folder: &Path,
    manifest: &BackupManifest,
) -> Result<(), BackupError> {
    let new = folder.join(NEW_NAME);
    let file = || folder.join(MANIFEST_NAME);
    check(manifest).map_err(|why| BackupError::Manifest {
        file: file(),
        why,
        advice: "no manifest was written; export the journal instead, and import it into a new one",
    })?;
    let replace = || {
        // The copies' names first: a manifest must not outlive what it names.
        disk.sync_folder(folder)?;
        let written = disk.create(&new)?;
        written.write_all_at(&encode(manifest), 0)?;
        written.sync_data()?;
        disk.rename(&new, &file())?;
        disk.sync_folder(folder)
    };
    replace().map_err(failed("writing", &new))
}

/// The manifest is wrong.
pub(super) fn corrupt(folder: &Path, why: &str) -> Corruption {
    Corruption {
        file: folder.join(MANIFEST_NAME),
        offset: 0,
        why: why.to_owned(),
    }
}

/// The file's bytes.
pub(super) fn encode(manifest: &BackupManifest) -> Vec<u8> {
    let sealed = Sealed {
        manifest: manifest.clone(),
        manifest_blake3: seal(manifest),
    };
    let mut bytes = serde_json::to_vec_pretty(&sealed).expect("texts and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

fn seal(manifest: &BackupManifest) -> String {
    let bytes = serde_json::to_vec(manifest).expect("texts and numbers are JSON");
    blake3::hash(&bytes).to_hex().to_string()
}

/// Takes only what [`encode`] gives, of copies that follow each other.
fn decode(bytes: &[u8]) -> Result<BackupManifest, String> {
    let sealed: Sealed =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no manifest ({error})"))?;
    let manifest = sealed.manifest;
    if manifest.format != FORMAT {
        let found = manifest.format;
        return Err(format!(
            "it has format {found}, this release reads {FORMAT}"
        ));
    }
    if sealed.manifest_blake3 != seal(&manifest) || encode(&manifest) != bytes {
        return Err("it is not as it was written".to_owned());
    }
    check(&manifest)?;
    Ok(manifest)
}

/// What every manifest says, whoever wrote it: copies that follow each other
/// up to its end, in an epoch that another one can follow.
fn check(manifest: &BackupManifest) -> Result<(), String> {
    let (mut next, mut epoch, mut bytes) = (Position::START.next(), 0, 0_u64);
    for file in &manifest.files {
        let behind = file.last.checked_next();
        let behind = behind.filter(|behind| {
            file.first == next
                && *behind >= file.first
                && file.epoch >= epoch
                && file.name == backup_name(file.first, file.last)
                && file.chain_bytes().is_some()
        });
        let all = bytes.checked_add(file.bytes);
        (next, epoch) = match behind {
            Some(behind) => (behind, file.epoch),
            None => return Err(format!("{} does not follow the file before it", file.name)),
        };
        bytes = all
            .filter(|all| *all <= COPIES_BYTES_MAX)
            .ok_or_else(|| format!("{} is longer than any file can be", file.name))?;
    }
    let end = manifest.files.last();
    let is_end = |last: &BackupFile| {
        (last.last, last.epoch, &last.chain) == (manifest.head, manifest.epoch, &manifest.chain)
    };
    if !end.is_some_and(is_end) {
        return Err("its files do not end where it says".to_owned());
    }
    if epoch.checked_add(1).is_none() {
        return Err(format!("no epoch can follow its epoch {epoch}"));
    }
    Ok(())
}

/// Bytes in hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn from_hex(text: &str) -> Option<Chain> {
    let mut chain = Chain::default();
    if text.len() != 2 * chain.len() {
        return None;
    }
    for (at, byte) in chain.iter_mut().enumerate() {
        let digits = text.get(2 * at..2 * at + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    (to_hex(&chain) == text).then_some(chain)
}
