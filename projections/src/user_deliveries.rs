//! Which deliveries does this user have, by status and time?
//!
//! ```text
//! row  (user, created, delivery)   status and external id; the key never changes
//! index 1 delivery                 the delivery's row key
//! ```
//! Since no row ever moves, a page goes on exactly where the one before ended,
//! whatever was added or has changed meanwhile.

use domain::delivery::{DeliveryEvent, Status};
use domain::id::{DeliveryId, ExternalId, UserId};
use domain::stream::Category;
use domain::time::Timestamp;
use eventstore::{Event, Position, Record};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyParts, KeyRange};
use crate::overlay::{Overlay, Row};
use crate::parking::Poison;
use crate::progress::Progress;
use crate::projection::{Facts, Projection};
use crate::stored::{event_time, from_bytes, instant, read_part};
use crate::view_store::{Direction, ViewStoreError};

#[cfg(test)]
mod tests;

/// Most deliveries on one page.
pub const PAGE_ITEMS_MAX: usize = 200;

/// Most rows that one page looks at: a filter that lets little through gives
/// short pages and not slow ones.
pub const PAGE_SCAN_ROWS_MAX: usize = 5_000;

/// Rows read at a time.
const ROWS_PER_READ: usize = 250;

const ROW_KEYS: u8 = 1;

/// Which of a user's deliveries are wanted, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDeliveriesQuery {
    /// In one of these statuses; in any, if empty.
    pub statuses: Vec<Status>,
    /// Created after this instant, not at it.
    pub created_after: Option<Timestamp>,
    /// Created before this instant, not at it.
    pub created_before: Option<Timestamp>,
    /// With this external id.
    pub external_id: Option<ExternalId>,
    /// Most items on the page; between 1 and [`PAGE_ITEMS_MAX`], or it is brought there.
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<PageKey>,
}

/// Where a page ended. It means the same for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageKey {
    /// When the last delivery that was looked at was created.
    pub created_at: Timestamp,
    /// That delivery.
    pub delivery: DeliveryId,
}

impl UserDeliveriesPage {
    /// Nothing, and nothing more.
    pub(crate) const fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }
}

impl PageKey {
    /// For a cursor: 24 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let (created, delivery) = bytes.split_at_mut(8);
        created.copy_from_slice(&self.created_at.micros().to_be_bytes());
        delivery.copy_from_slice(self.delivery.uuid().as_bytes());
        bytes
    }

    /// From a cursor. `None` for what no cursor holds.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (created, delivery) = bytes.split_first_chunk()?;
        Some(Self {
            created_at: Timestamp::from_micros(i64::from_be_bytes(*created)).ok()?,
            delivery: read_part(delivery.try_into().ok()).ok()?,
        })
    }
}

/// Some of a user's deliveries, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDeliveriesPage {
    /// The deliveries.
    pub items: Vec<ListedDelivery>,
    /// Where to go on, if there may be more; then even an empty page is not the last.
    pub next: Option<PageKey>,
}

/// A delivery in its user's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDelivery {
    /// Which one.
    pub id: DeliveryId,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Its status, as far as the view knows.
    pub status: Status,
    /// The user's own name of it.
    pub external_id: Option<ExternalId>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct StoredRow {
    progress: Progress,
    #[serde(with = "crate::stored")]
    external_id: Option<ExternalId>,
    position: Position,
}

/// The projection. See the module.
#[derive(Debug)]
pub(crate) struct UserDeliveries;

impl Projection for UserDeliveries {
    fn name(&self) -> &'static str {
        "user_deliveries"
    }

    fn version(&self) -> u32 {
        4
    }

    fn poison(&self) -> Poison {
        Poison::ParkStream
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let Facts::Delivery(events) = facts else {
            return Ok(());
        };
        let delivery = record.stream.key.as_bytes();
        let index = Key::index(ROW_KEYS).id(delivery);
        let mut steps = events.iter().zip(&record.events);
        if let Some(key) = view.get(&index)? {
            return follow(view, Key::from_bytes(key), record, steps);
        }
        let created = steps.find_map(|(event, recorded)| {
            if let DeliveryEvent::Created(order) = event {
                return Some((order, event_time(recorded)));
            }
            None
        });
        let Some((order, created_at)) = created else {
            return Ok(());
        };
        let key = Key::row()
            .id(order.user.uuid().as_bytes())
            .instant(created_at.micros())
            .id(delivery);
        view.put(index, key.clone().into_bytes());
        let row = StoredRow {
            progress: Progress::created(),
            external_id: order.external_id.clone(),
            position: Position::START,
        };
        view.put_row(key.clone(), row);
        follow(view, key, record, steps)
    }
}

/// Brings a delivery's row to where some events bring it.
fn follow<'e>(
    view: &mut Overlay<'_>,
    key: Key,
    record: &Record,
    steps: impl Iterator<Item = (&'e DeliveryEvent, &'e Event)>,
) -> Result<(), ViewStoreError> {
    let mut is_there = false;
    view.change(key, |row: &mut Option<StoredRow>| {
        let row = row.as_mut()?;
        is_there = true;
        if row.position >= record.position {
            return None;
        }
        for (event, recorded) in steps {
            row.progress.evolve(event, event_time(recorded));
        }
        row.position = record.position;
        Some(())
    })?;
    if is_there {
        Ok(())
    } else {
        Err(ViewStoreError::unreadable(
            "an indexed delivery without its row",
        ))
    }
}

