//! Events on their way: one at a time, to be stored right behind the one before
//! it or not at all. So however one is lost or late, or whoever
//! else publishes, there is no gap, no double and no other order.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, Context, ErrorCode};
use eventstore::EventStore;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::ahead::Ahead;
use super::message::Outgoing;
use super::stream::{End, Outlet, unanswered};
use super::telling::{Telling, lag};
use super::trouble::Trouble;
use crate::environment::Environment;
use crate::observability::publishing::{OVERTAKEN, PUBLISH_SECONDS, PUBLISHED};
use crate::public_events::place::Place;

/// How many events are on their way at once. Each is stored behind a message by
/// its number alone: were there two, and somebody else's message came in the
/// place of the first, the second would be stored behind that and the first
/// left out.
const IN_FLIGHT_MAX: usize = 1;

/// How often the place is kept beside the stream.
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// How long what is under way is waited for when nothing more is sent.
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
    pub(super) jetstream: &'a Context,
    pub(super) outlet: &'a Outlet,
    pub(super) stream: &'a str,
    pub(super) shutdown: watch::Receiver<bool>,
}

/// An event that was sent, and what came back.
struct Answered {
    /// Where it should be stored.
    sequence: u64,
    /// Behind it.
    place: Place,
    took: Duration,
    answer: Result<PublishAck, PublishError>,
}

type Answers = FuturesOrdered<Pin<Box<dyn Future<Output = Answered> + Send>>>;
type Noting = Pin<Box<dyn Future<Output = Result<u64, Trouble>> + Send>>;

/// What has to be done next.
enum Woken {
    Stop,
    Answer(Answered),
    Noted(Result<u64, Trouble>),
    More,
    Beat,
}

