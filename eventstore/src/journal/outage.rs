//! Times in which the log does not go on: what is in the way, since when, and
//! what of it was told already.

use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::store::OutageKind;

/// From when on an outage is told of also if another one of its kind was a moment before.
const LASTS: Duration = Duration::from_secs(5);

/// How often an outage that lasts is told of once more, where there is a clock.
const REMINDED_EVERY: Duration = Duration::from_mins(1);

/// What is in the way of the log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) kind: OutageKind,
    /// In words for the operator.
    pub(crate) why: String,
}

impl Obstacle {
    pub(crate) fn new(kind: OutageKind, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { kind, why }
    }

    /// Nobody answers, or none that could.
    pub(crate) fn unanswered(why: impl Into<String>) -> Self {
        Self::new(OutageKind::Unanswered, why)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Time since some fixed moment, of whoever has a clock.
pub(crate) type Elapsed = Box<dyn Fn() -> Duration + Send + Sync>;

/// What is to be told of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It begins.
    Begins,
    /// Something else is in the way than was told since it began.
    Another,
    /// It was told, and lasts; for so long by now.
    Lasts(Duration),
}

/// An outage that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// How long it was, where there is a clock.
    pub(crate) lasted: Option<Duration>,
}

/// An outage that is not over.
#[derive(Debug)]
struct Outage {
    latest: Obstacle,
    /// Each kind that was met.
    met: Vec<OutageKind>,
    since: Option<Duration>,
    /// When something was told last that is in the way now.
    told_at: Option<Duration>,
    /// Whether anything was told since it began.
    is_told: bool,
}

/// An outage, if there is one, and what was told of those before.
#[derive(Debug, Default)]
struct Outages {
    now: Option<Outage>,
    /// When each kind was told last: one that comes and goes all the time is no news each time.
    told: Vec<(OutageKind, Duration)>,
}

impl Outages {
    /// When this kind was told, if that is less than a minute ago.
    fn told_lately(&self, kind: OutageKind, now: Option<Duration>) -> Option<Duration> {
        let told = self.told.iter().find(|(told, _)| *told == kind);
        let (_, at) = told?;
        (now?.saturating_sub(*at) < REMINDED_EVERY).then_some(*at)
    }

    fn tells(&mut self, kind: OutageKind, now: Option<Duration>) {
        self.told.retain(|(told, _)| *told != kind);
        self.told.extend(now.map(|now| (kind, now)));
    }
}

/// Why the log does not go on at this moment, if it does not.
#[derive(Default)]
pub(crate) struct OutageCell {
    outages: Mutex<Outages>,
    clock: OnceLock<Elapsed>,
}

impl fmt::Debug for OutageCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutageCell({:?})", self.get())
    }
}

impl OutageCell {
    fn lock(&self) -> MutexGuard<'_, Outages> {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has outages timed. The first clock stays.
    pub(crate) fn time_by(&self, elapsed: Elapsed) {
        drop(self.clock.set(elapsed));
    }

    fn elapsed(&self) -> Option<Duration> {
        self.clock.get().map(|elapsed| elapsed())
    }

    /// What was in the way last.
    pub(crate) fn get(&self) -> Option<Obstacle> {
        let outages = self.lock();
        outages.now.as_ref().map(|outage| outage.latest.clone())
    }

    /// This is in the way now; gives what is to be told of it.
    pub(crate) fn met(&self, obstacle: Obstacle) -> Option<News> {
        let (now, kind) = (self.elapsed(), obstacle.kind);
        let mut outages = self.lock();
        let told_at = outages.told_lately(kind, now);
        let is_news = told_at.is_none();
        let news = if let Some(outage) = &mut outages.now {
            let is_another = !outage.met.contains(&kind);
            outage.met.extend(is_another.then_some(kind));
            outage.latest = obstacle;
            if !outage.is_told {
                // One after the other, and not one that comes and goes.
                if !is_news && time_between(outage.since, now) < Some(LASTS) {
                    return None;
                }
                News::Begins
            } else if is_another && is_news {
                News::Another
            } else if time_between(outage.told_at, now) >= Some(REMINDED_EVERY) {
                News::Lasts(time_between(outage.since, now)?)
            } else {
                return None;
            }
        } else {
            outages.now = Some(Outage {
                met: vec![kind],
                latest: obstacle,
                since: now,
                told_at,
                is_told: false,
            });
            if !is_news {
                return None;
            }
            News::Begins
        };
        outages.tells(kind, now);
        if let Some(outage) = &mut outages.now {
            outage.told_at = now;
            outage.is_told = true;
        }
        Some(news)
    }

