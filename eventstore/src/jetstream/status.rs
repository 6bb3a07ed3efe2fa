//! How a log on a cluster is, as one look shows it.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::stream::Info;
use uuid::Uuid;

use super::access::ANSWER_WAIT;
use super::cluster::{Cluster, Purpose, open_copy};
use super::error::ClusterError;
use super::heads::{self, Head};
use super::link::Link;
use super::options::JetStreamOptions;
use super::place::Standing;
use super::publish::{chain_at, stream_end};
use super::remote::Remote;
use super::settings;
use crate::journal::JournalReader;
use crate::position::{LogIdentity, Position};

/// How a log on a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The version of the server that answered.
    pub version: String,
    /// The servers that were named, and those that these told of.
    pub servers: Vec<ClusterServer>,
    /// Which log the stream says that it is.
    pub log_id: Option<Uuid>,
    /// What is wrong with the stream's settings, and what each has to be.
    pub wrong: Vec<String>,
    /// How many messages it has, each a block of the log.
    pub messages: u64,
    /// Its size on each server, bytes.
    pub bytes: u64,
    /// How large it may become, bytes; nothing if it has no limit of its own.
    pub bytes_max: Option<u64>,
    /// The servers that have a copy, the leader first. A server by itself says nothing of it.
    pub copies: Vec<ClusterCopy>,
    /// Where the log ends, as it was looked at last; nothing if the stream is wrong.
    pub head: Option<Position>,
    /// Where the running nodes are.
    pub nodes: Vec<Position>,
    /// Where those are that have more than the stream, which was looked at again
    /// after they were heard: the cluster lost what they have.
    pub farther: Vec<Position>,
    /// Where the folder's journal is, if one was named; nothing if the stream is wrong.
    pub folder: Option<FolderPlace>,
}

/// A server, as the connection knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterServer {
    /// Its host and port.
    pub address: String,
    /// Whether it is the one that was spoken to.
    pub is_connected: bool,
    /// Whether it was not named, and another one told of it.
    pub is_told_of: bool,
    /// Why it was not reached, if that was tried.
    pub trouble: Option<String>,
}

impl ClusterStatus {
    /// Whether a majority of the servers that have a copy is there, and one of
    /// them leads: else nothing is written. One by itself does not say.
    #[must_use]
    pub fn has_majority(&self) -> bool {
        let there = self.copies.iter().filter(|copy| copy.is_current).count();
        let is_led = self.copies.iter().any(|copy| copy.is_leader);
        self.copies.is_empty() || (is_led && there * 2 > self.copies.len())
    }
}

/// A server that has a copy of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCopy {
    /// Its name.
    pub server: String,
    /// Whether it is the one that decides.
    pub is_leader: bool,
    /// Whether it has all that the leader has, as the leader says.
    pub is_current: bool,
}

/// How a journal stands to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderPlace {
    /// There is no journal.
    Empty,
    /// It is a copy of the log up to there.
    At(Position),
    /// It goes on to there, behind the stream's end.
    Ahead(Position),
    /// It ends there, and the stream holds something else.
    Diverged(Position),
    /// It is another log's, or one whose epochs begin elsewhere.
    OtherLog(LogIdentity),
}

/// Looks at the log on the cluster, and where a folder's journal stands in it,
/// also while a node runs on that. Changes nothing.
///
/// # Errors
/// [`ClusterError`]: the cluster cannot be asked, there is no such stream, or
/// what is in it is no log. Wrong settings are no error here.
pub fn cluster_status(
    options: &JetStreamOptions,
    folder: Option<&Path>,
) -> Result<ClusterStatus, ClusterError> {
    let link = Link::connect(options)?;
    let (_, info) = Remote::find_or_name(&link, options)?;
    let checked = settings::check(options, &info, link.client.max_payload());
    let mut status = ClusterStatus {
        version: link.client.server_info().version,
        servers: servers(&link)?,
        log_id: None,
        wrong: Vec::new(),
        messages: info.state.messages,
        bytes: info.state.bytes,
        bytes_max: u64::try_from(info.config.max_bytes)
            .ok()
            .filter(|max| *max > 0),
        copies: copies(&info),
        head: None,
        nodes: Vec::new(),
        farther: Vec::new(),
        folder: None,
    };
    match checked {
        Ok(log) => status.log_id = Some(log.history.identity().log_id),
        Err(ClusterError::Settings { wrong, .. }) => {
            status.wrong = wrong;
            return Ok(status);
        }
        Err(error) => return Err(error),
    }
    match look_at_log(options, folder, &mut status) {
        // What is to be told is that nobody decides; with as much as was answered.
        Err(ClusterError::Unanswered { .. } | ClusterError::Leaderless { .. })
            if !status.has_majority() =>
        {
            Ok(status)
        }
        looked => looked.map(|()| status),
    }
}

