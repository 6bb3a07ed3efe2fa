//! Why a log on a cluster is not opened, and what to change.

use std::fmt;
use std::path::PathBuf;

use uuid::Uuid;

use super::access::AccessError;
use super::fork::Fork;
use super::saying::NatsTrouble;
use super::version::NatsVersion;
use crate::error::{OpenError, ReadError};
use crate::position::Position;

/// Why a log on a cluster could not be opened, made or filled. Unless a
/// variant says otherwise nothing was written to the cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No server answered.
    #[error(
        "no NATS server answered at {servers} ({why}): see that they run and can be reached from here"
    )]
    Unreachable {
        /// Where, without passwords.
        servers: String,
        /// The client's words.
        why: String,
    },
    /// The servers' certificate, or this node's, is not believed.
    #[error(
        "the NATS servers at {servers} are not spoken to ({why}): name the authority that vouches for their certificate (--nats-ca, a PEM file), and see that it is for the address in --nats; where they ask for one, give --nats-cert and --nats-key"
    )]
    Untrusted {
        /// Where, without passwords.
        servers: String,
        /// The client's words.
        why: String,
    },
    /// The servers do not let this node in.
    #[error(
        "the NATS servers at {servers} refuse the credentials: see the user and its password, its nkey or its credentials file"
    )]
    Refused {
        /// Where, without passwords.
        servers: String,
    },
    /// A server is too old.
    #[error("the NATS server is of version {version}: run {needed} or later")]
    TooOld {
        /// Its version.
        version: String,
        /// The oldest that will do.
        needed: NatsVersion,
    },
    /// The servers did not do what was asked.
    #[error(
        "the cluster did not answer as it should ({why}): see that its servers are up and reach each other (airpost doctor looks at each), and try again in some seconds"
    )]
    Unanswered {
        /// Their words.
        why: String,
    },
    /// The servers cannot decide anything at this moment.
    #[error("the cluster decides nothing at this moment ({why}): {}", NatsTrouble::Leaderless.advice())]
    Leaderless {
        /// Their words.
        why: String,
    },
    /// Nobody there keeps streams.
    #[error("the NATS servers keep no streams ({why}): {}", NatsTrouble::NotEnabled.advice())]
    NotEnabled {
        /// Their words, or the client's.
        why: String,
    },
    /// The servers do not let this node do what it has to.
    #[error(
        "the NATS servers do not allow what is needed ({words}): permit the nodes' user that subject, as api/nats/airpost.conf does with all that a node needs, and no more"
    )]
    Denied {
        /// Their words.
        words: String,
    },
    /// Another stream takes in what is published to this one.
    #[error(
        "another stream of the cluster takes in {subject}: see nats stream ls, and have no other stream take in airpost.log.>"
    )]
    Overlap {
        /// The subject that only the log may have.
        subject: String,
    },
    /// The servers have no room for the stream.
    #[error(
        "the servers cannot keep the stream {stream} ({why}): see that there are as many as it has copies, and what storage they and the account have left"
    )]
    NoRoom {
        /// Its name.
        stream: String,
        /// Their words.
        why: String,
    },
    /// The servers cannot keep three copies of the stream.
    #[error(
        "the servers cannot keep three copies of the stream {stream} ({why}): see that three servers run as one cluster; or, where what one machine loses may be lost, have one server alone keep it (--single-replica)"
    )]
    TooFewServers {
        /// Its name.
        stream: String,
        /// Their words.
        why: String,
    },
    /// There is no such stream.
    #[error(
        "{0}: see --cluster and --nats; if it was there and is gone, stop all nodes and have it made again from the longest journal (airpost cluster heal --new); if it is still to be made, have that done from the journal that is to be its beginning (airpost cluster join)"
    )]
    Missing(MissingStream),
    /// The stream is set up so that it could lose what it acknowledged.
    #[error("the stream {stream} must not hold a log as it is set up: {}", wrong.join("; "))]
    Settings {
        /// Its name.
        stream: String,
        /// What is wrong, and what it has to be.
        wrong: Vec<String>,
    },
    /// The stream is another log's.
    #[error(
        "the stream {stream} is the log {theirs}, and this journal is of the log {ours}: name the right stream, or the right data folder"
    )]
    OtherLog {
        /// The stream.
        stream: String,
        /// The log that it is.
        theirs: Uuid,
        /// The log that the journal is of.
        ours: Uuid,
    },
    /// The log in the stream and the journal gave up other records: one of them
    /// was restored, went on after a loss, or left a cluster.
    #[error(
        "the stream {stream} has the log's epochs {theirs} (each with its first position), and this journal has {ours}: to go on with the stream, fetch the journal anew (airpost cluster resync); to go on with the journal, put it into a stream of another name (airpost cluster join)"
    )]
    OtherEpochs {
        /// The stream.
        stream: String,
        /// The stream's epochs, each with its first position.
        theirs: String,
        /// The journal's.
        ours: String,
    },
    /// The log left the cluster.
    #[error(
        "the log left the stream {stream}, to which nothing is written any more: it goes on in epoch {epoch} in the journal of {by}: serve that one, which may join a stream of another name (airpost cluster join)"
    )]
    Sealed {
        /// The stream.
        stream: String,
        /// Where the log goes on, in the words of whoever had it leave.
        by: String,
        /// The epoch in which it goes on there.
        epoch: u32,
    },
    /// What lies in the stream is no log.
    #[error(
        "message {sequence} of the stream {stream} is not a block of the log ({why}): another program wrote there, or messages were deleted; name a stream that is Airpost's alone, or, if this one was, have the log go on without it (airpost cluster abandon --help)"
    )]
    Foreign {
        /// The stream.
        stream: String,
        /// Which message.
        sequence: u64,
        /// What does not hold.
        why: String,
    },
    /// The cluster lost what was acknowledged, and a journal has it still.
    #[error(
        "the stream {stream} ends at position {stream_head}, but position {known} was acknowledged: if all servers are up, and none is behind (airpost cluster status), have what is missing published from the longest journal (airpost cluster heal), and start nothing before"
    )]
    ClusterBehind {
        /// The stream.
        stream: String,
        /// Where it ends.
        stream_head: Position,
        /// What a journal reaches to, this one or another node's.
        known: Position,
    },
    /// The stream has not yet, or not any more, all that it was made for.
    #[error(
        "the stream {stream} was made for a journal up to position {filled_to}, and ends at {stream_head}: what puts the rest there is under way, or broke off, and is to be run again with the same folder (airpost cluster join); if it came to its end once, have what is missing published from the longest journal (airpost cluster heal)"
    )]
    Unfilled {
        /// The stream.
        stream: String,
        /// Where it ends.
        stream_head: Position,
        /// Where the journal ended that it was made for.
        filled_to: Position,
    },
    /// The journal and the stream went different ways.
    #[error(
        "{} and the stream {stream} are the same up to position {}, and differ from there on; the journal ends at {}, the stream at {}: if only this node says so, have the journal and the views moved away, and fetched anew (airpost cluster resync); if others do, too, the stream has changed: stop them all, and see airpost cluster resync --help",
        journal.display(), fork.common, fork.ours, fork.theirs
    )]
    Diverged {
        /// The journal's folder.
        journal: PathBuf,
        /// The stream.
        stream: String,
        /// Where they part, and where each ends.
        fork: Fork,
    },
    /// Nodes run that have less than the journal that is to be published, and
    /// would write in the places of what they lack.
    #[error(
        "nodes of the stream {stream} run that have less than this journal, which ends at position {head} (they end at {}): stop every node that serves this stream, then run the same command again",
        listed(shorter)
    )]
    Running {
        /// The stream.
        stream: String,
        /// Where the journal ends.
        head: Position,
        /// Where each of them ends.
        shorter: Vec<Position>,
    },
    /// A node runs that has more than the journal that is to be published: what only it has would be
    /// lost to the log.
    #[error(
        "a node of the stream {stream} runs that has the log up to position {farthest}, and this journal ends at {head}: stop every node that serves this stream, and publish the longest journal (airpost cluster status --data says where each ends)"
    )]
    NotLongest {
        /// The stream.
        stream: String,
        /// Where the journal ends.
        head: Position,
        /// Where the farthest node is.
        farthest: Position,
    },
    /// The log did not become this journal's to its end, for this reason. What
    /// was fetched is kept.
    #[error("the journal did not come to the end of the log: {why}")]
    NotCaughtUp {
        /// What happened.
        why: String,
    },
    /// Some of the blocks were published, and then no more.
    #[error(
        "{published} blocks were published, and then no more ({why}): run the same command again"
    )]
    Interrupted {
        /// How many are in the stream now that were not before.
        published: u64,
        /// What happened.
        why: String,
    },
    /// This node's journal, which is a copy of the log, cannot be opened.
    #[error("{}", of_a_copy(.0))]
    Copy(OpenError),
    /// The servers cannot be spoken to as was asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The journal cannot be read.
    #[error(transparent)]
    Unread(#[from] ReadError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] OpenError),
}

