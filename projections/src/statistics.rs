//! How well does it go, hour by hour?
//!
//! ```text
//! row  (hour, 0)       what happened in it, counted
//! row  (hour, n)       how a measure is spread over the deliveries that were completed in it
//! index 1 delivery     what is to be counted once a delivery under way has ended
//! ```
//! An hour is of UTC, and what happened in it is what bears its time, whenever
//! it came in. The measures of a delivery are counted in the hour of its end,
//! so that each counts once.

mod distribution;
mod counting;

use domain::delivery::{Failure, RejectReason};
use domain::time::Timestamp;

use crate::key::{Key, KeyParts, KeyRange};
use crate::overlay::Overlay;
use crate::stored::{from_bytes, instant};
use crate::user_deliveries::PAGE_SCAN_ROWS_MAX;
use crate::view_store::{Direction, ViewStoreError};
pub(crate) use counting::HourlyStatistics;
use counting::{COUNTS, Counts, Measure, add};
use distribution::Distribution;

#[cfg(test)]
mod tests;

/// Most periods on one page.
pub const PERIODS_PER_PAGE_MAX: usize = 200;

/// Rows read at a time.
const ROWS_PER_READ: usize = 250;

/// How long the pieces are in which time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

/// A part of a delivery's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From when it was asked for until its last drone had it as its mission.
    Waiting,
    /// Until the drone was where the package was.
    ToPickup,
    /// Until it had the package.
    AtPickup,
    /// Until it was where the recipient was.
    ToDropoff,
    /// Until the recipient had the package.
    AtDropoff,
    /// All of it.
    Total,
}

/// What is wanted, newest first: the periods that begin in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatisticsQuery {
    /// Beginning at this instant, or later.
    pub from: Option<Timestamp>,
    /// Beginning before this instant.
    pub to: Option<Timestamp>,
    /// In which pieces.
    pub by: Period,
    /// Most periods on the page; between 1 and [`PERIODS_PER_PAGE_MAX`], or it is brought there.
    pub limit: usize,
    /// Where the page before ended: the beginning of its last period.
    pub after: Option<Timestamp>,
}

/// Some periods, newest first. One in which nothing happened is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsPage {
    /// The periods.
    pub items: Vec<Statistics>,
    /// Where to go on, if there may be more.
    pub next: Option<Timestamp>,
}

/// How well it went in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Its beginning.
    pub from: Timestamp,
    /// The beginning of what follows it.
    pub to: Timestamp,
    /// Deliveries asked for.
    pub created: u64,
    /// Deliveries completed.
    pub completed: u64,
    /// Of these those that came after their deadline.
    pub late: u64,
    /// Deliveries cancelled.
    pub cancelled: u64,
    /// Deliveries whose booking was refused after all, for each reason that there was.
    pub rejected: Vec<(RejectReason, u64)>,
    /// Deliveries whose life went on after its end. They count as what they ended as first.
    pub reopened: u64,
    /// Deliveries that went back to the sender.
    pub returned: u64,
    /// Deliveries that came to a bad end, for each reason that there was.
    pub failed: Vec<(Failure, u64)>,
    /// How long the completed ones took, for every stage.
    pub stages: Vec<(Stage, Spread)>,
    /// How far off their expected arrival was.
    pub eta: EtaError,
}

/// How values are spread. Each is known to 1/64 of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many there are.
    pub count: u64,
    /// Half of them are not larger, milliseconds.
    pub p50_ms: Option<u64>,
    /// Nine of ten are not larger, milliseconds.
    pub p90_ms: Option<u64>,
}

/// How far off the expected arrivals were that the last drones came with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtaError {
    /// How many came before they were expected.
    pub early: u64,
    /// How many came after.
    pub late: u64,
    /// By how much, in whichever direction.
    pub error: Spread,
}

impl Period {
    const fn micros(self) -> i64 {
        const HOUR_US: i64 = 3_600_000_000;
        match self {
            Self::Hour => HOUR_US,
            Self::Day => 24 * HOUR_US,
        }
    }

    /// The beginning of the period that an instant lies in.
    const fn begin(self, micros: i64) -> i64 {
        micros.div_euclid(self.micros()) * self.micros()
    }

    /// The beginning of the first period that does not begin before an instant.
    const fn next(self, micros: i64) -> i64 {
        self.begin(micros + self.micros() - 1)
    }
}

impl Stage {
    /// Every stage, in their order.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::ToPickup,
        Self::AtPickup,
        Self::ToDropoff,
        Self::AtDropoff,
        Self::Total,
    ];

    /// The word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::ToPickup => "to_pickup",
            Self::AtPickup => "at_pickup",
            Self::ToDropoff => "to_dropoff",
            Self::AtDropoff => "at_dropoff",
            Self::Total => "total",
        }
    }
}

