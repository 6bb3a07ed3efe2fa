//! Messages that came together: read, taken in, and answered each as it went with it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{self, AckKind};
use domain::drone::Telemetry;
use domain::refusals::{RefusalHour, Refused, RefusedMessage};
use domain::time::Timestamp;
use metrics::{counter, gauge, histogram};
use projections::LiveDrones;

use super::SENDING_MAX;
use crate::http::Services;
use crate::ingest::message::{Message, Unread};
use crate::ingest::wire::{DroneEvent, Receipt};
use crate::ingest::{Kept, Taken, no_room, number_taken};
use crate::nats::telling::Telling;
use crate::observability::drone_messages::{
    DRONE_BATCH_SECONDS, DRONE_MESSAGES, DRONE_MESSAGES_PENDING, DRONE_MESSAGES_REDELIVERED,
    Outcome,
};

/// How long one is put off at first that the machine could not take; doubled each time, as far as
/// one that is not answered would wait.
const PUT_OFF_FIRST: Duration = Duration::from_secs(1);

/// How often that is doubled, at the most.
const DOUBLINGS_MAX: u32 = 5;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// It is taken, and never comes again.
    Done(Outcome),
    /// It is kept as a dead letter, or counted as garbage, and never comes again.
    Refused,
    /// It comes again, since there is no room for it, or no reading what it is about.
    PutOff(Duration),
    /// It comes again, since the machine could not take it.
    Failed(Duration),
}

/// How it went with some messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Went {
    /// None of them comes again.
    Settled,
    /// Some come again, which could not be taken yet.
    PutOff,
    /// The machine could not take some, or the server could not be told.
    Badly,
}

/// Through which messages come in.
#[derive(Debug)]
pub(super) struct Door {
    services: Services,
    /// What telemetry came in by it: that which is shown, or this door's own where that comes to
    /// every node by another way as well, so that it is still news here.
    heard: Arc<LiveDrones>,
    ack_wait: Duration,
    /// How long one may be put off, at the least.
    put_off_max: Duration,
    /// What was told of refused messages that are not kept.
    telling: Mutex<Telling>,
}

/// A message with what is known of it.
pub(super) struct Arrived {
    message: jetstream::Message,
    sent_at: Timestamp,
    delivered: i64,
    pub(super) event: Result<DroneEvent, Box<RefusedMessage>>,
}

impl Door {
    /// To these services; a message comes again that is not answered for so long. Other nodes may
    /// share the consumer.
    ///
    /// None is put off for longer than that, so that a fact is back before those behind it stop
    /// waiting for it.
    pub(super) fn new(services: Services, ack_wait: Duration, is_shared: bool) -> Self {
        let park_wait = services.ingest.park_wait();
        let heard = if is_shared {
            Arc::default()
        } else {
            Arc::clone(&services.live)
        };
        Self {
            services,
            heard,
            ack_wait,
            put_off_max: Duration::from_millis(park_wait.get().into()),
            telling: Mutex::default(),
        }
    }

    /// Messages come again. If none could for longer than one that was handed out is waited for,
    /// what is missing may be among them.
    pub(super) fn opens(&self, shut_since: Option<Duration>) {
        let application = &self.services.application;
        let elapsed = application.environment().elapsed();
        let was_shut =
            shut_since.is_some_and(|since| elapsed.saturating_sub(since) > self.ack_wait);
        if let (true, Ok(now)) = (was_shut, application.now()) {
            self.services.ingest.begins_again(now);
        }
    }

