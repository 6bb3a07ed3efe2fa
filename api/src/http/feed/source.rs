//! Where the events come from: the log, or the one stream that holds them all.

use eventstore::{
    Budget, EventStore, Filter, Position, ReadError, Record, StreamId, StreamVersion,
};

use super::place::Place;
use super::wanted::Wanted;

/// How much of the log is passed over at a time where little of it is wanted,
/// bytes: some milliseconds of work, after which others have their turn.
const SCAN_BYTES: usize = 1024 * 1024;

/// How many records of a stream are read at a time, at least: nearly every
/// delivery has fewer events.
const STREAM_RECORDS_MIN: usize = 256;

/// Reads on from a place. Remembers nothing but where a stream was.
#[derive(Clone, Debug)]
pub(super) struct Source(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Log(Filter),
    /// A delivery's events are few and lie far apart in the log.
    Stream {
        stream: StreamId,
        /// Read so far.
        version: StreamVersion,
        /// The place that lies behind it.
        to: Place,
    },
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    /// Every record with an event that is wanted, and maybe others, in order.
    /// The first may begin before the place that was asked for.
    pub(super) records: Vec<Record>,
    /// Nothing else that is wanted lies up to here.
    pub(super) to: Place,
    /// The end of the log, as it was before.
    pub(super) head: Position,
}

impl Source {
    /// Of the events that are wanted.
    pub(super) fn of(wanted: &Wanted) -> Self {
        Self(match wanted.stream() {
            None => Kind::Log(wanted.filter()),
            Some(stream) => Kind::Stream {
                stream,
                version: StreamVersion::EMPTY,
                to: Place::START,
            },
        })
    }

    /// Reads what follows a place, about so many records.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn read(
        &mut self,
        log: &dyn EventStore,
        from: Place,
        records_max: usize,
    ) -> Result<Stretch, ReadError> {
        let budget = Budget {
            records_max,
            bytes_max: SCAN_BYTES,
        };
        match &mut self.0 {
            Kind::Log(filter) => {
                let page = log.read_all(from.after(), filter, budget)?;
                Ok(Stretch {
                    records: page.records,
                    to: Place::behind(page.scanned_to).max(from),
                    head: page.head,
                })
            }
            Kind::Stream {
                stream,
                version,
                to,
            } => {
                if from < *to {
                    // Not all that was read was taken.
                    *version = StreamVersion::EMPTY;
                }
                let stretch = read_stream(log, *stream, version, from, budget)?;
                *to = stretch.to;
                Ok(stretch)
            }
        }
    }
}

/// Reads a stream on until there is something behind the place, or its end.
fn read_stream(
    log: &dyn EventStore,
    stream: StreamId,
    version: &mut StreamVersion,
    from: Place,
    budget: Budget,
) -> Result<Stretch, ReadError> {
    let budget = Budget {
        records_max: budget.records_max.max(STREAM_RECORDS_MIN),
        ..budget
    };
    // Before the stream, so that it promises no more than was read.
    let head = *log.head().borrow();
    loop {
        let page = log.read_stream(stream, *version, budget)?;
        *version = page.read_to;
        let is_whole = page.read_to >= page.version;
        let mut records = page.records;
        records.retain(|record| record.position > from.after());
        if records.is_empty() && !is_whole {
            continue;
        }
        let last = records.last().map(|record| record.position);
        let to = last.max(is_whole.then_some(head));
        return Ok(Stretch {
            records,
            to: to.map_or(from, Place::behind).max(from),
            head,
        });
    }
}
