//! Tests of the user's list.

use proptest::prelude::*;

use super::*;
use crate::test_log::{TestLog, at, created, delivery, order, user};
use crate::view_set::ViewSet;

fn page_in(set: &ViewSet, query: &UserDeliveriesQuery) -> UserDeliveriesPage {
    let answering = set.view(&UserDeliveries);
    let view = answering.read();
    page(&view.overlay(), user(1), query).unwrap()
}

fn numbers(page: &UserDeliveriesPage) -> Vec<u128> {
    let ids = page.items.iter().map(|listed| listed.id.uuid().as_u128());
    ids.map(|id| id - delivery(0).uuid().as_u128()).collect()
}

fn ordered(log: &mut TestLog, numbers: impl IntoIterator<Item = u128>) {
    for number in numbers {
        log.delivery(delivery(number), user(1), [created(user(1))]);
    }
}

fn all_pages(set: &ViewSet, mut query: UserDeliveriesQuery) -> Vec<u128> {
    let mut found = Vec::new();
    loop {
        let page = page_in(set, &query);
        found.extend(numbers(&page));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

proptest! {
    /// Law: pages of whatever length, one after the other, are the list: newest first, each once.
    #[test]
    fn pages_put_together_are_the_whole_list(count in 0..40_u128, limit in 1..10_usize) {
        let mut log = TestLog::new();
        ordered(&mut log, 0..count);
        let set = log.folded();
        let newest_first: Vec<u128> = (0..count).rev().collect();
        prop_assert_eq!(all_pages(&set, UserDeliveriesQuery::all(limit)), newest_first);
    }

    /// Law: a cursor goes into its bytes and back.
    #[test]
    fn a_cursor_reads_back(seconds in 0..1_000_000_i64, number: u64) {
        let key = PageKey { created_at: at(seconds), delivery: delivery(u128::from(number)) };
        prop_assert_eq!(PageKey::from_bytes(&key.to_bytes()), Some(key));
        prop_assert_eq!(PageKey::from_bytes(&key.to_bytes()[1..]), None);
    }
}

#[test]
fn a_page_goes_on_where_the_one_before_ended_whatever_was_added_or_changed() {
    let mut log = TestLog::new();
    ordered(&mut log, 0..6);
    let set = log.folded();
    let mut query = UserDeliveriesQuery::all(3);
    let first = page_in(&set, &query);
    assert_eq!(numbers(&first), [5, 4, 3]);

    ordered(&mut log, 6..9);
    log.delivery(delivery(2), user(1), [DeliveryEvent::Scheduled]);
    log.feed(&set);
    query.after = first.next;
    let second = page_in(&set, &query);
    assert_eq!(numbers(&second), [2, 1, 0]);
    assert_eq!(second.next, None);
}

#[test]
fn a_list_is_filtered_by_status_and_by_when_it_was_created() {
    let mut log = TestLog::new();
    ordered(&mut log, 0..5);
    log.delivery(delivery(1), user(1), [DeliveryEvent::Scheduled]);
    log.delivery(delivery(3), user(1), [DeliveryEvent::Scheduled]);
    log.delivery(delivery(9), user(2), [created(user(2))]);
    let set = log.folded();
    let with = |change: &dyn Fn(&mut UserDeliveriesQuery)| {
        let mut query = UserDeliveriesQuery::all(10);
        change(&mut query);
        numbers(&page_in(&set, &query))
    };
    assert_eq!(
        with(&|query| query.statuses = vec![Status::Scheduled]),
        [3, 1]
    );
    // The first was created a second after the epoch of the tests, and so on.
    assert_eq!(with(&|query| query.created_after = Some(at(3))), [4, 3]);
    assert_eq!(with(&|query| query.created_before = Some(at(3))), [1, 0]);
    assert_eq!(
        with(&|query| {
            query.created_after = Some(at(3));
            query.created_before = Some(at(3));
        }),
        [] as [u128; 0]
    );
}

#[test]
fn a_page_looks_at_a_bounded_number_of_rows_and_says_where_to_go_on() {
    let mut log = TestLog::new();
    let count = PAGE_SCAN_ROWS_MAX as u128 + 10;
    ordered(&mut log, 0..count);
    log.delivery(delivery(0), user(1), [DeliveryEvent::Scheduled]);
    let set = log.folded();
    let mut query = UserDeliveriesQuery::all(10);
    query.statuses = vec![Status::Scheduled];
    let first = page_in(&set, &query);
    assert_eq!(first.items, []);
    assert!(first.next.is_some());
    assert_eq!(all_pages(&set, query), [0]);
}

#[test]
fn an_external_id_is_found_without_scanning_and_only_where_the_rest_fits() {
    let mut log = TestLog::new();
    let name = ExternalId::new("order-7").unwrap();
    let mut named = order(user(1));
    named.external_id = Some(name.clone());
    log.delivery(
        delivery(7),
        user(1),
        [DeliveryEvent::Created(Box::new(named))],
    );
    let set = log.folded();
    let answering = set.view(&UserDeliveries);
    let view = answering.read();
    let find = |change: &dyn Fn(&mut UserDeliveriesQuery)| {
        let mut query = UserDeliveriesQuery::all(10);
        query.external_id = Some(name.clone());
        change(&mut query);
        let page = page_of_one(&view.overlay(), user(1), &query, delivery(7));
        numbers(&page.unwrap())
    };
    assert_eq!(find(&|_| {}), [7]);
    assert_eq!(
        find(&|query| query.statuses = vec![Status::Failed]),
        [] as [u128; 0]
    );
    assert_eq!(
        find(&|query| query.created_after = Some(at(1))),
        [] as [u128; 0]
    );
}