    /// Takes messages in, and answers each. Gives how it went.
    ///
    /// What is acknowledged is durable, or telemetry, which need not be. While it takes long the
    /// server is told that they are worked on.
    pub(super) async fn take(&self, messages: Vec<jetstream::Message>) -> Went {
        let environment = self.services.application.environment();
        let begun = environment.elapsed();
        let handles: Vec<_> = messages.iter().map(|it| it.clone().split().1).collect();
        let taking = self.answers(messages);
        tokio::pin!(taking);
        let mut ticks = tokio::time::interval(self.ack_wait / 2);
        ticks.reset();
        let answers = loop {
            tokio::select! {
                answers = &mut taking => break answers,
                _ = ticks.tick() => drop(send(handles.iter().map(|it| (it, AckKind::Progress))).await),
            }
        };
        let mut went = Went::Settled;
        let told = handles.iter().zip(answers).map(|(handle, answer)| {
            let (outcome, kind) = match answer {
                Answer::Done(outcome) => (outcome, AckKind::Ack),
                Answer::Refused => (Outcome::Refused, AckKind::Term),
                Answer::PutOff(delay) => {
                    went = went.max(Went::PutOff);
                    (Outcome::PutOff, AckKind::Nak(Some(delay)))
                }
                Answer::Failed(delay) => {
                    went = Went::Badly;
                    (Outcome::PutOff, AckKind::Nak(Some(delay)))
                }
            };
            counter!(DRONE_MESSAGES, "outcome" => outcome.word()).increment(1);
            (handle, kind)
        });
        let is_told = send(told).await;
        histogram!(DRONE_BATCH_SECONDS).record(environment.elapsed().saturating_sub(begun));
        if is_told { went } else { Went::Badly }
    }

    /// What becomes of each, in their order.
    async fn answers(&self, messages: Vec<jetstream::Message>) -> Vec<Answer> {
        let count = messages.len();
        let receipt = match self.services.application.now() {
            Ok(now) => self.services.ingest.receipt(now),
            Err(error) => {
                tracing::warn!(%error, "drone events are put off");
                return vec![Answer::Failed(PUT_OFF_FIRST); count];
            }
        };
        // Beside the threads that answer.
        let reading = tokio::task::spawn_blocking(move || read_all(messages, receipt));
        let Ok(arrived) = reading.await else {
            tracing::error!("panic while reading drone events");
            return vec![Answer::Failed(self.ack_wait); count];
        };
        note(&arrived);
        let mut answers = vec![Answer::Failed(PUT_OFF_FIRST); count];
        let mut refused = Vec::new();
        let (mut places, mut events) = (Vec::new(), Vec::new());
        for (place, arrived) in arrived.into_iter().enumerate() {
            match arrived.event {
                Ok(event) => {
                    places.push((place, arrived.message, (arrived.sent_at, arrived.delivered)));
                    events.push(event);
                }
                Err(message) => refused.push((place, arrived.sent_at, *message)),
            }
        }
        self.show(&events);
        let taken = self.services.ingest.take(&self.heard, events).await;
        for ((place, message, (sent_at, delivered)), taken) in places.into_iter().zip(taken) {
            let mut refuse = |unread| {
                let kept = with_message(&message, |it| it.refused(&unread, receipt.at));
                refused.push((place, sent_at, kept));
            };
            let answer = match taken {
                Taken::Accepted { .. } => Answer::Done(Outcome::Accepted),
                Taken::Duplicate => Answer::Done(Outcome::Duplicate),
                Taken::Conflict => {
                    refuse(number_taken());
                    continue;
                }
                // Put off for ever, one fleet's would keep all others' from being handed out. So it is
                // kept elsewhere, if there is room.
                Taken::BacklogFull if self.has_waited(delivered) => {
                    refuse(no_room());
                    continue;
                }
                Taken::Unreadable(error) if self.has_waited(delivered) => {
                    refuse(Unread::new(Refused::Unreadable, error.to_string()));
                    continue;
                }
                Taken::BacklogFull | Taken::Unreadable(_) => Answer::PutOff(self.ack_wait),
                Taken::Failed(error) => {
                    tracing::debug!(%error, "a drone event is put off");
                    Answer::Failed(backoff(delivered, self.ack_wait))
                }
            };
            if let Some(place) = answers.get_mut(place) {
                *place = answer;
            }
        }
        for (place, kept) in self.refuse(refused).await {
            if let Some(place) = answers.get_mut(place) {
                *place = match kept {
                    Kept::Durable | Kept::Counted => Answer::Refused,
                    // It has waited for as long as any may, so nothing waits for it, and it comes as seldom.
                    Kept::Not => Answer::PutOff(self.put_off_max.max(self.ack_wait)),
                };
            }
        }
        answers
    }

