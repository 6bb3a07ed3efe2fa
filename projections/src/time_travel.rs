//! What was so, and what was known: a delivery at another time than now.
//!
//! Two times can be asked about, each alone or both together:
//! * `as_of`: what had *happened* by then, with all that is known of it;
//! * `known_at`: what had been *recorded* by then, so what an answer showed.
//!
//! The answer is folded from the delivery's own stream and never read from a
//! view, by the same projections that write the views: so a past is shown as it
//! would have been shown.

use domain::decider::Occurrence;
use domain::delivery::{DeliveryEvent, effective_times, happened_by};
use domain::id::DeliveryId;
use domain::time::Timestamp;
use eventstore::{Budget, EventStore, Filter, Position, Record, StreamVersion};

use crate::delivery_history::{self, DeliveryHistory, HistoryEntry};
use crate::delivery_status::{self, DeliveryRow, DeliveryStatus};
use crate::feeding::ONE_RECORD;
use crate::overlay::Overlay;
use crate::projection::{Facts, Halt, Projection};
use crate::stored::{event_time, instant};
use crate::view::project;
use crate::view_store::NoTree;
use crate::views::{QueryError, Views, delivery_stream};

#[cfg(test)]
mod tests;

/// Which past is asked about; what is absent is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// What had happened by this instant, itself included.
    pub as_of: Option<Timestamp>,
    /// What had been recorded by then.
    pub known_at: Option<KnownAt>,
}

/// A point in what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownAt {
    /// All that was recorded by this instant, itself included.
    Time(Timestamp),
    /// All up to this record of the log, itself included.
    Position(Position),
}

/// What was found of a delivery at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<T> {
    /// It was there.
    There(Past<T>),
    /// There is no such delivery, now either.
    Unknown,
    /// Nothing of it was recorded by then.
    NotKnownYet {
        /// When its first event was recorded.
        first_recorded_at: Timestamp,
        /// The record of that event.
        first_position: Position,
    },
    /// As far as is known at that moment, nothing of it had happened by then.
    NotYet {
        /// When the earliest of its events happened, as far as is known then.
        earliest: Timestamp,
    },
}

/// A past, and how far it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past<T> {
    /// What was so.
    pub shown: T,
    /// The record of the delivery's last event that was known.
    pub known_to: Position,
    /// Whether the answer is the same for ever, in this epoch of the log.
    ///
    /// It is where all that could be known at that moment is recorded: up to a
    /// position that is visible, or up to a time with a later record behind
    /// it, since recorded times never fall. Without `known_at` it never is: a
    /// late event may tell of any past. Nor is it where a record cannot be folded.
    pub is_final: bool,
    /// The first record known then that this release cannot fold: the past ends
    /// before it. None where all of it is shown.
    pub degraded_since: Option<Position>,
}

impl Views {
    /// A delivery at a moment, as far as this release can fold it.
    ///
    /// Its sequence, position and `updated_at` are those of the last event in
    /// its stream that is shown.
    ///
    /// # Errors
    /// [`QueryError::Log`]; the views have no part in it.
    pub fn delivery_at(
        &self,
        id: DeliveryId,
        moment: Moment,
    ) -> Result<Found<DeliveryRow>, QueryError> {
        self.at(id, moment, |mut records, kept| {
            let last = last_version(&records, kept.as_deref());
            retain(&mut records, kept);
            let view = folded(&DeliveryStatus, &records)?;
            let row = delivery_status::delivery(&view, id)?;
            Ok(row.map(|row| DeliveryRow {
                sequence: last,
                ..row
            }))
        })
    }

    /// What had happened to a delivery at a moment, oldest first. Events are
    /// shown as recorded, with their own times.
    ///
    /// # Errors
    /// As [`Views::delivery_at`].
    pub fn history_at(
        &self,
        id: DeliveryId,
        moment: Moment,
    ) -> Result<Found<Vec<HistoryEntry>>, QueryError> {
        self.at(id, moment, |records, kept| {
            let view = folded(&DeliveryHistory, &records)?;
            let entries = delivery_history::history(&view, id)?;
            let Some(kept) = kept else {
                return Ok(Some(entries));
            };
            let kept = entries.into_iter().zip(kept).filter(|(_, kept)| *kept);
            Ok(Some(kept.map(|(entry, _)| entry).collect()))
        })
    }

    /// Reads what was known of a delivery, and shows what of it had happened:
    /// all, where nothing says which events. What shows nothing is no delivery.
    fn at<T>(
        &self,
        id: DeliveryId,
        moment: Moment,
        show: impl Fn(Vec<Record>, Option<Vec<bool>>) -> Result<Option<T>, QueryError>,
    ) -> Result<Found<T>, QueryError> {
        let mut degraded_since = None;
        loop {
            match self.at_before(id, moment, degraded_since, &show) {
                // Once more without it: that is always an earlier one than before.
                Err(QueryError::Halted(halt)) => degraded_since = Some(halt.position()),
                found => return found,
            }
        }
    }

