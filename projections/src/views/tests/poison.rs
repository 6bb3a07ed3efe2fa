//! Records that cannot be folded: what waits, what goes on, what is made good.

use std::collections::BTreeSet;
use std::sync::Mutex;

use std::sync::LazyLock;

use domain::delivery::DeliveryEvent;
use domain::stream::Category;
use domain::user::{UserEvent, UserStatus};
use eventstore::Record;
use proptest::prelude::*;

use super::troubled::{Doing, Troubled};
use super::*;
use crate::any_log::{Service, happenings};
use crate::key::{Key, KeyRange};
use crate::overlay::Overlay;
use crate::parking::Poison;
use crate::projection::{Facts, Projection, Sources};
use crate::test_log::{assigned, at, contact, created, delivery, mission, unreadable, user};
use crate::user::User;
use crate::view_set::PROJECTIONS;
use crate::view_store::{Direction, Entry, MadeStores};

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

        set.retry_parked(&*log.store, &|| true).unwrap();
        prop_assert_eq!(set.view(&PARKING).parked().len(), waiting.len(), "the code is as it was");
        drop(set);
        let set = opened(&log, PARKING_ONLY, &mut folder);
        prop_assert_eq!(set.view(&PARKING).parked().len(), waiting.len(), "it is known after a restart");
        *PARKING_BROKEN.lock().unwrap() = BTreeSet::new();
        set.retry_parked(&*log.store, &|| true).unwrap();
        prop_assert_eq!(entries(&set, &PARKING), entries(&whole, &PARKING));
    }
}

/// A row for every record, by code that is broken for some positions.
#[derive(Debug)]
struct Rows;

static ROWS_BROKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
const ROWS_ONLY: Projections = &[&Rows];

impl Projection for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn version(&self) -> u32 {
        1
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
        _facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        let number = u32::try_from(record.position.get()).unwrap();
        view.put(Key::row().number(number), vec![1]);
        let broken = ROWS_BROKEN
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_broken = broken.contains(&record.position.get());
        drop(broken);
        assert!(!is_broken, "it is broken there");
        Ok(())
    }
}

#[test]
fn a_long_stream_goes_on_part_by_part_and_waits_where_it_cannot() {
    // Given two streams, both parked at their second record.
    let log = log_of(&[1, 2, 1, 2, 1, 1, 1, 1, 1]);
    let mut whole = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    let whole = opened(&log, ROWS_ONLY, &mut whole);
    log.feed(&whole);
    *ROWS_BROKEN.lock().unwrap() = BTreeSet::from([3, 4]);
    let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
    let set = opened(&log, ROWS_ONLY, &mut folder);
    log.feed(&set);
    let view = set.view(&Rows);
    assert_eq!(view.parked().len(), 2);

    // When the code can fold some more of the longer one, and nothing of the other.
    *ROWS_BROKEN.lock().unwrap() = BTreeSet::from([4, 9]);
    let moves = std::cell::Cell::new(0);
    let beat = || {
        moves.set(moves.get() + 1);
        true
    };
    set.retry_parked(&*log.store, &beat).unwrap();

    // Then what was applied is no longer waited for, and every stream was a beat.
    let parked: Vec<_> = view
        .parked()
        .streams()
        .into_iter()
        .map(|(_, it)| it)
        .collect();
    let told = parked
        .iter()
        .map(|it| (it.position.get(), it.known.get(), it.why.as_str()));
    let broken_at = |position: u64| {
        format!("folding the record at position {position} panicked: it is broken there")
    };
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(8, 5, broken_at(9).as_str()), (4, 1, broken_at(4).as_str())]
    );
    assert!(moves.get() >= 4, "{} beats", moves.get());
    drop((set, view));

    // And once it can fold all of them every byte is as if nothing had been wrong.
    ROWS_BROKEN.lock().unwrap().clear();
    let set = opened(&log, ROWS_ONLY, &mut folder);
    set.retry_parked(&*log.store, &|| true).unwrap();
    assert_eq!(entries(&set, &Rows), entries(&whole, &Rows));
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
    assert_eq!(set.view(&SKIPPING).skipped(), 2);
    let since = |set: &ViewSet| set.view(&SKIPPING).parked().since(|_| true);
    assert_eq!(since(&set), Some(Position::new(2)), "the first one");
    drop(set);
    let set = opened(&log, SKIPPING_ONLY, &mut folder);
    assert_eq!(since(&set), Some(Position::new(2)), "also after a restart");
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