    /// Shows where drones are, if taking it in does not. Every node is told of that by itself; this
    /// one knows it already, whatever becomes of the other way.
    fn show(&self, events: &[DroneEvent]) {
        if Arc::ptr_eq(&self.heard, &self.services.live) {
            return;
        }
        for event in events {
            if let DroneEvent::Telemetry(telemetry) = event {
                self.services.live.note(Telemetry::clone(telemetry));
            }
        }
    }

    /// Whether one that was handed out so often was put off for as long as any may be.
    fn has_waited(&self, delivered: i64) -> bool {
        let times = u32::try_from(delivered).unwrap_or(u32::MAX);
        self.ack_wait.saturating_mul(times) >= self.put_off_max
    }

    /// Keeps what is refused as dead letters; gives by place what became of those that the machine
    /// could take.
    async fn refuse(&self, refused: Vec<(usize, Timestamp, RefusedMessage)>) -> Vec<(usize, Kept)> {
        let mut hours: BTreeMap<RefusalHour, (Vec<usize>, Vec<RefusedMessage>)> = BTreeMap::new();
        for (place, sent_at, message) in refused {
            let hour = hours.entry(RefusalHour::of(sent_at)).or_default();
            hour.0.push(place);
            hour.1.push(message);
        }
        let mut done = Vec::new();
        for (hour, (places, messages)) in hours {
            let kept = self.services.ingest.refuse(hour, messages).await;
            let now = self.services.application.environment().elapsed();
            let mut telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
            match kept {
                Ok(kept) => {
                    if let Some(lasted_s) = telling.over(now).map(|lasted| lasted.as_secs()) {
                        tracing::info!(lasted_s, "messages that are refused are kept again");
                    }
                    done.extend(places.into_iter().zip(kept));
                }
                Err(error) => {
                    if let Some(lasts) = telling.trouble(&error.to_string(), now) {
                        let lasts_s = lasts.as_secs();
                        tracing::warn!(%error, lasts_s, "messages that are refused are not kept, and put off");
                    }
                }
            }
        }
        done
    }
}

/// Tells the server of some messages; whether it could be told. Those that it does not hear of come
/// again, and are known then.
async fn send<'a>(told: impl Iterator<Item = (&'a Acker, AckKind)>) -> bool {
    let told: Vec<_> = told.collect();
    let sending = async {
        for (handle, kind) in told {
            if let Err(error) = handle.ack_with(kind).await {
                tracing::debug!(%error, "a drone event is not acknowledged");
                return false;
            }
        }
        true
    };
    tokio::time::timeout(SENDING_MAX, sending)
        .await
        .unwrap_or(false)
}

/// Counts what came.
fn note(arrived: &[Arrived]) {
    let again = arrived.iter().filter(|arrived| arrived.delivered > 1);
    counter!(DRONE_MESSAGES_REDELIVERED).increment(again.count() as u64);
    note_pending(DRONE_MESSAGES_PENDING, arrived);
}

/// Shows by a gauge how many were to come when the last of these came.
pub(super) fn note_pending(name: &'static str, arrived: &[Arrived]) {
    let last = arrived.last().and_then(|last| last.message.info().ok());
    if let Some(pending) = last.and_then(|info| u32::try_from(info.pending).ok()) {
        gauge!(name).set(f64::from(pending));
    }
}

