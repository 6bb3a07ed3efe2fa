//! The references: the same bytes in the same groups without a store, and a
//! scan that only decodes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// A segment's header, bytes; see the README, "Files".
const SEGMENT_HEADER_BYTES: usize = 64;
/// A block's header, bytes.
const BLOCK_HEADER_BYTES: usize = 36;
/// Length and checksum before every record, bytes.
const RECORD_PREFIX_BYTES: usize = 8;

/// The segments of a journal, in order.
pub(crate) fn segments(journal: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(journal).expect("the journal can be listed");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the journal can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

/// The blocks of a segment's bytes, whole.
pub(crate) fn blocks(segment: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = segment.get(SEGMENT_HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let (block, behind) = rest.split_at_checked(length)?;
        rest = behind;
        Some(block)
    })
}

/// The bodies of a block's records, checksums checked.
pub(crate) fn bodies(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block.get(BLOCK_HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (prefix, behind) = rest.split_first_chunk::<RECORD_PREFIX_BYTES>()?;
        let [a, b, c, d, crc @ ..] = *prefix;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let (body, behind) = behind.split_at_checked(length)?;
        assert_eq!(crc32fast::hash(body), u32::from_le_bytes(crc));
        rest = behind;
        Some(body)
    })
}

/// Every group of a journal, as it was written, by segment.
pub(crate) fn groups(journal: &Path) -> Vec<Vec<Vec<u8>>> {
    let segment = |path: &PathBuf| {
        let bytes = std::fs::read(path).expect("a segment can be read");
        blocks(&bytes).map(<[u8]>::to_vec).collect()
    };
    segments(journal).iter().map(segment).collect()
}

/// Writes the groups as a journal would: one write and one fdatasync each.
/// Gives the whole time and that of each group.
pub(crate) fn write(groups: &[Vec<Vec<u8>>], folder: &Path) -> (Duration, Vec<Duration>) {
    let mut each = Vec::new();
    let begin = Instant::now();
    for (number, segment) in groups.iter().enumerate() {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(true).write(true);
        let path = folder.join(format!("bare-{number}"));
        let file = file.open(path).expect("a file can be created");
        file.sync_data().expect("it can be synced");
        let folder = File::open(folder).expect("the folder can be opened");
        folder.sync_all().expect("it can be synced");
        let mut offset = 0;
        for group in segment {
            let one = Instant::now();
            file.write_all_at(group, offset)
                .and_then(|()| file.sync_data())
                .expect("it can be written and synced");
            each.push(one.elapsed());
            offset += group.len() as u64;
        }
    }
    (begin.elapsed(), each)
}

/// A record as the README's table has it, read without the store.
#[derive(Deserialize)]
struct Body<'a> {
    _commit_id: [u8; 16],
    _place: (u16, u16),
    _stream: (u16, [u8; 16]),
    _owner: Option<[u8; 16]>,
    _first_version: u64,
    #[serde(borrow)]
    _actor: &'a str,
    _correlation_id: [u8; 16],
    #[serde(borrow)]
    events: Vec<Event<'a>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    _event_type: u16,
    _schema: u16,
    _event_time_us: i64,
    _inferred: bool,
    #[serde(borrow)]
    _cause: Option<&'a str>,
    #[serde(borrow)]
    _payload: &'a [u8],
}

/// What a scan came across.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) records: u64,
    pub(crate) events: u64,
    pub(crate) body_bytes: u64,
}

/// Reads a segment, checks every record's checksum and decodes it: nothing else.
pub(crate) fn scan(path: &Path) -> Scanned {
    let bytes = std::fs::read(path).expect("a segment can be read");
    let mut scanned = Scanned::default();
    for body in blocks(&bytes).flat_map(bodies) {
        let (_recorded_at, rest) =
            postcard::take_from_bytes::<i64>(body).expect("a record is as the README says");
        let decoded: Body<'_> = postcard::from_bytes(rest).expect("a record is as the README says");
        scanned.records += 1;
        scanned.events += std::hint::black_box(&decoded).events.len() as u64;
        scanned.body_bytes += body.len() as u64;
    }
    scanned
}
