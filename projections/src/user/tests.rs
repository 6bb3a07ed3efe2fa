//! Tests of the user's row.

use domain::text::Comment;
use proptest::prelude::*;

use super::*;
use crate::any_log::{Happening, Service, UserStep, happenings};
use crate::delivery_status::DeliveryRow;
use crate::delivery_status::DeliveryStatus;
use crate::test_log::{TestLog, assigned, at, contact, created, delivery, mission, user};
use crate::view_set::ViewSet;

fn row_in(set: &ViewSet, number: u128) -> Option<UserRow> {
    let answering = set.view(&User);
    let view = answering.read();
    super::user(&view.overlay(), user(number)).unwrap()
}

fn row(log: &TestLog, number: u128) -> UserRow {
    row_in(&log.folded(), number).unwrap()
}

fn deliveries_of(set: &ViewSet, number: u128) -> Vec<DeliveryRow> {
    let answering = set.view(&DeliveryStatus);
    let view = answering.read();
    let overlay = view.overlay();
    let all = (0..6).map(|n| crate::delivery_status::delivery(&overlay, delivery(n)).unwrap());
    all.flatten()
        .filter(|row| row.order.user == user(number))
        .collect()
}

proptest! {
    /// Law: what a user's row says of their deliveries is what these say themselves.
    #[test]
    fn the_derived_part_agrees_with_the_deliveries(happenings in happenings(150)) {
        let everybody = (0..3).map(|number| Happening::User(number, UserStep::Create));
        let all: Vec<Happening> = everybody.chain(happenings).collect();
        let set = Service::after(&all).log.folded();
        for number in 0..3 {
            let row = row_in(&set, number).unwrap();
            let deliveries = deliveries_of(&set, number);
            let live = || deliveries.iter().filter(|row| !row.status.is_terminal());
            let etas = live().filter_map(|row| row.eta.and_then(|eta| eta.dropoff_at));
            prop_assert_eq!(row.live_deliveries, live().count() as u64);
            prop_assert_eq!(row.next_eta, etas.min());
            prop_assert_eq!(row.action_required, deliveries.iter().any(|row| row.action_required));
        }
    }
}

#[test]
fn a_users_own_events_give_contact_status_and_sequence() {
    let mut log = TestLog::new();
    let created_at = log.clock();
    let reason = Comment::new("unpaid bills").unwrap();
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    log.user(user(1), [UserEvent::UserUpdated(contact("countess"))]);
    let updated_at = log.clock();
    log.user(user(1), [UserEvent::UserSuspended { reason }]);
    let row = row(&log, 1);
    assert_eq!(row.contact, contact("countess"));
    assert_eq!(row.status, UserStatus::Suspended);
    assert_eq!(row.sequence, StreamVersion::new(3));
    assert_eq!((row.created_at, row.updated_at), (created_at, updated_at));
    assert_eq!((row.live_deliveries, row.next_eta), (0, None));
}

#[test]
fn the_derived_position_moves_only_with_what_the_row_shows() {
    let mut log = TestLog::new();
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    let booked = log.delivery(
        delivery(1),
        user(1),
        [created(user(1)), DeliveryEvent::Scheduled],
    );
    assert_eq!(row(&log, 1).derived_position, booked);
    assert_eq!(row(&log, 1).live_deliveries, 1);

    let expected = log.delivery(
        delivery(1),
        user(1),
        [assigned(mission(1), 1, Some(at(60)))],
    );
    assert_eq!(row(&log, 1).derived_position, expected);
    assert_eq!(row(&log, 1).next_eta, Some(at(60)));

    let mission = mission(1);
    log.delivery(
        delivery(1),
        user(1),
        [DeliveryEvent::HeadedToPickup { mission }],
    );
    assert_eq!(row(&log, 1).derived_position, expected);
}

#[test]
fn deliveries_of_a_user_who_is_not_there_make_no_user() {
    let mut log = TestLog::new();
    log.delivery(delivery(1), user(1), [created(user(1))]);
    assert_eq!(row_in(&log.folded(), 1), None);
    log.user(user(1), [UserEvent::UserCreated(contact("ada"))]);
    assert_eq!(
        row(&log, 1).live_deliveries,
        1,
        "but they are counted once the user is there"
    );
}
