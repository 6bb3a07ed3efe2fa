//! Messages that the client of NATS makes nothing of, and ends its connection at.
//!
//! Whoever may publish can have any bytes stored as headers and in a subject: Latin-1, a line
//! without a colon, a status that only servers give. Handed out such a message comes again and
//! again, each time with a connection that ends, and nothing behind it gets through. So they are
//! asked for by their places, as JSON, and taken in like all others: what is no matter of the
//! event is passed over, and what is makes a dead letter of it.
//!
//! They lie between the first message that is not answered and the last that was handed out, which
//! can be many where something else is put off for long. So many are looked at each time; the next
//! time it goes on where it ended, and from the beginning once there was nothing more.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::datetime::DateTime;
use async_nats::header::HeaderName;
use async_nats::jetstream::stream::RawMessage;
use async_nats::jetstream::{self, Context};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::batch::{Door, Went};
use super::source::{SourceError, Wanted};
use crate::lines::Lines;

/// What all headers begin with.
const VERSION: &str = "NATS/1.0";

/// What the subjects begin with that are handed out.
const SUBJECTS: &str = "drone.v1.";

/// How many messages are looked at before those found are taken in.
const LOOK: u64 = 512;

/// Most messages that are looked at each time that the connection was lost: a few seconds' work, and
/// more than are handed out until it is lost again.
const LOOKED_AT_MAX: u64 = 128 * LOOK;

/// How many messages are asked for at once.
const ASKED_AT_ONCE: usize = 64;

/// How many of them are told of one by one, at the most, in a minute; of the rest how many there were,
/// with the next one. All are counted by what becomes of them, as others are.
const LINES_MAX: u32 = 10;

/// Of how many messages that come again it is known since when: more than are handed out and not
/// answered. A further one counts as new.
const KNOWN_MAX: usize = 32_768;

/// Where a message comes again if it is not answered: of which stream and consumer, and how many
/// that had been handed.
struct Handed<'a> {
    wanted: &'a Wanted,
    count: u64,
}

/// Since when messages come, by their places. They are asked for and not handed out, so that nobody
/// else counts how often they did.
#[derive(Debug, Default)]
struct Waits(BTreeMap<u64, Duration>);

impl Waits {
    /// As how many times handed out one counts now, that comes again each time after so long.
    fn times(&mut self, place: u64, now: Duration, ack_wait: Duration) -> u64 {
        let is_full = self.0.len() >= KNOWN_MAX;
        let since = match self.0.get(&place) {
            Some(since) => *since,
            None if is_full => now,
            None => *self.0.entry(place).or_insert(now),
        };
        let waited = now.saturating_sub(since).as_millis();
        let times = waited.checked_div(ack_wait.as_millis());
        times.map_or(1, |times| {
            u64::try_from(times).unwrap_or(u64::MAX).saturating_add(1)
        })
    }

    /// Forgets those in some places, which come no more.
    fn forget(&mut self, places: Range<u64>) {
        self.0.retain(|place, _| !places.contains(place));
    }
}

/// Tells of some of them, since whoever may publish can send any number.
fn tell(lines: &mut Lines<LINES_MAX>, message: &jetstream::Message, now: Duration) {
    let (is_told, untold) = lines.next(now);
    if untold > 0 {
        tracing::warn!(
            untold,
            "drone events were taken in by themselves that were not told of one by one"
        );
    }
    if is_told {
        let place = message
            .info()
            .map(|info| info.stream_sequence)
            .unwrap_or_default();
        tracing::warn!(
            subject = %message.subject,
            place,
            "a drone event has a subject or headers that cannot be handed out: taken in by itself"
        );
    }
}

/// The server's answer; without a message if there is none in that place.
#[derive(Deserialize)]
struct Stored {
    message: Option<RawMessage>,
}

/// How far it was looked.
#[derive(Debug, Default)]
pub(super) struct Looking {
    /// Of which life of the consumer this is: in another one places may mean others.
    created: Option<DateTime>,
    /// Up to here there is nothing that still has to be looked for.
    done: u64,
    /// Of those found that may come again.
    waits: Waits,
    lines: Lines<LINES_MAX>,
}

