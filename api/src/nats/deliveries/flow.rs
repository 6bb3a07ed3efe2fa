//! Events on their way: one, or those of a backlog as a batch that is stored
//! as a whole; right behind the message before them or not at all. Only one of
//! these is on its way at a time, so however it is lost or late, or whoever
//! else publishes, there is no gap, no double and no other order.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, ErrorCode};
use eventstore::EventStore;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};

use super::ahead::Ahead;
use super::sending::{BATCH_EVENTS_MAX, BATCH_EVENTS_MIN, Sender, batch_of};
use super::stream::{End, Outlet, unanswered};
use super::telling::{Told, lag};
use super::trouble::Trouble;
use super::unless_stopped;
use crate::environment::Environment;
use crate::observability::publishing::{OVERTAKEN, PUBLISH_SECONDS, PUBLISHED};

/// How often the place is kept beside the stream.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// How long what is under way is waited for at the end of the service.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What the end of the stream has come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It is the end of the service.
    Stopped,
    /// Somebody else publishes.
    Overtaken,
}

/// What events flow from and to.
#[derive(Debug)]
pub(super) struct Flow<'a> {
    pub(super) log: &'a Arc<dyn EventStore>,
    pub(super) environment: &'a Environment,
    pub(super) sender: Sender<'a>,
    pub(super) outlet: &'a Outlet,
    /// How often the connection was lost.
    pub(super) losses: watch::Receiver<u64>,
    pub(super) shutdown: watch::Receiver<bool>,
    /// How many events go out one by one before a batch is tried again.
    pub(super) alone: usize,
}

/// What has to be done next.
enum Woken {
    Stop,
    Lost,
    Beat,
    Send,
    More,
}

/// What came of what was sent.
enum Sent {
    /// It is stored.
    Stored,
    /// It is not, and somebody else's is in its place.
    Overtaken,
    /// It is not: the server takes no such batch now.
    Refused,
}

