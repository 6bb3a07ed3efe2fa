//! The contract of [`EventStore`], over every implementation.

use std::sync::Arc;

use super::given::{
    ALL, Fixture, append, commit, event, everything, owner, part, single, stream, version, wait,
};
use crate::error::AppendError;
use crate::event::EventType;
use crate::limits::{COMMIT_BYTES_MAX, COMMIT_EVENTS_MAX, COMMIT_PARTS_MAX};
use crate::position::{Position, StreamVersion};
use crate::store::{Budget, EventStore, Filter, Outcome};
use crate::stream::{Category, Expected};

/// Makes a test of each case for each implementation.
macro_rules! over_every_store {
    ($($case:ident)*) => {
        mod memory {
            $(#[test] fn $case() { super::$case(&super::super::given::memory()); })*
        }
        mod journal {
            $(#[test] fn $case() { super::$case(&super::super::given::journal()); })*
        }
        mod journal_of_tiny_segments {
            $(#[test] fn $case() {
                super::$case(&super::super::given::journal_of_tiny_segments());
            })*
        }
        mod jetstream {
            $(#[test] fn $case() { super::$case(&super::super::clustered::jetstream()); })*
        }
        mod jetstream_of_three {
            $(#[test] fn $case() {
                super::$case(&super::super::clustered::jetstream_of_three());
            })*
        }
    };
}

over_every_store! {
    j1_nobody_ever_sees_part_of_a_commit
    j1_a_commit_over_several_streams_lies_together
    j2_positions_are_dense_from_one
    j3_what_was_answered_is_visible_and_what_is_visible_is_the_head
    j5_versions_are_contiguous
    j6_a_retry_is_answered_as_the_first_time
    j6_a_retry_of_a_commit_that_is_not_durable_yet_is_answered_as_the_first_time
    j6_a_retry_is_a_duplicate_even_when_its_guards_have_moved
    j6_the_same_id_with_another_expectation_is_judged_by_its_versions
    j6_the_same_id_on_another_stream_is_another_commit
    j6_a_retry_names_only_its_own_commit_among_neighbours_of_the_same_id
    j7_of_two_appends_that_expect_the_same_version_one_wins
    j7_of_many_callers_exactly_one_wins_each_version
    j8_pages_cover_the_log_without_gap_or_overlap
    j8_a_page_says_how_far_it_was_scanned_and_where_the_head_is
    j8_a_read_beyond_the_head_scans_nothing
    j10_a_filter_that_drops_everything_still_advances
    a_filter_lets_through_what_it_names
    a_stream_is_read_after_a_version_in_whole_records
    a_stream_that_is_not_there_is_empty
    a_budget_of_nothing_still_gives_one_record
    a_guard_is_checked_and_writes_nothing
    a_conflict_names_the_first_stream_that_differs_and_its_version
    no_stream_and_exactly_zero_mean_the_same
    a_commit_without_events_is_malformed
    a_commit_that_names_a_stream_twice_is_malformed
    a_commit_with_too_many_parts_events_or_bytes_is_too_large
    the_largest_commit_is_taken_and_read_back
    recorded_times_never_go_back
    everything_of_an_event_is_read_back
    a_closed_store_refuses_appends_and_still_reads
}

fn j1_nobody_ever_sees_part_of_a_commit(given: &Fixture) {
    let store = &given.store;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let head = store.head();
            while head.has_changed().is_ok() {
                let head = *head.borrow();
                assert_eq!(head.get() % 3, 0, "the head lies within a commit");
                let page = store
                    .read_all(Position::START, &Filter::everything(), ALL)
                    .unwrap();
                assert_eq!(page.head.get() % 3, 0);
                assert_eq!(page.scanned_to, page.head);
                assert!(page.head >= head);
            }
        });
        let append_one = |id: u32| {
            let expected = u64::from(id);
            let parts = (0..3).map(|number| part(number, expected, &[8])).collect();
            append(store.as_ref(), commit(id, parts))
        };
        let answers: Vec<_> = (0..50).map(append_one).collect();
        (given.close)();
        reader.join().unwrap();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    });
}

fn j1_a_commit_over_several_streams_lies_together(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, single(1, 9, 0)).unwrap();
    let parts = vec![part(1, 0, &[1, 2]), part(9, 1, &[]), part(2, 0, &[3])];
    let appended = append(store, commit(2, parts)).unwrap();
    let parts: Vec<_> = appended
        .parts
        .iter()
        .map(|part| (part.stream, part.position.get(), part.version.get()))
        .collect();
    assert_eq!(parts, [(stream(1), 2, 2), (stream(2), 3, 1)]);
    assert_eq!(appended.outcome, Outcome::Committed);
    assert_eq!(appended.position(), Position::new(3));
}