impl Looking {
    /// Takes in what was handed out, is not answered, and cannot be made a message of: as much of it
    /// as is looked at in one go, from where it was gone to the last time. `now` has passed since the
    /// process began. Gives how many there were.
    ///
    /// # Errors
    /// Why they cannot be asked for. Doing it again is safe.
    pub(super) async fn take_in(
        &mut self,
        door: &Door,
        jetstream: &Context,
        wanted: &Wanted,
        now: Duration,
    ) -> Result<usize, SourceError> {
        let stream = jetstream.get_stream_no_info(&wanted.stream).await;
        let stream = stream.map_err(SourceError::Stream)?;
        let consumer = stream.consumer_info(&wanted.consumer).await;
        let consumer = consumer.map_err(SourceError::pull)?;
        if self.created.replace(consumer.created) != Some(consumer.created) {
            self.done = 0;
            self.waits = Waits::default();
        }
        let handed = Handed {
            wanted,
            count: consumer.delivered.consumer_sequence,
        };
        let answered = consumer.ack_floor.stream_sequence;
        self.waits.forget(0..answered + 1);
        let places = unseen(self.done, answered, consumer.delivered.stream_sequence);
        let (mut begin, mut found, mut are_settled) = (places.start, 0, true);
        while begin < places.end {
            let end = places.end.min(begin + LOOK);
            let stored = stream::iter(begin..end).map(|place| stored(jetstream, wanted, place));
            let stored: Vec<_> = stored.buffered(ASKED_AT_ONCE).try_collect().await?;
            let odd = stored.into_iter().flatten();
            let mut times = |place| self.waits.times(place, now, wanted.ack_wait);
            let odd = odd.filter_map(|raw| handed.message(jetstream, raw, &mut times));
            let odd: Vec<_> = odd.collect();
            found += odd.len();
            for message in &odd {
                tell(&mut self.lines, message, now);
            }
            if !odd.is_empty() {
                let is_settled = door.take(odd).await == Went::Settled;
                if is_settled {
                    self.waits.forget(begin..end);
                }
                are_settled &= is_settled;
            }
            // What comes again has to be found again.
            if are_settled {
                self.done = end - 1;
            }
            begin = end;
        }
        // Nothing is new, and it was lost all the same: an answer did not get there.
        if found == 0 && self.done >= consumer.delivered.stream_sequence {
            self.done = 0;
        }
        Ok(found)
    }
}

/// The places that are looked at next: behind those that are answered or seen, as far as there were
/// any handed out.
fn unseen(seen: u64, answered: u64, handed_out: u64) -> Range<u64> {
    let begin = seen.max(answered) + 1;
    begin..(handed_out + 1).min(begin + LOOKED_AT_MAX)
}

/// The message in a place.
async fn stored(
    jetstream: &Context,
    wanted: &Wanted,
    place: u64,
) -> Result<Option<RawMessage>, SourceError> {
    let subject = format!("STREAM.MSG.GET.{}", wanted.stream);
    let stored: Result<Stored, _> = jetstream.request(subject, &json!({ "seq": place })).await;
    Ok(stored.map_err(SourceError::pull)?.message)
}

impl Handed<'_> {
    /// The message that this would have been handed out as, so many times as one in its place was;
    /// `None` if it is one that can be.
    fn message(
        &self,
        jetstream: &Context,
        raw: RawMessage,
        times: impl FnOnce(u64) -> u64,
    ) -> Option<jetstream::Message> {
        let bytes = |text: &str| STANDARD.decode(text).unwrap_or_default();
        let head = bytes(raw.headers.as_deref().unwrap_or_default());
        if !raw.subject.starts_with(SUBJECTS) || is_plain(&raw.subject, &head) {
            return None;
        }
        // What it is answered at says all that is known of it.
        let reply = format!(
            "$JS.ACK.{}.{}.{}.{}.{}.{}.0",
            self.wanted.stream,
            self.wanted.consumer,
            times(raw.sequence),
            raw.sequence,
            self.count,
            raw.time.unix_timestamp_nanos()
        );
        let payload = Bytes::from(bytes(&raw.payload));
        let message = async_nats::Message {
            length: payload.len(),
            subject: raw.subject.into(),
            reply: Some(reply.into()),
            payload,
            headers: Some(headers(&head)),
            status: None,
            description: None,
        };
        let context = jetstream.clone();
        Some(jetstream::Message { message, context })
    }
}

