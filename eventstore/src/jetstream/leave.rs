//! A log that leaves its cluster: the stream ends, and one node's journal goes
//! on alone, in the next epoch; also where the stream is no use any more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::cluster::{Cluster, Purpose, not_caught_up, open_copy};
use super::error::ClusterError;
use super::farewell::Farewell;
use super::heads::Head;
use super::options::JetStreamOptions;
use crate::disk::{Disk, RealDisk, failed};
use crate::error::OpenError;
use crate::event::Label;
use crate::history::{LogHistory, epoch_after};
use crate::journal::recovery::begin_epoch;
use crate::journal::segment::corruption;
use crate::journal::{Copies, JournalOptions, Recovered};
use crate::position::{LogIdentity, Position};

/// Where a journal notes the farewell that it is about to send.
const NOTE_NAME: &str = "leaving";

/// Who leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// Drawn anew for every call; an interrupted call's is noted in the journal.
    pub id: Uuid,
    /// Where the log goes on, in words for whoever looks for it there: the machine
    /// and the folder. Every node's refusal shows them.
    pub by: Label,
    /// The caller's clock, microseconds since the Unix epoch: the new epoch's
    /// number is its second.
    pub now_us: i64,
}

/// What [`leave_cluster`] or [`abandon_cluster`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftCluster {
    /// The log, and the epoch in which it goes on in this journal.
    pub identity: LogIdentity,
    /// The last position that it had on the cluster.
    pub head: Position,
}

/// Ends a log's life on a cluster; it goes on in the journal in this folder,
/// which must not be open, and in no other.
///
/// The journal comes to the stream's end first. There it says farewell, with a
/// message that has its place in the log's order as a block has: from there on
/// no node's append is taken, and of several nodes that leave at once the one
/// whose farewell is there does. Then the stream is sealed, **which cannot be
/// taken back**, and the journal begins the log's next epoch. Checkpoints and
/// tokens up to here stay valid. The other nodes go on serving reads until
/// they are stopped.
///
/// Interrupted, it is to be called again, for the same folder: until then the
/// log is on neither side. Called again afterwards it changes nothing.
///
/// # Errors
/// [`ClusterError`]; `Sealed` if another node left.
pub fn leave_cluster(
    folder: &Path,
    journal: JournalOptions,
    options: &JetStreamOptions,
    leaver: &Leaver,
) -> Result<LeftCluster, ClusterError> {
    let reader = open_copy(folder)?;
    let (history, head) = (reader.history().clone(), reader.head());
    drop(reader);
    let cluster = Cluster::connect(options, Purpose::Leave)?;
    let said = cluster.farewell()?;
    if let Some(said) = &said
        && let Some(left) = has_left(&history, &cluster.log.history, said)
    {
        cluster.seal()?;
        remove_note(folder)?;
        return Ok(left);
    }
    cluster.log.refuse_other(&history, head, &options.stream)?;
    let note = folder.join(NOTE_NAME);
    // One of an earlier life on a cluster says nothing.
    let noted = read_note(&note)?.filter(|noted| noted.is_behind(&cluster.log.history));
    let farewell = match (said, noted) {
        (Some(said), Some(noted)) if said == noted => noted,
        (Some(said), _) => return Err(said.error(&options.stream)),
        (None, Some(noted)) => noted,
        (None, None) => write_note(folder, &note, &cluster.log.history, leaver)?,
    };
    let end = say(folder, journal, &cluster, &farewell)?;
    cluster.seal()?;
    let identity = farewell.identity();
    begin_epoch(&RealDisk, folder, identity, (end.position, end.chain))?;
    remove_note(folder)?;
    Ok(LeftCluster {
        identity,
        head: end.position,
    })
}

