//! Where the cluster is, and how long it is waited for.

use std::time::Duration;

/// The settings of a [`JetStreamStore`](crate::JetStreamStore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamOptions {
    /// The NATS servers, as URLs with commas between them; a user and a
    /// password may be in the first of them (`nats://user:password@host:4222`),
    /// without characters that a URL would have to escape.
    pub servers: String,
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
    pub fn new(servers: impl Into<String>, stream: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
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

    /// The servers' URLs.
    pub(crate) fn urls(&self) -> Vec<String> {
        let urls = self.servers.split(',').map(str::trim);
        urls.filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The servers without what is secret in their URLs, to be shown.
    pub(crate) fn servers_to_show(&self) -> String {
        let show = |url: &str| match url.rsplit_once('@') {
            None => url.to_owned(),
            Some((before, host)) => {
                let scheme = before.split_once("://").map(|(scheme, _)| scheme);
                scheme.map_or_else(|| host.to_owned(), |scheme| format!("{scheme}://{host}"))
            }
        };
        let urls = self.urls();
        let shown: Vec<_> = urls.iter().map(|url| show(url)).collect();
        shown.join(", ")
    }
}
