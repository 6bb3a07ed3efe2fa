//! The stream that events go out by, and what is behind its last message.
//!
//! The stream itself says how far the log was told: each message says where its
//! event lies. What is behind the last one follows from the log alone, so
//! whoever publishes, and however often it is begun, publishes the same. Messages
//! that were removed behind the last one there is are taken for somebody else's.
//! Where all are gone (too old, or purged) whoever published them knows, and a
//! second small stream knows the place behind an earlier one. Whose the messages
//! behind that were nobody knows, so what follows it is told again
//! and nothing is left out: a double is known by its id, a gap by nothing.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::HeaderValue;
use async_nats::header::NATS_EXPECTED_STREAM;
use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamErrorKind, PublishError, PublishErrorKind, RequestError,
};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{Config, Info, RawMessageErrorKind, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use eventstore::{EventStore, LogIdentity, Position, Standing};
use serde::{Deserialize, Serialize};

use super::ahead::{Halted, count, skip};
use super::fork::{Fork, fork};
use super::mark::mark_at;
use super::message::{CURSOR, RECORD, SEQUENCE};
use super::settings::{Settings, is_of_another_log};
use super::trouble::Trouble;
use crate::cursor::Issued;
use crate::nats::said::trouble;
use crate::public_events::place::Place;

/// Behind how many foreign and removed messages the last one of Airpost is looked for.
const FOREIGN_MAX: u64 = 1_000;

/// How far the stream tells of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Its last message, also where that is gone; 0 before the first.
    pub(super) sequence: u64,
    /// Behind the event of that message.
    pub(super) place: Place,
    /// When the stream was made, as it says: another one of the same name was
    /// made at another time.
    pub(super) created: String,
    /// Whether it takes several messages as one.
    pub(super) takes_batches: bool,
}

/// What is kept beside the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    cursor: String,
    sequence: u64,
    created: String,
    /// The mark of the record at the cursor; none at the beginning of the log.
    #[serde(default)]
    record: Option<String>,
}

/// That, as the log is now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Noted {
    note: Note,
    /// Which log it was, and before it lost what.
    identity: LogIdentity,
    /// Up to there the log still has what was told by then.
    place: Place,
}

/// How far the log was told, as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) issued: Issued,
    pub(super) place: Place,
    /// The mark of the record there, where that was kept.
    pub(super) record: Option<String>,
}

/// What a message says of the log.
enum Said {
    /// How far the log was told with it.
    Place(Told),
    /// Nothing.
    Nothing(&'static str),
}

/// The stream of one log's events.
#[derive(Clone, Debug)]
pub(super) struct Outlet {
    jetstream: Context,
    log: Arc<dyn EventStore>,
    settings: Settings,
    /// Up to where it was said last that the log had told more than it has; 0 before.
    given_up: Arc<AtomicU64>,
    /// Behind which message of its own it came last.
    reached: Arc<Mutex<Option<End>>>,
}

impl Outlet {
    /// The stream that the settings name, for a log's events.
    pub(super) fn new(jetstream: Context, log: Arc<dyn EventStore>, settings: Settings) -> Self {
        Self {
            jetstream,
            log,
            settings,
            given_up: Arc::default(),
            reached: Arc::default(),
        }
    }

    /// Its last message, which was just stored there, ends so.
    pub(super) fn reached(&self, end: &End) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
    }

    /// Where it ends. It is made if it is missing.
    ///
    /// # Errors
    /// [`Trouble`]; then nothing was written to it.
    pub(super) async fn end(&self) -> Result<End, Trouble> {
        // It is large, and those who wait for it should not be.
        Box::pin(self.look()).await
    }

