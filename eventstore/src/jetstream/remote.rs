//! The stream, as the log uses it: blocks by their sequence, and one more
//! behind the last.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind, RequestError,
    RequestErrorKind,
};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    DirectGetError, DirectGetErrorKind, Info, RawMessageErrorKind, Stream,
};
use serde::Deserialize;

use super::access::ANSWER_WAIT;
use super::error::{ClusterError, MissingStream};
use super::farewell::Farewell;
use super::link::{Link, connections};
use super::options::{JetStreamOptions, LOG_SUBJECTS};
use super::saying::NatsTrouble;
use super::settings;
use crate::journal::outage::Obstacle;
use crate::store::OutageKind;

/// How long a server that has a copy of a message is given before the leader is
/// asked, who has to answer within what is left of the time for one answer.
const COPY_WAIT: Duration = Duration::from_millis(500);

/// The stream on the cluster.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    context: Context,
    stream: Stream<()>,
    name: String,
    subject: String,
    found: Arc<Found>,
}

/// The stream as it was found.
#[derive(Debug)]
struct Found {
    /// What it has to be like.
    options: JetStreamOptions,
    /// When it was made: another one of its name is not it.
    created: String,
}

/// What came of publishing a block.
#[derive(Debug)]
pub(super) enum Published {
    /// It is stored, as this message.
    At(u64),
    /// The stream does not end where it was expected to, by its leader's count.
    WrongEnd,
    /// It is not stored by this: the servers said why, before they agreed on it.
    Refused(String),
    /// It may be stored, or not.
    Unknown(Obstacle),
}

impl Remote {
    /// As [`Link::connections`].
    pub(super) fn connections(&self) -> u64 {
        connections(&self.context.client().statistics())
    }

    /// The same, and names the logs that are there, if this one is not.
    pub(super) fn find_or_name(
        link: &Link,
        options: &JetStreamOptions,
    ) -> Result<(Self, Info), ClusterError> {
        let found = Self::find(link, options);
        if let Err(ClusterError::Missing(missing)) = &found {
            return Err(ClusterError::Missing(MissingStream {
                logs: logs_at(link),
                ..missing.clone()
            }));
        }
        found
    }

