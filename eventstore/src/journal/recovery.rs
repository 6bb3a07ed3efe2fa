//! Opening: what is on disk is checked, made durable, and only then shown.
//! Until everything has been checked nothing on disk is changed.

// Going on although something is missing.
mod loss;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use loss::{Loss, RecoverError, Witness, assess_loss, recover_with_loss};
#[cfg(test)]
pub(crate) use loss::{assess_loss_on, recover_on};
pub(crate) use loss::{begin_epoch, create_epoch_segment};

use super::block::{Block, first_chain};
use super::head_file::{HeadFile, KnownHead, read_head};
use super::log::Active;
use super::scan::{Scan, scan};
use super::sealed::{Sealed, SealedIndex};
use super::segment::{
    BadHeader, FIRST_BLOCK_OFFSET, FORMAT_VERSION, SEGMENT_HEADER_BYTES, Segment, SegmentHeader,
    TornHeader, corruption, index_name, position_of_name,
};
use super::torn::{self, Torn};
use super::writer::{Tip, UNSYNCED_BYTES_MAX, create_segment};
use crate::disk::{Disk, DiskFile, create_folders, failed};
use crate::error::{Corruption, OpenError, ReadError};
use crate::history::{LogHistory, Standing};
use crate::index::{IndexFile, SegmentEnd};
use crate::limits::BLOCK_BYTES_MAX;
use crate::position::{LogIdentity, Position};

/// Longest end that a journal on a cluster has not durably: a sync that failed
/// leaves the block behind which it was tried, too.
const UNSYNCED_END_BYTES_MAX: u64 = UNSYNCED_BYTES_MAX + BLOCK_BYTES_MAX as u64;

/// Who has what a journal ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// This disk alone: all of it is durable, but for the block that was being
    /// written.
    Here,
    /// The cluster, too: the last blocks may be written and not durable. What
    /// is torn of them is fetched from there again.
    Cluster,
}

/// A journal that is ready to be read and written.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) history: LogHistory,
    pub(crate) sealed: Vec<Arc<Sealed>>,
    pub(crate) active: Active,
    pub(crate) tip: Tip,
    /// The position in `journal/head`, if it is of this log.
    pub(crate) known: Option<Position>,
}

/// Opens the journal in a folder; begins the new log if there is none.
pub(crate) fn recover(
    disk: &dyn Disk,
    folder: &Path,
    (new, copies): (LogIdentity, Copies),
) -> Result<Recovered, OpenError> {
    create_folders(disk, folder).map_err(failed("creating", folder))?;
    let mut found = find_segments(disk, folder)?;
    let known = known_head(disk, folder)?;
    let Some(last) = found.whole.pop() else {
        let known = known.filter(|known| known.position > Position::START);
        refuse_unfinished(disk, folder)?;
        refuse_regression(known.as_ref(), Position::START)?;
        remove_torn_header(disk, found.torn_header.as_ref())?;
        return begin_log(disk, folder, new);
    };
    check_order(&found.whole, &last)?;
    let history = history_of(&found.whole, &last);
    let sealed = open_sealed(disk, folder, std::mem::take(&mut found.whole), &last)?;
    let before = sealed
        .last()
        .map_or(i64::MIN, |sealed| sealed.end.recorded_at_us);
    let length = file_length(&last)?;
    let scan = scan(&last, length, before, &mut |_, _| Ok(())).map_err(open_error)?;
    let known = known.filter(|known| known.identity.log_id == last.header.identity.log_id);
    check_known(known.as_ref(), &history, &last, &scan)?;
    refuse_damage_behind(&last, &scan, length, copies)?;
    if let Some(damaged) = found.damaged_header(&last, &scan) {
        return Err(OpenError::CorruptEnd(damaged));
    }

    // From here on the disk is changed.
    remove_torn_header(disk, found.torn_header.as_ref())?;
    if let Some(why) = scan.stopped {
        torn::cut(disk, folder, &last, (scan.end, length), (Torn::Write, why))?;
    }
    let begin = first_unsynced(&last, &scan, known.as_ref(), copies);
    make_durable(disk, folder, &last, (begin, &scan))?;
    Ok(ready(history, sealed, last, scan, known))
}

