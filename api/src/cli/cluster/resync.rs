//! `airpost cluster resync`: a journal that is no copy of the log is set aside, and the log fetched.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use eventstore::{
    ClusterError, DataLock, FolderPlace, Fork, JetStreamOptions, JournalReader, OpenError,
    Position, ReadError,
};

use super::{NodeOptions, fetch};
use crate::aside;
use crate::cli::terminal::say;
use crate::membership::{self, Membership};
use crate::service::{Folders, holds_segments};

/// What is to be done with a folder.
enum Mend {
    /// Nothing: its journal is a copy up to there.
    Nothing(Position),
    /// The journal is moved away, if there is one, and the log is fetched.
    Fetch(GivenUp),
}

/// What a journal has that the log will not have any more.
enum GivenUp {
    /// The log has all of it.
    Nothing,
    /// What is behind the last position that both have.
    Behind(Fork),
    /// Nobody can tell: it cannot be read.
    Unknown(String),
}

impl GivenUp {
    /// Of a journal that cannot be told to be a copy.
    fn of(folders: &Folders, cluster: &JetStreamOptions) -> anyhow::Result<Self> {
        match eventstore::fork_of(&folders.journal, cluster) {
            Ok(fork) if fork.only_ours() == 0 => Ok(Self::Nothing),
            Ok(fork) => Ok(Self::Behind(fork)),
            Err(error) if is_damage(&error) => Ok(Self::Unknown(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    /// Says it before anything is moved.
    fn tell(&self, journal: &Path, stream: &str) {
        let journal = journal.display();
        match self {
            Self::Nothing => {}
            Self::Behind(fork) => say(format_args!(
                "{journal} and the stream {stream} are the same up to position {}; the journal ends at {}, and the stream \
                 at {}. The {} records behind position {} are in this journal and not in the stream: the log gives \
                 them up, though they may have been acknowledged",
                fork.common,
                fork.ours,
                fork.theirs,
                fork.only_ours(),
                fork.common
            )),
            Self::Unknown(why) => say(format_args!(
                "what {journal} has and the stream {stream} has not cannot be told: {why}"
            )),
        }
    }

    /// Says it again, with where it is kept.
    fn tell_kept(&self, aside: &Path) {
        let aside = aside.display();
        match self {
            Self::Nothing => say(format_args!(
                "{aside} has nothing that the log has not, and can be removed"
            )),
            Self::Behind(fork) => say(format_args!(
                "given up: {} records, positions {} to {}; {aside} alone has them",
                fork.only_ours(),
                fork.common.next(),
                fork.ours
            )),
            Self::Unknown(_) => say(format_args!(
                "{aside} can be removed when nobody wants to look into it any more"
            )),
        }
    }
}

pub(super) fn resync(node: &NodeOptions) -> anyhow::Result<ExitCode> {
    let (data, cluster) = (node.data.as_path(), node.log.log()?);
    let stream = &cluster.stream;
    let _lock = DataLock::acquire(data, "cluster resync")?;
    membership::refuse_of_another(data, stream)?;
    let folders = Folders::of(data);
    // Before anything is moved or written down: what is moved away is to be had again, and only
    // a journal that is no copy of this very log has to be.
    let given_up = match decide(data, &folders, &cluster)? {
        Mend::Nothing(position) => {
            say(format_args!(
                "nothing to do: the journal of {} is a copy of the stream {stream} up to position {position}; what may \
                 follow there is fetched by the next start",
                data.display()
            ));
            return Ok(ExitCode::SUCCESS);
        }
        Mend::Fetch(given_up) => given_up,
    };
    given_up.tell(&folders.journal, stream);
    membership::enter(data, stream)?;
    // The journal last: views of what is moved away must not be taken for views of what is fetched.
    for folder in [&folders.views, &folders.snapshots] {
        if let Some(aside) = aside::move_aside(folder)? {
            say(format_args!(
                "moved to {}, which can be removed",
                aside.display()
            ));
        }
    }
    let journal = aside::move_aside(&folders.journal)?;
    if let Some(aside) = &journal {
        say(format_args!("moved to {}", aside.display()));
    }
    let head = fetch(data, &cluster)?;
    say(format_args!(
        "fetched the log of the stream {stream} up to position {head}; the views are built at the next start"
    ));
    if let Some(aside) = &journal {
        given_up.tell_kept(aside);
    }
    Ok(ExitCode::SUCCESS)
}

fn decide(data: &Path, folders: &Folders, cluster: &JetStreamOptions) -> anyhow::Result<Mend> {
    let is_member = matches!(membership::of(data)?, Some(Membership::Member(_)));
    let stream = &cluster.stream;
    let status = match eventstore::cluster_status(cluster, Some(&folders.journal)) {
        // Of which log it is can be told of a node's alone. The stream is looked at all the same.
        Err(error) if is_member && is_damage(&error) => {
            let status = eventstore::cluster_status(cluster, None)?;
            refuse_wrong(stream, status.wrong)?;
            refuse_longer(&folders.journal, (stream, status.head), &error)?;
            return Ok(Mend::Fetch(GivenUp::Unknown(error.to_string())));
        }
        status => status?,
    };
    refuse_wrong(stream, status.wrong)?;
    let journal = folders.journal.display();
    match status.folder {
        Some(FolderPlace::At(position)) => at(&folders.journal, position),
        Some(FolderPlace::Diverged(_)) => Ok(Mend::Fetch(GivenUp::of(folders, cluster)?)),
        // It gave up other records than the stream did, or went on alone.
        Some(FolderPlace::OtherLog(ours)) if status.log_id == Some(ours.log_id) => {
            Ok(Mend::Fetch(GivenUp::of(folders, cluster)?))
        }
        Some(FolderPlace::OtherLog(ours)) => bail!(
            "{journal} is of another log than the stream {stream}, {}: name the right stream, or the right folder",
            ours.log_id
        ),
        Some(FolderPlace::Ahead(position)) => bail!(
            "{journal} has all of the stream {stream}, and goes on to position {position}: that is not moved away; if \
             no folder's goes farther, have it published by airpost cluster heal"
        ),
        Some(FolderPlace::Empty) | None if is_member || holds_segments(&folders.journal) => {
            Ok(Mend::Fetch(GivenUp::Nothing))
        }
        Some(FolderPlace::Empty) | None => bail!(
            "{journal}: no journal is there; name a node's folder, or have this one join by airpost cluster join"
        ),
    }
}

/// What a journal needs that ends where the stream is the same: nothing, if it is whole.
fn at(journal: &Path, position: Position) -> anyhow::Result<Mend> {
    let reader = JournalReader::open_of_cluster(journal)?;
    // Only its end was looked at so far.
    match reader.walk(Position::START, &mut |_, _| ControlFlow::Continue(())) {
        Ok(()) => Ok(Mend::Nothing(position)),
        Err(error @ ReadError::Corrupt(_)) => {
            say(format_args!("{error}: the stream has all of it"));
            Ok(Mend::Fetch(GivenUp::Nothing))
        }
        Err(error) => Err(error.into()),
    }
}

fn refuse_wrong(stream: &str, wrong: Vec<String>) -> anyhow::Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    let stream = stream.to_owned();
    Err(ClusterError::Settings { stream, wrong }.into())
}

/// Refuses to have a damaged journal moved away that still tells that it goes on where the stream
/// ends: the cluster lost what it has.
fn refuse_longer(
    journal: &Path,
    (stream, end): (&str, Option<Position>),
    damage: &ClusterError,
) -> anyhow::Result<()> {
    let (Ok(reader), Some(end)) = (JournalReader::open_of_cluster(journal), end) else {
        return Ok(());
    };
    let head = reader.head();
    if head <= end {
        return Ok(());
    }
    bail!(
        "{damage}; and it goes on to position {head}, where the stream {stream} ends at {end}: see by airpost cluster \
         status whether another node's journal goes as far, have that one published (airpost cluster heal), and run this \
         again. If none does, move {} away by hand: what only it has is then lost to the log",
        journal.display()
    )
}

/// Whether a journal cannot be read for what it holds, and not for who reads it.
pub(super) fn is_damage(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::Unread(ReadError::Corrupt(_))
            | ClusterError::Copy(
                OpenError::Corrupt(_) | OpenError::CorruptEnd(_) | OpenError::Regressed { .. }
            )
    )
}