fn j2_positions_are_dense_from_one(given: &Fixture) {
    let store = given.store.as_ref();
    assert_eq!(*store.head().borrow(), Position::START);
    super::given::fill(store, 10);
    let positions: Vec<_> = everything(store)
        .iter()
        .map(|record| record.position.get())
        .collect();
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
}

fn j3_what_was_answered_is_visible_and_what_is_visible_is_the_head(given: &Fixture) {
    let store = given.store.as_ref();
    for id in 1..=5 {
        let appended = append(store, single(id, 1, u64::from(id) - 1)).unwrap();
        assert_eq!(*store.head().borrow(), appended.position());
        assert_eq!(version(store, stream(1)).get(), u64::from(id));
        assert_eq!(everything(store).len() as u64, appended.position().get());
    }
}

fn j5_versions_are_contiguous(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, commit(1, vec![part(1, 0, &[1, 2, 3])])).unwrap();
    append(store, commit(2, vec![part(1, 3, &[4])])).unwrap();
    append(store, commit(3, vec![part(1, 4, &[5, 6])])).unwrap();
    let page = store
        .read_stream(stream(1), StreamVersion::EMPTY, ALL)
        .unwrap();
    let versions: Vec<_> = page
        .records
        .iter()
        .flat_map(|record| record.versioned().map(|(version, _)| version.get()))
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    assert_eq!(page.read_to, StreamVersion::new(6));
    assert_eq!(page.version, StreamVersion::new(6));
}

fn j6_a_retry_is_answered_as_the_first_time(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, single(7, 3, 0)).unwrap();
    let first = || commit(1, vec![part(1, 0, &[1, 2]), part(2, 0, &[3])]);
    let answer = append(store, first()).unwrap();
    append(store, commit(2, vec![part(1, 2, &[4]), part(2, 1, &[5])])).unwrap();
    let again = append(store, first()).unwrap();
    assert_eq!(again.parts, answer.parts);
    assert_eq!(again.outcome, Outcome::Duplicate);
    assert_eq!(store.head().borrow().get(), 5);
}

fn j6_a_retry_of_a_commit_that_is_not_durable_yet_is_answered_as_the_first_time(given: &Fixture) {
    let store = given.store.as_ref();
    let first = store.append(single(1, 1, 0));
    let retry = store.append(single(1, 1, 0));
    let next = store.append(single(2, 1, 1));
    let late = store.append(single(1, 1, 0));
    let first = wait(first).unwrap();
    for retry in [retry, late] {
        let retry = wait(retry).unwrap();
        assert_eq!(retry.parts, first.parts);
        assert_eq!(retry.outcome, Outcome::Duplicate);
    }
    assert_eq!(wait(next).unwrap().position().get(), 2);
}

fn j6_a_retry_is_a_duplicate_even_when_its_guards_have_moved(given: &Fixture) {
    let store = given.store.as_ref();
    let guarded = || commit(1, vec![part(5, 0, &[]), part(1, 0, &[1])]);
    append(store, guarded()).unwrap();
    append(store, single(2, 5, 0)).unwrap();
    assert_eq!(
        append(store, guarded()).unwrap().outcome,
        Outcome::Duplicate
    );
}

fn j6_the_same_id_with_another_expectation_is_judged_by_its_versions(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, commit(1, vec![part(1, 0, &[1, 2])])).unwrap();
    let within = append(store, single(1, 1, 1));
    let actual = StreamVersion::new(2);
    let stream = stream(1);
    assert_eq!(within, Err(AppendError::Conflict { stream, actual }));
    let behind = append(store, single(1, 1, 2)).unwrap();
    assert_eq!(behind.outcome, Outcome::Committed);
}

fn j6_the_same_id_on_another_stream_is_another_commit(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, single(1, 1, 0)).unwrap();
    assert_eq!(
        append(store, single(1, 2, 0)).unwrap().outcome,
        Outcome::Committed
    );
}

fn j6_a_retry_names_only_its_own_commit_among_neighbours_of_the_same_id(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, single(1, 1, 0)).unwrap();
    append(store, single(1, 2, 0)).unwrap();
    append(store, single(1, 3, 0)).unwrap();
    let again = append(store, single(1, 2, 0)).unwrap();
    assert_eq!(again.parts.len(), 1);
    assert_eq!(again.position().get(), 2);
}