    async fn look(&self) -> Result<End, Trouble> {
        let log_id = self.log.identity().log_id;
        let wanted = self.settings.config(log_id);
        let mut stream = self.get_or_make(wanted).await?;
        let info = stream
            .info()
            .await
            .map_err(|error| unanswered(LOOK, &error))?
            .clone();
        refuse(&info.config, self.settings.wrong(&info.config))?;
        if is_of_another_log(&info.config, log_id) {
            return Err(self.other_log());
        }
        let created = info.created.to_string();
        let (first, sequence) = (info.state.first_sequence, info.state.last_sequence);
        let place = self.place_at(&stream, first..=sequence, &created);
        let place = place.await?;
        Ok(End {
            sequence,
            place,
            created,
            takes_batches: info.config.allow_atomic_publish,
        })
    }

    /// Keeps in mind how far the stream tells of the log.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn note(&self, end: &End) -> Result<(), Trouble> {
        self.note_at(end.sequence, end.place, &end.created).await
    }

    /// Sees that what is kept there can be kept, and will be there.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(super) async fn open_note(&self) -> Result<(), Trouble> {
        self.beside().await.map(drop)
    }

    /// The stream that the place is kept in.
    async fn beside(&self) -> Result<Stream<Info>, Trouble> {
        let mut beside = self.get_or_make(self.settings.note_config()).await?;
        let info = beside
            .info()
            .await
            .map_err(|error| unanswered(LOOK, &error))?;
        refuse(&info.config, self.settings.wrong_note(&info.config))?;
        Ok(beside)
    }

    /// That its message `sequence` is the last one before a place.
    async fn note_at(&self, sequence: u64, place: Place, created: &str) -> Result<(), Trouble> {
        let note = Note {
            cursor: place.cursor(self.log.identity()),
            sequence,
            created: created.to_owned(),
            record: self.mark_at(place.position())?,
        };
        let payload = serde_json::to_vec(&note).expect("texts and numbers are JSON");
        let message = PublishMessage::build()
            .payload(payload.into())
            .expected_stream(self.settings.note_stream());
        let stored = match self.store_note(message.clone()).await {
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => {
                self.get_or_make(self.settings.note_config()).await?;
                self.store_note(message).await
            }
            stored => stored,
        };
        stored.map_err(|error| unanswered("keep how far it was told", &error))
    }

    async fn store_note(&self, message: PublishMessage) -> Result<(), PublishError> {
        let subject = self.settings.note_subject();
        let stored = self.jetstream.send_publish(subject, message).await?;
        stored.await.map(drop)
    }

    /// The place behind the last of a stream's messages, of which those before the first one are gone.
    async fn place_at(
        &self,
        stream: &Stream<Info>,
        messages: RangeInclusive<u64>,
        created: &str,
    ) -> Result<Place, Trouble> {
        let last = *messages.end();
        let (mut sequence, mut foreign) = (last, None);
        let place = loop {
            let is_far = last - sequence >= FOREIGN_MAX;
            let found = match sequence {
                0 => Found::Gone,
                _ if !messages.contains(&sequence) => Found::Gone,
                _ => message(stream, sequence).await?,
            };
            let said = match found {
                Found::Gone if is_far || sequence <= *messages.start() => {
                    let messages = *messages.start()..=sequence;
                    break self.noted_place(stream, messages, last, created).await?;
                }
                Found::Gone => None,
                Found::Message(found) => Some(said(&found, &self.settings.stream)),
                Found::Unreadable => Some(Said::Nothing("its headers cannot be read")),
            };
            match said {
                Some(Said::Place(told)) => {
                    break self
                        .judge(&told, stream, *messages.start()..=sequence)
                        .await?;
                }
                Some(Said::Nothing(why)) => {
                    let (first, why) = *foreign.get_or_insert((sequence, why));
                    if is_far {
                        return Err(self.foreign(first, why));
                    }
                }
                // Somebody removed it alone, so it was somebody else's; or it is told again.
                None => {}
            }
            sequence -= 1;
        };
        let Some((first, why)) = foreign else {
            return Ok(place);
        };
        // So that the place is known when they are removed.
        self.note_at(last, place, created).await?;
        Err(self.foreign(first, why))
    }

    /// The place behind the last one of `messages`, which is gone, of a stream that has
    /// come to message `last`.
    async fn noted_place(
        &self,
        stream: &Stream<Info>,
        messages: RangeInclusive<u64>,
        last: u64,
        created: &str,
    ) -> Result<Place, Trouble> {
        let sequence = *messages.end();
        let beside = self.beside().await?;
        let info = beside.cached_info();
        let kept = match info.state.last_sequence {
            0 => Found::Gone,
            kept => message(&beside, kept).await?,
        };
        let note = match kept {
            Found::Gone => None,
            Found::Message(kept) => Some(self.read_note(&kept, stream, messages).await?),
            Found::Unreadable => return Err(self.foreign_note(info.state.last_sequence)),
        };
        let place = match &note {
            // Before anything of the log is told that is noted, so none of it is.
            None => Place::START,
            // Of the stream that was there before this one, which begins where that one ended.
            Some(Noted { note, place, .. }) if note.created != created => *place,
            Some(noted) if noted.note.sequence > last => self.lost(noted, last).await?,
            // What was told behind it was of the log before that one lost something, and may
            // be of what was lost.
            Some(noted) if noted.identity != self.log.identity() => noted.place,
            Some(Noted { note, place, .. }) => {
                let own = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
                let own = own.as_ref().filter(|own| own.created == created);
                let own = own.filter(|own| (note.sequence..=last).contains(&own.sequence));
                let (known, place) =
                    own.map_or((note.sequence, *place), |own| (own.sequence, own.place));
                if known < sequence {
                    let stream = &self.settings.stream;
                    tracing::warn!(%stream, known, last, "messages were removed before it was seen whose they were; \
                         what was told of them since the last that is known is told again");
                }
                place
            }
        };
        let is_kept = note.is_some_and(
            |Noted {
                 note, place: at, ..
             }| { (note.sequence, &*note.created, at) == (sequence, created, place) },
        );
        if !is_kept {
            self.note_at(sequence, place, created).await?;
        }
        Ok(place)
    }

    /// The place behind so many events that were told behind another place.
    async fn behind(&self, place: Place, told: u64) -> Result<Place, Trouble> {
        let skipped = skip(&*self.log, place, told).await;
        skipped.map_err(Halted::from)?.ok_or_else(|| {
            let head = *self.log.head().borrow();
            self.farther(head.next(), self.log.identity().epoch)
        })
    }

    /// The place behind message `last`, which is gone, of a stream that had come farther.
    async fn lost(&self, noted: &Noted, last: u64) -> Result<Place, Trouble> {
        let Noted { note, place, .. } = noted;
        let missing = note.sequence - last;
        let known = count(&*self.log, *place).await.map_err(Halted::from)?;
        tracing::warn!(
            stream = %self.settings.stream, had = note.sequence, has = last,
            "the stream has lost its last messages; they are told again"
        );
        self.behind(Place::START, known.saturating_sub(missing))
            .await
    }

    async fn read_note(
        &self,
        kept: &StreamMessage,
        stream: &Stream<Info>,
        messages: RangeInclusive<u64>,
    ) -> Result<Noted, Trouble> {
        let note: Option<Note> = serde_json::from_slice(&kept.payload).ok();
        let noted = note.and_then(|note| Some((Place::noted(&note.cursor)?, note)));
        let Some(((issued, place), note)) = noted else {
            return Err(self.foreign_note(kept.sequence));
        };
        let told = Told {
            issued,
            place,
            record: note.record.clone(),
        };
        Ok(Noted {
            note,
            identity: issued.identity,
            place: self.judge(&told, stream, messages).await?,
        })
    }

    /// Where to go on behind a place that was told of, in the log as it is now; `messages` are
    /// those that told of it.
    async fn judge(
        &self,
        told: &Told,
        stream: &Stream<Info>,
        messages: RangeInclusive<u64>,
    ) -> Result<Place, Trouble> {
        let Issued { identity, position } = told.issued;
        let (history, head) = (self.log.history(), *self.log.head().borrow());
        let standing = history.judge(identity, position, head);
        // A log that lost its end and was written on has others there.
        let is_another = standing == Standing::Valid
            && told.record.is_some()
            && told.record != self.mark_at(position)?;
        match standing {
            Standing::Valid if !is_another => Ok(told.place),
            Standing::Valid if identity == self.log.identity() => Err(Trouble::OtherWay {
                stream: self.settings.stream.clone(),
                position,
                epoch: identity.epoch,
            }),
            Standing::OtherLog => Err(self.other_log()),
            // It may have been written on, in place of what was told, before it began the next
            // epoch: so what is kept of the epoch need not be what was told of it.
            Standing::Valid | Standing::Beyond { .. } => {
                let told_by = |sequence| self.told_by(stream, sequence);
                let forked = fork(&*self.log, messages, told_by).await?;
                self.tell_of_fork(position, forked);
                Ok(match forked {
                    Fork::Behind(place) => place,
                    Fork::Unknown => Place::START,
                })
            }
            Standing::Ahead => Err(self.farther(position, identity.epoch)),
        }
    }

    /// What a message tells of the log; `None` if it is gone or not of Airpost.
    async fn told_by(&self, stream: &Stream<Info>, sequence: u64) -> Result<Option<Told>, Trouble> {
        Ok(match message(stream, sequence).await? {
            Found::Message(found) => match said(&found, &self.settings.stream) {
                Said::Place(told) => Some(told),
                Said::Nothing(_) => None,
            },
            Found::Unreadable | Found::Gone => None,
        })
    }

    /// Says once of each place that the log was told beyond what it has.
    fn tell_of_fork(&self, told_to: Position, forked: Fork) {
        if self.given_up.swap(told_to.get(), Ordering::Relaxed) == told_to.get() {
            return;
        }
        let stream = &self.settings.stream;
        match forked {
            Fork::Behind(place) => {
                let common_to = place.position();
                tracing::warn!(%stream, %told_to, %common_to, "events were told that the log has given \
                     up since; they cannot be taken back, and what the log has in their place follows");
            }
            Fork::Unknown => {
                tracing::warn!(%stream, %told_to, "events were told that the log has given up since, and \
                     the stream has none left that the log has still; they cannot be taken back, and all that \
                     the log has is told anew");
            }
        }
    }

    fn mark_at(&self, position: Position) -> Result<Option<String>, Trouble> {
        Ok(mark_at(&*self.log, position).map_err(Halted::from)?)
    }

    async fn get_or_make(&self, wanted: Config) -> Result<Stream<Info>, Trouble> {
        let name = wanted.name.clone();
        let missing = match self.jetstream.get_stream(&name).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let is_missing = matches!(missing.kind(), GetStreamErrorKind::JetStream(said)
            if said.error_code() == ErrorCode::STREAM_NOT_FOUND);
        if !is_missing {
            return Err(unanswered(LOOK, &missing));
        }
        let made = self.jetstream.create_stream(wanted).await;
        if let Err(error) = made {
            return Err(match error.kind() {
                CreateStreamErrorKind::JetStream(said)
                    if said.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP =>
                {
                    let other = self.jetstream.stream_by_subject(TOLD).await.ok();
                    Trouble::Overlaps {
                        stream: name,
                        other,
                    }
                }
                CreateStreamErrorKind::JetStream(_) if trouble(&error).is_some() => {
                    unanswered("make a stream", &error)
                }
                CreateStreamErrorKind::JetStream(said) => Trouble::Refused {
                    stream: name,
                    why: said.to_string(),
                },
                CreateStreamErrorKind::EmptyStreamName
                | CreateStreamErrorKind::InvalidStreamName
                | CreateStreamErrorKind::DomainAndExternalSet
                | CreateStreamErrorKind::JetStreamUnavailable
                | CreateStreamErrorKind::TimedOut
                | CreateStreamErrorKind::Response
                | CreateStreamErrorKind::NotFound
                | CreateStreamErrorKind::ResponseParse => unanswered("make a stream", &error),
            });
        }
        tracing::info!(stream = %name, "a stream was made");
        let stream = self.jetstream.get_stream(&name).await;
        stream.map_err(|error| unanswered(LOOK, &error))
    }

    fn other_log(&self) -> Trouble {
        Trouble::OtherLog {
            stream: self.settings.stream.clone(),
        }
    }

    fn farther(&self, position: Position, epoch: u32) -> Trouble {
        Trouble::Farther {
            stream: self.settings.stream.clone(),
            position,
            epoch,
            is_shared: self.log.is_shared(),
        }
    }

    fn foreign_note(&self, sequence: u64) -> Trouble {
        Trouble::ForeignNote {
            stream: self.settings.stream.clone(),
            sequence,
        }
    }

    fn foreign(&self, sequence: u64, why: &'static str) -> Trouble {
        Trouble::Foreign {
            stream: self.settings.stream.clone(),
            sequence,
            why,
        }
    }
}