/// A view of this release, by code that is broken for some positions.
pub(super) struct Breaking(
    pub(super) &'static dyn Projection,
    pub(super) &'static Mutex<BTreeSet<u64>>,
);

static BREAKS_AT: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// All that park what they cannot fold.
static BREAKING: LazyLock<Projections> = LazyLock::new(|| {
    let parking = PROJECTIONS.iter();
    let parking = parking.filter(|it| it.poison() == Poison::ParkStream);
    let breaking =
        parking.map(|it| &*Box::leak(Box::new(Breaking(*it, &BREAKS_AT))) as &dyn Projection);
    breaking.collect::<Vec<_>>().leak()
});

impl Projection for Breaking {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn version(&self) -> u32 {
        self.0.version()
    }

    fn poison(&self) -> Poison {
        self.0.poison()
    }

    fn categories(&self) -> &'static [Category] {
        self.0.categories()
    }

    fn sources(&self) -> Sources {
        self.0.sources()
    }

    fn needs_facts(&self, record: &Record) -> bool {
        self.0.needs_facts(record)
    }

    fn awaits(&self, facts: &Facts) -> Vec<StreamId> {
        self.0.awaits(facts)
    }

    fn project(
        &self,
        view: &mut Overlay<'_>,
        record: &Record,
        facts: &Facts,
    ) -> Result<(), ViewStoreError> {
        self.0.project(view, record, facts)?;
        let breaks_at = self
            .1
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_broken = breaks_at.contains(&record.position.get());
        drop(breaks_at);
        assert!(!is_broken, "it breaks there");
        Ok(())
    }
}

fn all_entries(set: &ViewSet) -> Vec<(&'static str, Vec<Entry>)> {
    let views = BREAKING.iter();
    views.map(|it| (it.name(), entries(set, *it))).collect()
}

proptest! {
    /// Law: whichever records cannot be folded, and in whichever order they can be
    /// again, at the end every byte of every view that parks is as if nothing had
    /// ever been wrong: also of those that mix streams.
    #[test]
    fn whatever_waited_and_whenever_it_goes_on_the_bytes_are_the_same(
        happenings in happenings(80),
        broken in prop::collection::btree_map(1..80_u64, 0..3_usize, 0..8),
        from_afar: bool,
    ) {
        let log = Service::after(&happenings).log;
        let feed = |set: &ViewSet| {
            if from_afar {
                while set.feed_from_afar(&*log.store, log.head()).unwrap() {}
            } else {
                log.feed_unseen(set);
            }
        };
        *BREAKS_AT.lock().unwrap() = BTreeSet::new();
        let mut whole = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
        let whole = opened(&log, *BREAKING, &mut whole);
        feed(&whole);

        let mut folder = ViewFolder::Memory(Arc::<MemoryViewStore>::default());
        for release in 0..=3 {
            let still = broken.iter().filter(|(_, mended_in)| **mended_in >= release);
            *BREAKS_AT.lock().unwrap() = still.map(|(position, _)| *position).collect();
            let set = opened(&log, *BREAKING, &mut folder);
            set.retry_parked(&*log.store, &|| true).unwrap();
            feed(&set);
            prop_assert_eq!(set.fed(), log.head());
        }
        let mended = opened(&log, *BREAKING, &mut folder);
        prop_assert_eq!(all_entries(&mended), all_entries(&whole));
    }
}

fn booked(log: &mut TestLog, number: u128, user_number: u128) -> Position {
    let events = [created(user(user_number)), DeliveryEvent::Scheduled];
    log.delivery(delivery(number), user(user_number), events)
}

fn user_as_known(views: &Views, number: u128) -> AsKnown<Option<UserRow>> {
    runtime()
        .block_on(views.user_as_known(user(number)))
        .unwrap()
}