fn j7_of_two_appends_that_expect_the_same_version_one_wins(given: &Fixture) {
    let store = given.store.as_ref();
    let one = store.append(single(1, 1, 0));
    let other = store.append(single(2, 1, 0));
    assert_eq!(wait(one).unwrap().position().get(), 1);
    let actual = StreamVersion::new(1);
    let stream = stream(1);
    assert_eq!(wait(other), Err(AppendError::Conflict { stream, actual }));
    assert_eq!(
        version(store, stream),
        actual,
        "whoever is told of a conflict can see it"
    );
}

fn j7_of_many_callers_exactly_one_wins_each_version(given: &Fixture) {
    let won = |caller: u32, store: Arc<dyn EventStore>| {
        let mut won = Vec::new();
        for round in 0..20 {
            let expected = version(store.as_ref(), stream(1)).get();
            let id = caller * 1_000 + round;
            if append(store.as_ref(), single(id, 1, expected)).is_ok() {
                won.push(expected + 1);
            }
        }
        won
    };
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let store = Arc::clone(&given.store);
            std::thread::spawn(move || won(caller, store))
        })
        .collect();
    let wins = callers
        .into_iter()
        .flat_map(|caller| caller.join().unwrap());
    let mut wins: Vec<_> = wins.collect();
    wins.sort_unstable();
    let versions = 1..=version(given.store.as_ref(), stream(1)).get();
    assert_eq!(wins, versions.collect::<Vec<_>>());
}

fn j8_pages_cover_the_log_without_gap_or_overlap(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 23);
    let budget = Budget {
        records_max: 4,
        ..ALL
    };
    let mut after = Position::START;
    let mut records = Vec::new();
    while after < *store.head().borrow() {
        let page = store
            .read_all(after, &Filter::everything(), budget)
            .unwrap();
        assert!(page.records.len() <= 4 && page.scanned_to > after);
        records.extend(page.records);
        after = page.scanned_to;
    }
    assert_eq!(records, everything(store));
}

fn j8_a_page_says_how_far_it_was_scanned_and_where_the_head_is(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 9);
    let budget = Budget {
        records_max: 2,
        ..ALL
    };
    let page = store
        .read_all(Position::new(3), &Filter::everything(), budget)
        .unwrap();
    assert_eq!(page.scanned_to, Position::new(5));
    assert_eq!(page.head, Position::new(9));
}

fn j8_a_read_beyond_the_head_scans_nothing(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 2);
    for after in [2, 3, u64::MAX] {
        let after = Position::new(after);
        let page = store.read_all(after, &Filter::everything(), ALL).unwrap();
        assert_eq!((page.records.len(), page.scanned_to), (0, after));
        assert_eq!(page.head, Position::new(2));
    }
}

fn j10_a_filter_that_drops_everything_still_advances(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 9);
    let nothing = Filter {
        categories: vec![Category::new(99)],
        ..Filter::everything()
    };
    let page = store.read_all(Position::new(4), &nothing, ALL).unwrap();
    assert_eq!((page.records.len(), page.scanned_to.get()), (0, 9));
    let small = Budget {
        bytes_max: 1,
        ..ALL
    };
    let page = store.read_all(Position::new(4), &nothing, small).unwrap();
    assert_eq!(page.scanned_to.get(), 5);
}

fn a_filter_lets_through_what_it_names(given: &Fixture) {
    let store = given.store.as_ref();
    for number in 0..6 {
        let payloads = [usize::from(number), 2];
        let id = u32::from(number);
        append(store, commit(id, vec![part(number, 0, &payloads)])).unwrap();
    }
    let read = |filter: &Filter| {
        let page = store.read_all(Position::START, filter, ALL).unwrap();
        let positions = page.records.iter().map(|record| record.position.get());
        positions.collect::<Vec<_>>()
    };
    let everything = Filter::everything();
    let categories = vec![Category::new(1), Category::new(2)];
    let by_category = Filter {
        categories,
        ..everything.clone()
    };
    assert_eq!(read(&by_category), [2, 3, 5, 6]);
    let event_types = vec![EventType(0)];
    let by_type = Filter {
        event_types,
        ..everything.clone()
    };
    assert_eq!(read(&by_type), [1, 4]);
    let owner = Some(owner(1));
    let by_owner = Filter {
        owner,
        ..everything.clone()
    };
    assert_eq!(read(&by_owner), [2, 4, 6]);
    let by_both = Filter {
        owner,
        ..by_category
    };
    assert_eq!(read(&by_both), [2, 6]);
}