/// What all subjects that events go out by are among.
const TOLD: &str = "airpost.v1.>";

/// What is asked for when a stream is looked at.
const LOOK: &str = "tell of its streams";

/// What is in a place of a stream.
enum Found {
    Message(StreamMessage),
    /// A message that the client does not understand.
    Unreadable,
    /// Nothing any more.
    Gone,
}

/// A message of a stream, by its leader.
async fn message(stream: &Stream<Info>, sequence: u64) -> Result<Found, Trouble> {
    let error = match stream.get_raw_message(sequence).await {
        Ok(message) => return Ok(Found::Message(message)),
        Err(error) => error,
    };
    let source = std::error::Error::source(&error);
    let is_answered = source.is_some_and(|source| !source.is::<RequestError>());
    match error.kind() {
        RawMessageErrorKind::NoMessageFound => Ok(Found::Gone),
        // The only thing that the client says of an answer without the server's own words.
        RawMessageErrorKind::Other if is_answered => Ok(Found::Unreadable),
        RawMessageErrorKind::Other
        | RawMessageErrorKind::JetStream(_)
        | RawMessageErrorKind::InvalidSubject => Err(unanswered("give a message", &error)),
    }
}

fn refuse(found: &Config, wrong: Vec<String>) -> Result<(), Trouble> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Trouble::Settings {
        stream: found.name.clone(),
        wrong,
    })
}

fn said(message: &StreamMessage, stream: &str) -> Said {
    let Some(cursor) = message.headers.get(CURSOR) else {
        return Said::Nothing("it has no header Airpost-Cursor");
    };
    let Some((issued, place)) = Place::noted(cursor.as_str()) else {
        return Said::Nothing("its header Airpost-Cursor is not a cursor");
    };
    let record = message.headers.get(RECORD);
    let record = record.map(|mark| mark.as_str().to_owned());
    // A copy of another message would lead back to where that one was.
    let made_to_be = message.headers.get(SEQUENCE).map(HeaderValue::as_str);
    let made_for = message.headers.get(NATS_EXPECTED_STREAM);
    let is_in_place = made_to_be == Some(&message.sequence.to_string())
        && made_for.map(HeaderValue::as_str) == Some(stream);
    if is_in_place {
        Said::Place(Told {
            issued,
            place,
            record,
        })
    } else {
        Said::Nothing("it was not made for this place in this stream")
    }
}

/// The trouble of an answer that did not come, or was no.
pub(super) fn unanswered(what: &'static str, why: &(dyn std::error::Error + 'static)) -> Trouble {
    Trouble::Unanswered {
        what,
        why: why.to_string(),
        behind: trouble(why),
    }
}
