//! Commits that can be told again from their numbers, and a ledger of what became of them.
//!
//! A caller's commits are a function of a load, the caller and a count. So
//! whoever looks at a log after a fault can tell what was sent, byte by byte,
//! without having been told: only the acknowledgements need to be kept, and
//! they are kept outside of whatever fails.

use std::collections::BTreeMap;

use eventstore::{
    Category, Commit, CommitId, Event, EventType, Expected, Label, Part, Record, SchemaVersion,
    StreamId, StreamVersion,
};
use uuid::Uuid;

use crate::Chance;

/// Streams that a caller writes to.
const STREAMS: u16 = 4;

/// Most events that a commit appends to one stream.
const EVENTS_MAX: u64 = 3;

/// What all callers of a run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Everything random comes from it.
    pub seed: u64,
    /// No payload is longer, bytes; most are much shorter.
    pub payload_bytes_max: u64,
}

/// One commit of a load, by who sent it and its number, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// The caller.
    pub caller: u16,
    /// The number of the commit among the caller's.
    pub number: u32,
}

/// Where a commit lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The position of its first record.
    pub first: u64,
    /// The position of its last record.
    pub last: u64,
}

/// The source of one caller's commits, in order.
///
/// It takes for granted that each is appended before the next is asked for.
#[derive(Debug, Clone)]
pub struct Caller {
    load: Load,
    id: u16,
    number: u32,
    versions: [u64; STREAMS as usize],
}

impl Caller {
    /// The caller with this number, who has sent nothing yet.
    #[must_use]
    pub fn new(load: Load, id: u16) -> Self {
        Self {
            load,
            id,
            number: 0,
            versions: [0; STREAMS as usize],
        }
    }

    /// The next commit, on one stream or several, sometimes with a guard.
    ///
    /// # Panics
    /// After 2^32 commits.
    pub fn next_commit(&mut self) -> (Sent, Commit) {
        self.number += 1;
        let (caller, number) = (self.id, self.number);
        let name = format!("{caller}/{number}");
        let space = Uuid::from_u128(u128::from(self.load.seed));
        let mut chance =
            Chance::new(self.load.seed ^ (u64::from(caller) << 48 | u64::from(number)));
        let commit = Commit {
            id: CommitId(Uuid::new_v5(&space, name.as_bytes())),
            clock_us: 1_800_000_000_000_000 + i64::from(number),
            actor: label(&format!("caller/{caller}")),
            correlation_id: Uuid::from_u128(u128::from(caller) << 64 | u128::from(number)),
            parts: self.parts(space, &mut chance),
        };
        (Sent { caller, number }, commit)
    }

    fn parts(&mut self, space: Uuid, chance: &mut Chance) -> Vec<Part> {
        // One stream in two commits of three; the first one always has events.
        let parts = if chance.happens(667) {
            1
        } else {
            2 + chance.below(2)
        };
        let begin = chance.below(u64::from(STREAMS));
        let (load, caller) = (self.load, self.id);
        let part = |place: u64| {
            let number = (begin + place) % u64::from(STREAMS);
            let slot = usize::try_from(number).expect("there are few streams");
            let version = self.versions.get_mut(slot).expect("there is one for each");
            let events = if place > 0 && chance.happens(200) {
                0
            } else {
                1 + chance.below(EVENTS_MAX)
            };
            let key = Uuid::new_v5(&space, format!("{caller}:{number}").as_bytes());
            let part = Part {
                stream: StreamId::new(Category::new(1 + caller % 3), key),
                owner: Some(space),
                expected: Expected::from(StreamVersion::new(*version)),
                events: (0..events).map(|_| event(load, chance)).collect(),
            };
            *version += events;
            part
        };
        (0..parts).map(part).collect()
    }
}

fn event(load: Load, chance: &mut Chance) -> Event {
    // Drawn twice, so that short payloads are common and long ones occur.
    let most = 1 + chance.below(load.payload_bytes_max.max(1));
    let bytes = chance.below(most + 1);
    let bytes = usize::try_from(bytes).expect("a payload fits the memory");
    let mut payload = Vec::with_capacity(bytes + 8);
    while payload.len() < bytes {
        payload.extend(chance.bits().to_le_bytes());
    }
    payload.truncate(bytes);
    Event {
        event_type: EventType(1),
        schema: SchemaVersion(1),
        event_time_us: 1_700_000_000_000_000,
        inferred: bytes % 2 == 1,
        cause: (bytes % 3 == 1).then(|| label("cause/7")),
        payload,
    }
}