impl Flow<'_> {
    /// Publishes what follows the end of the stream, for as long as nobody else
    /// does; the end moves along.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn run(
        mut self,
        end: &mut End,
        telling: &mut Telling,
    ) -> Result<Left, Trouble> {
        let mut ahead = Ahead::of(self.log, end.place);
        let (mut answers, mut sent) = (Answers::new(), end.sequence);
        let (mut noting, mut noted): (Option<Noting>, u64) = (None, end.sequence);
        let mut head = self.log.head();
        let mut beat = tokio::time::interval(NOTE_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            head.mark_unchanged();
            if !self.fill(&mut ahead, &mut answers, &mut sent).await? {
                return self.stop(answers, end).await;
            }
            if answers.is_empty() {
                // Nothing of what was read since is for others.
                end.place = ahead.at();
                telling.all_is_well();
            }
            let can_take = answers.len() < IN_FLIGHT_MAX;
            let woken = tokio::select! {
                biased;
                _ = self.shutdown.wait_for(|stop| *stop) => Woken::Stop,
                Some(answer) = answers.next() => Woken::Answer(answer),
                noted = async { noting.as_mut().expect("it is looked at only if it is there").await },
                    if noting.is_some() => Woken::Noted(noted),
                _ = beat.tick() => Woken::Beat,
                changed = head.changed(), if can_take => match changed {
                    Ok(()) => Woken::More,
                    // Nothing comes any more from a log that is closed.
                    Err(_closed) => Woken::Stop,
                },
            };
            match woken {
                Woken::More => {}
                Woken::Stop => return self.stop(answers, end).await,
                Woken::Answer(answered) => match self.take(answered, end)? {
                    Some(left) => {
                        metrics::counter!(OVERTAKEN).increment(1);
                        self.hear_the_rest(answers, end).await;
                        return Ok(left);
                    }
                    None => telling.all_is_well(),
                },
                Woken::Noted(kept) => (noting, noted) = (None, kept?),
                Woken::Beat => {
                    lag(&**self.log, self.environment, end.place).await;
                    if noting.is_none() && noted < end.sequence {
                        let (outlet, end) = (self.outlet.clone(), end.clone());
                        noting = Some(Box::pin(async move {
                            outlet.note(&end).await.map(|()| end.sequence)
                        }));
                    }
                }
            }
        }
    }

    /// Sends what there is, as far as it may be on its way at once; false at
    /// the end of the service.
    async fn fill(
        &mut self,
        ahead: &mut Ahead,
        answers: &mut Answers,
        sent: &mut u64,
    ) -> Result<bool, Trouble> {
        while answers.len() < IN_FLIGHT_MAX {
            if let Some(next) = ahead.take() {
                let mut shutdown = self.shutdown.clone();
                let sending = self.send(next, *sent, answers);
                tokio::select! {
                    _ = shutdown.wait_for(|stop| *stop) => return Ok(false),
                    sending = sending => sending?,
                }
                *sent += 1;
            } else if *self.shutdown.borrow() {
                // However long what is for nobody else goes on.
                return Ok(false);
            } else if ahead.read()? {
                tokio::task::yield_now().await;
            } else {
                break;
            }
        }
        Ok(true)
    }

    async fn send(&self, next: Outgoing, after: u64, answers: &mut Answers) -> Result<(), Trouble> {
        let (place, subject) = (next.place, next.subject.clone());
        let message = next.message(self.stream, after);
        let sent = self.jetstream.send_publish(subject, message).await;
        let answer = sent.map_err(|error| unanswered(TAKE, &error))?;
        let (environment, sent_at) = (self.environment.clone(), self.environment.elapsed());
        answers.push_back(Box::pin(async move {
            let answer = answer.await;
            Answered {
                sequence: after + 1,
                place,
                took: environment.elapsed().saturating_sub(sent_at),
                answer,
            }
        }));
        Ok(())
    }

    /// Moves the end along with an event that was stored; what else it comes to.
    fn take(&self, answered: Answered, end: &mut End) -> Result<Option<Left>, Trouble> {
        match answered.answer {
            Ok(stored) if stored.sequence == answered.sequence => {
                end.sequence = answered.sequence;
                end.place = answered.place;
                if stored.duplicate {
                    // Somebody else stored the same in the same place a moment before.
                    return Ok(Some(Left::Overtaken));
                }
                metrics::counter!(PUBLISHED).increment(1);
                metrics::histogram!(PUBLISH_SECONDS).record(answered.took.as_secs_f64());
                Ok(None)
            }
            Ok(stored) if stored.duplicate && stored.sequence <= end.sequence => {
                Err(Trouble::SameId {
                    stream: self.stream.to_owned(),
                })
            }
            Ok(_elsewhere) => Ok(Some(Left::Overtaken)),
            Err(error) if is_of_another_end(&error) => Ok(Some(Left::Overtaken)),
            Err(error) => Err(unanswered(TAKE, &error)),
        }
    }

    /// Hears what became of what is under way: some of it may have come behind
    /// what somebody else stored.
    async fn hear_the_rest(&self, mut answers: Answers, end: &mut End) {
        let rest = async {
            while let Some(answered) = answers.next().await {
                if let Err(trouble) = self.take(answered, end) {
                    tracing::debug!(%trouble, "an event was not taken behind somebody else's");
                }
            }
        };
        // What is not heard is found when the stream is looked at.
        let _ = tokio::time::timeout(LAST_ANSWERS, rest).await;
    }

    /// Hears what can be heard of what is under way, and keeps the place in mind.
    async fn stop(self, mut answers: Answers, end: &mut End) -> Result<Left, Trouble> {
        let last = async {
            while let Some(answered) = answers.next().await {
                if self.take(answered, end)?.is_some() {
                    return Ok(());
                }
            }
            self.outlet.note(end).await
        };
        // What is not heard is found when it is gone on.
        if let Ok(Err(trouble)) = tokio::time::timeout(LAST_ANSWERS, last).await {
            tracing::debug!(%trouble, "not all answers about delivery events came");
        }
        Ok(Left::Stopped)
    }
}

/// What is asked for with every event.
const TAKE: &str = "take an event";

/// Whether an event was refused since the stream ends elsewhere, or will in a moment.
fn is_of_another_end(error: &PublishError) -> bool {
    let source = std::error::Error::source(error);
    let said = source.and_then(|source| source.downcast_ref::<jetstream::Error>());
    let code = said.map(jetstream::Error::error_code);
    error.kind() == PublishErrorKind::WrongLastSequence
        || code == Some(ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
        || code == Some(ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT)
}