#[test]
fn a_user_with_a_delivery_that_waits_is_answered_with_what_is_known_and_says_so() {
    let mut log = TestLog::new();
    for (number, name) in [(1, "ada"), (2, "bob")] {
        log.user(user(number), [UserEvent::UserCreated(contact(name))]);
        booked(&mut log, number, number);
    }
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    views.stop();
    let unreadable = unreadable(&log, StreamName::delivery(delivery(1)));
    booked(&mut log, 3, 1);
    let expected = assigned(mission(3), 1, Some(at(60)));
    let last = log.delivery(delivery(3), user(1), [expected]);

    let judge = |views: &Views| {
        let ada = user_as_known(views, 1);
        assert_eq!(ada.degraded_since, Some(unreadable));
        let ada = ada.shown.unwrap();
        assert_eq!((ada.live_deliveries, ada.next_eta), (2, Some(at(60))));
        assert_eq!(ada.derived_position, last);
        let bob = user_as_known(views, 2);
        assert_eq!(bob.degraded_since, None);
        assert_eq!(bob.shown.unwrap().live_deliveries, 1);
    };
    // Views that have not reached it, then views that have.
    judge(&views);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    judge(&views);

    // And long after it.
    for number in 0..=u128::from(OVERLAY_POSITIONS_MAX) {
        booked(&mut log, 1_000 + number, 2);
    }
    catch_up(&views, &log);
    judge_later(&views, unreadable);
}

fn judge_later(views: &Views, unreadable: Position) {
    let ada = user_as_known(views, 1);
    assert_eq!(ada.degraded_since, Some(unreadable));
    assert_eq!(ada.shown.unwrap().live_deliveries, 2);
    assert_eq!(user_as_known(views, 2).degraded_since, None);
}

#[test]
fn a_user_whose_own_stream_waits_keeps_the_profile_and_is_counted_on() {
    let mut log = TestLog::new();
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    let unreadable = unreadable(&log, StreamName::user(user(1)));
    log.user(user(1), [UserEvent::UserUpdated(contact("countess"))]);
    booked(&mut log, 1, 1);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    let known = user_as_known(&views, 1);
    assert_eq!(known.degraded_since, Some(unreadable));
    let row = known.shown.unwrap();
    assert_eq!(
        (row.contact, row.status),
        (contact("ada"), UserStatus::Active)
    );
    assert_eq!(row.live_deliveries, 1);
}

#[test]
fn a_list_says_since_when_it_may_lack_something_and_a_users_list_only_of_theirs() {
    let mut log = TestLog::new();
    booked(&mut log, 1, 1);
    let unreadable = unreadable(&log, StreamName::delivery(delivery(1)));
    booked(&mut log, 2, 2);
    let views = Views::in_memory(log.store()).unwrap();
    catch_up(&views, &log);
    for (list, of, since) in [
        (List::Deliveries, None, Some(unreadable)),
        (List::UserDeliveries, Some(user(1)), Some(unreadable)),
        (List::UserDeliveries, Some(user(2)), None),
        (List::Tasks, None, Some(unreadable)),
        (List::DeadLetters, None, None),
        (List::Drones, None, Some(unreadable)),
        (List::Statistics, None, Some(unreadable)),
    ] {
        assert_eq!(views.degraded_since(list, of), since, "{list:?}");
    }
}

#[test]
fn nobody_finds_a_stream_parked_before_the_records_before_that_are_in_the_view() {
    let mut log = TestLog::new();
    booked(&mut log, 1, 1);
    unreadable(&log, StreamName::delivery(delivery(1)));
    let opened: Arc<Mutex<Option<Arc<crate::view::View>>>> = Arc::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let folder = {
        let (opened, seen) = (Arc::clone(&opened), Arc::clone(&seen));
        ViewFolder::Made(MadeStores(Box::new(move || {
            let (opened, seen) = (Arc::clone(&opened), Arc::clone(&seen));
            Arc::new(Troubled::new(Arc::default(), move |doing| {
                if let (Doing::Applying(_), Some(view)) = (doing, &*opened.lock().unwrap()) {
                    seen.lock().unwrap().push(view.parked().len());
                }
                Ok(())
            }))
        })))
    };
    let mut folder = folder;
    let set = log.opened_with(&[&User], &mut folder);
    *opened.lock().unwrap() = Some(set.view(&User));
    log.feed(&set);
    assert_eq!(
        *seen.lock().unwrap(),
        [0],
        "what is applied is not there yet"
    );
    assert_eq!(set.view(&User).parked().len(), 1);
    *opened.lock().unwrap() = None;
}
