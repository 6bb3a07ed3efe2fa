//! Checks everything in a journal's folder that can be checked, and changes nothing.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::block::first_chain;
use super::head_file::{HEAD_NAME, HeadFile, KnownHead, read_head};
use super::recovery::{damage_behind, links};
use super::scan::{Scan, scan};
use super::segment::{
    BadHeader, FIRST_BLOCK_OFFSET, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, TornHeader,
    corruption, index_name, position_of_name,
};
use crate::disk::{Disk, RealDisk, is_no_file};
use crate::error::{Corruption, ReadError};
use crate::history::{LogHistory, Standing};
use crate::index::{self, IndexError, IndexFile, MemoryIndex, SegmentEnd};
use crate::limits::BLOCK_BYTES_MAX;
use crate::position::{LogIdentity, Position, StreamVersion};
use crate::record;
use crate::stream::StreamId;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, and what does not hold.
    pub corruption: Corruption,
    /// What the operator can do about it.
    pub advice: &'static str,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Which log it is, and its last epoch; `None` if there is no segment.
    pub identity: Option<LogIdentity>,
    /// Segments read.
    pub segments: u64,
    /// Intact records.
    pub records: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// The last intact position.
    pub head: Position,
    /// The chain after it: two copies of a log agree up to here if it is equal.
    pub chain: [u8; 16],
    /// Bytes at the very end that are no whole block: being written at this
    /// moment, or torn by a crash and cut off when the journal is next opened.
    pub in_flight_bytes: u64,
    /// What is wrong. Empty means that all is well.
    pub findings: Vec<Finding>,
}

const RESTORE: &str = "stop the server and restore from a backup: airpost recover only gives up what is damaged at the journal's end";
const RESTORE_OR_RECOVER: &str =
    "stop the server and restore from a backup, or see what airpost recover can keep";
const OTHER_RELEASE: &str = "run the release that wrote it, or a later one";
const DELETE_INDEX: &str = "stop the server, delete this file and start: it is rebuilt";
const DELETE_HEAD: &str = "none needed: it is replaced at the next start";
const RESTORE_ALL: &str = "acknowledged records are missing: restore the journal from a backup, or see what airpost recover says about going on without";

/// Checks a journal: headers, checksums, density, chain, whole commits,
/// contiguous streams, strict encoding, the index files against the segments,
/// and the head file. `progress` is called with the bytes done and in all.
///
/// A server may be running on it: what is incomplete at the very end counts as
/// in flight. It cannot tell records that were never written, nor a log that
/// somebody wrote anew with a right chain, but against a noted chain.
///
/// Memory: 57 to 113 bytes for each stream of the log (measured with 0.9 to 2
/// million of them; the most is while the table that holds their versions
/// doubles), so some 110 MB for a million streams; and one segment's index.
///
/// # Errors
/// When the operating system refuses to read; damage is a finding, not an error.
pub fn verify(folder: &Path, progress: &mut dyn FnMut(u64, u64)) -> io::Result<VerifyReport> {
    VerifyReport::on(&RealDisk, folder, progress)
}

impl VerifyReport {
    /// The same, on a disk that may fail.
    pub(crate) fn on(
        disk: &dyn Disk,
        folder: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> io::Result<Self> {
        // Read before the segments: they only grow while they are read.
        let known = read_head(disk, folder)?;
        let mut verification = Verification::new(disk, folder);
        let candidates = verification.candidates()?;
        verification.segments(&candidates, progress)?;
        verification.head_file(known);
        verification.advise_no_more_than_helps();
        Ok(verification.report)
    }

    /// Checks these segments of a folder alone, by first position, each to
    /// its end: a copy has nothing in flight.
    pub(crate) fn of_copies(
        disk: &dyn Disk,
        folder: &Path,
        files: &[(Position, String)],
        progress: &mut dyn FnMut(u64, u64),
    ) -> io::Result<Self> {
        let mut verification = Verification::new(disk, folder);
        let candidate = |(first, name): &(Position, String)| {
            let path = folder.join(name);
            Ok(Candidate {
                first: *first,
                length: disk.open_to_read(&path)?.len()?,
                path,
                is_last: false,
            })
        };
        let candidates = files
            .iter()
            .map(candidate)
            .collect::<io::Result<Vec<_>>>()?;
        verification.segments(&candidates, progress)?;
        Ok(verification.report)
    }
}

struct Verification<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
    report: VerifyReport,
    /// Every stream's version up to the segment being read. What grows with the
    /// log: an entry has 32 bytes, and the table is at least 7/16 full.
    versions: HashMap<StreamId, StreamVersion>,
    recorded_at_us: i64,
    bytes_all: u64,
    /// The identity and the first position of every segment whose header is intact.
    starts: Vec<(LogIdentity, Position)>,
}

/// A file and what it should follow.
struct Candidate {
    first: Position,
    path: PathBuf,
    length: u64,
    is_last: bool,
}

