//! What is to be looked at, and when: what the runner keeps in mind between two rounds.
//!
//! ```text
//! noted    something happened, or its time has come      the next round
//! failing  it could not be looked at                     after 1 s, doubled up to 60 s
//! put off  the cluster that the log is on was away       all at once, when it is back
//! crowd    it could go on outside, and no place is free  as soon as one is, the first first
//! ```
//! None of it is the truth about anything. What finds no place here is found again by a *sweep*,
//! which goes through all that is open, page by page: one at the start, and one a while after
//! anything found no place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use domain::id::{MissionId, OperationId};
use domain::time::{DurationMs, TimeScale};

/// How much is kept in mind.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgendaLimits {
    /// Most that is remembered as failing. Some 150 bytes each.
    pub(super) failing: usize,
    /// Most operations that wait for a place, and most that is put off. Some 100 bytes each.
    pub(super) crowd: usize,
}

impl AgendaLimits {
    /// A dozen megabytes at the most.
    pub(super) const USUAL: Self = Self {
        failing: 10_000,
        crowd: 100_000,
    };
}

/// How long what fails is left alone at first, seconds.
const AGAIN_S: u32 = 1;

/// How long at most, seconds.
const AGAIN_S_MAX: u32 = 60;

/// How long after something found no place all that is open is looked at, seconds.
const SWEEP_AGAIN_S: u32 = 60;

/// Something to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Subject {
    /// An operation.
    Operation(OperationId),
    /// The booking of the delivery that a mission is for, as the mission says.
    BookingOfMission(MissionId),
    /// The same, as what was asked of Drone Management says.
    BookingOfDispatch(MissionId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(id) => write!(f, "{id}"),
            Self::BookingOfMission(mission) | Self::BookingOfDispatch(mission) => {
                write!(f, "the booking of {mission}")
            }
        }
    }
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweep {
    /// There is none.
    Rests,
    /// It is to look at the first page.
    Begins,
    /// It is to look at the page after this operation.
    After(OperationId),
}

/// See the module. Times are since some fixed moment, and never step back.
#[derive(Debug)]
pub(super) struct Agenda {
    time_scale: TimeScale,
    limits: AgendaLimits,
    /// Emptied as fast as it is looked at, so it holds no more than is heard of meanwhile.
    noted: BTreeSet<Subject>,
    /// Looked at while the cluster was away.
    put_off: BTreeSet<Subject>,
    failing: HashMap<Subject, Failing>,
    /// The same by when they are looked at again.
    again: BTreeSet<(Duration, Subject)>,
    /// By who came first.
    crowd: BTreeMap<u64, OperationId>,
    tickets: HashMap<OperationId, u64>,
    next_ticket: u64,
    sweep: Sweep,
    sweep_at: Option<Duration>,
    has_swept: bool,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    /// In a row.
    times: u32,
    again_at: Duration,
}

impl Agenda {
    /// An agenda that begins with a sweep. What is waited for passes at this scale.
    pub(super) fn new(time_scale: TimeScale, limits: AgendaLimits) -> Self {
        Self {
            time_scale,
            limits,
            noted: BTreeSet::new(),
            put_off: BTreeSet::new(),
            failing: HashMap::new(),
            again: BTreeSet::new(),
            crowd: BTreeMap::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
            sweep: Sweep::Begins,
            sweep_at: None,
            has_swept: false,
        }
    }

    /// Something happened to it: it is looked at as soon as nobody is at it.
    pub(super) fn note(&mut self, subject: Subject) {
        self.noted.insert(subject);
    }

    /// It was found in a view: it is looked at as soon as nobody is at it, unless it waits here for
    /// something that the view does not know of.
    pub(super) fn found(&mut self, id: OperationId) {
        let subject = Subject::Operation(id);
        let waits = self.failing.contains_key(&subject)
            || self.tickets.contains_key(&id)
            || self.put_off.contains(&subject);
        if !waits {
            self.noted.insert(subject);
        }
    }

    /// The cluster was away when it was looked at, which says nothing of it: it is looked at again
    /// once that is back.
    pub(super) fn put_off(&mut self, subject: Subject, now: Duration) {
        self.leave_crowd(subject);
        self.recovered(subject);
        if self.put_off.len() < self.limits.crowd {
            self.put_off.insert(subject);
        } else {
            self.sweep_later(now);
        }
    }

    /// The cluster is not away: all that was put off is looked at.
    pub(super) fn take_up(&mut self) {
        self.noted.append(&mut self.put_off);
    }

