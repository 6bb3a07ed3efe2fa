//! Going on although acknowledged records are missing: what is missing is
//! told first, and only whoever accepts it gets a journal that opens again,
//! under a new epoch.

use std::path::Path;

use super::{
    Copies, Scan, Segment, check_order, file_length, find_segments, first_unsynced, history_of,
    known_head, links, make_durable, open_error, remove_torn_header, scan,
};
use crate::disk::{Disk, RealDisk, failed};
use crate::error::{Corruption, OpenError};
use crate::history::{LogHistory, Standing, epoch_after};
use crate::journal::block::{Block, Chain};
use crate::journal::head_file::KnownHead;
use crate::journal::segment::{FIRST_BLOCK_OFFSET, SegmentHeader, TornHeader, segment_name};
use crate::journal::torn::{self, Torn};
use crate::limits::BLOCK_BYTES_MAX;
use crate::position::{LogIdentity, Position};

/// Somebody who has seen a position: a view, the head file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who, in words for the operator.
    pub name: String,
    /// The log and the epoch in which it was seen.
    pub identity: LogIdentity,
    /// The last position that was seen.
    pub position: Position,
}

/// What is missing of a journal, and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The log and its epoch, as they are before anything is given up.
    pub identity: LogIdentity,
    /// The last position that can be read.
    pub head: Position,
    /// Who has seen more than that.
    pub witnesses: Vec<Witness>,
    /// Where acknowledged records begin that cannot be read, if there are any.
    pub damage: Option<Corruption>,
    /// Bytes from there to the file's end.
    pub damaged_bytes: u64,
    /// The epoch in which the log would go on; later, it would be a later one.
    pub next_epoch: u32,
}

impl Loss {
    /// Whether anything is missing, as far as is known.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.damage.is_some() || !self.witnesses.is_empty()
    }

    /// The last position that is known to have been there.
    #[must_use]
    pub fn known_to(&self) -> Position {
        let seen = self.witnesses.iter().map(|witness| witness.position);
        seen.max().unwrap_or(self.head).max(self.head)
    }

    /// How many positions are known to be missing. There may be more: what
    /// came after the last witness looked is known to nobody.
    #[must_use]
    pub fn positions(&self) -> u64 {
        self.known_to().get() - self.head.get()
    }
}

/// Why a journal cannot go on with what there is.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Something before its end is damaged, or missing.
    #[error(
        "{0}; that is not at the journal's end, so it cannot be cut off: restore from a backup"
    )]
    NotTheEnd(Corruption),
    /// No segment is there.
    #[error("{}: no segment can be read: restore from a backup", folder.display())]
    Nothing {
        /// The journal's folder.
        folder: std::path::PathBuf,
    },
    /// The disk, or another version of the format.
    #[error(transparent)]
    Open(OpenError),
}

impl From<OpenError> for RecoverError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Corrupt(corruption) => Self::NotTheEnd(corruption),
            OpenError::Locked { .. }
            | OpenError::CorruptEnd(_)
            | OpenError::Regressed { .. }
            | OpenError::Unfinished { .. }
            | OpenError::Format { .. }
            | OpenError::Io { .. } => Self::Open(error),
        }
    }
}