impl Row for StoredRow {
    fn heap_bytes(&self) -> usize {
        self.external_id.as_ref().map_or(0, |it| it.as_str().len())
    }
}

/// One page of a user's deliveries.
pub(crate) fn page(
    view: &Overlay<'_>,
    user: UserId,
    query: &UserDeliveriesQuery,
) -> Result<UserDeliveriesPage, ViewStoreError> {
    let limit = query.limit.clamp(1, PAGE_ITEMS_MAX);
    let mut range = range(user, query);
    let mut page = UserDeliveriesPage {
        items: Vec::new(),
        next: None,
    };
    let mut scanned = 0;
    loop {
        let rows = view.scan(&range, Direction::Backward, ROWS_PER_READ)?;
        let exhausted = rows.len() < ROWS_PER_READ;
        for (key, value) in rows {
            if page.items.len() == limit || scanned == PAGE_SCAN_ROWS_MAX {
                return Ok(page);
            }
            scanned += 1;
            let listed = listed(&key, &value)?;
            page.next = Some(PageKey {
                created_at: listed.created_at,
                delivery: listed.id,
            });
            range.end = Some(key);
            if query.wants(&listed) {
                page.items.push(listed);
            }
        }
        if exhausted {
            page.next = None;
            return Ok(page);
        }
    }
}

/// A user's deliveries by the keys of their rows alone, oldest first, at most so many.
pub(crate) fn ids_of(
    view: &Overlay<'_>,
    user: UserId,
    limit: usize,
) -> Result<Vec<DeliveryId>, ViewStoreError> {
    let of_user = Key::row().id(user.uuid().as_bytes()).prefix();
    let rows = view.scan(&of_user, Direction::Forward, limit)?;
    let ids = rows.iter().map(|(key, _)| Ok(place(key)?.1));
    ids.collect()
}

/// The rows between the query's instants and before its cursor.
fn range(user: UserId, query: &UserDeliveriesQuery) -> KeyRange {
    let of_user = || Key::row().id(user.uuid().as_bytes());
    let mut range = of_user().prefix();
    if let Some(after) = query.created_after {
        let first = of_user().instant(after.micros().saturating_add(1));
        range.start = range.start.max(first.into_bytes());
    }
    let ends = [
        query
            .created_before
            .map(|before| of_user().instant(before.micros())),
        query.after.map(|page| {
            let created = of_user().instant(page.created_at.micros());
            created.id(page.delivery.uuid().as_bytes())
        }),
    ];
    for end in ends.into_iter().flatten().map(Key::into_bytes) {
        if range.end.as_ref().is_none_or(|least| end < *least) {
            range.end = Some(end);
        }
    }
    range
}

impl UserDeliveriesQuery {
    /// The first page of all of a user's deliveries.
    #[must_use]
    pub const fn all(limit: usize) -> Self {
        Self {
            statuses: Vec::new(),
            created_after: None,
            created_before: None,
            external_id: None,
            limit,
            after: None,
        }
    }

    /// Whether a delivery is wanted on a page, its place in time apart.
    pub(crate) fn wants(&self, listed: &ListedDelivery) -> bool {
        let status = self.statuses.is_empty() || self.statuses.contains(&listed.status);
        let name = self.external_id.is_none() || self.external_id == listed.external_id;
        status && name
    }
}

/// The page that holds one delivery, if it is the user's and wanted.
pub(crate) fn page_of_one(
    view: &Overlay<'_>,
    user: UserId,
    query: &UserDeliveriesQuery,
    delivery: DeliveryId,
) -> Result<UserDeliveriesPage, ViewStoreError> {
    let mut page = UserDeliveriesPage {
        items: Vec::new(),
        next: None,
    };
    let index = Key::index(ROW_KEYS).id(delivery.uuid().as_bytes());
    if let Some(key) = view.get(&index)? {
        let range = range(user, query);
        let inside = range.start <= key && range.end.is_none_or(|end| key < end);
        if let Some(row) = view.get(&Key::from_bytes(key.clone()))?.filter(|_| inside) {
            page.items.push(listed(&key, &row)?);
        }
    }
    page.items.retain(|listed| query.wants(listed));
    Ok(page)
}

fn listed(key: &[u8], value: &[u8]) -> Result<ListedDelivery, ViewStoreError> {
    let (created_at, id) = place(key)?;
    let row = from_bytes::<StoredRow>(value)?;
    Ok(ListedDelivery {
        id,
        created_at,
        status: row.progress.status,
        external_id: row.external_id,
    })
}

/// When the delivery of a row was created, and which it is.
fn place(key: &[u8]) -> Result<(Timestamp, DeliveryId), ViewStoreError> {
    let parts = KeyParts::of_row(key).and_then(|mut parts| {
        parts.id()?;
        Some((parts.instant()?, parts.id()?))
    });
    let (created, id) =
        parts.ok_or_else(|| ViewStoreError::unreadable("a key that is too short"))?;
    Ok((instant(created), read_part(Some(id))?))
}