fn ready(
    history: LogHistory,
    sealed: Vec<Arc<Sealed>>,
    last: Segment,
    scan: Scan,
    known: Option<KnownHead>,
) -> Recovered {
    let head = Position::new(scan.next_position.get() - 1);
    Recovered {
        history,
        sealed,
        tip: Tip {
            head,
            chain: scan.chain,
            length: scan.end,
            recorded_at_us: scan.recorded_at_us,
        },
        active: Active {
            segment: Arc::new(last),
            index: scan.index,
            length: scan.end,
        },
        known: known.map(|known| known.position),
    }
}

/// The segments there are, by first position.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) whole: Vec<Segment>,
    /// A last segment that was being created when everything stopped, or so it seems.
    pub(crate) torn_header: Option<TornHeader>,
}

impl Found {
    /// What is wrong with the header behind the last whole segment, if it is
    /// not just unfinished.
    pub(crate) fn damaged_header(&self, last: &Segment, scan: &Scan) -> Option<Corruption> {
        let end = scan.segment_end(last);
        let expected = SegmentHeader::following(last.header.identity, &end);
        self.torn_header.as_ref()?.damage(&expected)
    }
}

/// Opens every segment and reads its header.
pub(crate) fn find_segments(disk: &dyn Disk, folder: &Path) -> Result<Found, OpenError> {
    find_segments_with(disk, folder, &|path| disk.open(path))
}

/// The same, for whoever only reads.
pub(crate) fn find_segments_to_read(disk: &dyn Disk, folder: &Path) -> Result<Found, OpenError> {
    find_segments_with(disk, folder, &|path| disk.open_to_read(path))
}

fn find_segments_with(
    disk: &dyn Disk,
    folder: &Path,
    open: &dyn Fn(&Path) -> std::io::Result<Arc<dyn DiskFile>>,
) -> Result<Found, OpenError> {
    let names = disk.names(folder).map_err(failed("listing", folder))?;
    let mut segments: Vec<_> = names
        .into_iter()
        .filter_map(|name| position_of_name(&name).map(|first| (first, folder.join(name))))
        .collect();
    segments.sort_unstable();
    let mut found = Found {
        whole: Vec::with_capacity(segments.len()),
        torn_header: None,
    };
    let last = segments.len().saturating_sub(1);
    for (number, (first, path)) in segments.into_iter().enumerate() {
        let file = open(&path).map_err(failed("opening", &path))?;
        let bytes = file.read_range(0, SEGMENT_HEADER_BYTES);
        let bytes = bytes.map_err(failed("reading", &path))?;
        let header = match SegmentHeader::decode(&bytes) {
            Ok(header) => header,
            Err(BadHeader::Version(version)) => {
                return Err(OpenError::Format {
                    file: path,
                    found: version,
                    supported: FORMAT_VERSION,
                });
            }
            Err(BadHeader::Damaged(why)) => {
                let length = file.len().map_err(failed("measuring", &path))?;
                if number == last && length <= FIRST_BLOCK_OFFSET {
                    found.torn_header = Some(TornHeader {
                        path,
                        file,
                        first_position: first,
                        bytes,
                    });
                    continue;
                }
                return Err(corruption(&path, 0, why).into());
            }
        };
        if header.first_position != first {
            let why = "the header names another first position than the file's name";
            return Err(corruption(&path, 0, why).into());
        }
        found.whole.push(Segment { path, file, header });
    }
    Ok(found)
}

