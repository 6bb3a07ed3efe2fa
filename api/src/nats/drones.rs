//! Drone events that come in by a stream of NATS.
//!
//! Every node pulls from one durable consumer, and what one has pulled no other
//! has; which one that is does not matter, since a session orders its facts by
//! their numbers, and where drones are is told to all nodes besides. A message
//! is acknowledged when what it says is durable, and
//! one that cannot be read when it is kept as a dead letter. All others come
//! again. So nothing that goes wrong here needs more than to begin anew.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::pull::{self, MessagesError, Stream};
use async_nats::jetstream::consumer::{Config as ConsumerConfig, Consumer};
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{self, AckKind};
use domain::time::DurationMs;
use futures_util::{FutureExt as _, StreamExt as _};
use metrics::gauge;
use tokio::sync::watch;
use tokio::task::unconstrained;

use super::Connection;
use super::telling::Telling;
use crate::config::NatsOptions;
use crate::environment::Environment;
use crate::http::Services;
use crate::observability::drone_messages::DRONE_MESSAGES_FLOWING;

// Where they come from.
mod source;
// What becomes of them.
mod batch;
// Those that end the connection.
mod odd;
// How much room they have left.
mod room;
// Where drones are, on every node.
pub(super) mod positions;

use batch::{Door, Went};
use odd::Looking;
use source::{SourceError, Wanted};

/// Most messages that are taken in at once, and most that are asked for beyond those.
const BATCH_MESSAGES_MAX: usize = 512;

/// How long it is waited before it is begun anew.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a server that has nothing to send may be silent: then it is asked anew.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Most bytes that are asked for at a time; no server takes a larger message.
const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long it may take to hand something to the connection, which takes nothing while it is lost.
const SENDING_MAX: Duration = Duration::from_secs(2);

/// How long a request for messages stands.
const REQUEST: Duration = Duration::from_secs(30);

/// What has to be changed of a stream that is there, for drone events to come in by it; nothing if
/// it will do.
pub(super) fn wrong_with_stream(options: &NatsOptions, found: &Config) -> Vec<String> {
    Wanted::complaints(options.copies(), found)
}

/// What an operator may want to change of a stream that will do, or is nearly full.
pub(super) fn advice_on_stream(found: &Info) -> Vec<String> {
    let advice = source::advice(&found.config).into_iter();
    let nearly_full = room::is_nearly_full(found).then(|| room::advice(&found.config));
    advice.map(str::to_owned).chain(nearly_full).collect()
}

/// Whether a consumer that is there hands out drone events as this one does, or is another's.
pub(super) fn is_our_consumer(found: &ConsumerConfig) -> bool {
    source::is_like_ours(found)
}

/// Takes drone events in until `shutdown` becomes true; what is under way then is ended. None came
/// in by this door since it was tried to connect, which `began` then.
pub(super) async fn run(
    services: Services,
    (connection, began): (Connection, Duration),
    options: NatsOptions,
    shutdown: watch::Receiver<bool>,
) {
    let gap_wait = services.ingest.gap_wait();
    let wanted = Wanted::new(
        &options,
        services.views.log().identity(),
        ack_wait(gap_wait),
    );
    let environment = services.application.environment().clone();
    let door = Door::new(services, wanted.ack_wait, options.cluster.is_some());
    let names = (wanted.stream.clone(), wanted.consumer.clone());
    let room = room::watch(connection.jetstream.clone(), names, shutdown.clone());
    let taking_in = take_in(
        (&door, &connection, &wanted),
        (&environment, began),
        shutdown,
    );
    tokio::join!(taking_in, room);
}

/// Takes in what comes, over every trouble, until `shutdown` becomes true.
async fn take_in(
    ways: (&Door, &Connection, &Wanted),
    (environment, began): (&Environment, Duration),
    mut shutdown: watch::Receiver<bool>,
) {
    let (door, connection, wanted) = ways;
    let mut telling = Telling::default();
    let mut losses = Losses::default();
    let mut looking = Looking::default();
    let mut shut_since = Some(began);
    let mut has_begun = false;
    loop {
        let stopping = shutdown.clone();
        let on_open = || {
            let lasted = telling.over(environment.elapsed());
            if let Some(lasted_s) = lasted.map(|lasted| lasted.as_secs()) {
                tracing::info!(stream = %wanted.stream, lasted_s, "drone events come in over NATS again");
            } else if !has_begun {
                tracing::info!(stream = %wanted.stream, consumer = %wanted.consumer, "drone events come in over NATS");
            }
            has_begun = true;
        };
        let Err(trouble) = follow(ways, on_open, &mut shut_since, stopping).await else {
            return;
        };
        nothing_comes_in();
        shut_since.get_or_insert(environment.elapsed());
        if let Some(lasts) = telling.trouble(&trouble.to_string(), environment.elapsed()) {
            let lasts_s = lasts.as_secs();
            tracing::warn!(stream = %wanted.stream, lasts_s, "drone events do not come in over NATS: {trouble}; trying again");
        }
        tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
        if !trouble.is_of_messages() {
            continue;
        }
        let now = environment.elapsed();
        if !losses.is_again(now, again_within(wanted)) {
            continue;
        }
        let taken = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => return,
            taken = looking.take_in(door, &connection.jetstream, wanted, now) => taken,
        };
        if let Err(error) = taken {
            tracing::debug!(%error, "it is not known what the connection was lost at");
        }
    }
}

