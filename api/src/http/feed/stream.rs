//! The feed as it happens: one reader, from a place on to the head and along
//! with it.
//!
//! A reader is pulled: it reads on when its client has taken what there was.
//! So a slow one holds what is on its way to it and no more, and misses
//! nothing: what it did not take in time it reads from the log.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use eventstore::{EventStore, LogIdentity, Position};
use futures_util::{FutureExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::batch::Batch;
use super::frame;
use super::page::FeedError;
use super::ring::{Found, Ring};
use super::source::Source;
use super::wanted::Wanted;
use crate::config::HttpLimits;
use crate::http::problem::Problem;
use crate::observability::{FEED_EVENTS, FEED_HALTED, FEED_SLOW, FEED_STREAMS, HTTP_OVERLOADED};
use crate::public_events::item::happenings;
use crate::public_events::place::Place;

/// How long a stream is silent at most: less than what proxies wait.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How many records are read from the log for one batch: with the usual
/// events they fill it.
const BATCH_RECORDS: usize = 64;

/// When a client that found no place comes again, seconds.
const RETRY_AFTER_S: u32 = 5;

/// What all streams share. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::http) struct Streams {
    log: Arc<dyn EventStore>,
    identity: LogIdentity,
    ring: Arc<Ring>,
    places: Arc<Semaphore>,
    heartbeat: Duration,
    stopping: watch::Receiver<bool>,
}

impl Streams {
    /// Streams over a log, until `stopping` becomes true.
    pub(in crate::http) fn new(
        log: &Arc<dyn EventStore>,
        limits: &HttpLimits,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let streams_max = usize::try_from(limits.streams_max).unwrap_or(usize::MAX);
        let ring_bytes = limits.streams_memory_kib.saturating_mul(1024);
        let ring_bytes = usize::try_from(ring_bytes).unwrap_or(usize::MAX);
        // A connection that stands still is closed: it must hear something before.
        let idle = Duration::from_millis(limits.idle_time_ms);
        Self {
            log: Arc::clone(log),
            identity: log.identity(),
            ring: Arc::new(Ring::new(log, ring_bytes)),
            places: Arc::new(Semaphore::new(streams_max.min(Semaphore::MAX_PERMITS))),
            heartbeat: HEARTBEAT.min(idle / 2),
            stopping,
        }
    }

    /// A stream of what is wanted, from a place on.
    ///
    /// # Errors
    /// `overloaded` (503) where too many are open, `internal-error` (500) where
    /// what comes first cannot be read.
    pub(super) fn open(&self, wanted: Wanted, after: Place) -> Result<Body, Problem> {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            metrics::counter!(HTTP_OVERLOADED).increment(1);
            let detail = "as many streams are open as are allowed; close one, read pages, or come again later";
            return Err(Problem::overloaded(detail).with_retry_after_s(RETRY_AFTER_S));
        };
        let mut reader = Reader::new(self, wanted, after, OpenStream::count(permit));
        reader
            .read_first()
            .map_err(|error| super::stopped(&error))?;
        let frames = stream::unfold(reader, |mut reader| async move {
            let frame = reader.next().await?;
            Some((Ok::<_, Infallible>(frame), reader))
        });
        Ok(Body::from_stream(frames))
    }
}

/// Counts a stream as open while it lives.
#[derive(Debug)]
struct OpenStream(
    #[expect(dead_code, reason = "it is held and not looked at")] OwnedSemaphorePermit,
);

impl OpenStream {
    fn count(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!(FEED_STREAMS).increment(1);
        Self(permit)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!(FEED_STREAMS).decrement(1);
    }
}

/// One stream.
#[derive(Debug)]
struct Reader {
    log: Arc<dyn EventStore>,
    identity: LogIdentity,
    wanted: Wanted,
    ring: Arc<Ring>,
    /// For what the ring does not reach back to.
    source: Source,
    /// Whether the ring had what it read last.
    is_near: bool,
    /// What comes next.
    pending: Option<Batch>,
    /// All before it was looked at.
    at: Place,
    /// What the client was told last.
    told: Place,
    head: watch::Receiver<Position>,
    stopping: watch::Receiver<bool>,
    beat: Interval,
    stage: Stage,
    _open: OpenStream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Open,
    Over,
}

/// What a stream at the head waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    More,
    Beat,
    Stop,
}