/// What the headers alone must say: one log, from its first record on.
pub(crate) fn check_order(sealed: &[Segment], last: &Segment) -> Result<(), Corruption> {
    let first = sealed.first().unwrap_or(last);
    let log_id = first.header.identity.log_id;
    let begins = first.header.first_position == Position::START.next();
    if !begins || first.header.chain != first_chain(log_id) {
        return Err(first.corrupt(0, "the segments before it are missing"));
    }
    let mut epoch = first.header.identity.epoch;
    for segment in sealed.iter().chain([last]) {
        if segment.header.identity.log_id != log_id {
            return Err(segment.corrupt(0, "it belongs to another log than the segments before"));
        }
        if segment.header.identity.epoch < epoch {
            return Err(segment.corrupt(0, "its epoch is before that of the segments before"));
        }
        epoch = segment.header.identity.epoch;
    }
    Ok(())
}

fn open_sealed(
    disk: &dyn Disk,
    folder: &Path,
    segments: Vec<Segment>,
    last: &Segment,
) -> Result<Vec<Arc<Sealed>>, OpenError> {
    let mut nexts: Vec<_> = segments.iter().skip(1).map(|next| next.header).collect();
    nexts.push(last.header);
    let mut sealed: Vec<Arc<Sealed>> = Vec::with_capacity(segments.len());
    for (segment, next) in segments.into_iter().zip(nexts) {
        let before = sealed
            .last()
            .map_or(i64::MIN, |sealed| sealed.end.recorded_at_us);
        let length = file_length(&segment)?;
        let one = match fresh_index(disk, folder, &segment, &next, length) {
            Some((end, index)) => Sealed::new(Arc::new(segment), end, index),
            None => rebuild_index(disk, folder, segment, &next, (length, before))?,
        };
        sealed.push(Arc::new(one));
    }
    Ok(sealed)
}

/// The index file, if it is of just this segment: then it stands for a scan.
fn fresh_index(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
    next: &SegmentHeader,
    length: u64,
) -> Option<(SegmentEnd, SealedIndex)> {
    let path = folder.join(index_name(segment.first_position()));
    let index = IndexFile::open(disk.open_to_read(&path).ok()?).ok()?;
    let end = *index.end();
    let is_fresh = end.log_id == segment.header.identity.log_id
        && end.first_position == segment.first_position()
        && end.length == length
        && links(&end, next);
    is_fresh.then(|| (end, SealedIndex::File(Arc::new(index))))
}

/// Whether a segment begins where another one ends.
pub(crate) fn links(end: &SegmentEnd, next: &SegmentHeader) -> bool {
    (end.next_position, end.chain) == (next.first_position, next.chain)
}

fn rebuild_index(
    disk: &dyn Disk,
    folder: &Path,
    segment: Segment,
    next: &SegmentHeader,
    (length, recorded_at_us): (u64, i64),
) -> Result<Sealed, OpenError> {
    tracing::info!(segment = %segment.path.display(), "building the index of a segment");
    let scan = scan(&segment, length, recorded_at_us, &mut |_, _| Ok(())).map_err(open_error)?;
    if let Some(why) = scan.stopped {
        return Err(segment.corrupt(scan.end, why).into());
    }
    let end = scan.segment_end(&segment);
    if !links(&end, next) {
        let why = "the segment does not end where the next one begins";
        return Err(segment.corrupt(scan.end, why).into());
    }
    let index = SealedIndex::Memory(Arc::new(scan.index));
    let sealed = Sealed::new(Arc::new(segment), end, index);
    if let Err(error) = sealed.write_index(disk, folder) {
        let segment = sealed.segment.path.display();
        tracing::warn!(%segment, ?error, "the index was not written, memory serves for it");
    }
    Ok(sealed)
}

/// What the head file says; a damaged one says nothing.
pub(crate) fn known_head(disk: &dyn Disk, folder: &Path) -> Result<Option<KnownHead>, OpenError> {
    match read_head(disk, folder).map_err(failed("reading the head file in", folder))? {
        HeadFile::Known(known) => Ok(Some(known)),
        HeadFile::Absent => Ok(None),
        HeadFile::Damaged => {
            let folder = folder.display();
            tracing::warn!(%folder, "the head file is damaged and will be replaced; a missing end of the journal would not be noticed this time");
            Ok(None)
        }
    }
}