/// What is put together for a period.
#[derive(Debug)]
struct Gathering {
    from: i64,
    counts: Counts,
    spreads: [Distribution; Stage::ALL.len()],
    early: Distribution,
    not_early: Distribution,
}

impl Gathering {
    fn of(from: i64) -> Self {
        Self {
            from,
            counts: Counts::default(),
            spreads: Default::default(),
            early: Distribution::default(),
            not_early: Distribution::default(),
        }
    }

    fn add(&mut self, number: u32, value: &[u8]) -> Result<(), ViewStoreError> {
        if number == COUNTS {
            let hour = from_bytes::<Counts>(value)?;
            self.counts.created += hour.created;
            self.counts.completed += hour.completed;
            self.counts.late += hour.late;
            self.counts.cancelled += hour.cancelled;
            self.counts.reopened += hour.reopened;
            self.counts.returned += hour.returned;
            for (reason, count) in hour.rejected {
                add(&mut self.counts.rejected, reason, count);
            }
            for (reason, count) in hour.failed {
                add(&mut self.counts.failed, reason, count);
            }
            return Ok(());
        }
        let hour = from_bytes::<Distribution>(value)?;
        for (stage, spread) in Stage::ALL.iter().zip(&mut self.spreads) {
            if Measure::Stage(*stage).number() == number {
                spread.merge(&hour);
            }
        }
        if number == Measure::Early.number() {
            self.early.merge(&hour);
        } else if number == Measure::NotEarly.number() {
            self.not_early.merge(&hour);
        }
        Ok(())
    }

    fn finish(self, by: Period) -> Statistics {
        let counts = self.counts;
        let mut error = self.early.clone();
        error.merge(&self.not_early);
        let stages = Stage::ALL.into_iter().zip(&self.spreads);
        Statistics {
            from: instant(self.from),
            to: instant(self.from + by.micros()),
            created: counts.created,
            completed: counts.completed,
            late: counts.late,
            cancelled: counts.cancelled,
            rejected: counts.rejected,
            reopened: counts.reopened,
            returned: counts.returned,
            failed: counts.failed,
            stages: stages
                .map(|(stage, spread)| (stage, Spread::of(spread)))
                .collect(),
            eta: EtaError {
                early: self.early.count(),
                late: self.not_early.count() - self.not_early.zeros(),
                error: Spread::of(&error),
            },
        }
    }
}

impl Spread {
    fn of(distribution: &Distribution) -> Self {
        Self {
            count: distribution.count(),
            p50_ms: distribution.quantile(500),
            p90_ms: distribution.quantile(900),
        }
    }
}

/// One page of periods. It ends early, but never in the middle of a period,
/// once [`PAGE_SCAN_ROWS_MAX`] rows were looked at.
pub(crate) fn page(
    view: &Overlay<'_>,
    query: &StatisticsQuery,
) -> Result<StatisticsPage, ViewStoreError> {
    let limit = query.limit.clamp(1, PERIODS_PER_PAGE_MAX);
    let mut range = range(query);
    let mut items = Vec::new();
    let mut gathering: Option<Gathering> = None;
    let mut scanned = 0;
    loop {
        let rows = view.scan(&range, Direction::Backward, ROWS_PER_READ)?;
        let is_all = rows.len() < ROWS_PER_READ;
        for (key, value) in rows {
            let parts = KeyParts::of_row(&key)
                .and_then(|mut parts| Some((parts.instant()?, parts.number()?)));
            let (hour, number) =
                parts.ok_or_else(|| ViewStoreError::unreadable("a key that is too short"))?;
            let from = query.by.begin(hour);
            if let Some(done) = gathering.take_if(|gathering| gathering.from != from) {
                let next = Some(instant(done.from));
                items.push(done.finish(query.by));
                if items.len() == limit || scanned >= PAGE_SCAN_ROWS_MAX {
                    return Ok(StatisticsPage { items, next });
                }
            }
            let gathering = gathering.get_or_insert_with(|| Gathering::of(from));
            gathering.add(number, &value)?;
            scanned += 1;
            range.end = Some(key);
        }
        if is_all {
            items.extend(gathering.map(|last| last.finish(query.by)));
            return Ok(StatisticsPage { items, next: None });
        }
    }
}

/// The rows of the hours of the periods that begin in the query's span and
/// before its page's.
fn range(query: &StatisticsQuery) -> KeyRange {
    let mut range = Key::row().prefix();
    if let Some(from) = query.from {
        let first = Key::row().instant(query.by.next(from.micros()));
        range.start = range.start.max(first.into_bytes());
    }
    let end = query.to.into_iter().chain(query.after);
    if let Some(end) = end.map(|end| query.by.next(end.micros())).min() {
        range.end = Some(Key::row().instant(end).into_bytes());
    }
    range
}