fn label(text: &str) -> Label {
    Label::new(text).expect("it is short")
}

/// What a log shows of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Every commit, and where it lies.
    pub commits: BTreeMap<Sent, Span>,
    /// The last position.
    pub head: u64,
}

impl Shown {
    /// Reads a whole log's records: dense from position 1, each commit whole,
    /// each caller's commits in order, without a gap, and as they were sent.
    ///
    /// # Errors
    /// The first record that is not so, in words.
    pub fn of(load: Load, records: &[Record]) -> Result<Self, String> {
        let mut shown = Self::default();
        let mut callers = BTreeMap::new();
        let mut records = records.iter();
        let mut recorded_at_us = i64::MIN;
        while let Some(first) = records.as_slice().first() {
            let number = first.correlation_id.as_u128();
            let caller = u16::try_from(number >> 64)
                .map_err(|_| format!("position {} was never sent", first.position))?;
            let (sent, commit) = callers
                .entry(caller)
                .or_insert_with(|| Caller::new(load, caller))
                .next_commit();
            let begin = shown.head + 1;
            for part in commit.parts.iter().filter(|part| !part.events.is_empty()) {
                shown.head += 1;
                let record = records
                    .next()
                    .ok_or_else(|| format!("{sent:?} is there in part only"))?;
                compare(record, &commit, part)
                    .map_err(|what| format!("position {}, {sent:?}: {what}", shown.head))?;
                if record.position.get() != shown.head || record.recorded_at_us < recorded_at_us {
                    return Err(format!("position {} is out of order", shown.head));
                }
                recorded_at_us = record.recorded_at_us;
            }
            let last = shown.head;
            shown.commits.insert(sent, Span { first: begin, last });
        }
        Ok(shown)
    }

    /// The number of a caller's last commit, 0 if there is none.
    #[must_use]
    pub fn last_of(&self, caller: u16) -> u32 {
        let all = Sent { caller, number: 0 }..=Sent {
            caller,
            number: u32::MAX,
        };
        self.commits
            .range(all)
            .next_back()
            .map_or(0, |(sent, _)| sent.number)
    }
}

fn compare(record: &Record, commit: &Commit, part: &Part) -> Result<(), &'static str> {
    let checks = [
        (record.commit_id == commit.id, "another commit id"),
        (record.stream == part.stream, "another stream"),
        (record.owner == part.owner, "another owner"),
        (record.actor == commit.actor, "another actor"),
        (
            record.correlation_id == commit.correlation_id,
            "another number than the next one",
        ),
        (
            record.first_version == part.expected.version().plus(1),
            "another version",
        ),
        (record.events == part.events, "other events"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(what),
        None => Ok(()),
    }
}

/// What is known of a log from outside: what was acknowledged, and what was shown.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    known: BTreeMap<Sent, Span>,
    /// Acknowledged, but nobody may rely on it.
    claimed: BTreeMap<Sent, Span>,
    acknowledged: u64,
    /// The last position that was acknowledged or shown so far.
    highest: u64,
    /// The same when a caller was last answered, that is before its next request.
    highest_before: BTreeMap<u16, u64>,
}

impl Ledger {
    /// So many commits were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// A new process begins: all that is known was answered before its first request.
    pub fn begin_life(&mut self) {
        self.highest_before.clear();
        let highest = self.highest;
        self.highest_before
            .extend(self.known.keys().map(|sent| (sent.caller, highest)));
    }

    /// Notes an acknowledgement, in the order in which they came.
    ///
    /// # Errors
    /// When it contradicts what is known: an earlier position than one that
    /// was acknowledged before it was sent, or another one than it had.
    pub fn acknowledge(&mut self, sent: Sent, place: Span, is_new: bool) -> Result<(), String> {
        let before = self.highest_before.get(&sent.caller).copied().unwrap_or(0);
        if is_new && place.first <= before {
            return Err(format!(
                "{sent:?} lies at {place:?}, but {before} was acknowledged before it was sent"
            ));
        }
        self.note(sent, place)?;
        self.acknowledged += 1;
        self.highest_before.insert(sent.caller, self.highest);
        Ok(())
    }

