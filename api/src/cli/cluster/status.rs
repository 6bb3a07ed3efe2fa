//! `airpost cluster status`: how the log on the cluster is, and a folder's place in it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use eventstore::{
    ClusterError, ClusterStatus, FolderPlace, JetStreamOptions, JournalReader, Position,
};

use super::{LogOptions, resync};
use crate::cli::FINDINGS;
use crate::cli::terminal::say;
use crate::membership;
use crate::service::{Folders, holds_segments};

/// How much room a stream must have left, bytes: for the largest block, which is 512 KiB, and some more.
const ROOM_BYTES_MIN: u64 = 1024 * 1024;

/// Which log, and which folder.
#[derive(Debug, clap::Args)]
pub(super) struct StatusOptions {
    /// A node's folder, whose journal's place is told, too; a service may be running on it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    #[command(flatten)]
    log: LogOptions,
}

pub(super) fn status(options: &StatusOptions) -> anyhow::Result<ExitCode> {
    let cluster = options.log.log()?;
    let journal = options
        .data
        .as_deref()
        .map(|data| Folders::of(data).journal);
    let status = match eventstore::cluster_status(&cluster, journal.as_deref()) {
        Ok(status) => status,
        // It hides nothing of the cluster.
        Err(error) if resync::is_damage(&error) => {
            tell(&cluster, &eventstore::cluster_status(&cluster, None)?);
            say(format_args!("folder: its journal cannot be read: {error}"));
            return Ok(ExitCode::from(FINDINGS));
        }
        // Who mends it, or goes on without it, needs to know which journal is the longest.
        Err(error) => {
            if let Some(journal) = &journal {
                tell_journal(journal);
            }
            if let ClusterError::Leaderless { .. } = error {
                say(format_args!("stream {}: {error}", cluster.stream));
                return Ok(ExitCode::from(FINDINGS));
            }
            return Err(error.into());
        }
    };
    let mut is_in_order = tell(&cluster, &status);
    if let Some(data) = &options.data
        && let Err(error) = membership::refuse_of_a_join(data)
    {
        say(format_args!("folder: {error}"));
        is_in_order = false;
    }
    // A stream that may not hold the log is held against nothing.
    if let (None, Some(journal)) = (status.head, &journal) {
        tell_journal(journal);
    }
    Ok(if is_in_order {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FINDINGS)
    })
}

/// Says where a journal ends, without a stream to hold it against.
fn tell_journal(journal: &Path) {
    if !holds_segments(journal) {
        return;
    }
    match JournalReader::open_of_cluster(journal) {
        Ok(reader) => say(format_args!(
            "folder: its journal of the log {} ends at position {}",
            reader.history().identity().log_id,
            reader.head()
        )),
        Err(error) => say(format_args!("folder: its journal cannot be read: {error}")),
    }
}

/// Says all of it; whether it is in order.
pub(in crate::cli) fn tell(cluster: &JetStreamOptions, status: &ClusterStatus) -> bool {
    let stream = &cluster.stream;
    say(format_args!(
        "servers: {}; version {}",
        servers(status),
        status.version
    ));
    let (messages, bytes) = (status.messages, status.bytes);
    say(format_args!(
        "stream {stream}: {messages} blocks, {bytes} bytes{}",
        copies(status)
    ));
    let has_majority = tell_majority(stream, status);
    let has_room = tell_room(stream, status);
    for wrong in &status.wrong {
        say(format_args!("stream {stream}: wrong: {wrong}"));
    }
    let Some(head) = status.head else {
        return false;
    };
    if let Some(log_id) = status.log_id {
        say(format_args!(
            "stream {stream}: set up as it must be; the log {log_id} up to position {head}"
        ));
    }
    let nodes = tell_nodes(status);
    let folder = status.folder.is_none_or(|place| tell_folder(place, head));
    has_majority && has_room && nodes && folder
}

/// Such as `127.0.0.1:4222 (connected), 127.0.0.1:4223, 127.0.0.1:4224 (told of by the others)`.
fn servers(status: &ClusterStatus) -> String {
    let servers = status.servers.iter().map(|server| {
        let how = match (server.is_connected, &server.trouble, server.is_told_of) {
            (true, _, _) => " (connected)".to_owned(),
            (false, Some(trouble), _) => format!(" (not reached: {trouble})"),
            (false, None, true) => " (told of by the others)".to_owned(),
            (false, None, false) => String::new(),
        };
        format!("{}{how}", server.address)
    });
    let servers: Vec<_> = servers.collect();
    servers.join(", ")
}