    /// Nothing is in the way; gives the outage that this ends, if one was told of.
    pub(crate) fn over(&self) -> Option<Over> {
        let outage = self.lock().now.take()?;
        let lasted = time_between(outage.since, self.elapsed());
        outage.is_told.then_some(Over { lasted })
    }
}

fn time_between(from: Option<Duration>, to: Option<Duration>) -> Option<Duration> {
    Some(to?.saturating_sub(from?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn unanswered() -> Obstacle {
        Obstacle::unanswered("no server answered in time")
    }

    fn behind() -> Obstacle {
        Obstacle::new(OutageKind::Behind, "the stream ends at message 6")
    }

    #[test]
    fn what_comes_to_be_in_the_way_is_told_once_for_each_kind_and_the_last_is_known() {
        let cell = OutageCell::default();
        let news = [unanswered(), behind(), unanswered(), behind()].map(|it| cell.met(it));
        assert_eq!(news, [Some(News::Begins), Some(News::Another), None, None]);
        assert_eq!(cell.get(), Some(behind()));
        let over = Over { lasted: None };
        assert_eq!(cell.over(), Some(over), "nobody has a clock");
        assert_eq!(cell.over(), None);
        assert_eq!(cell.get(), None);
        assert_eq!(cell.met(behind()), Some(News::Begins), "the next outage");
    }

    #[test]
    fn an_outage_that_lasts_is_told_of_each_minute_and_its_end_says_how_long_it_was() {
        let (cell, seconds) = (OutageCell::default(), Arc::new(AtomicU64::new(100)));
        let clock = Arc::clone(&seconds);
        cell.time_by(Box::new(move || {
            Duration::from_secs(clock.load(Ordering::Relaxed))
        }));
        let at = |second, obstacle| {
            seconds.store(second, Ordering::Relaxed);
            cell.met(obstacle)
        };
        assert_eq!(at(100, unanswered()), Some(News::Begins));
        assert_eq!(at(159, unanswered()), None);
        let lasts = |seconds| Some(News::Lasts(Duration::from_secs(seconds)));
        assert_eq!(at(160, unanswered()), lasts(60));
        assert_eq!(at(170, behind()), Some(News::Another));
        assert_eq!(at(229, unanswered()), None);
        assert_eq!(at(230, unanswered()), lasts(130));
        seconds.store(231, Ordering::Relaxed);
        let lasted = Some(Duration::from_secs(131));
        assert_eq!(cell.over(), Some(Over { lasted }));
    }
    #[test]
    fn an_outage_that_comes_and_goes_all_the_time_is_told_once_a_minute() {
        let (cell, seconds) = (OutageCell::default(), Arc::new(AtomicU64::new(0)));
        let clock = Arc::clone(&seconds);
        cell.time_by(Box::new(move || {
            Duration::from_secs(clock.load(Ordering::Relaxed))
        }));
        let (mut told, mut ended) = (0, 0);
        for second in 0..120 {
            seconds.store(second, Ordering::Relaxed);
            let obstacle = if second % 2 == 0 {
                unanswered()
            } else {
                behind()
            };
            told += usize::from(cell.met(obstacle).is_some());
            assert!(
                cell.get().is_some(),
                "it is known however often it was told"
            );
            ended += usize::from(cell.over().is_some());
        }
        assert_eq!((told, ended), (4, 4), "each kind, each minute");
        // One that does not go is told of all the same.
        let met = (120..130).filter_map(|second| {
            seconds.store(second, Ordering::Relaxed);
            cell.met(unanswered())
        });
        assert_eq!(met.collect::<Vec<_>>(), [News::Begins]);
        assert!(cell.over().is_some());
    }
}