/// What helps a journal whose log is on a cluster: a copy is fetched, and nothing given up.
fn of_a_copy(error: &OpenError) -> String {
    const RESYNC: &str = "the log is on the cluster, so have this journal and the views moved away, and fetched anew \
                          (airpost cluster resync); if the stream has less, see airpost cluster heal --help";
    match error {
        OpenError::Corrupt(damage) | OpenError::CorruptEnd(damage) => format!("{damage}; {RESYNC}"),
        OpenError::Regressed { known, head } => format!(
            "the journal ends at position {head}, but position {known} was acknowledged; {RESYNC}"
        ),
        OpenError::Locked { .. }
        | OpenError::Unfinished { .. }
        | OpenError::Format { .. }
        | OpenError::Io { .. } => error.to_string(),
    }
}

/// A stream that is not there, and what is: one of the others may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingStream {
    /// Its name.
    pub stream: String,
    /// Where it was looked for, without passwords.
    pub servers: String,
    /// The streams there that are logs, by name, as far as the servers told.
    pub logs: Vec<String>,
}

/// How many logs are named that are there in place of one that is not.
const LOGS_NAMED_MAX: usize = 8;

impl fmt::Display for MissingStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stream,
            servers,
            logs,
        } = self;
        write!(f, "there is no stream {stream} at {servers}")?;
        if logs.is_empty() {
            return Ok(());
        }
        let named = logs.get(..LOGS_NAMED_MAX).unwrap_or(logs).join(", ");
        match logs.len().saturating_sub(LOGS_NAMED_MAX) {
            0 => write!(f, " (the logs there: {named})"),
            more => write!(f, " (the logs there: {named}, and {more} more)"),
        }
    }
}

fn listed(positions: &[Position]) -> String {
    let positions: Vec<_> = positions.iter().map(Position::to_string).collect();
    positions.join(", ")
}
