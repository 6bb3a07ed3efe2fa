//! Records that cannot be folded: what waits, what goes on, what is made good.

use std::collections::BTreeSet;
use std::sync::Mutex;

use domain::stream::Category;
use proptest::prelude::*;

use super::*;
use crate::key::{Key, KeyRange};
use crate::parking::Poison;
use crate::test_log::{created, delivery, user};
use crate::view_store::{Direction, Entry};

/// How many records each delivery has, by code that is broken for some positions.
struct Tally {
    name: &'static str,
    poison: Poison,
    broken_at: &'static Mutex<BTreeSet<u64>>,
}

impl Projection for Tally {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u32 {
        1
    }

    fn poison(&self) -> Poison {
        self.poison
    }

    fn categories(&self) -> &'static [Category] {
        &[Category::Delivery]
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        _facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let key = Key::row().id(record.stream.key.as_bytes());
        let tally = view.get(&key)?.map_or(0, |tally| tally[0]);
        view.put(key, vec![tally + 1]);
        let broken_at = self
            .broken_at
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_broken = broken_at.contains(&record.position.get());
        drop(broken_at);
        assert!(!is_broken, "it is broken there");
        Ok(())
    }
}

fn entries(set: &ViewSet, projection: &dyn Projection) -> Vec<Entry> {
    let view = set.view(projection);
    view.tree()
        .scan(&KeyRange::all(), Direction::Forward, usize::MAX)
        .unwrap()
}

/// A log in which delivery `n` has the records that are given.
fn log_of(deliveries: &[u8]) -> TestLog {
    let mut log = TestLog::new();
    for number in deliveries {
        log.delivery(delivery(u128::from(*number)), user(1), [created(user(1))]);
    }
    log
}

/// The rows of a tally: how many records each delivery has.
fn tallies(set: &ViewSet, projection: &dyn Projection) -> Vec<(u8, u8)> {
    let rows = entries(set, projection);
    let rows = rows.into_iter().filter(|(key, _)| key[0] == 1);
    rows.map(|(key, value)| (key[16], value[0])).collect()
}

fn opened(log: &TestLog, projections: Projections, folder: &mut ViewFolder) -> ViewSet {
    let set = log.opened_with(projections, folder);
    while !set.is_checked() {
        set.check_on(100).unwrap();
    }
    set
}

static PARKING_BROKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static PARKING: Tally = Tally {
    name: "parking",
    poison: Poison::ParkStream,
    broken_at: &PARKING_BROKEN,
};
const PARKING_ONLY: Projections = &[&PARKING];

proptest! {
    /// Law: streams with a record that cannot be folded are as they were before
    /// it, all others are as if nothing were wrong; and once the code is mended
    /// every byte is as if nothing had ever been wrong. Fed page by page or from afar.
    #[test]
    fn only_what_is_poisoned_waits_and_it_is_made_good(
        deliveries in prop::collection::vec(1..6_u8, 1..40),
        broken in prop::collection::btree_set(1..40_u64, 0..6),
        from_afar: bool,
    ) {
        let log = log_of(&deliveries);
        let feed = |set: &ViewSet| {
            if from_afar {
                while set.feed_from_afar(&*log.store, log.head()).unwrap() {}
            } else {
                log.feed_unseen(set);
            }
        };
        *PARKING_BROKEN.lock().unwrap() = BTreeSet::new();
        let mut whole = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
        let whole = opened(&log, PARKING_ONLY, &mut whole);
        feed(&whole);

        *PARKING_BROKEN.lock().unwrap() = broken.clone();
        let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
        let set = opened(&log, PARKING_ONLY, &mut folder);
        feed(&set);
        let mut expected = std::collections::BTreeMap::new();
        let mut waiting = BTreeSet::new();
        for (number, position) in deliveries.iter().zip(1..) {
            if broken.contains(&position) {
                waiting.insert(*number);
            }
            if !waiting.contains(number) {
                *expected.entry(*number).or_insert(0) += 1;
            }
        }
        prop_assert_eq!(tallies(&set, &PARKING), expected.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(set.view(&PARKING).parked().len(), waiting.len());
        prop_assert_eq!(set.view(&PARKING).position(), log.head());
        prop_assert_eq!(set.view(&PARKING).halt(), None);

        set.retry_parked(&*log.store).unwrap();
        prop_assert_eq!(set.view(&PARKING).parked().len(), waiting.len(), "the code is as it was");
        drop(set);
        let set = opened(&log, PARKING_ONLY, &mut folder);
        prop_assert_eq!(set.view(&PARKING).parked().len(), waiting.len(), "it is known after a restart");
        *PARKING_BROKEN.lock().unwrap() = BTreeSet::new();
        set.retry_parked(&*log.store).unwrap();
        prop_assert_eq!(entries(&set, &PARKING), entries(&whole, &PARKING));
    }
}

static SKIPPING_BROKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static SKIPPING: Tally = Tally {
    name: "skipping",
    poison: Poison::Skip,
    broken_at: &SKIPPING_BROKEN,
};
const SKIPPING_ONLY: Projections = &[&SKIPPING];

#[test]
fn a_record_that_is_skipped_is_left_out_and_counted() {
    let log = log_of(&[1, 2, 1, 1, 2]);
    *SKIPPING_BROKEN.lock().unwrap() = BTreeSet::from([2, 3]);
    let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    let set = opened(&log, SKIPPING_ONLY, &mut folder);
    log.feed(&set);
    assert_eq!(tallies(&set, &SKIPPING), [(1, 2), (2, 1)]);
    assert_eq!(set.view(&SKIPPING).skipped(), Ok(2));
}

static HALTING_BROKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static HALTING: Tally = Tally {
    name: "halting",
    poison: Poison::Halt,
    broken_at: &HALTING_BROKEN,
};
static BESIDE_BROKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static BESIDE: Tally = Tally {
    name: "beside",
    poison: Poison::Halt,
    broken_at: &BESIDE_BROKEN,
};
const HALTING_AND_BESIDE: Projections = &[&HALTING, &BESIDE];

#[test]
fn a_view_that_halts_stands_before_the_record_and_no_other_does() {
    let log = log_of(&[1, 2, 1, 1, 2]);
    *HALTING_BROKEN.lock().unwrap() = BTreeSet::from([4]);
    let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    let set = opened(&log, HALTING_AND_BESIDE, &mut folder);
    log.feed_unseen(&set);
    assert_eq!(tallies(&set, &HALTING), [(1, 2), (2, 1)]);
    assert_eq!(set.view(&HALTING).position(), Position::new(3));
    assert!(matches!(
        set.view(&HALTING).halt(),
        Some(Halt::Panicked { .. })
    ));
    assert_eq!(tallies(&set, &BESIDE), [(1, 3), (2, 2)]);
}