fn look_at_log(
    options: &JetStreamOptions,
    folder: Option<&Path>,
    status: &mut ClusterStatus,
) -> Result<(), ClusterError> {
    let cluster = Cluster::connect(options, Purpose::Join)?;
    // What a running node has was in the stream before: looked at afterwards, the
    // stream has it, unless it is lost.
    let journal = folder.map(journal_in).transpose()?;
    let nodes = heads::ask(&cluster.link, options)?;
    status.nodes = nodes.into_iter().map(|head| head.position).collect();
    let (_, end) = stream_end(&cluster, options)?;
    status.head = Some(end.position);
    let farther = status.nodes.iter().filter(|node| **node > end.position);
    status.farther = farther.copied().collect();
    if let Some(journal) = journal {
        let place = journal.map(|journal| folder_place(&cluster, options, &journal, end));
        status.folder = Some(place.unwrap_or(Ok(FolderPlace::Empty))?);
    }
    Ok(())
}

pub(super) fn servers(link: &Link) -> Result<Vec<ClusterServer>, ClusterError> {
    let client = link.client.clone();
    // The client answers nothing while it makes its connection anew.
    let asked = async move { tokio::time::timeout(ANSWER_WAIT, client.server_pool()).await };
    let asked = link.run(asked).and_then(|pool| {
        pool.map_err(|_| {
            "the connection to the servers was lost, and is not there again".to_owned()
        })
    });
    let pool = asked.and_then(|pool| pool.map_err(|error| error.to_string()));
    let pool = pool.map_err(|why| ClusterError::Unanswered { why })?;
    let servers = pool.into_iter().map(|server| ClusterServer {
        address: format!("{}:{}", server.addr.host(), server.addr.port()),
        is_connected: server.did_connect,
        is_told_of: server.is_discovered,
        trouble: server.last_error,
    });
    Ok(servers.collect())
}

/// How long a leader may hear nothing of another server before that counts as
/// away: each says that it is there once a second, and the leader itself says
/// for ten that all is well.
const SILENT_MAX: Duration = Duration::from_secs(5);

fn copies(info: &Info) -> Vec<ClusterCopy> {
    let Some(cluster) = &info.cluster else {
        return Vec::new();
    };
    let leader = cluster.leader.iter().map(|server| ClusterCopy {
        server: server.clone(),
        is_leader: true,
        is_current: true,
    });
    let others = cluster.replicas.iter().map(|copy| ClusterCopy {
        server: copy.name.clone(),
        is_leader: false,
        is_current: copy.current && !copy.offline && copy.active < SILENT_MAX,
    });
    leader.chain(others).collect()
}

/// The journal in a folder as it is now, if there is one.
fn journal_in(folder: &Path) -> Result<Option<JournalReader>, ClusterError> {
    Ok(match crate::journal::log_id_in(folder)? {
        None => None,
        Some(_) => Some(open_copy(folder)?),
    })
}

fn folder_place(
    cluster: &Cluster<'_>,
    options: &JetStreamOptions,
    journal: &JournalReader,
    end: Head,
) -> Result<FolderPlace, ClusterError> {
    let (history, log) = (journal.history(), &cluster.log);
    if log
        .refuse_other(history, journal.head(), &options.stream)
        .is_err()
    {
        return Ok(FolderPlace::OtherLog(history.identity()));
    }
    let (position, beginning) = (journal.head(), cluster.beginning());
    if position > end.position {
        // The journal has the stream's end, or it never was a copy of it.
        let there = chain_at(journal, beginning, end.position)?;
        return Ok(if there == Some(end.chain) {
            FolderPlace::Ahead(position)
        } else {
            FolderPlace::Diverged(position)
        });
    }
    let Some(chain) = chain_at(journal, beginning, position)? else {
        return Ok(FolderPlace::Diverged(position));
    };
    match cluster.look(Head { position, chain }, |_| true) {
        Ok(Standing::At(_)) => Ok(FolderPlace::At(position)),
        Ok(Standing::Behind(..)) => Ok(FolderPlace::Ahead(position)),
        Ok(Standing::Diverged) => Ok(FolderPlace::Diverged(position)),
        Err(unplaced) => Err(unplaced.into_error(&options.stream)),
    }
}