impl<'a> Verification<'a> {
    fn new(disk: &'a dyn Disk, folder: &'a Path) -> Self {
        Self {
            disk,
            folder,
            report: VerifyReport::default(),
            versions: HashMap::new(),
            recorded_at_us: i64::MIN,
            bytes_all: 0,
            starts: Vec::new(),
        }
    }

    fn find(&mut self, corruption: Corruption, advice: &'static str) {
        self.report.findings.push(Finding { corruption, advice });
    }

    fn candidates(&self) -> io::Result<Vec<Candidate>> {
        let names = self.disk.names(self.folder)?;
        let mut firsts: Vec<_> = names
            .into_iter()
            .filter_map(|name| position_of_name(&name).map(|first| (first, name)))
            .collect();
        firsts.sort_unstable();
        let last = firsts.len().saturating_sub(1);
        let candidate = |(number, (first, name))| {
            let path = self.folder.join(name);
            Ok(Candidate {
                first,
                length: self.disk.open_to_read(&path)?.len()?,
                path,
                is_last: number == last,
            })
        };
        firsts.into_iter().enumerate().map(candidate).collect()
    }

    fn segments(
        &mut self,
        candidates: &[Candidate],
        progress: &mut dyn FnMut(u64, u64),
    ) -> io::Result<()> {
        self.bytes_all = candidates.iter().map(|candidate| candidate.length).sum();
        let mut before: Option<SegmentEnd> = None;
        for candidate in candidates {
            let done = self.report.bytes;
            let Some(segment) = self.header(candidate, before.as_ref())? else {
                before = None;
                continue;
            };
            self.follows(&segment, before.as_ref());
            before = self.content(&segment, candidate, progress)?;
            self.report.bytes = done + candidate.length;
            progress(self.report.bytes, self.bytes_all);
        }
        Ok(())
    }

    fn header(
        &mut self,
        candidate: &Candidate,
        before: Option<&SegmentEnd>,
    ) -> io::Result<Option<Segment>> {
        let path = &candidate.path;
        let file = self.disk.open_to_read(path)?;
        let bytes = file.read_range(0, SEGMENT_HEADER_BYTES)?;
        let (why, advice) = match SegmentHeader::decode(&bytes) {
            Ok(header) if header.first_position == candidate.first => {
                let path = path.clone();
                return Ok(Some(Segment { path, file, header }));
            }
            Ok(_) => {
                let why = "the header names another first position than the file's name";
                (why.to_owned(), RESTORE)
            }
            Err(BadHeader::Damaged(_))
                if candidate.is_last && candidate.length <= FIRST_BLOCK_OFFSET =>
            {
                let header = TornHeader {
                    path: path.clone(),
                    file,
                    first_position: candidate.first,
                    bytes,
                };
                let expected = self.report.identity.zip(before);
                let expected = expected.map(|(id, end)| SegmentHeader::following(id, end));
                match expected.and_then(|expected| header.damage(&expected)) {
                    Some(damaged) => self.find(damaged, RESTORE_OR_RECOVER),
                    None => self.report.in_flight_bytes += candidate.length,
                }
                return Ok(None);
            }
            Err(BadHeader::Damaged(why)) => (why.to_owned(), RESTORE),
            Err(BadHeader::Version(version)) => {
                (format!("it has format version {version}"), OTHER_RELEASE)
            }
        };
        self.find(corruption(path, 0, why), advice);
        Ok(None)
    }

    fn follows(&mut self, segment: &Segment, before: Option<&SegmentEnd>) {
        let header = &segment.header;
        self.starts.push((header.identity, header.first_position));
        let is_first = self.report.identity.is_none();
        let identity = *self.report.identity.get_or_insert(header.identity);
        let why = if header.identity.log_id != identity.log_id {
            Some("it belongs to another log than the segments before")
        } else if header.identity.epoch < identity.epoch {
            Some("its epoch is before that of the segments before")
        } else if let Some(before) = before {
            let follows = links(before, header);
            (!follows).then_some("it does not begin where the segment before ends")
        } else {
            let begins = header.first_position == Position::START.next()
                && header.chain == first_chain(header.identity.log_id);
            (is_first && !begins).then_some("the segments before it are missing")
        };
        if let Some(why) = why {
            self.find(segment.corrupt(0, why), RESTORE);
        }
        self.report.identity = Some(header.identity);
    }