fn a_stream_is_read_after_a_version_in_whole_records(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, commit(1, vec![part(1, 0, &[1, 2, 3])])).unwrap();
    append(store, single(2, 2, 0)).unwrap();
    append(store, commit(3, vec![part(1, 3, &[4, 5])])).unwrap();
    let positions = |after: u64, budget| {
        let page = store
            .read_stream(stream(1), StreamVersion::new(after), budget)
            .unwrap();
        let positions = page.records.iter().map(|record| record.position.get());
        (
            positions.collect::<Vec<_>>(),
            page.read_to.get(),
            page.version.get(),
        )
    };
    assert_eq!(positions(0, ALL), (vec![1, 3], 5, 5));
    assert_eq!(positions(2, ALL), (vec![1, 3], 5, 5));
    assert_eq!(positions(3, ALL), (vec![3], 5, 5));
    assert_eq!(positions(4, ALL), (vec![3], 5, 5));
    assert_eq!(positions(5, ALL), (vec![], 5, 5));
    assert_eq!(positions(9, ALL), (vec![], 9, 5));
    let one = Budget {
        records_max: 1,
        ..ALL
    };
    assert_eq!(positions(0, one), (vec![1], 3, 5));
}

fn a_stream_that_is_not_there_is_empty(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 3);
    let page = store
        .read_stream(stream(77), StreamVersion::EMPTY, ALL)
        .unwrap();
    assert_eq!(
        (page.records.len(), page.version),
        (0, StreamVersion::EMPTY)
    );
}

fn a_budget_of_nothing_still_gives_one_record(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 5);
    let nothing = Budget {
        records_max: 0,
        bytes_max: 0,
    };
    let page = store
        .read_all(Position::new(1), &Filter::everything(), nothing)
        .unwrap();
    assert_eq!((page.records.len(), page.scanned_to.get()), (1, 2));
    let page = store
        .read_stream(stream(1), StreamVersion::EMPTY, nothing)
        .unwrap();
    assert_eq!((page.records.len(), page.read_to.get()), (1, 1));
}

fn a_guard_is_checked_and_writes_nothing(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, single(1, 5, 0)).unwrap();
    let guarded = |id, guard| commit(id, vec![part(5, guard, &[]), part(1, 0, &[1])]);
    let refused = append(store, guarded(2, 0));
    assert!(
        matches!(refused, Err(AppendError::Conflict { .. })),
        "{refused:?}"
    );
    assert_eq!(store.head().borrow().get(), 1);
    let appended = append(store, guarded(3, 1)).unwrap();
    assert_eq!(appended.parts.len(), 1);
    assert_eq!(version(store, stream(5)).get(), 1);
}

fn a_conflict_names_the_first_stream_that_differs_and_its_version(given: &Fixture) {
    let store = given.store.as_ref();
    append(store, commit(1, vec![part(1, 0, &[1, 1])])).unwrap();
    append(store, single(2, 2, 0)).unwrap();
    let parts = vec![part(3, 0, &[1]), part(2, 7, &[]), part(1, 0, &[1])];
    let (stream, actual) = (stream(2), StreamVersion::new(1));
    let conflict = Err(AppendError::Conflict { stream, actual });
    assert_eq!(append(store, commit(3, parts)), conflict);
    let beyond = single(4, 2, u64::MAX);
    assert_eq!(append(store, beyond), conflict);
    assert_eq!(everything(store).len(), 2);
}

fn no_stream_and_exactly_zero_mean_the_same(given: &Fixture) {
    let store = given.store.as_ref();
    let mut exact = single(1, 1, 0);
    exact.parts[0].expected = Expected::Exact(StreamVersion::EMPTY);
    append(store, exact).unwrap();
    let refused = append(store, single(2, 1, 0));
    assert!(
        matches!(refused, Err(AppendError::Conflict { .. })),
        "{refused:?}"
    );
}

fn a_commit_without_events_is_malformed(given: &Fixture) {
    let store = given.store.as_ref();
    for parts in [vec![], vec![part(1, 0, &[])]] {
        let refused = append(store, commit(1, parts));
        assert!(
            matches!(refused, Err(AppendError::Malformed { .. })),
            "{refused:?}"
        );
    }
}