    /// What is to be looked at now, at most `limit`, where so many places are free and somebody is
    /// at those operations already. All but what was noted stays until it is said how it went.
    pub(super) fn take(
        &mut self,
        now: Duration,
        places: usize,
        limit: usize,
        busy: &BTreeSet<OperationId>,
    ) -> BTreeSet<Subject> {
        let is_free = |subject: &Subject| match subject {
            Subject::Operation(id) => !busy.contains(id),
            Subject::BookingOfMission(_) | Subject::BookingOfDispatch(_) => true,
        };
        let first = self.crowd.values().map(|id| Subject::Operation(*id));
        let first = first.filter(is_free).take(places);
        let again = self.again.iter().take_while(|(at, _)| *at <= now);
        let again = again.map(|(_, subject)| *subject).filter(is_free);
        let noted = self.noted.iter().copied().filter(is_free);
        let subjects: BTreeSet<_> = first.chain(noted).chain(again).take(limit).collect();
        for subject in &subjects {
            self.noted.remove(subject);
        }
        subjects
    }

    /// It was looked at, and nothing is left to be done now. If it failed before: how many did
    /// with it.
    pub(super) fn looked_at(&mut self, subject: Subject) -> Option<usize> {
        self.leave_crowd(subject);
        self.recovered(subject)
    }

    /// It could not be looked at. If it begins to fail: how many do with it.
    pub(super) fn failed(&mut self, subject: Subject, now: Duration) -> Option<usize> {
        self.leave_crowd(subject);
        let before = self.failing.get(&subject).copied();
        if let Some(before) = before {
            self.again.remove(&(before.again_at, subject));
        } else if self.failing.len() >= self.limits.failing {
            self.sweep_later(now);
            return None;
        }
        let times = before.map_or(0, |before| before.times).saturating_add(1);
        let doubled = AGAIN_S.saturating_mul(2_u32.saturating_pow(times - 1));
        let again_at = now.saturating_add(self.wait(doubled.min(AGAIN_S_MAX)));
        self.failing.insert(subject, Failing { times, again_at });
        self.again.insert((again_at, subject));
        before.is_none().then_some(self.failing.len())
    }

    /// It could go on with something outside, and no place is free. Who is in the crowd already
    /// keeps its turn. If it failed before: as [`Agenda::looked_at`].
    pub(super) fn crowded(&mut self, id: OperationId, now: Duration) -> Option<usize> {
        if !self.tickets.contains_key(&id) {
            if self.tickets.len() >= self.limits.crowd {
                self.sweep_later(now);
            } else {
                self.crowd.insert(self.next_ticket, id);
                self.tickets.insert(id, self.next_ticket);
                self.next_ticket += 1;
            }
        }
        self.recovered(Subject::Operation(id))
    }

    /// Which page of all that is open is to be looked at.
    pub(super) fn sweep(&mut self, now: Duration) -> Sweep {
        if self.sweep == Sweep::Rests && self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep = Sweep::Begins;
            self.sweep_at = None;
        }
        self.sweep
    }

    /// That page was found, up to this operation; it was empty if there is none.
    pub(super) fn swept(&mut self, last: Option<OperationId>) {
        self.sweep = last.map_or(Sweep::Rests, Sweep::After);
        self.has_swept |= last.is_none();
    }

    /// Whether all that was open at the start was found.
    pub(super) const fn has_swept(&self) -> bool {
        self.has_swept
    }

    /// How many could not be looked at, and are tried again.
    pub(super) fn failing(&self) -> usize {
        self.failing.len()
    }

    fn recovered(&mut self, subject: Subject) -> Option<usize> {
        let failing = self.failing.len();
        let before = self.failing.remove(&subject)?;
        self.again.remove(&(before.again_at, subject));
        Some(failing)
    }

    fn leave_crowd(&mut self, subject: Subject) {
        let Subject::Operation(id) = subject else {
            return;
        };
        if let Some(ticket) = self.tickets.remove(&id) {
            self.crowd.remove(&ticket);
        }
    }

    fn sweep_later(&mut self, now: Duration) {
        let at = now.saturating_add(self.wait(SWEEP_AGAIN_S));
        self.sweep_at = self.sweep_at.or(Some(at));
    }

    fn wait(&self, seconds: u32) -> Duration {
        let wait = self.time_scale.shorten(DurationMs::from_seconds(seconds));
        Duration::from_millis(wait.get().into())
    }
}

#[cfg(test)]
mod tests;