    /// Reads all blocks; gives the segment's end if it is intact.
    fn content(
        &mut self,
        segment: &Segment,
        candidate: &Candidate,
        progress: &mut dyn FnMut(u64, u64),
    ) -> io::Result<Option<SegmentEnd>> {
        let (done, all) = (self.report.bytes, self.bytes_all);
        let mut reported = 0;
        let mut inspect = |offset: u64, body: &[u8]| {
            if offset >= reported + BLOCK_BYTES_MAX as u64 {
                reported = offset;
                progress(done + offset, all);
            }
            if record::is_canonical(body) {
                Ok(())
            } else {
                Err("a record is not encoded as this format encodes it")
            }
        };
        let scanned = scan(segment, candidate.length, self.recorded_at_us, &mut inspect);
        let scan = match scanned {
            Ok(scan) => scan,
            Err(ReadError::Corrupt(corruption)) => {
                self.find(corruption, RESTORE);
                return Ok(None);
            }
            Err(ReadError::Unavailable { why }) => return Err(io::Error::other(why)),
        };
        self.count(segment, &scan);
        if let Some(why) = scan.stopped {
            let (damage, advice) = if candidate.is_last {
                let damage = damage_behind(segment, &scan, candidate.length)?;
                (damage, RESTORE_OR_RECOVER)
            } else {
                (Some(why.to_owned()), RESTORE)
            };
            match damage {
                Some(why) => self.find(segment.corrupt(scan.end, why), advice),
                None => self.report.in_flight_bytes += candidate.length - scan.end,
            }
            return Ok(None);
        }
        let end = scan.segment_end(segment);
        self.index_file(&scan.index, &end, &segment.path)?;
        Ok(Some(end))
    }

    fn count(&mut self, segment: &Segment, scan: &Scan) {
        self.report.segments += 1;
        self.report.records += scan.index.records();
        self.report.events += scan.events;
        self.report.head = Position::new(scan.next_position.get() - 1);
        self.report.chain = scan.chain;
        self.recorded_at_us = scan.recorded_at_us;
        for stream in scan.index.stream_ids() {
            let oldest = scan.index.places_after(stream, StreamVersion::EMPTY).last();
            let Some((oldest, version)) = oldest.zip(scan.index.version(stream)) else {
                continue;
            };
            let before = self.versions.insert(stream, version).unwrap_or_default();
            if before.plus(1) != oldest.first_version {
                let why = "the versions of a stream are not contiguous over segments";
                self.find(segment.corrupt(u64::from(oldest.offset), why), RESTORE);
            }
        }
    }

    /// An index that is not there is no finding: it is about to be written, or
    /// will be at the next start. Nor is one of another end: it is rebuilt then.
    fn index_file(
        &mut self,
        memory: &MemoryIndex,
        end: &SegmentEnd,
        segment: &Path,
    ) -> io::Result<()> {
        let path = segment.with_file_name(index_name(end.first_position));
        if !self.disk.exists(&path)? {
            return Ok(());
        }
        let file = match self.disk.open_to_read(&path) {
            Err(error) if is_no_file(&error) => {
                let why = "what has its name is not a file";
                self.find(corruption(&path, 0, why), DELETE_INDEX);
                return Ok(());
            }
            opened => opened?,
        };
        // The bytes that would be written now say the same; that is told at
        // once, where looking every stream up reads a block for each.
        let expected = index::encode(memory, end);
        if file.read_range(0, expected.len() + 1)? == expected {
            return Ok(());
        }
        let compared = IndexFile::open(file).and_then(|index| {
            if index.end() == end {
                compare(&index, memory)
            } else {
                Ok(())
            }
        });
        match compared {
            Ok(()) => Ok(()),
            Err(IndexError::Io(error)) => Err(error),
            Err(IndexError::Damaged { offset, why }) => {
                self.find(corruption(&path, offset, why), DELETE_INDEX);
                Ok(())
            }
        }
    }

    fn head_file(&mut self, known: HeadFile) {
        let path = self.folder.join(HEAD_NAME);
        let head = self.report.head;
        match known {
            HeadFile::Damaged => {
                self.find(
                    corruption(&path, 0, "the checksum does not hold"),
                    DELETE_HEAD,
                );
            }
            HeadFile::Known(known) if self.is_missing(&known) => {
                let why = format!(
                    "position {} was acknowledged, the journal ends at {head}",
                    known.position
                );
                self.find(corruption(&path, 0, why), RESTORE_ALL);
            }
            HeadFile::Known(_) | HeadFile::Absent => {}
        }
    }

    /// Damage before the end keeps a recovery from giving up the end.
    fn advise_no_more_than_helps(&mut self) {
        let findings = &mut self.report.findings;
        if !findings.iter().any(|finding| finding.advice == RESTORE) {
            return;
        }
        for finding in findings {
            if [RESTORE_OR_RECOVER, RESTORE_ALL].contains(&finding.advice) {
                finding.advice = RESTORE;
            }
        }
    }

    /// Whether more was acknowledged than there is. What an earlier epoch had
    /// and this one has not was given up knowingly.
    fn is_missing(&self, known: &KnownHead) -> bool {
        let head = self.report.head;
        match LogHistory::of_segments(self.starts.iter().copied()) {
            Some(history) => history.judge(known.identity, known.position, head) == Standing::Ahead,
            None => known.position > head,
        }
    }
}

/// Whether an index file says of every stream what the segment says.
fn compare(index: &IndexFile, memory: &MemoryIndex) -> Result<(), IndexError> {
    for stream in memory.stream_ids() {
        let mut places: Vec<_> = memory.places_after(stream, StreamVersion::EMPTY).collect();
        places.reverse();
        if index.places(stream)? != places {
            let why = "the index says something else than the segment";
            return Err(IndexError::Damaged { offset: 0, why });
        }
    }
    Ok(())
}
