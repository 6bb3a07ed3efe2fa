//! Where the events come from: the log, or the one stream that holds them all.

use eventstore::{
    Budget, EventStore, Filter, Position, ReadError, Record, StreamId, StreamVersion,
};

use super::place::Place;
use super::wanted::Wanted;

/// How much of the log is passed over at a time where little of it is wanted,
/// bytes: some milliseconds of work, after which others have their turn.
const SCAN_BYTES: usize = 1024 * 1024;

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
            },
        })
    }

    /// Reads what follows a place, about so many records. Not before a place
    /// that was asked for earlier.
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
            Kind::Stream { stream, version } => {
                // Before the stream, so that it promises no more than was read.
                let head = *log.head().borrow();
                let page = log.read_stream(*stream, *version, budget)?;
                *version = page.read_to;
                let last = page.records.last().map(|record| record.position);
                let is_whole = page.read_to >= page.version;
                let to = last.max(is_whole.then_some(head));
                let mut records = page.records;
                records.retain(|record| record.position > from.after());
                Ok(Stretch {
                    records,
                    to: to.map_or(from, Place::behind).max(from),
                    head,
                })
            }
        }
    }
}