fn a_commit_that_names_a_stream_twice_is_malformed(given: &Fixture) {
    let store = given.store.as_ref();
    let parts = vec![part(1, 0, &[1]), part(2, 0, &[1]), part(1, 0, &[])];
    let refused = append(store, commit(1, parts));
    assert!(
        matches!(refused, Err(AppendError::Malformed { .. })),
        "{refused:?}"
    );
}

fn a_commit_with_too_many_parts_events_or_bytes_is_too_large(given: &Fixture) {
    let store = given.store.as_ref();
    let too_large = |commit, what, max| {
        let refused = append(store, commit);
        let Err(AppendError::TooLarge {
            what: found,
            size,
            max: limit,
        }) = refused
        else {
            panic!("{refused:?}");
        };
        assert_eq!((found, limit), (what, max));
        assert!(size > max);
    };
    let parts_max = u16::try_from(COMMIT_PARTS_MAX).unwrap();
    let parts = (0..=parts_max)
        .map(|number| part(number, 0, &[1]))
        .collect();
    too_large(commit(1, parts), "parts", COMMIT_PARTS_MAX);
    let events = vec![1; COMMIT_EVENTS_MAX + 1];
    too_large(
        commit(1, vec![part(1, 0, &events)]),
        "events",
        COMMIT_EVENTS_MAX,
    );
    let bytes = [COMMIT_BYTES_MAX / 2, COMMIT_BYTES_MAX / 2];
    too_large(
        commit(1, vec![part(1, 0, &bytes)]),
        "bytes",
        COMMIT_BYTES_MAX,
    );
    assert_eq!(store.head().borrow().get(), 0);
}

fn the_largest_commit_is_taken_and_read_back(given: &Fixture) {
    let store = given.store.as_ref();
    let parts = vec![part(1, 0, &[COMMIT_BYTES_MAX - 400]), part(2, 0, &[1])];
    append(store, commit(1, parts)).unwrap();
    let mut parts: Vec<_> = (0..512)
        .map(|number| part(number + 10, 0, &[1, 1]))
        .collect();
    assert_eq!(parts.len(), COMMIT_PARTS_MAX);
    append(store, commit(2, parts.clone())).unwrap();
    parts.truncate(1);
    assert_eq!(
        append(store, commit(2, parts)).unwrap().parts.len(),
        COMMIT_PARTS_MAX
    );
    assert_eq!(everything(store).len(), COMMIT_PARTS_MAX + 2);
    let page = store
        .read_stream(stream(1), StreamVersion::EMPTY, Budget::PAGE)
        .unwrap();
    assert_eq!(page.records[0].events, [event(COMMIT_BYTES_MAX - 400)]);
}

fn recorded_times_never_go_back(given: &Fixture) {
    let store = given.store.as_ref();
    for (id, clock_us) in [(1, 50), (2, 40), (3, 60), (4, -5)] {
        let clocked = crate::Commit {
            clock_us,
            ..single(id, u16::try_from(id).unwrap(), 0)
        };
        append(store, clocked).unwrap();
    }
    let times: Vec<_> = everything(store)
        .iter()
        .map(|record| record.recorded_at_us)
        .collect();
    assert_eq!(times, [50, 50, 60, 60]);
}

fn everything_of_an_event_is_read_back(given: &Fixture) {
    let store = given.store.as_ref();
    let written = commit(1, vec![part(1, 0, &[0, 1, 2, 3, 200])]);
    append(store, written.clone()).unwrap();
    let [record] = everything(store).try_into().unwrap();
    assert_eq!(record.commit_id, written.id);
    assert_eq!(record.stream, written.parts[0].stream);
    assert_eq!(record.owner, written.parts[0].owner);
    assert_eq!(record.first_version, StreamVersion::new(1));
    assert_eq!(record.last_version(), StreamVersion::new(5));
    assert_eq!(record.recorded_at_us, written.clock_us);
    assert_eq!(record.actor, written.actor);
    assert_eq!(record.correlation_id, written.correlation_id);
    assert_eq!(record.events, written.parts[0].events);
    let page = store
        .read_stream(stream(1), StreamVersion::EMPTY, ALL)
        .unwrap();
    assert_eq!(page.records, [record]);
}

fn a_closed_store_refuses_appends_and_still_reads(given: &Fixture) {
    let store = given.store.as_ref();
    super::given::fill(store, 3);
    (given.close)();
    (given.close)();
    let refused = append(store, single(9, 9, 0));
    assert!(
        matches!(refused, Err(AppendError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(everything(store).len(), 3);
    assert_eq!(store.head().borrow().get(), 3);
}
