//! Where the cluster is, and how long it is waited for.

use std::time::Duration;

use super::access::NatsAccess;

/// The subjects of all logs, each of which has one: as [`JetStreamOptions::subject`].
pub(super) const LOG_SUBJECTS: &str = "airpost.log.*";

/// The settings of a [`JetStreamStore`](crate::JetStreamStore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// The NATS servers, and as whom they are spoken to.
    pub access: NatsAccess,
    /// The stream that is the log. It must not have a dot or a space.
    pub stream: String,
    /// Whether a stream with fewer than three copies is accepted: what one
    /// machine loses is lost then.
    pub single_replica: bool,
    /// How long a block is tried before its callers are told that its fate is
    /// not known. Servers elect another leader within ten seconds.
    pub patience: Duration,
    /// How long the other nodes are given, at opening, to say how far they are.
    pub heads_wait: Duration,
}

impl JetStreamOptions {
    /// Three copies, 15 s of patience, 2 s for the others' heads.
    #[must_use]
    pub fn new(access: NatsAccess, stream: impl Into<String>) -> Self {
        Self {
            access,
            stream: stream.into(),
            single_replica: false,
            patience: Duration::from_secs(15),
            heads_wait: Duration::from_secs(2),
        }
    }

    /// The one subject of the stream.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("airpost.log.{}", self.stream)
    }

    /// Where a node says that it has written a block.
    pub(crate) fn written_subject(&self) -> String {
        format!("airpost.heads.{}.written", self.stream)
    }

    /// Where a node asks the others how far they are.
    pub(crate) fn ask_subject(&self) -> String {
        format!("airpost.heads.{}.ask", self.stream)
    }
}
