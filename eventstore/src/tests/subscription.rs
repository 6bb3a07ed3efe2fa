//! Catch up, then follow.

use std::sync::Arc;

use super::given::{Fixture, append, fill, journal, memory, single, wait};
use crate::position::Position;
use crate::store::{Budget, Filter};
use crate::stream::Category;
use crate::subscription::Subscription;

const SMALL: Budget = Budget {
    records_max: 3,
    bytes_max: usize::MAX,
};

fn subscribe(given: &Fixture, after: u64, filter: Filter) -> Subscription {
    let store = Arc::clone(&given.store);
    Subscription::new(store, Position::new(after), filter, SMALL)
}

#[test]
fn given_a_log_a_subscription_reads_all_of_it_in_pages_and_ends_when_the_store_is_closed() {
    for given in [memory(), journal()] {
        fill(given.store.as_ref(), 10);
        (given.close)();
        let mut subscription = subscribe(&given, 2, Filter::everything());
        let mut ends = Vec::new();
        while let Some(page) = wait(subscription.next()).unwrap() {
            ends.push(page.scanned_to.get());
        }
        assert_eq!(ends, [5, 8, 10]);
        assert_eq!(subscription.scanned_to(), Position::new(10));
    }
}

#[test]
fn given_a_subscription_at_the_head_it_gets_what_is_appended_later() {
    for given in [memory(), journal()] {
        fill(given.store.as_ref(), 2);
        let mut subscription = subscribe(&given, 2, Filter::everything());
        let store = Arc::clone(&given.store);
        let follower = std::thread::spawn(move || {
            let mut positions = Vec::new();
            while let Some(page) = wait(subscription.next()).unwrap() {
                positions.extend(page.records.iter().map(|record| record.position.get()));
            }
            positions
        });
        for id in 10..40 {
            append(store.as_ref(), single(id, 50, u64::from(id) - 10)).unwrap();
        }
        (given.close)();
        assert_eq!(follower.join().unwrap(), (3..=32).collect::<Vec<_>>());
    }
}

#[test]
fn given_a_filter_that_drops_everything_the_subscription_still_tells_how_far_it_is() {
    for given in [memory(), journal()] {
        fill(given.store.as_ref(), 5);
        let nothing = Filter {
            categories: vec![Category::new(99)],
            ..Filter::everything()
        };
        let mut subscription = subscribe(&given, 0, nothing);
        let page = wait(subscription.next()).unwrap().unwrap();
        assert_eq!((page.records.len(), page.scanned_to.get()), (0, 5));
    }
}