/// Shows that it does not.
pub(super) fn nothing_comes_in() {
    gauge!(DRONE_MESSAGES_FLOWING).set(0.0);
}

/// When a connection was lost last.
#[derive(Debug, Default)]
struct Losses(Option<Duration>);

impl Losses {
    /// Notes that it is lost now, and gives whether it was within that time before. Once is an
    /// outage; a message that ends a connection does so whenever it is handed out again.
    fn is_again(&mut self, now: Duration, within: Duration) -> bool {
        let before = self.0.replace(now);
        before.is_some_and(|before| now.saturating_sub(before) <= within)
    }
}

/// Within which time a connection is lost once more that was lost at a message.
fn again_within(wanted: &Wanted) -> Duration {
    wanted.ack_wait * 2 + HEARTBEAT * 2
}

/// How long a message that was handed out is waited for: shorter than facts wait for the ones
/// before them, so that what a node took with it when it died comes again before it is passed.
fn ack_wait(gap_wait: DurationMs) -> Duration {
    let half = Duration::from_millis(u64::from(gap_wait.get()) / 2);
    half.clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// Takes in what comes until there is trouble; until `shutdown` becomes true, if there is none.
async fn follow(
    (door, connection, wanted): (&Door, &Connection, &Wanted),
    on_open: impl FnOnce(),
    shut_since: &mut Option<Duration>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), SourceError> {
    let mut losses = connection.losses.clone();
    losses.mark_unchanged();
    let opening = async {
        let (consumer, advice) = source::open(&connection.jetstream, wanted).await?;
        Ok::<_, SourceError>((requests(&consumer).await?, advice))
    };
    let (mut messages, advice) = tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
        opened = opening => opened?,
    };
    on_open();
    for words in advice {
        tracing::warn!(stream = %wanted.stream, "the stream of drone events is used as it is, but {words}");
    }
    gauge!(DRONE_MESSAGES_FLOWING).set(1.0);
    door.opens(shut_since.take());
    let ended = loop {
        let first = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => break Ok(()),
            _ = losses.changed() => None,
            first = messages.next() => Some(first),
        };
        let is_lost = first.is_none();
        let first = first.or_else(|| now(&mut messages));
        let (batch, trouble) = rest_of_batch(first, &mut messages);
        if !batch.is_empty() {
            let went = door.take(batch).await;
            if went == Went::Badly {
                // What the machine could not do it may be able to in a moment.
                tokio::select! {
                    _ = shutdown.wait_for(|stop| *stop) => break Ok(()),
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
        if let Some(trouble) = trouble.or(is_lost.then_some(SourceError::Lost)) {
            break Err(trouble);
        }
    };
    // What was acknowledged is on its way before the connection ends; what does not get there
    // comes again, and is known then.
    let sending = async {
        hand_back(&mut messages).await;
        drop(connection.client.flush().await);
    };
    let is_connected = connection.client.connection_state() == State::Connected;
    if !is_connected || tokio::time::timeout(SENDING_MAX, sending).await.is_err() {
        tracing::debug!("acknowledgements of drone events may be lost");
    }
    ended
}

/// Asks a consumer for messages, and for more in time.
async fn requests(consumer: &Consumer<pull::Config>) -> Result<Stream, SourceError> {
    let requests = consumer
        .stream()
        .max_messages_per_batch(BATCH_MESSAGES_MAX)
        .max_bytes_per_batch(REQUEST_BYTES_MAX)
        .heartbeat(HEARTBEAT)
        .expires(REQUEST);
    requests.messages().await.map_err(SourceError::pull)
}

/// What a request for messages gives next; none if the connection has ended.
type Next = Option<Result<jetstream::Message, MessagesError>>;

/// What it gives without waiting. That is not shared in turns with other tasks, which would end it
/// after some messages though there are more.
fn now(messages: &mut Stream) -> Option<Next> {
    unconstrained(messages.next()).now_or_never()
}

/// What there is already, this first of all, and the trouble that follows it.
fn rest_of_batch(
    first: Option<Next>,
    messages: &mut Stream,
) -> (Vec<jetstream::Message>, Option<SourceError>) {
    let (mut batch, mut next) = (Vec::new(), first);
    while let Some(found) = next {
        match found {
            Some(Ok(message)) => batch.push(message),
            Some(Err(error)) => return (batch, Some(SourceError::pull(error))),
            None => return (batch, Some(SourceError::Ended)),
        }
        next = if batch.len() < BATCH_MESSAGES_MAX {
            now(messages)
        } else {
            None
        };
    }
    (batch, None)
}

/// Gives back what was handed out and not looked at, so that another node need not wait for it.
async fn hand_back(messages: &mut Stream) {
    let mut left = Vec::new();
    while let Some(Some(Ok(message))) = now(messages) {
        left.push(message);
    }
    // All that there were first: what is given back may be handed to this node once more.
    for message in left {
        if message.ack_with(AckKind::Nak(None)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    //! What is told from what.

    use super::*;

    #[test]
    fn a_connection_that_is_lost_for_long_after_the_last_time_is_an_outage() {
        let (mut losses, within) = (Losses::default(), Duration::from_secs(10));
        let times = [0, 11, 21, 31, 42].map(Duration::from_secs);
        let again = times.map(|now| losses.is_again(now, within));
        assert_eq!(again, [false, false, true, true, false]);
    }
}