/// Where a restore or an import into a journal's folder puts its files until
/// all of them are there.
pub(crate) fn staging_folders(folder: &Path) -> [PathBuf; 2] {
    let name = folder.file_name().unwrap_or_default();
    ["restoring", "importing"].map(|doing| {
        let mut name = name.to_owned();
        name.push(".");
        name.push(doing);
        folder.with_file_name(name)
    })
}

/// A log that were begun now would stand in the way of what is still to come.
fn refuse_unfinished(disk: &dyn Disk, folder: &Path) -> Result<(), OpenError> {
    for staging in staging_folders(folder) {
        if disk
            .exists(&staging)
            .map_err(failed("looking for", &staging))?
        {
            return Err(OpenError::Unfinished { staging });
        }
    }
    Ok(())
}

/// The epochs that the segments tell of.
pub(crate) fn history_of(sealed: &[Segment], last: &Segment) -> LogHistory {
    let segments = sealed.iter().chain([last]);
    let starts = segments.map(|segment| (segment.header.identity, segment.first_position()));
    LogHistory::of_segments(starts).unwrap_or_else(|| LogHistory::one_epoch(last.header.identity))
}

/// Refuses a journal that ends before what is known to have been durable.
pub(crate) fn refuse_regression(
    known: Option<&KnownHead>,
    head: Position,
) -> Result<(), OpenError> {
    match known {
        Some(known) if known.position > head => Err(OpenError::Regressed {
            known: known.position,
            head,
        }),
        Some(_) | None => Ok(()),
    }
}

/// Holds the journal against what is known to have been durable. What an
/// earlier epoch had and this one has not was given up knowingly; what another
/// log had is nothing to this one.
pub(crate) fn check_known(
    known: Option<&KnownHead>,
    history: &LogHistory,
    last: &Segment,
    scan: &Scan,
) -> Result<(), OpenError> {
    let Some(known) = known else {
        return Ok(());
    };
    let head = Position::new(scan.next_position.get() - 1);
    match history.judge(known.identity, known.position, head) {
        Standing::Ahead => Err(match scan.stopped {
            Some(why) => {
                let acknowledged = known.position;
                let why = format!("{why}, and position {acknowledged} behind it was acknowledged");
                OpenError::CorruptEnd(last.corrupt(scan.end, why))
            }
            None => OpenError::Regressed {
                known: known.position,
                head,
            },
        }),
        Standing::Valid
            if known.identity == history.identity()
                && known.position == head
                && known.chain != scan.chain =>
        {
            let why = "the chain is not the one that the head file notes for this position";
            Err(last.corrupt(scan.end, why).into())
        }
        Standing::Valid | Standing::Beyond { .. } | Standing::OtherLog => Ok(()),
    }
}

/// Refuses an invalid end that is more than what was not durable yet.
pub(crate) fn refuse_damage_behind(
    last: &Segment,
    scan: &Scan,
    length: u64,
    copies: Copies,
) -> Result<(), OpenError> {
    let Some(why) = scan.stopped else {
        return Ok(());
    };
    let damage = match copies {
        Copies::Here => damage_behind(last, scan, length).map_err(failed("reading", &last.path))?,
        Copies::Cluster => (length - scan.end > UNSYNCED_END_BYTES_MAX)
            .then(|| format!("{why}, and more follows than is ever left unsynced")),
    };
    match damage {
        None => Ok(()),
        Some(why) => Err(OpenError::CorruptEnd(last.corrupt(scan.end, why))),
    }
}

