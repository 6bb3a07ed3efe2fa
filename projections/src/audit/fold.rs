//! Folds anew what the entries of some streams come from, and compares them.

use std::collections::BTreeMap;

use domain::delivery::DeliveryEvent;
use domain::id::UserId;
use domain::stream::{Category, StreamName};
use eventstore::{Budget, EventStore, Position, Record, StreamId, StreamVersion};

use crate::feeding::{FeedError, ONE_RECORD};
use crate::key::{Key, ROWS};
use crate::overlay::Overlay;
use crate::projection::{Facts, Sources, category};
use crate::stored::read_part;
use crate::user_deliveries::{self, UserDeliveries};
use crate::view::View;
use crate::view_set::ViewSet;
use crate::view_store::{Direction, NoTree, ViewStoreError};

/// Most records that one fold takes in: some milliseconds, in which the views
/// are not fed. What is made of more is not audited.
const RECORDS_MAX: usize = 2_000;

/// Most deliveries of a user that are folded for the user's row; of one who has
/// more only the entries of the delivery at hand are audited.
const DELIVERIES_MAX: usize = 50;

/// Most rows of a stream that are looked at beyond those of the fold.
const ROWS_MAX: usize = 1_000;

/// The records that some entries of a view come from, by their positions.
#[derive(Debug, Default)]
struct Origin {
    records: BTreeMap<Position, Record>,
    /// What rows say comes from other streams as well.
    is_without_rows: bool,
}

impl Origin {
    /// Takes in a whole stream, up to a position. `false` if it is too long.
    fn take_stream(
        &mut self,
        log: &dyn EventStore,
        stream: StreamId,
        last: Position,
    ) -> Result<bool, FeedError> {
        let mut after = StreamVersion::EMPTY;
        loop {
            let page = log.read_stream(stream, after, Budget::PAGE)?;
            let is_last = page.records.is_empty() || page.read_to >= page.version;
            let seen = |record: &Record| record.position <= last;
            let records = page.records.into_iter().filter(seen);
            self.records
                .extend(records.map(|record| (record.position, record)));
            if self.records.len() > RECORDS_MAX {
                return Ok(false);
            }
            if is_last {
                return Ok(true);
            }
            after = page.read_to;
        }
    }

    /// Takes in a stream's first record, if it has come by a position.
    fn take_first(
        &mut self,
        log: &dyn EventStore,
        stream: StreamId,
        last: Position,
    ) -> Result<(), FeedError> {
        let page = log.read_stream(stream, StreamVersion::EMPTY, ONE_RECORD)?;
        let seen = |record: &Record| record.position <= last;
        let first = page.records.into_iter().next().filter(seen);
        self.records
            .extend(first.map(|record| (record.position, record)));
        Ok(())
    }
}

/// Whether a view says of what a record belongs to what a fold up to the view's
/// position says: has every entry that the fold has, as that has it. So it is
/// also where nothing can be told by few streams, or something of them waits.
pub(super) fn agrees(
    view: &View,
    set: &ViewSet,
    log: &dyn EventStore,
    record: &Record,
) -> Result<bool, FeedError> {
    if !view.is_checked() || !view.projection().wants(record) {
        return Ok(true);
    }
    let (stream, last) = (record.stream, view.position());
    let mut origin = Origin::default();
    let is_whole = match view.projection().sources() {
        Sources::Log => false,
        Sources::Stream => origin.take_stream(log, stream, last)?,
        Sources::Session => take_session(&mut origin, view, log, stream)?,
        Sources::User => take_user(&mut origin, view, set, log, stream)?,
    };
    let waits = |record: &Record| view.parked().contains(record.stream);
    if !is_whole || origin.records.values().any(waits) {
        return Ok(true);
    }
    Ok(compare(view, &origin, stream)?)
}

/// What a session's entries come from: its facts, and whether there is what they
/// wait for. `false` if that cannot be told.
fn take_session(
    origin: &mut Origin,
    view: &View,
    log: &dyn EventStore,
    session: StreamId,
) -> Result<bool, FeedError> {
    let last = view.position();
    // What is made of a mission or a delivery is a session's that waits for it.
    if category(session) != Some(Category::DroneSession)
        || !origin.take_stream(log, session, last)?
    {
        return Ok(false);
    }
    let records = origin.records.values();
    let awaited = records.flat_map(|record| view.awaits(&Facts::of(record)));
    for stream in awaited.collect::<Vec<_>>() {
        origin.take_first(log, stream, last)?;
    }
    Ok(true)
}

/// What a user's entries come from, given the user's stream or that of one of
/// their deliveries. Which others there are another view tells. `false` if that
/// cannot be told.
fn take_user(
    origin: &mut Origin,
    view: &View,
    set: &ViewSet,
    log: &dyn EventStore,
    stream: StreamId,
) -> Result<bool, FeedError> {
    let last = view.position();
    if !origin.take_stream(log, stream, last)? {
        return Ok(false);
    }
    let user = if category(stream) == Some(Category::User) {
        read_part(Some(*stream.key.as_bytes()))?
    } else if let Some(user) = origin.records.values().find_map(user_of) {
        user
    } else {
        return Ok(false);
    };
    let deliveries = set.view(&UserDeliveries);
    let tells = deliveries.is_checked()
        && deliveries.parked().len() == 0
        && deliveries.halt().is_none()
        && deliveries.position() >= last;
    let listed = user_deliveries::ids_of(&deliveries.begin(), user, DELIVERIES_MAX + 1)?;
    if !tells || listed.len() > DELIVERIES_MAX {
        origin.is_without_rows = true;
        return Ok(true);
    }
    let others = listed.into_iter().map(StreamName::delivery);
    for name in others.chain([StreamName::user(user)]) {
        let number = eventstore::Category::new(name.category.number());
        if !origin.take_stream(log, StreamId::new(number, name.key), last)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whose delivery it is, if the record says so.
fn user_of(record: &Record) -> Option<UserId> {
    let Facts::Delivery(events) = Facts::of(record) else {
        return None;
    };
    events.iter().find_map(|event| {
        if let DeliveryEvent::Created(order) = event {
            return Some(order.user);
        }
        None
    })
}

fn compare(view: &View, origin: &Origin, stream: StreamId) -> Result<bool, ViewStoreError> {
    let mut fold = Overlay::new(&NoTree);
    for record in origin.records.values() {
        let folded = view.project(&mut fold, record, &Facts::of(record))?;
        if folded.is_err() {
            // What cannot be folded is the parking's business.
            return Ok(true);
        }
    }
    let is_row = |key: &[u8]| key.first() == Some(&ROWS);
    let entries = fold.into_writes();
    for (key, value, _) in &entries {
        let is_comparable = !origin.is_without_rows || !is_row(key);
        if is_comparable && view.tree().get(key)? != *value {
            return Ok(false);
        }
    }
    // Rows of the stream itself that the fold does not have.
    let rows = Key::row().id(stream.key.as_bytes()).prefix();
    let rows = view.tree().scan(&rows, Direction::Forward, ROWS_MAX)?;
    let is_known = |key: &[u8]| {
        entries
            .binary_search_by(|(it, ..)| it.as_slice().cmp(key))
            .is_ok()
    };
    Ok(rows.iter().all(|(key, _)| is_known(key)))
}