/// Says when nobody decides what is in the log; whether somebody does.
fn tell_majority(stream: &str, status: &ClusterStatus) -> bool {
    if status.has_majority() {
        return true;
    }
    let away = status.copies.iter().filter(|copy| !copy.is_current);
    let away: Vec<_> = away.map(|copy| copy.server.as_str()).collect();
    let there = status.copies.len() - away.len();
    let is_led = status.copies.iter().any(|copy| copy.is_leader);
    let led = if is_led { "" } else { ", and none leads" };
    say(format_args!(
        "stream {stream}: {there} of its {} copies are there{led}, as far as the server knows that answers: nothing is \
         written until a majority is; start the servers that are down among the others ({}), or wait some seconds where \
         they are just up",
        status.copies.len(),
        away.join(", ")
    ));
    false
}

/// Says when the stream is full, or nearly so, by the limit that is its own; whether it is not.
fn tell_room(stream: &str, status: &ClusterStatus) -> bool {
    let Some(max) = status.bytes_max else {
        say(format_args!(
            "stream {stream}: it has no limit of its own; how full the servers' storage is they tell at their monitoring \
             addresses alone (airpost doctor --monitor)"
        ));
        return true;
    };
    let has_room = status.bytes.saturating_add(ROOM_BYTES_MIN) <= max;
    if !has_room {
        say(format_args!(
            "stream {stream}: it is full, with {} of {max} bytes, and takes no block any more, or soon: have it take \
             more (nats stream edit {stream} --max-bytes -1)",
            status.bytes
        ));
    }
    has_room
}

/// Such as `, copies on n0 (leader), n1, n2 (behind)`.
fn copies(status: &ClusterStatus) -> String {
    let copies = status.copies.iter().map(|copy| {
        let how = match (copy.is_leader, copy.is_current) {
            (true, _) => " (leader)",
            (false, true) => "",
            (false, false) => " (behind or away)",
        };
        format!("{}{how}", copy.server)
    });
    let copies: Vec<_> = copies.collect();
    if copies.is_empty() {
        String::new()
    } else {
        format!(", copies on {}", copies.join(", "))
    }
}

/// Says where the nodes are; whether the stream has all that they have.
fn tell_nodes(status: &ClusterStatus) -> bool {
    let heads: Vec<_> = status.nodes.iter().map(ToString::to_string).collect();
    if heads.is_empty() {
        say("nodes: none is running");
        return true;
    }
    say(format_args!(
        "nodes: {} running, at position {}",
        heads.len(),
        heads.join(", ")
    ));
    let Some(farthest) = status.farther.iter().max() else {
        return true;
    };
    say(format_args!(
        "nodes: one has the log up to position {farthest}, and the stream, looked at after that, has less: the cluster \
         lost the end of the log, see airpost cluster heal --help"
    ));
    false
}

fn tell_folder(place: FolderPlace, head: Position) -> bool {
    match place {
        FolderPlace::Empty => {
            say(
                "folder: there is no journal yet; it is fetched when the folder joins, or is served",
            );
            true
        }
        FolderPlace::At(position) => {
            let behind = head.get().saturating_sub(position.get());
            // The stream is looked at after the folder: a node that runs on it is asked for no more.
            let when = if behind > 0 {
                " as it was a moment later"
            } else {
                ""
            };
            say(format_args!(
                "folder: its journal is a copy of the log up to position {position}, {behind} behind the end{when}"
            ));
            true
        }
        FolderPlace::Ahead(position) => {
            say(format_args!(
                "folder: its journal goes on to position {position}, and the stream ends at {head}: if no folder's \
                 goes farther, have that published by airpost cluster heal"
            ));
            false
        }
        FolderPlace::Diverged(position) => {
            say(format_args!(
                "folder: its journal, which ends at position {position}, holds something else than the stream: see \
                 airpost cluster resync --help"
            ));
            false
        }
        FolderPlace::OtherLog(identity) => {
            say(format_args!(
                "folder: its journal is of another log or epoch, {identity}: name the right stream, or the right folder"
            ));
            false
        }
    }
}