/// How long one is put off that was handed out so often.
fn backoff(delivered: i64, ack_wait: Duration) -> Duration {
    let doublings = u32::try_from(delivered.saturating_sub(1)).unwrap_or_default();
    ack_wait.min(PUT_OFF_FIRST * 2_u32.pow(doublings.min(DOUBLINGS_MAX)))
}

/// When a message came in, as far as its event is concerned. Telemetry that waited in the stream is
/// as old as that: it would look as if its drone were heard of now. Facts wait for others from when
/// they are read.
fn received_at(subject: &str, sent_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let of_telemetry = sent_at.filter(|_| subject.ends_with(".telemetry"));
    of_telemetry.map_or(now, |sent_at| sent_at.min(now))
}

pub(super) fn read_all(messages: Vec<jetstream::Message>, receipt: Receipt) -> Vec<Arrived> {
    let read = |message: jetstream::Message| {
        let info = message.info().ok();
        let sent_at = info.as_ref().and_then(|info| {
            let micros = info.published.unix_timestamp_nanos() / 1_000;
            Timestamp::from_micros(i64::try_from(micros).ok()?).ok()
        });
        let delivered = info.map_or(1, |info| info.delivered);
        let at = received_at(&message.subject, sent_at, receipt.at);
        let receipt = Receipt { at, ..receipt };
        let event = with_message(&message, |it| {
            it_or_a_fault(it, receipt).map_err(|unread| Box::new(it.refused(&unread, receipt.at)))
        });
        Arrived {
            message,
            sent_at: sent_at.unwrap_or(receipt.at),
            delivered,
            event,
        }
    };
    messages.into_iter().map(read).collect()
}

/// One that the code fails on keeps the others from nothing.
fn it_or_a_fault(message: &Message<'_>, receipt: Receipt) -> Result<DroneEvent, Unread> {
    let read = catch_unwind(AssertUnwindSafe(|| message.read(receipt)));
    read.unwrap_or_else(|_panic| {
        tracing::error!(
            subject = message.subject,
            "panic while reading a drone event"
        );
        let words =
            "the code of this release fails on it; redrive it with one that has that mended";
        Err(Unread::new(Refused::Malformed, words))
    })
}

/// What of a message belongs to an event.
fn with_message<T>(message: &jetstream::Message, read: impl FnOnce(&Message<'_>) -> T) -> T {
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let headers = headers.flat_map(|(name, values)| {
        let name = name.to_string().to_ascii_lowercase();
        let belongs = Message::is_of_event(&name);
        let values = values.iter().filter(move |_| belongs);
        values.map(move |value| (name.clone(), value.as_str().to_owned()))
    });
    let mut headers: Vec<_> = headers.collect();
    // As they came they are in no order, and the same message is to be known again.
    headers.sort();
    read(&Message {
        subject: message.subject.as_str(),
        headers,
        data: &message.payload,
    })
}

#[cfg(test)]
mod tests {
    //! How long messages wait, and since when.

    use super::*;

    #[test]
    fn no_message_is_put_off_for_longer_than_facts_wait_for_it() {
        let ack_wait = Duration::from_millis(2_500);
        let waits = [1, 2, 3, 9].map(|delivered| backoff(delivered, ack_wait).as_millis());
        assert_eq!(waits, [1_000, 2_000, 2_500, 2_500]);
    }

    #[test]
    fn telemetry_is_as_old_as_its_message_and_a_fact_waits_from_now_on() {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let received = |subject, sent_at| received_at(subject, sent_at, at(7_000));
        assert_eq!(received("drone.v1.pgh.m.telemetry", Some(at(5))), at(5));
        assert_eq!(
            received("drone.v1.pgh.m.telemetry", Some(at(9_000))),
            at(7_000)
        );
        assert_eq!(received("drone.v1.pgh.m.telemetry", None), at(7_000));
        assert_eq!(received("drone.v1.pgh.m.departed", Some(at(5))), at(7_000));
    }
}