/// Says what is missing of the journal in a folder, and changes nothing.
///
/// `witnesses` are those whom the caller knows; the head file is asked
/// besides. `now_us` is the caller's clock, microseconds since the Unix epoch,
/// of which the next epoch gets its number. Every byte of the journal is read;
/// `progress` is told the bytes done and in all. Nobody else may have the
/// journal open.
///
/// # Errors
/// [`RecoverError`], if the journal cannot go on with what there is.
pub fn assess_loss(
    folder: &Path,
    witnesses: &[Witness],
    now_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loss, RecoverError> {
    assess_loss_on(&RealDisk, folder, (witnesses, now_us), progress)
}

/// The same, on a disk that may fail.
pub(crate) fn assess_loss_on(
    disk: &dyn Disk,
    folder: &Path,
    witnesses_and_clock: (&[Witness], i64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loss, RecoverError> {
    Ok(assess_on(disk, folder, witnesses_and_clock, progress)?.loss)
}

/// Gives up what is missing: an unreadable end is cut off (its bytes are kept
/// under `torn/`), and the log goes on in a new segment, under a new epoch,
/// which is later than any that a witness has seen, and not before the second
/// of `now_us`, the caller's clock in microseconds since the Unix epoch.
/// If nothing is missing, nothing is changed.
///
/// Interrupted, it can be called again. From its first change on, the journal
/// opens only once it is done: never with a part given up in the old epoch.
///
/// # Errors
/// [`RecoverError`].
pub fn recover_with_loss(
    folder: &Path,
    witnesses: &[Witness],
    now_us: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loss, RecoverError> {
    recover_on(&RealDisk, folder, (witnesses, now_us), progress)
}

/// The same, on a disk that may fail.
pub(crate) fn recover_on(
    disk: &dyn Disk,
    folder: &Path,
    (witnesses, now_us): (&[Witness], i64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Loss, RecoverError> {
    let assessed = assess_on(disk, folder, (witnesses, now_us), progress)?;
    let Assessed {
        loss,
        last,
        scan,
        length,
        header,
    } = assessed;
    if !loss.is_any() {
        // A recovery that was killed at its very end may not be durable yet.
        disk.sync_folder(folder)
            .map_err(failed("making durable the names in", folder))?;
        return Ok(loss);
    }
    let identity = LogIdentity {
        epoch: loss.next_epoch,
        ..loss.identity
    };
    note_loss(disk, folder, (&loss, identity), (&last, &scan))?;
    if let Some((header, true)) = &header {
        torn::keep_header(disk, folder, header)?;
    }
    remove_torn_header(disk, header.as_ref().map(|(header, _)| header))?;
    if length > scan.end {
        let why = scan.stopped.unwrap_or_default();
        torn::cut(
            disk,
            folder,
            &last,
            (scan.end, length),
            (Torn::Records, why),
        )?;
    }
    let begin = first_unsynced(&last, &scan, None, Copies::Here);
    make_durable(disk, folder, &last, (begin, &scan))?;
    begin_epoch(disk, folder, identity, (loss.head, scan.chain))?;
    Ok(loss)
}

/// A head file of the epoch that is to come. Until that epoch has begun the
/// journal is behind it, whatever else is on disk: so a recovery that was
/// interrupted refuses to open, and finds again that something is missing.
fn note_loss(
    disk: &dyn Disk,
    folder: &Path,
    (loss, identity): (&Loss, LogIdentity),
    (last, scan): (&Segment, &Scan),
) -> Result<(), OpenError> {
    let position = if loss.damage.is_some() {
        // At least the first of the damaged records was there.
        loss.known_to().max(loss.head.next())
    } else {
        loss.known_to()
    };
    let known = KnownHead {
        identity,
        position,
        chain: scan.chain,
        segment: last.first_position(),
        length: scan.end,
    };
    let noted = known.write(disk, folder);
    noted.map_err(failed("noting the loss in", folder))
}

/// Begins an epoch behind a position: a segment of its own, and a head file
/// that says where the log ends now.
pub(crate) fn begin_epoch(
    disk: &dyn Disk,
    folder: &Path,
    identity: LogIdentity,
    (head, chain): (Position, Chain),
) -> Result<(), OpenError> {
    let header = SegmentHeader {
        identity,
        first_position: head.next(),
        chain,
    };
    let created = create_epoch_segment(disk, folder, header);
    let path = folder.join(segment_name(header.first_position));
    created.map_err(failed("beginning an epoch with", &path))?;
    let known = KnownHead {
        identity,
        position: head,
        chain,
        segment: header.first_position,
        length: FIRST_BLOCK_OFFSET,
    };
    let noted = known.write(disk, folder);
    noted.map_err(failed("noting the head in", folder))
}

/// Creates the segment that begins an epoch. It has its name only when it is
/// whole and durable: an unfinished one would be taken for one of the epoch
/// before. A segment without a record that begins there gives way, at once.
pub(crate) fn create_epoch_segment(
    disk: &dyn Disk,
    folder: &Path,
    header: SegmentHeader,
) -> std::io::Result<Segment> {
    let path = folder.join(segment_name(header.first_position));
    let new = path.with_extension("seg.new");
    let file = disk.create(&new)?;
    file.write_all_at(&header.encode(), 0)?;
    file.sync_data()?;
    disk.rename(&new, &path)?;
    disk.sync_folder(folder)?;
    Ok(Segment { path, file, header })
}

struct Assessed {
    loss: Loss,
    last: Segment,
    scan: Scan,
    length: u64,
    /// What lies behind it, and whether it is damaged and not unfinished.
    header: Option<(TornHeader, bool)>,
}

fn assess_on(
    disk: &dyn Disk,
    folder: &Path,
    (witnesses, now_us): (&[Witness], i64),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Assessed, RecoverError> {
    let mut found = find_segments(disk, folder)?;
    let Some(last) = found.whole.pop() else {
        let folder = folder.to_owned();
        return Err(RecoverError::Nothing { folder });
    };
    check_order(&found.whole, &last).map_err(RecoverError::NotTheEnd)?;
    let history = history_of(&found.whole, &last);
    let recorded_at_us = scan_sealed(&found.whole, &last, progress)?;
    let length = file_length(&last)?;
    let scan = scan(&last, length, recorded_at_us, &mut |_, _| Ok(())).map_err(open_error)?;
    let head = Position::new(scan.next_position.get() - 1);

    let identity = history.identity();
    let mut known = witnesses.to_vec();
    known.extend(known_head(disk, folder)?.map(|known| Witness {
        name: "the journal's head file".to_owned(),
        identity: known.identity,
        position: known.position,
    }));
    let damaged_header = found.damaged_header(&last, &scan);
    known.extend(found.torn_header.as_ref().map(|header| Witness {
        name: "the name of the last segment".to_owned(),
        identity,
        position: Position::new(header.first_position.get().saturating_sub(1)),
    }));
    let behind = intact_behind(&last, &scan, length);
    let behind = behind.map_err(failed("reading", &last.path))?;
    known.extend(behind.map(|position| Witness {
        name: "an intact block behind the damage".to_owned(),
        identity,
        position,
    }));
    let of_this_log = |witness: &&Witness| witness.identity.log_id == identity.log_id;
    let epochs = known.iter().filter(of_this_log);
    let epoch = epochs.map(|witness| witness.identity.epoch).max();
    let witnesses = ahead(&history, known, head);
    let is_damaged = length - scan.end > BLOCK_BYTES_MAX as u64 || !witnesses.is_empty();
    let damaged_end = scan.stopped.filter(|_| is_damaged);
    let damaged_end = damaged_end.map(|why| (last.corrupt(scan.end, why), length - scan.end));
    let header = found.torn_header.map(|header| {
        let is_damaged = damaged_header.is_some();
        (header, is_damaged)
    });
    let damage = damaged_end.or(damaged_header.map(|why| (why, FIRST_BLOCK_OFFSET)));
    let (damage, damaged_bytes) = damage.unzip();
    Ok(Assessed {
        loss: Loss {
            identity,
            head,
            witnesses,
            damage,
            damaged_bytes: damaged_bytes.unwrap_or_default(),
            // Also behind an epoch of which nothing is left here.
            next_epoch: epoch_after(epoch.unwrap_or_default().max(identity.epoch), now_us),
        },
        last,
        scan,
        length,
        header,
    })
}

/// Those who have seen more of this log than there is.
fn ahead(history: &LogHistory, known: Vec<Witness>, head: Position) -> Vec<Witness> {
    let is_ahead = |witness: &Witness| {
        history.judge(witness.identity, witness.position, head) == Standing::Ahead
    };
    known.into_iter().filter(is_ahead).collect()
}

/// Checks every sealed segment by its bytes, not by its index; gives the time
/// of the last record.
fn scan_sealed(
    sealed: &[Segment],
    last: &Segment,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<i64, RecoverError> {
    let lengths = sealed.iter().map(file_length);
    let lengths = lengths.collect::<Result<Vec<_>, _>>()?;
    let all = lengths.iter().sum::<u64>() + file_length(last)?;
    let nexts = sealed.iter().skip(1).chain([last]);
    let (mut recorded_at_us, mut done) = (i64::MIN, 0);
    for ((segment, next), length) in sealed.iter().zip(nexts).zip(lengths) {
        let scan = scan(segment, length, recorded_at_us, &mut |_, _| Ok(())).map_err(open_error)?;
        if let Some(why) = scan.stopped {
            return Err(RecoverError::NotTheEnd(segment.corrupt(scan.end, why)));
        }
        if !links(&scan.segment_end(segment), &next.header) {
            let why = "the segment does not end where the next one begins";
            return Err(RecoverError::NotTheEnd(segment.corrupt(scan.end, why)));
        }
        recorded_at_us = scan.recorded_at_us;
        done += length;
        progress(done, all);
    }
    Ok(recorded_at_us)
}

/// The last position of the intact blocks that follow a damaged one, if one
/// follows near enough to be looked for.
fn intact_behind(last: &Segment, scan: &Scan, length: u64) -> std::io::Result<Option<Position>> {
    if scan.stopped.is_none() {
        return Ok(None);
    }
    // A damaged block and the one behind it lie within the longest two.
    let window = usize::try_from(length - scan.end).unwrap_or(usize::MAX);
    let bytes = last
        .file
        .read_range(scan.end, window.min(2 * BLOCK_BYTES_MAX))?;
    let later = (0..bytes.len().min(BLOCK_BYTES_MAX + 1)).find_map(|at| {
        let block = Block::parse(bytes.get(at..).unwrap_or_default()).ok()?;
        (block.first_position > scan.next_position).then_some((at, block.length))
    });
    let Some((at, _)) = later else {
        return Ok(None);
    };
    let mut offset = scan.end + at as u64;
    let mut seen = None;
    while offset < length {
        let bytes = last.file.read_range(offset, BLOCK_BYTES_MAX)?;
        let Ok(block) = Block::parse(&bytes) else {
            break;
        };
        seen = Some(block.head());
        offset += block.length as u64;
    }
    Ok(seen)
}

#[cfg(test)]
mod tests;