/// Has a log go on alone in the journal in this folder, which must not be open,
/// without the stream: for one that is lost, or that holds what is no block of
/// the log, which nothing can be written behind. The cluster is not asked, and
/// nothing in it is changed. The journal begins the log's next epoch right behind
/// its end; checkpoints and tokens up to there stay valid.
///
/// **The caller has to see to it that this is the longest of the nodes' journals,
/// and that no other node goes on**: what another one has beyond this journal's
/// end is not in the log any more, though it was acknowledged, and a node that
/// goes on with the stream writes another log of the same id. Their journals may
/// join the log again where it goes on, unless they are longer.
///
/// If leaving was begun here, the epoch is the one that was noted for that.
/// Interrupted, it is called again. Each call begins an epoch; one that has no
/// record yet gives way to it.
///
/// # Errors
/// [`ClusterError::Journal`]: there is no journal, or it cannot be opened as a
/// node's.
pub fn abandon_cluster(
    folder: &Path,
    journal: JournalOptions,
    now_us: i64,
) -> Result<LeftCluster, ClusterError> {
    let history = open_copy(folder)?.history().clone();
    let LogIdentity { log_id, epoch } = history.identity();
    let noted = read_note(&folder.join(NOTE_NAME))?.filter(|noted| noted.is_behind(&history));
    let identity = noted.map_or_else(
        || LogIdentity {
            log_id,
            epoch: epoch_after(epoch, now_us),
        },
        |noted| noted.identity(),
    );
    // What a power cut left of its end is cut off and made durable first.
    let disk = Arc::new(RealDisk);
    let new = history.identity();
    let recovered = Recovered::in_folder(disk, folder, journal, (new, Copies::Cluster))?;
    let (head, chain) = recovered.end();
    recovered.run()?.close();
    begin_epoch(&RealDisk, folder, identity, (head, chain))?;
    remove_note(folder)?;
    Ok(LeftCluster { identity, head })
}

/// Whether a journal with that history is the one that left with a farewell.
fn has_left(ours: &LogHistory, streams: &LogHistory, said: &Farewell) -> Option<LeftCluster> {
    let mut epochs = ours.epochs().iter();
    let begun = epochs.position(|start| start.epoch == said.epoch)?;
    let (before, begun) = (ours.epochs().get(..begun)?, ours.epochs().get(begun)?);
    // An epoch of the stream that had no record yet has given way.
    let kept = streams.epochs().iter();
    let kept = kept.filter(|start| start.first_position < begun.first_position);
    let is_it = said.is_behind(streams) && kept.eq(before);
    is_it.then(|| LeftCluster {
        identity: said.identity(),
        head: Position::new(begun.first_position.get().saturating_sub(1)),
    })
}

/// Has the farewell accepted right behind the last block, which is then this
/// journal's last, too.
fn say(
    folder: &Path,
    journal: JournalOptions,
    cluster: &Cluster<'_>,
    farewell: &Farewell,
) -> Result<Head, ClusterError> {
    let options = cluster.options;
    let caught_up = cluster.catch_up(folder, journal, Box::new(|_, _| ()))?;
    match caught_up.end_with(&farewell.encode()) {
        Ok((position, chain)) => Ok(Head { position, chain }),
        Err(error) => Err(match cluster.farewell()? {
            Some(said) if said != *farewell => said.error(&options.stream),
            Some(_) | None => not_caught_up(error),
        }),
    }
}

fn read_note(note: &Path) -> Result<Option<Farewell>, OpenError> {
    if !RealDisk.exists(note).map_err(failed("looking for", note))? {
        return Ok(None);
    }
    let bytes = RealDisk.open_to_read(note).and_then(|file| {
        let length = usize::try_from(file.len()?).unwrap_or(usize::MAX);
        file.read_range(0, length.min(NOTE_BYTES_MAX))
    });
    let bytes = bytes.map_err(failed("reading", note))?;
    let noted = Farewell::decode(&bytes);
    let damaged = || corruption(note, 0, "it is not what was written when the log left").into();
    noted.map(Some).ok_or_else(damaged)
}

/// Longest note, bytes: two ids and a label, every character of it escaped.
const NOTE_BYTES_MAX: usize = 4096;

/// Notes the farewell durably: whoever finds it in the stream later knows by
/// the note that it is this journal's.
fn write_note(
    folder: &Path,
    note: &Path,
    streams: &LogHistory,
    leaver: &Leaver,
) -> Result<Farewell, OpenError> {
    let LogIdentity { log_id, epoch } = streams.identity();
    let farewell = Farewell {
        log_id,
        epoch: epoch_after(epoch, leaver.now_us),
        id: leaver.id,
        by: leaver.by.as_str().to_owned(),
    };
    let new: PathBuf = note.with_extension("new");
    let write = || {
        let file = RealDisk.create(&new)?;
        file.write_all_at(&farewell.encode(), 0)?;
        file.sync_data()?;
        RealDisk.rename(&new, note)?;
        RealDisk.sync_folder(folder)
    };
    write().map_err(failed("noting in", note))?;
    Ok(farewell)
}

fn remove_note(folder: &Path) -> Result<(), OpenError> {
    let note = folder.join(NOTE_NAME);
    let remove = || {
        if RealDisk.exists(&note)? {
            RealDisk.remove(&note)?;
            RealDisk.sync_folder(folder)?;
        }
        Ok(())
    };
    remove().map_err(failed("removing", &note))
}