impl Reader {
    fn new(streams: &Streams, wanted: Wanted, after: Place, open: OpenStream) -> Self {
        let mut beat = tokio::time::interval(streams.heartbeat.max(Duration::from_millis(1)));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        Self {
            source: Source::of(&wanted),
            ring: Arc::clone(&streams.ring),
            is_near: false,
            log: Arc::clone(&streams.log),
            identity: streams.identity,
            wanted,
            pending: None,
            at: after,
            told: after,
            head: streams.log.head(),
            stopping: streams.stopping.clone(),
            beat,
            stage: Stage::New,
            _open: open,
        }
    }

    /// Looks whether there is anything to answer with but a problem.
    fn read_first(&mut self) -> Result<(), FeedError> {
        self.pending = Some(self.read()?);
        Ok(())
    }

    /// What goes out next, as soon as there is something; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::New => {
                self.stage = Stage::Open;
                return Some(Bytes::from_static(frame::RETRY.as_bytes()));
            }
            Stage::Open => {}
            Stage::Over => return None,
        }
        loop {
            if *self.stopping.borrow() || self.stopping.has_changed().is_err() {
                return Some(self.bye());
            }
            let batch = match self.pending.take() {
                Some(batch) => Ok(batch),
                None => self.read(),
            };
            match batch {
                Err(error) => {
                    metrics::counter!(FEED_HALTED).increment(1);
                    return Some(self.end(frame::halt(&error)));
                }
                Ok(batch) => {
                    let was = self.at;
                    self.at = batch.to.map_or(was, |to| to.max(was));
                    if let Some(told) = batch.told {
                        self.told = told;
                        self.beat.reset();
                        metrics::counter!(FEED_EVENTS).increment(batch.events);
                        return Some(Bytes::from(batch.text));
                    }
                    if self.at > was {
                        // Much is passed over: others have their turn, and the client hears of it.
                        if self.beat.tick().now_or_never().is_some() {
                            return Some(self.heartbeat());
                        }
                        tokio::task::yield_now().await;
                        continue;
                    }
                }
            }
            let woken = tokio::select! {
                biased;
                _ = self.stopping.wait_for(|stop| *stop) => Woken::Stop,
                _ = self.beat.tick() => Woken::Beat,
                changed = self.head.changed() => match changed {
                    Ok(()) => Woken::More,
                    // Nothing comes any more from a log that is closed.
                    Err(_closed) => Woken::Stop,
                },
            };
            match woken {
                Woken::More => {}
                Woken::Beat => return Some(self.heartbeat()),
                Woken::Stop => return Some(self.bye()),
            }
        }
    }

    fn bye(&mut self) -> Bytes {
        let bye = frame::bye(self.moved(), self.identity);
        self.end(bye)
    }

    fn end(&mut self, last_words: String) -> Bytes {
        self.stage = Stage::Over;
        Bytes::from(last_words)
    }

    fn heartbeat(&mut self) -> Bytes {
        let moved = self.moved();
        self.told = self.at;
        Bytes::from(frame::heartbeat(moved, self.identity))
    }

    /// Where the client may go on later, if it was not told.
    fn moved(&self) -> Option<Place> {
        (self.at > self.told).then_some(self.at)
    }

    /// The next batch, empty where nothing is wanted of what was looked at.
    fn read(&mut self) -> Result<Batch, FeedError> {
        // Before the log is looked at: what comes later must wake the reader.
        self.head.mark_unchanged();
        match self.ring.read(self.at, &self.wanted)? {
            Found::Batch(batch) => {
                self.is_near = true;
                Ok(batch)
            }
            Found::Gone => {
                if std::mem::take(&mut self.is_near) {
                    metrics::counter!(FEED_SLOW).increment(1);
                }
                self.read_log()
            }
        }
    }

    fn read_log(&mut self) -> Result<Batch, FeedError> {
        let stretch = self.source.read(&*self.log, self.at, BATCH_RECORDS)?;
        let mut batch = Batch::default();
        for happening in stretch.records.iter().flat_map(happenings) {
            if happening.place <= self.at || !self.wanted.wants(&happening.traits()) {
                continue;
            }
            if batch.is_full() {
                return Ok(batch);
            }
            match frame::write_event(&mut batch.text, &happening, self.identity) {
                Ok(()) => batch.told(happening.place),
                Err(unreadable) if batch.events == 0 => return Err(unreadable.into()),
                Err(_unreadable) => return Ok(batch),
            }
        }
        batch.to = Some(stretch.to);
        Ok(batch)
    }
}