/// Why the last segment's invalid end is no torn write. Only the last block
/// can be torn: what lies behind a torn one was never written. So an intact
/// later block, or more bytes than one block has, mean that acknowledged
/// records were damaged.
pub(crate) fn damage_behind(
    last: &Segment,
    scan: &Scan,
    length: u64,
) -> std::io::Result<Option<String>> {
    let why = scan.stopped.unwrap_or_default();
    if length - scan.end > BLOCK_BYTES_MAX as u64 {
        return Ok(Some(format!("{why}, and more than one block follows")));
    }
    // No farther: beside a running server later blocks come into being behind it.
    let bytes = usize::try_from(length - scan.end).unwrap_or(BLOCK_BYTES_MAX);
    let bytes = last.file.read_range(scan.end, bytes)?;
    let is_later = |at: &usize| {
        let block = Block::parse(bytes.get(*at..).unwrap_or_default());
        block.is_ok_and(|block| block.first_position > scan.next_position)
    };
    let later = (0..bytes.len()).find(is_later);
    Ok(later.map(|at| {
        let at = scan.end + at as u64;
        format!("{why}, and an intact block follows at byte {at}")
    }))
}

/// Where the bytes begin that may not be durable, of those that are kept.
fn first_unsynced(last: &Segment, scan: &Scan, known: Option<&KnownHead>, copies: Copies) -> u64 {
    match (copies, scan.last_block) {
        (_, None) => 0,
        (Copies::Here, Some(begin)) => begin,
        (Copies::Cluster, Some(begin)) => {
            let here = known.filter(|known| known.segment == last.first_position());
            let noted = here.map_or(FIRST_BLOCK_OFFSET, |known| known.length);
            let earliest = scan.end.saturating_sub(UNSYNCED_END_BYTES_MAX);
            noted.max(earliest).min(begin)
        }
    }
}

/// After a kill the page cache may show what the disk does not hold: the last
/// block (or the header, if there is none, or all that was not synced) is
/// written again, in place, and synced.
fn make_durable(
    disk: &dyn Disk,
    folder: &Path,
    last: &Segment,
    (mut begin, scan): (u64, &Scan),
) -> Result<(), OpenError> {
    while begin < scan.end {
        let length = usize::try_from(scan.end - begin).unwrap_or(BLOCK_BYTES_MAX);
        let bytes = last.file.read_range(begin, length.min(BLOCK_BYTES_MAX));
        let bytes = bytes.map_err(failed("reading", &last.path))?;
        let written = last.file.write_all_at(&bytes, begin);
        written.map_err(failed("making durable", &last.path))?;
        begin += (bytes.len() as u64).max(1);
    }
    last.file
        .sync_data()
        .map_err(failed("making durable", &last.path))?;
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    disk.sync_folder(folder)
        .and_then(|()| disk.sync_folder(parent.unwrap_or(Path::new("."))))
        .map_err(failed("making durable the names in", folder))
}

fn remove_torn_header(disk: &dyn Disk, header: Option<&TornHeader>) -> Result<(), OpenError> {
    let Some(TornHeader { path, .. }) = header else {
        return Ok(());
    };
    tracing::warn!(file = %path.display(), "removing a segment whose header was not finished");
    disk.remove(path).map_err(failed("removing", path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    disk.sync_folder(folder).map_err(failed("syncing", folder))
}

fn begin_log(disk: &dyn Disk, folder: &Path, new: LogIdentity) -> Result<Recovered, OpenError> {
    let header = SegmentHeader {
        identity: new,
        first_position: Position::START.next(),
        chain: first_chain(new.log_id),
    };
    let segment = create_segment(disk, folder, header);
    let segment = segment.map_err(failed("beginning a journal in", folder))?;
    Ok(Recovered {
        history: LogHistory::one_epoch(header.identity),
        sealed: Vec::new(),
        active: Active::empty(Arc::new(segment)),
        tip: Tip {
            head: Position::START,
            chain: header.chain,
            length: FIRST_BLOCK_OFFSET,
            recorded_at_us: i64::MIN,
        },
        known: None,
    })
}

fn file_length(segment: &Segment) -> Result<u64, OpenError> {
    segment
        .file
        .len()
        .map_err(failed("measuring", &segment.path))
}

/// A read that failed while opening.
pub(crate) fn open_error(error: ReadError) -> OpenError {
    match error {
        ReadError::Corrupt(corruption) => corruption.into(),
        ReadError::Unavailable { why } => OpenError::Io {
            doing: "reading the journal".to_owned(),
            source: std::io::Error::other(why),
        },
    }
}
