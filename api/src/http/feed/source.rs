//! Where the events come from: the log, or the few streams that hold all of one delivery's.

use std::collections::BTreeSet;

use domain::codec::StoredEvent as _;
use domain::delivery::DeliveryEvent;
use domain::id::{DeliveryId, MissionId, OperationId};
use domain::scheduling::OperationEvent;
use domain::stream::StreamName;
use eventstore::{
    Budget, Category, EventStore, Filter, Position, ReadError, Record, StreamId, StreamVersion,
};

use super::wanted::Wanted;
use crate::public_events::place::Place;

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
    Delivery(OfDelivery),
}

/// Reads all that is about one delivery: its own stream, and what was asked of Drone Management
/// about each of its missions.
#[derive(Clone, Debug)]
struct OfDelivery {
    id: DeliveryId,
    /// Read so far of its own stream.
    version: StreamVersion,
    /// The place that lies behind it.
    to: Place,
    /// The missions that its own stream tells of up to there.
    missions: BTreeSet<MissionId>,
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
        Self(match wanted.delivery {
            None => Kind::Log(wanted.filter()),
            Some(id) => Kind::Delivery(OfDelivery {
                id,
                version: StreamVersion::EMPTY,
                to: Place::START,
                missions: BTreeSet::new(),
            }),
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
            Kind::Delivery(delivery) => delivery.read(log, from, budget),
        }
    }
}

impl OfDelivery {
    fn read(
        &mut self,
        log: &dyn EventStore,
        from: Place,
        budget: Budget,
    ) -> Result<Stretch, ReadError> {
        if from < self.to {
            // Not all that was read was taken.
            self.version = StreamVersion::EMPTY;
        }
        let mut stretch = self.read_own(log, from, budget)?;
        // After its own stream, so that nothing is missing that was asked before it went on.
        let mut missions = self.missions.clone();
        let booking = StreamName::operation(OperationId::of_booking(self.id));
        for record in read_all(log, booking)? {
            missions.extend(missions_in(&record, |event_type, schema, payload| {
                let event = OperationEvent::decode(event_type, schema, payload).ok()?;
                asked_by(&event)
            }));
        }
        for mission in missions {
            let asked = read_all(log, StreamName::dispatch(mission))?;
            stretch.records.extend(asked.into_iter().filter(|record| {
                from.after() < record.position && record.position <= stretch.to.after()
            }));
        }
        stretch.records.sort_by_key(|record| record.position);
        self.to = stretch.to;
        Ok(stretch)
    }

    /// Reads its own stream on until there is something behind the place, or its end.
    fn read_own(
        &mut self,
        log: &dyn EventStore,
        from: Place,
        budget: Budget,
    ) -> Result<Stretch, ReadError> {
        let budget = Budget {
            records_max: budget.records_max.max(STREAM_RECORDS_MIN),
            ..budget
        };
        let stream = stream_of(StreamName::delivery(self.id));
        // Before the stream, so that it promises no more than was read.
        let head = *log.head().borrow();
        loop {
            let page = log.read_stream(stream, self.version, budget)?;
            self.version = page.read_to;
            let is_whole = page.read_to >= page.version;
            let mut records = page.records;
            for record in &records {
                self.missions
                    .extend(missions_in(record, |event_type, schema, payload| {
                        let event = DeliveryEvent::decode(event_type, schema, payload).ok()?;
                        told_by(&event)
                    }));
            }
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
}

/// The stream of a name, as the store knows it.
pub(super) fn stream_of(name: StreamName) -> StreamId {
    StreamId::new(Category::new(name.category.number()), name.key)
}

/// The missions that the events of a record tell of.
fn missions_in(
    record: &Record,
    mission: impl Fn(u16, u16, &[u8]) -> Option<MissionId>,
) -> impl Iterator<Item = MissionId> {
    let events = record.events.iter();
    events.filter_map(move |event| mission(event.event_type.0, event.schema.0, &event.payload))
}

/// The mission that was asked for.
fn asked_by(event: &OperationEvent) -> Option<MissionId> {
    if let OperationEvent::MissionAsked { mission, .. } = event {
        Some(*mission)
    } else {
        None
    }
}

/// The mission that came to the delivery without being asked, or claimed to be for it.
fn told_by(event: &DeliveryEvent) -> Option<MissionId> {
    if let DeliveryEvent::DroneAssigned(assignment) = event {
        Some(assignment.mission)
    } else if let DeliveryEvent::AnomalyRecorded { mission, .. } = event {
        Some(*mission)
    } else {
        None
    }
}

/// All of a stream that is short whatever happens.
fn read_all(log: &dyn EventStore, name: StreamName) -> Result<Vec<Record>, ReadError> {
    let stream = stream_of(name);
    let (mut records, mut version) = (Vec::new(), StreamVersion::EMPTY);
    loop {
        let page = log.read_stream(stream, version, Budget::PAGE)?;
        let is_whole = page.records.is_empty() || page.read_to >= page.version;
        records.extend(page.records);
        version = page.read_to;
        if is_whole {
            return Ok(records);
        }
    }
}