    /// The stream, and what its leader says about it.
    pub(super) fn find(
        link: &Link,
        options: &JetStreamOptions,
    ) -> Result<(Self, Info), ClusterError> {
        let context = link.context.clone();
        let name = options.stream.clone();
        let asking = {
            let (context, name) = (context.clone(), name.clone());
            async move {
                let stream = context.get_stream_no_info(&name).await?;
                let info = context.get_stream(&name).await?;
                Ok::<_, GetStreamError>((stream, info.cached_info().clone()))
            }
        };
        let found = link.run(asking).map_err(|why| link.unanswered(why))?;
        let (stream, info) = found.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(refused)
                if refused.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                ClusterError::Missing(MissingStream {
                    stream: name.clone(),
                    servers: options.access.shown(),
                    logs: Vec::new(),
                })
            }
            GetStreamErrorKind::JetStream(refused) => {
                link.refused(refused.error_code().0, error.to_string())
            }
            GetStreamErrorKind::Request if is_unheard(&error) => ClusterError::NotEnabled {
                why: error.to_string(),
            },
            GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => link.unanswered(error.to_string()),
        })?;
        let remote = Self {
            context,
            stream,
            name,
            subject: options.subject(),
            found: Arc::new(Found {
                options: options.clone(),
                created: info.created.to_string(),
            }),
        };
        Ok((remote, info))
    }

    /// Has a block stored right behind that message, or not at all.
    pub(super) async fn publish(&self, after: u64, block: Vec<u8>) -> Published {
        let message = PublishMessage::build()
            .payload(block.into())
            .expected_stream(&self.name)
            .expected_last_sequence(after);
        let sent = self
            .context
            .send_publish(self.subject.clone(), message)
            .await;
        let answer = match sent {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(stored) => Published::At(stored.sequence),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Published::WrongEnd
            }
            Err(error) if is_refusal(&error) => Published::Refused(error.to_string()),
            Err(error) => Published::Unknown(Obstacle::new(in_the_way(&error), error.to_string())),
        }
    }

    /// A message, from whichever server has it; one that is behind the others
    /// may not have it yet. If none of them answers the leader is asked, and
    /// also if one has later messages: its store has lost this one.
    ///
    /// # Errors
    /// Nobody answers, or the leader has lost it, too.
    pub(super) async fn read(&self, sequence: u64) -> Result<Option<Vec<u8>>, Obstacle> {
        match self.read_of_any(sequence).await {
            Some(Ok(message)) => of_sequence(message, sequence).map(Some),
            Some(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => {
                self.read_from(sequence).await
            }
            Some(Err(_)) | None => self.read_of_leader(sequence).await,
        }
    }

    /// A message that a server does not have: whether it is the end.
    async fn read_from(&self, sequence: u64) -> Result<Option<Vec<u8>>, Obstacle> {
        let subject = self.subject.as_str();
        let reading = self
            .stream
            .direct_get_next_for_subject(subject, Some(sequence));
        match tokio::time::timeout(COPY_WAIT, reading).await.ok() {
            Some(Ok(found)) if found.sequence == sequence => Ok(Some(found.payload.into())),
            Some(Ok(later)) => match self.read_of_leader(sequence).await? {
                Some(message) => Ok(Some(message)),
                None => Err(lost_by_a_server(sequence, later.sequence)),
            },
            Some(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Some(Err(_)) | None => self.read_of_leader(sequence).await,
        }
    }

    /// A message, from any server, and else from the leader.
    pub(super) async fn read_surely(&self, sequence: u64) -> Result<Option<Vec<u8>>, Obstacle> {
        match self.read_of_any(sequence).await {
            Some(Ok(message)) => of_sequence(message, sequence).map(Some),
            Some(Err(_)) | None => self.read_of_leader(sequence).await,
        }
    }

    /// What the server that is asked says, if it does soon.
    async fn read_of_any(&self, sequence: u64) -> Option<Result<StreamMessage, DirectGetError>> {
        let reading = self.stream.direct_get(sequence);
        tokio::time::timeout(COPY_WAIT, reading).await.ok()
    }

    async fn read_of_leader(&self, sequence: u64) -> Result<Option<Vec<u8>>, Obstacle> {
        match self.stream.get_raw_message(sequence).await {
            Ok(message) => of_sequence(message, sequence).map(Some),
            Err(error) => match error.kind() {
                RawMessageErrorKind::NoMessageFound => Ok(None),
                RawMessageErrorKind::JetStream(said) => Err(self.refused(&said)),
                RawMessageErrorKind::InvalidSubject | RawMessageErrorKind::Other => {
                    Err(Obstacle::unanswered(error.to_string()))
                }
            },
        }
    }

    /// The log's last block, by the leader's count, and what the log said
    /// behind it if it left.
    pub(super) async fn end(&self) -> Result<(u64, Option<Farewell>), Obstacle> {
        let last = self.last_sequence().await?;
        if last == 0 {
            return Ok((0, None));
        }
        let message = self.read_surely(last).await?;
        let message = message.ok_or_else(|| lost_by_a_server(last, last))?;
        Ok(match Farewell::decode(&message) {
            Some(said) => (last - 1, Some(said)),
            None => (last, None),
        })
    }

    /// Has nothing stored any more, for ever.
    pub(super) async fn seal(&self) -> Result<(), String> {
        let info = self.stream.get_info().await;
        let mut config = info.map_err(|error| error.to_string())?.config;
        config.sealed = true;
        let sealed = self.context.update_stream(config).await;
        sealed.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The last message, by the leader's count.
    ///
    /// # Errors
    /// Nobody answers, or nobody leads: then any server answers, one that is behind too. Or the
    /// stream is not what it was when it was found, and what is in it is not to be relied on.
    pub(super) async fn last_sequence(&self) -> Result<u64, Obstacle> {
        let info = self.stream.get_info().await.map_err(|error| {
            let said = error
                .source()
                .and_then(<dyn std::error::Error>::downcast_ref);
            said.map_or_else(
                || Obstacle::unanswered(error.to_string()),
                |said| self.refused(said),
            )
        })?;
        if !is_led(&info) {
            let advice = NatsTrouble::Leaderless.advice();
            return Err(Obstacle::unanswered(format!(
                "none of the servers leads the stream: {advice}"
            )));
        }
        self.refuse_changed(&info)?;
        Ok(info.state.last_sequence)
    }

    /// Refuses a stream that somebody put in the place of the one that was found, or set up otherwise.
    fn refuse_changed(&self, info: &Info) -> Result<(), Obstacle> {
        let name = &self.name;
        if info.created.to_string() != self.found.created {
            let why = format!(
                "the stream {name} was removed, and made anew while this node ran: restart the node, which looks \
                 whether it is still its log"
            );
            return Err(Obstacle::new(OutageKind::Missing, why));
        }
        let wrong = settings::not_keeping(&self.found.options, info);
        if wrong.is_empty() {
            return Ok(());
        }
        let why = format!(
            "the stream {name} was changed, and could lose what it acknowledges: {}",
            wrong.join("; ")
        );
        Err(Obstacle::new(OutageKind::Unfit, why))
    }

    /// What the servers said when they were asked for the stream, or for what is in it.
    fn refused(&self, said: &async_nats::jetstream::Error) -> Obstacle {
        if said.error_code() != ErrorCode::STREAM_NOT_FOUND {
            return Obstacle::unanswered(said.to_string());
        }
        let name = &self.name;
        let why = format!(
            "the servers have no stream {name} any more: if that stays so it was removed; stop all nodes, and have it \
             made again from the longest journal (airpost cluster heal --new)"
        );
        Obstacle::new(OutageKind::Missing, why)
    }
}

/// Whether a majority of its servers has a leader for a stream, as far as the server
/// knows that tells of it.
pub(super) fn is_led(info: &Info) -> bool {
    let leader = info.cluster.as_ref().map(|cluster| &cluster.leader);
    leader.is_none_or(|leader| leader.as_ref().is_some_and(|name| !name.is_empty()))
}

/// Whether nobody listens to who asks for streams.
fn is_unheard(error: &GetStreamError) -> bool {
    let asked = error
        .source()
        .and_then(<dyn std::error::Error>::downcast_ref);
    asked.is_some_and(|asked: &RequestError| asked.kind() == RequestErrorKind::NoResponders)
}

/// A page of names of streams, as the servers give it.
#[derive(Debug, Deserialize)]
struct NamesPage {
    /// Nothing if there are none.
    streams: Option<Vec<String>>,
}

/// The streams that are logs, of the first thousand that could be; none where the
/// servers do not tell soon. Asks for no more than whoever takes part in a log must
/// be permitted: names by their subject, and how each stream is.
fn logs_at(link: &Link) -> Vec<String> {
    let context = link.context.clone();
    let listing = async move {
        let asked = serde_json::json!({"subject": LOG_SUBJECTS});
        let named = context.request("STREAM.NAMES", &asked).await;
        let Ok(Response::Ok(NamesPage { streams })) = named else {
            return Vec::new();
        };
        let mut logs = Vec::new();
        for name in streams.unwrap_or_default() {
            let found = context.get_stream(&name).await;
            if found.is_ok_and(|stream| settings::is_log(stream.cached_info())) {
                logs.push(name);
            }
        }
        logs.sort();
        logs
    };
    let listed = link.run(async move { tokio::time::timeout(ANSWER_WAIT, listing).await });
    listed.ok().and_then(Result::ok).unwrap_or_default()
}

/// Whether what was published is refused for good: for what the stream's settings
/// say, which the leader looks at before it has anything stored, on any server.
/// What the servers' disks and limits say may be said by one of them alone,
/// when others have stored it.
fn is_refusal(error: &PublishError) -> bool {
    let said = said(error).map(async_nats::jetstream::Error::error_code);
    error.kind() == PublishErrorKind::MaxPayloadExceeded
        || said == Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM)
        || said == Some(ErrorCode::STREAM_SEALED)
}

/// What the servers say of a publish that they do not take, if they do.
fn said(error: &PublishError) -> Option<&async_nats::jetstream::Error> {
    error.source()?.downcast_ref()
}

/// How a server's store says that a stream has reached one of its limits: what it
/// fails of has one code for all.
const LIMIT_REACHED: [&str; 2] = ["maximum bytes exceeded", "maximum messages exceeded"];

/// What keeps a block from being stored, of which it is not known whether it is.
fn in_the_way(error: &PublishError) -> OutageKind {
    let is_full = said(error).is_some_and(|said| {
        let words = said.to_string();
        NatsTrouble::of_code(said.error_code().0) == Some(NatsTrouble::NoStorage)
            || said.error_code() == ErrorCode::STREAM_STORE_FAILED
                && LIMIT_REACHED.iter().any(|limit| words.contains(limit))
    });
    if is_full {
        OutageKind::Full
    } else {
        OutageKind::Unanswered
    }
}

/// What is said while a message cannot be read though the stream goes on to `last`.
pub(super) fn lost_by_a_server(sequence: u64, last: u64) -> Obstacle {
    let why = format!(
        "message {sequence} of the stream cannot be read, and the stream goes on to message {last}: if that stays so, \
         the store of a server is damaged; stop that one, empty its store and start it, so that it takes its copy \
         from the others (airpost cluster status names it while it leads)"
    );
    Obstacle::new(OutageKind::Unreadable, why)
}

fn of_sequence(message: StreamMessage, sequence: u64) -> Result<Vec<u8>, Obstacle> {
    let given = message.sequence;
    if given == sequence {
        Ok(message.payload.into())
    } else {
        let why = format!("message {given} was given for message {sequence}");
        Err(Obstacle::new(OutageKind::Unreadable, why))
    }
}
