//! Tests of the list of all deliveries.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::any_log::{Happening, Service, happenings};
use crate::delivery_status::{self, DeliveryStatus};
use crate::test_log::{TestLog, at, created, delivery, mission, user};
use crate::view_set::ViewSet;
use domain::delivery::Failure;

fn all(limit: usize) -> DeliveriesQuery {
    DeliveriesQuery {
        statuses: Vec::new(),
        created_after: None,
        created_before: None,
        limit,
        after: None,
    }
}

fn page_in(set: &ViewSet, query: &DeliveriesQuery) -> DeliveriesPage {
    let (list, status) = (set.view(&Deliveries), set.view(&DeliveryStatus));
    let (list, status) = (list.read(), status.read());
    let status_of = |id| delivery_status::status(&status.overlay(), id);
    page(&list.overlay(), query, status_of).unwrap()
}

fn all_pages(set: &ViewSet, mut query: DeliveriesQuery) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    loop {
        let page = page_in(set, &query);
        assert!(page.items.len() <= query.limit);
        found.extend(page.items);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

fn ordered(log: &mut TestLog, numbers: impl IntoIterator<Item = u128>) {
    for number in numbers {
        log.delivery(
            delivery(number),
            user(number % 3),
            [created(user(number % 3))],
        );
    }
}

fn failed() -> DeliveryEvent {
    DeliveryEvent::Failed {
        mission: mission(1),
        reason: Failure::DroneLost,
    }
}

fn ids(numbers: &[u128]) -> Vec<DeliveryId> {
    numbers.iter().map(|number| delivery(*number)).collect()
}

proptest! {
    /// Law: whatever happened, pages of whatever length give exactly the
    /// deliveries that are in one of the statuses, newest first, each once.
    #[test]
    fn pages_put_together_are_the_deliveries_in_these_statuses(
        happenings in happenings(150),
        statuses in subsequence(Status::ALL, 0..5),
        limit in 1..4_usize,
    ) {
        let service = Service::after(&happenings);
        let mut expected: Vec<(Timestamp, DeliveryId)> = (0..6)
            .filter_map(|number| {
                let status = service.delivery(number)?.status();
                let created = service.occurrences(number).first()?.event_time;
                let wanted = statuses.is_empty() || statuses.contains(&status);
                wanted.then(|| (created, delivery(number)))
            })
            .collect();
        expected.sort_unstable_by_key(|it| std::cmp::Reverse(*it));
        let query = DeliveriesQuery { statuses, ..all(limit) };
        let found = all_pages(&service.log.folded(), query);
        prop_assert_eq!(found, expected.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    }

    /// Law: an index holds a delivery as long as it is so, and no longer.
    #[test]
    fn every_delivery_is_in_one_index_at_most(happenings in happenings(150)) {
        let service = Service::after(&happenings);
        let set = service.log.folded();
        let answering = set.view(&Deliveries);
        let view = answering.read();
        let count = |range| view.overlay().scan(&range, Direction::Forward, usize::MAX).unwrap().len();
        let statuses = (0..6).filter_map(|number| Some(service.delivery(number)?.status()));
        let (ended, under_way): (Vec<_>, Vec<_>) = statuses.partition(|status| is_ending(*status));
        prop_assert_eq!(count(Key::index(UNDER_WAY).prefix()), under_way.len());
        for ending in Status::ALL.iter().copied().filter(|it| is_ending(*it)) {
            let Some(index) = index_of(Some(ending)) else { continue };
            let ended_so = ended.iter().filter(|status| **status == ending).count();
            prop_assert_eq!(count(Key::index(index).prefix()), ended_so);
        }
    }
}

#[test]
fn a_page_goes_on_where_the_one_before_ended_whatever_was_added_or_changed() {
    let mut log = TestLog::new();
    ordered(&mut log, 0..6);
    let set = log.folded();
    let mut query = all(3);
    let first = page_in(&set, &query);
    assert_eq!(first.items, ids(&[5, 4, 3]));

    ordered(&mut log, 6..9);
    log.delivery(delivery(2), user(2), [failed()]);
    log.feed(&set);
    query.after = first.next;
    let second = page_in(&set, &query);
    assert_eq!(
        (second.items, second.next),
        (ids(&[2, 1, 0]), None),
        "the last page says so"
    );
}

#[test]
fn a_status_that_is_rare_among_many_is_found_on_the_first_page() {
    let mut log = TestLog::new();
    let count = PAGE_SCAN_ROWS_MAX as u128 + 10;
    ordered(&mut log, 0..count);
    log.delivery(delivery(0), user(0), [failed()]);
    log.delivery(delivery(7), user(1), [failed()]);
    let set = log.folded();
    let statuses = vec![Status::Failed, Status::Returned];
    let page = page_in(
        &set,
        &DeliveriesQuery {
            statuses,
            ..all(10)
        },
    );
    assert_eq!((page.items, page.next), (ids(&[7, 0]), None));
}

#[test]
fn a_page_looks_at_a_bounded_number_of_rows_and_says_where_to_go_on() {
    let mut log = TestLog::new();
    let count = PAGE_SCAN_ROWS_MAX as u128 + 10;
    ordered(&mut log, 0..count);
    log.delivery(delivery(0), user(0), [DeliveryEvent::Scheduled]);
    let set = log.folded();
    let query = DeliveriesQuery {
        statuses: vec![Status::Scheduled],
        ..all(10)
    };
    let first = page_in(&set, &query);
    assert_eq!(first.items, []);
    assert!(first.next.is_some());
    assert_eq!(all_pages(&set, query), ids(&[0]));
}

#[test]
fn a_list_is_cut_by_when_its_deliveries_were_created() {
    let mut log = TestLog::new();
    ordered(&mut log, 0..5);
    log.delivery(delivery(3), user(0), [failed()]);
    let set = log.folded();
    // The first was created a second after the epoch of the tests, and so on.
    let between = |statuses: &[Status]| {
        page_in(
            &set,
            &DeliveriesQuery {
                statuses: statuses.to_vec(),
                created_after: Some(at(2)),
                created_before: Some(at(5)),
                ..all(10)
            },
        )
        .items
    };
    assert_eq!(between(&[]), ids(&[3, 2]));
    assert_eq!(between(&[Status::Failed]), ids(&[3]));
    assert_eq!(between(&[Status::Pending]), ids(&[2]));
}

#[test]
fn a_delivery_that_was_never_created_is_in_no_list() {
    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [failed()]);
    assert_eq!(page_in(&log.folded(), &all(10)).items, []);
    let service = Service::after(std::iter::empty::<&Happening>());
    assert_eq!(page_in(&service.log.folded(), &all(10)).items, []);
}