/// Whether the client makes a message of it, and of the event and not of the server.
fn is_plain(subject: &str, head: &[u8]) -> bool {
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    let Ok(head) = std::str::from_utf8(head) else {
        return false;
    };
    let mut lines = head.lines();
    let version = lines.next().unwrap_or(VERSION);
    let mut lines = lines.filter(|line| !line.is_empty());
    let is_header = |line: &str| line.split_once(':').is_some_and(|(name, _)| is_word(name));
    is_word(subject) && version.trim_end() == VERSION && lines.all(is_header)
}

/// Those headers that have a name. Bytes that are no text are written as events write such, %E9,
/// which no attribute may have.
fn headers(head: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let name = std::str::from_utf8(name).ok();
        let Some(name) = name.and_then(|name| name.parse::<HeaderName>().ok()) else {
            continue;
        };
        let mut text = String::new();
        for chunk in value.get(1..).unwrap_or_default().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(percent_encode(chunk.invalid(), NON_ALPHANUMERIC));
        }
        headers.append(name, text.trim());
    }
    headers
}

#[cfg(test)]
mod tests {
    //! What is made of bytes that are no headers.

    use super::*;

    #[test]
    fn only_what_the_client_can_make_a_message_of_is_plain() {
        let plain: [&[u8]; 4] = [
            b"",
            b"NATS/1.0\r\n\r\n",
            b"NATS/1.0\r\nce-id:1\r\nX-A: caf\xc3\xa9\r\n\r\n",
            b"NATS/1.0 \r\nA:\r\n",
        ];
        for head in plain {
            assert!(is_plain("drone.v1.pgh.m.departed", head), "{head:?}");
        }
        let odd: [&[u8]; 6] = [
            b"NATS/1.0\r\nX-A: caf\xe9\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nno name: x\r\n\r\n",
            b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
            b"NATS/2.0\r\n\r\n",
            b"\r\n\r\n",
        ];
        for head in odd {
            assert!(!is_plain("drone.v1.pgh.m.departed", head), "{head:?}");
        }
        for subject in [
            "drone.v1.\u{fffd}.m.departed",
            "drone.v1.a\u{a0}b.m.departed",
        ] {
            assert!(!is_plain(subject, b""), "{subject}");
        }
    }

    #[test]
    fn so_many_places_are_looked_at_each_time_and_none_twice() {
        assert_eq!(unseen(0, 0, 3), 1..4);
        assert_eq!(unseen(3, 0, 3), 4..4);
        assert_eq!(unseen(3, 5, 9), 6..10);
        // Long after one that is put off, in two goes.
        let first = unseen(0, 10, 100_000);
        assert_eq!(first, 11..11 + LOOKED_AT_MAX);
        let second = unseen(first.end - 1, 10, 100_000);
        assert_eq!(second, first.end..100_001);
    }

    #[test]
    fn one_that_comes_again_grows_older_until_it_is_done_with() {
        let (mut waits, ack_wait) = (Waits::default(), Duration::from_secs(10));
        let mut times = |place, now| waits.times(place, Duration::from_secs(now), ack_wait);
        // Looked at more often than it comes again it is no older.
        let of_one = [100, 101, 109, 110, 1_000].map(|now| times(7, now));
        assert_eq!(of_one, [1, 1, 1, 2, 91]);
        assert_eq!(times(8, 1_000), 1);
        waits.forget(0..8);
        let mut times = |place| waits.times(place, Duration::from_secs(1_010), ack_wait);
        assert_eq!([times(7), times(8)], [1, 2]);
        // No more are known than so many.
        for place in 100..100 + 2 * KNOWN_MAX as u64 {
            waits.times(place, Duration::ZERO, ack_wait);
        }
        assert_eq!(waits.0.len(), KNOWN_MAX);
    }

    #[test]
    fn headers_are_read_as_far_as_they_are_some() {
        let head =
            b"NATS/1.0\r\nce-id: a\xe9\xc3\xa9\r\nno colon\r\nno name: x\r\nContent-Type:b\r\n\r\n";
        let read = headers(head);
        let value = |name| read.get(name).map(|value| value.as_str().to_owned());
        assert_eq!(value("ce-id").as_deref(), Some("a%E9\u{e9}"));
        assert_eq!(value("Content-Type").as_deref(), Some("b"));
        assert_eq!(read.len(), 2);
    }
}