    /// The same, without the delivery's records from a position on.
    fn at_before<T>(
        &self,
        id: DeliveryId,
        moment: Moment,
        degraded_since: Option<Position>,
        show: impl Fn(Vec<Record>, Option<Vec<bool>>) -> Result<Option<T>, QueryError>,
    ) -> Result<Found<T>, QueryError> {
        let log = self.log();
        // Before the stream is read: what is recorded in between must be seen
        // by an answer that is final.
        let is_final = degraded_since.is_none() && is_final(log, moment.known_at)?;
        let (mut known, later) = read(log, id, moment.known_at)?;
        if let Some(until) = degraded_since {
            known.retain(|record| record.position < until);
            if known.is_empty() {
                return Ok(Found::Unknown);
            }
        }
        let Some(last) = known.last() else {
            return Ok(later.map_or(Found::Unknown, |first| Found::NotKnownYet {
                first_recorded_at: instant(first.recorded_at_us),
                first_position: first.position,
            }));
        };
        let known_to = last.position;
        let kept = match moment.as_of {
            None => None,
            Some(as_of) => {
                let occurrences = occurrences(&known)?;
                let Some(kept) = happened_by(&occurrences, as_of) else {
                    let earliest = effective_times(&occurrences).into_iter().min();
                    let earliest = earliest.unwrap_or(Timestamp::MAX);
                    return Ok(Found::NotYet { earliest });
                };
                Some(kept)
            }
        };
        let shown = show(known, kept)?;
        Ok(shown.map_or(Found::Unknown, |shown| {
            Found::There(Past {
                shown,
                known_to,
                is_final,
                degraded_since,
            })
        }))
    }
}

/// Whether nothing more can become known at a point.
fn is_final(log: &dyn EventStore, known_at: Option<KnownAt>) -> Result<bool, QueryError> {
    let head = *log.head().borrow();
    match known_at {
        None => Ok(false),
        Some(KnownAt::Position(position)) => Ok(position <= head),
        Some(KnownAt::Time(time)) => {
            let before = Position::new(head.get().saturating_sub(1));
            let page = log.read_all(before, &Filter::everything(), ONE_RECORD)?;
            let last = page.records.last();
            Ok(last.is_some_and(|last| last.recorded_at_us > time.micros()))
        }
    }
}

/// The records of a delivery that were known, and the first that was not.
fn read(
    log: &dyn EventStore,
    id: DeliveryId,
    known_at: Option<KnownAt>,
) -> Result<(Vec<Record>, Option<Record>), QueryError> {
    let stream = delivery_stream(id);
    let (mut known, mut after) = (Vec::new(), StreamVersion::EMPTY);
    loop {
        let page = log.read_stream(stream, after, Budget::PAGE)?;
        let is_end = page.records.is_empty() || page.read_to >= page.version;
        for record in page.records {
            if !is_known(&record, known_at) {
                // Both positions and recorded times only grow.
                return Ok((known, Some(record)));
            }
            known.push(record);
        }
        if is_end {
            return Ok((known, None));
        }
        after = page.read_to;
    }
}

fn is_known(record: &Record, known_at: Option<KnownAt>) -> bool {
    match known_at {
        None => true,
        Some(KnownAt::Time(time)) => record.recorded_at_us <= time.micros(),
        Some(KnownAt::Position(position)) => record.position <= position,
    }
}

fn occurrences(records: &[Record]) -> Result<Vec<Occurrence<DeliveryEvent>>, QueryError> {
    let mut occurrences = Vec::new();
    for record in records {
        let events = match Facts::of(record) {
            Facts::Delivery(events) => events,
            Facts::Undecodable(why) => return Err(Halt::Undecodable(why).into()),
            Facts::User(_)
            | Facts::Session(_)
            | Facts::Refusals(_)
            | Facts::Task(_)
            | Facts::Operation(_)
            | Facts::Other => Vec::new(),
        };
        let recorded = events.into_iter().zip(&record.events);
        occurrences.extend(recorded.map(|(event, recorded)| Occurrence {
            event,
            event_time: event_time(recorded),
            recorded_at: instant(record.recorded_at_us),
            inferred: recorded.inferred,
        }));
    }
    Ok(occurrences)
}

/// The version of the last event that is kept; a stream's first has version 1.
fn last_version(records: &[Record], kept: Option<&[bool]>) -> StreamVersion {
    let all = records.last().map(Record::last_version);
    let version = match kept {
        None => all,
        Some(kept) => {
            let last = kept.iter().rposition(|kept| *kept);
            last.map(|place| StreamVersion::new(place as u64 + 1))
        }
    };
    version.unwrap_or(StreamVersion::EMPTY)
}

/// Takes out the events that are not kept, and the records that had no others.
fn retain(records: &mut Vec<Record>, kept: Option<Vec<bool>>) {
    let Some(kept) = kept else {
        return;
    };
    let mut kept = kept.into_iter();
    records.retain_mut(|record| {
        record.events.retain(|_| kept.next().unwrap_or(false));
        !record.events.is_empty()
    });
}

/// The records folded by a view's projection, on top of nothing.
fn folded(projection: &dyn Projection, records: &[Record]) -> Result<Overlay<'static>, QueryError> {
    let mut view = Overlay::new(&NoTree);
    for record in records {
        project(projection, &mut view, record, &Facts::of(record))??;
    }
    Ok(view)
}