impl Flow<'_> {
    /// Publishes what follows the end of the stream, for as long as nobody else
    /// does; the end moves along.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn run(mut self, end: &mut End, telling: &mut Told) -> Result<Left, Trouble> {
        let mut ahead = Ahead::of(self.log, end.place);
        let (mut head, mut noted) = (self.log.head(), end.sequence);
        let (mut beat, mut shutdown) = (beat(), self.shutdown.clone());
        loop {
            head.mark_unchanged();
            if !self.read(&mut ahead).await? {
                return Ok(self.stop(end).await);
            }
            let is_done = ahead.next().is_empty();
            if is_done {
                // Nothing of what was read since is for others.
                end.place = ahead.at();
                telling.all_is_well(self.environment.elapsed());
            }
            let woken = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => Woken::Stop,
                // Where nothing is to go out nothing else would tell.
                Ok(()) = self.losses.changed() => Woken::Lost,
                _ = beat.tick() => Woken::Beat,
                () = std::future::ready(()), if !is_done => Woken::Send,
                changed = head.changed() => match changed {
                    Ok(()) => Woken::More,
                    // Nothing comes any more from a log that is closed.
                    Err(_closed) => Woken::Stop,
                },
            };
            match woken {
                Woken::Stop => return Ok(self.stop(end).await),
                Woken::Lost => return Err(Trouble::Lost),
                Woken::More => {}
                Woken::Beat => {
                    lag(&**self.log, self.environment, end.place).await;
                    if noted < end.sequence {
                        let noting = self.outlet.note(end);
                        let Some(kept) = unless_stopped(noting, &mut shutdown).await else {
                            return Ok(self.stop(end).await);
                        };
                        kept?;
                        noted = end.sequence;
                    }
                }
                Woken::Send => match self.publish(&mut ahead, end).await? {
                    None => return Ok(self.stop(end).await),
                    Some(Sent::Stored) => telling.all_is_well(self.environment.elapsed()),
                    Some(Sent::Refused) => self.alone = BATCH_EVENTS_MIN,
                    Some(Sent::Overtaken) => {
                        metrics::counter!(OVERTAKEN).increment(1);
                        return Ok(Left::Overtaken);
                    }
                },
            }
        }
    }

    /// Reads as much as goes out at once; false at the end of the service.
    async fn read(&self, ahead: &mut Ahead) -> Result<bool, Trouble> {
        while ahead.next().len() < BATCH_EVENTS_MAX {
            if *self.shutdown.borrow() {
                // However long what is for nobody else goes on.
                return Ok(false);
            }
            if !ahead.read()? {
                break;
            }
            tokio::task::yield_now().await;
        }
        Ok(true)
    }

    /// Sends what goes out next, and moves the end along if it was stored; `None` if the service
    /// ends before that is known.
    async fn publish(&mut self, ahead: &mut Ahead, end: &mut End) -> Result<Option<Sent>, Trouble> {
        let is_alone = self.alone > 0 || !end.takes_batches;
        let sizes = ahead.next().iter().map(|event| event.payload.len());
        let events = if is_alone { 1 } else { batch_of(sizes) };
        let next = ahead.next().iter().take(events);
        let sent_at = self.environment.elapsed();
        let answer = tokio::select! {
            answer = self.sender.send(next, end.sequence) => answer,
            () = over(self.shutdown.clone()) => return Ok(None),
        };
        let last = end.sequence + events as u64;
        let sent = self.judge(answer, end.sequence, last)?;
        if let (Sent::Stored, Some(at)) = (&sent, ahead.next().get(events - 1)) {
            (end.sequence, end.place) = (last, at.place);
            self.outlet.reached(end);
            ahead.drop_first(events);
            self.alone = self.alone.saturating_sub(events);
            let took = self.environment.elapsed().saturating_sub(sent_at);
            metrics::counter!(PUBLISHED).increment(events as u64);
            metrics::histogram!(PUBLISH_SECONDS).record(took.as_secs_f64());
        }
        Ok(Some(sent))
    }

    /// What an answer says of what was sent to be stored behind message `after`, the last of it as
    /// message `last`.
    fn judge(
        &self,
        answer: Result<PublishAck, PublishError>,
        after: u64,
        last: u64,
    ) -> Result<Sent, Trouble> {
        match answer {
            Ok(stored) if stored.sequence == last && !stored.duplicate => Ok(Sent::Stored),
            Ok(stored) if stored.sequence <= after => Err(Trouble::SameId {
                stream: self.sender.stream.to_owned(),
            }),
            Ok(_elsewhere) => Ok(Sent::Overtaken),
            Err(error) => match code(&error) {
                Some(
                    ErrorCode::STREAM_WRONG_LAST_SEQUENCE
                    | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
                    | ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT,
                ) => Ok(Sent::Overtaken),
                // One event alone shows what it is; as it does which of the ids is taken.
                Some(_said) if last > after + 1 => Ok(Sent::Refused),
                Some(_) | None => Err(unanswered(TAKE, &error)),
            },
        }
    }

    /// Keeps the place in mind, if that is quickly done.
    async fn stop(self, end: &End) -> Left {
        let noted = tokio::time::timeout(LAST_ANSWERS, self.outlet.note(end)).await;
        if let Ok(Err(trouble)) = noted {
            tracing::debug!(%trouble, "it is not kept how far delivery events are out");
        }
        Left::Stopped
    }
}

/// When it is looked at how far all is.
fn beat() -> Interval {
    let mut beat = tokio::time::interval(NOTE_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    beat
}

/// The end of the service, and the time that is left then for an answer.
async fn over(mut shutdown: watch::Receiver<bool>) {
    // An error means that nobody can give the signal any more, which is one too.
    let _ = shutdown.wait_for(|stop| *stop).await;
    tokio::time::sleep(LAST_ANSWERS).await;
}

/// What is asked for with every event.
const TAKE: &str = "take an event";

/// What the server said was wrong.
fn code(error: &PublishError) -> Option<ErrorCode> {
    let source = std::error::Error::source(error);
    let said = source.and_then(|source| source.downcast_ref::<jetstream::Error>());
    said.map(jetstream::Error::error_code)
}
