//! Why nothing goes out at this moment, in words for an operator.

use eventstore::{NatsTrouble, Position};

use super::ahead::Halted;

/// Why nothing goes out. It is tried again until something does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// NATS said nothing, or no.
    #[error(
        "NATS does not {what}: {why}; {}",
        behind.map_or(
            "see which servers are up, that they run with JetStream, and what their user is permitted",
            NatsTrouble::advice
        )
    )]
    Unanswered {
        /// What was asked of it.
        what: &'static str,
        /// How it went.
        why: String,
        /// What is behind it, if that was said.
        behind: Option<NatsTrouble>,
    },
    /// The connection was lost. It is made again by itself.
    #[error("the connection to NATS was lost")]
    Lost,
    /// The stream could not be made.
    #[error(
        "NATS refuses to make the stream {stream}: {why}; mend that, or make the stream by hand, \
         or name another by --nats-delivery-stream"
    )]
    Refused {
        /// Its name.
        stream: String,
        /// What NATS says.
        why: String,
    },
    /// Another stream takes what goes out.
    #[error(
        "the stream {stream} (--nats-delivery-stream) is missing and cannot be made, since another one ({}) has \
         subjects under airpost.v1; if that one is meant, name it by --nats-delivery-stream, else take those \
         subjects from it",
        other.as_deref().unwrap_or("nats stream find --subject airpost.v1.deliveries.x.y names it")
    )]
    Overlaps {
        /// The name of the one that is to be made.
        stream: String,
        /// The other's, where that is told.
        other: Option<String>,
    },
    /// The stream is not as it has to be. Nothing was written to it.
    #[error("the stream {stream} cannot be used: {}; change that, or remove it and it is made", wrong.join("; "))]
    Settings {
        /// Its name.
        stream: String,
        /// What is wrong, and how it should be.
        wrong: Vec<String>,
    },
    /// The stream holds what Airpost did not publish. Nothing was written to it.
    #[error(
        "message {sequence} of the stream {stream} is not of Airpost: {why}; forbid others to publish \
         under airpost.v1, and remove that message (nats stream rmm {stream} {sequence})"
    )]
    Foreign {
        /// The stream's name.
        stream: String,
        /// The message.
        sequence: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What is kept beside the stream is not what Airpost wrote. Nothing was written to either.
    #[error(
        "message {sequence} of the stream {stream}_CURSOR does not say how far the log was told: it is not of \
         Airpost, and lies in the place of what was; forbid others to publish under airpost.cursor \
         (airpost.cursor.*), and remove that message (nats stream rmm {stream}_CURSOR {sequence}): everything in \
         the log is told anew then, since the stream {stream} has nothing left that says how far it was"
    )]
    ForeignNote {
        /// The name of the stream of events.
        stream: String,
        /// The message.
        sequence: u64,
    },
    /// The stream tells of another log. Nothing was written to it.
    #[error(
        "the stream {stream} has the events of another log; if this is to be a node of that one, start it with \
         --cluster, and an empty folder; else give each log a NATS account of its own, \
         or remove the streams {stream} and {stream}_CURSOR and they are made for this log"
    )]
    OtherLog {
        /// Its name.
        stream: String,
    },
    /// The stream tells of more than the log holds.
    #[error(
        "the stream {stream} tells of the log up to position {position} of epoch {epoch}, which this log \
         does not have; {}, or remove the streams {stream} and {stream}_CURSOR to tell everything anew",
        help_for_shorter(*is_shared)
    )]
    Farther {
        /// Its name.
        stream: String,
        /// How far it tells of.
        position: Position,
        /// In which epoch of the log.
        epoch: u32,
        /// Whether the log is on a cluster.
        is_shared: bool,
    },
    /// The stream tells of a log that went another way.
    #[error(
        "the stream {stream} tells of another record at position {position} of epoch {epoch} than this log has \
         there: the log lost its end and was written on, and what it has in place of that would be left out \
         unseen; if a journal or a backup has the log as it was told, go on with that one (on a cluster: stop all \
         nodes, remove the log's stream, airpost cluster heal --new with that journal, airpost cluster resync on \
         the others), else remove the streams {stream} and {stream}_CURSOR to tell everything anew"
    )]
    OtherWay {
        /// Its name.
        stream: String,
        /// How far it tells of.
        position: Position,
        /// In which epoch of the log.
        epoch: u32,
    },
    /// An event's id was taken a moment ago, by an event that the log has given up.
    #[error(
        "the stream {stream} takes no second event with the id of one that it took a moment ago; this goes \
         on by itself when that is longer ago than its duplicate window, which can be made shorter \
         (nats stream edit {stream} --dupe-window 100ms)"
    )]
    SameId {
        /// Its name.
        stream: String,
    },
    /// The log does not say what comes next.
    #[error("{0}")]
    Halted(#[from] Halted),
}

/// What helps a log that does not have all that was told of it.
const fn help_for_shorter(is_shared: bool) -> &'static str {
    if is_shared {
        "if the log's stream lost its end, stop all nodes and have it made good from the longest journal (airpost \
         cluster heal; if another node wrote on, remove the log's stream first, then airpost cluster heal --new \
         with that journal, and airpost cluster resync on the others)"
    } else {
        "if an older copy of its data folder was put back, put back the newest one, or have the log go on in a new \
         epoch (airpost backup, then airpost restore into a new folder)"
    }
}

impl Trouble {
    /// Whether it is no trouble, unless it lasts: a node meets it that has not read yet
    /// what another one has, or whoever is about to be connected to another server.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Farther { .. } | Self::Lost)
    }
}