    /// Notes an acknowledgement that nobody may rely on, since it came while
    /// the disk was failing: the commit may be there, and so may the next.
    pub fn claim(&mut self, sent: Sent, span: Span) {
        self.claimed.insert(sent, span);
    }

    fn note(&mut self, sent: Sent, place: Span) -> Result<(), String> {
        let known = *self.known.entry(sent).or_insert(place);
        if known != place {
            return Err(format!("{sent:?} lies at {place:?}, and lay at {known:?}"));
        }
        self.highest = self.highest.max(place.last);
        Ok(())
    }

    /// Holds what a log shows against what is known: everything known is
    /// there, where it was; and of each caller at most what was claimed and
    /// the one commit more that was not answered. From then on what was shown is known.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(&mut self, shown: &Shown) -> Result<(), String> {
        for (sent, place) in &self.known {
            match shown.commits.get(sent) {
                Some(found) if found == place => {}
                Some(found) => {
                    return Err(format!("{sent:?} lies at {found:?}, and lay at {place:?}"));
                }
                None => {
                    return Err(format!(
                        "lost: {sent:?} at {place:?}; the log ends at {}, {} was acknowledged or shown",
                        shown.head, self.highest
                    ));
                }
            }
        }
        for (sent, place) in &shown.commits {
            let before = Sent {
                number: sent.number - 1,
                ..*sent
            };
            let is_next = sent.number == 1
                || self.known.contains_key(&before)
                || self.claimed.contains_key(&before);
            if !self.known.contains_key(sent) && !is_next {
                return Err(format!("{sent:?} at {place:?} was never sent"));
            }
        }
        for (sent, place) in &shown.commits {
            self.note(*sent, *place)?;
        }
        self.claimed.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load {
        seed: 7,
        payload_bytes_max: 64,
    };

    fn sent(number: u32) -> Sent {
        Sent { caller: 0, number }
    }

    fn at(position: u64) -> Span {
        Span {
            first: position,
            last: position,
        }
    }

    fn shown(numbers: u32) -> Shown {
        let commits = (1..=numbers).map(|number| (sent(number), at(u64::from(number))));
        Shown {
            commits: commits.collect(),
            head: u64::from(numbers),
        }
    }

    #[test]
    fn a_caller_tells_the_same_commits_again() {
        let commits = || {
            let mut caller = Caller::new(LOAD, 3);
            [caller.next_commit(), caller.next_commit()]
        };
        assert_eq!(commits(), commits());
        assert_ne!(commits()[0].1.id, commits()[1].1.id);
    }

    #[test]
    fn a_lost_acknowledgement_is_found() {
        let mut ledger = Ledger::default();
        for number in 1..=3 {
            ledger
                .acknowledge(sent(number), at(u64::from(number)), true)
                .unwrap();
        }
        assert_eq!(ledger.clone().check(&shown(3)), Ok(()));
        let lost = ledger.check(&shown(2)).unwrap_err();
        assert!(lost.starts_with("lost: "), "{lost}");
    }

    #[test]
    fn what_was_shown_once_must_stay() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.check(&shown(1)), Ok(()));
        assert!(ledger.check(&shown(0)).is_err());
    }

    #[test]
    fn one_commit_in_doubt_may_be_there_and_a_second_may_not() {
        let mut ledger = Ledger::default();
        ledger.acknowledge(sent(1), at(1), true).unwrap();
        assert_eq!(ledger.clone().check(&shown(2)), Ok(()));
        assert!(ledger.check(&shown(3)).is_err());
    }

    #[test]
    fn what_was_claimed_may_be_lost_and_the_commit_after_it_may_be_there() {
        let mut ledger = Ledger::default();
        ledger.claim(sent(1), at(1));
        assert_eq!(ledger.clone().check(&shown(0)), Ok(()));
        assert_eq!(ledger.clone().check(&shown(2)), Ok(()));
        assert!(ledger.check(&shown(3)).is_err());
    }

    #[test]
    fn a_position_before_one_that_was_acknowledged_earlier_is_found() {
        let other = Sent {
            caller: 1,
            number: 1,
        };
        let mut ledger = Ledger::default();
        ledger.acknowledge(sent(1), at(5), true).unwrap();
        ledger.acknowledge(other, at(4), true).unwrap();
        assert!(ledger.acknowledge(sent(2), at(3), true).is_err());
    }
}
