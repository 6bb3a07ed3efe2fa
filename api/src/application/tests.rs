//! The use cases, over the store in memory.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use domain::delivery::{
    CancelReason, Confirmation, DeliveryRejection, OnCancelAfterPickup, OnUndeliverable, Order,
    Package, PackageFlag, Place, Plan, Size, Status,
};
use domain::geo::GeoPoint;
use domain::id::{DeliveryId, ExternalId, OperationId, Tag, UserId};
use domain::quantity::MassG;
use domain::scheduling::{Outcome, Step};
use domain::stream::StreamName;
use domain::text::{Comment, Email, Name};
use domain::time::{DurationMs, Timestamp, Window};
use domain::translation::Thresholds;
use domain::user::Contact;
use eventstore::{EventStore, MemoryEventStore, Position};
use uuid::Uuid;

use super::deliveries::{BookingError, ChangeError, Stands};
use super::users::{Standing, UserError};
use super::*;
use crate::environment::Environment;

const NOW_US: i64 = 1_800_000_000_000_000;

/// An application on an empty store.
pub(crate) fn application() -> Application {
    application_on(Arc::new(MemoryEventStore::new(Uuid::nil())))
}

/// A newly started application: it remembers nothing.
pub(crate) fn application_on(store: Arc<dyn EventStore>) -> Application {
    Application::new(store, Environment::fixed(NOW_US), Thresholds::default())
}

/// The same, by ids that no application had which ran before it.
pub(crate) fn application_again(store: Arc<dyn EventStore>) -> Application {
    application_at(store, NOW_US)
}

/// One that was started then, and for which no time passes.
pub(crate) fn application_at(store: Arc<dyn EventStore>, now_us: i64) -> Application {
    // Nobody else has an id of it: what it commits is not what another did that ran before.
    let ids = || Environment::system().new_id();
    let environment = Environment::from_sources(move || now_us, || Duration::ZERO, ids);
    Application::new(store, environment, Thresholds::default())
}

pub(crate) fn contact(email: &str) -> Contact {
    Contact {
        name: Name::new("Ada").unwrap(),
        email: Email::new(email).unwrap(),
        phone: None,
        locale: None,
    }
}

/// What is printed on the package of a delivery, and on no other's.
pub(crate) fn tag_of(delivery: DeliveryId) -> Tag {
    Tag::new(format!("QR-{}", delivery.uuid())).unwrap()
}

pub(crate) fn order(user: UserId, delivery: DeliveryId) -> Order {
    let place = |lat, lon| Place {
        point: GeoPoint::from_degrees(lat, lon).unwrap(),
        address: None,
    };
    Order {
        user,
        external_id: None,
        plan: Plan {
            pickup: place(40.459, -79.782),
            dropoff: place(40.461, -79.779),
            pickup_window: None,
            deliver_by: None,
        },
        package: Package {
            id: None,
            tag: tag_of(delivery),
            size: Size::Small,
            mass: MassG::new(500).unwrap(),
            dimensions: None,
            flags: vec![PackageFlag::Fragile, PackageFlag::Cold],
        },
        confirmation: Confirmation::None,
        expedited: false,
        on_undeliverable: OnUndeliverable::Return,
        on_cancel_after_pickup: OnCancelAfterPickup::Return,
        metadata: Vec::new(),
    }
}

pub(crate) async fn user(application: &Application, number: u128) -> UserId {
    let id = UserId::from_uuid(Uuid::from_u128(number));
    let contact = contact(&format!("user-{number}@example.org"));
    application
        .create_user(request(), id, contact)
        .await
        .unwrap();
    id
}

pub(crate) async fn booked(application: &Application, number: u128) -> DeliveryId {
    let user = user(application, number).await;
    let id = DeliveryId::from_uuid(Uuid::from_u128(number));
    application
        .book(request(), id, order(user, id), false)
        .await
        .unwrap()
        .value
        .id
}

pub(crate) fn request() -> ClientRequest {
    // The tests' own requests are told apart by nothing else.
    Environment::system().new_id().into()
}

fn status(application: &Application, id: DeliveryId) -> Status {
    let delivery = application
        .loader()
        .load::<Option<domain::delivery::Delivery>>(StreamName::delivery(id));
    delivery.unwrap().state.unwrap().status()
}

fn rejection<T: std::fmt::Debug, R: std::fmt::Debug>(result: Result<T, TransactError<R>>) -> R {
    match result {
        Err(TransactError::Rejected(rejection)) => rejection,
        other => panic!("expected a rejection, found {other:?}"),
    }
}

#[tokio::test]
async fn given_a_user_when_a_delivery_is_booked_then_it_is_scheduled_in_one_commit() {
    let application = application();
    let id = booked(&application, 1).await;
    assert_eq!(status(&application, id), Status::Scheduled);
    // The user and the claim on the address; then the delivery, its operation, its package and
    // the claim on that one's tag, and what is asked of Drone Management.
    assert_eq!(application.head(), Position::new(2 + 5));
    let operation = application.operation(OperationId::of_booking(id)).unwrap();
    let (operation, _) = operation.unwrap();
    assert_eq!(operation.outcome(), Some(Outcome::Succeeded));
    assert_eq!(operation.step(), Some(Step::Assignment));
}

#[tokio::test]
async fn given_an_address_in_use_when_another_wants_it_then_it_is_refused_and_nothing_is_written() {
    let application = application();
    application
        .create_user(
            request(),
            UserId::from_uuid(Uuid::from_u128(1)),
            contact("ada@example.org"),
        )
        .await
        .unwrap();
    let head = application.head();
    let other = UserId::from_uuid(Uuid::from_u128(2));
    let refused = application
        .create_user(request(), other, contact("ADA@example.org"))
        .await;
    assert_eq!(rejection(refused), UserError::EmailTaken);
    assert_eq!(application.head(), head);
}

#[tokio::test]
async fn given_an_address_given_up_when_another_wants_it_then_it_is_theirs() {
    let application = application();
    let ada = user(&application, 1).await;
    let moved = |_: &Contact| Ok::<_, Infallible>(contact("elsewhere@example.org"));
    application
        .update_user(request(), ada, &Precondition::Sequence(vec![1]), moved)
        .await
        .unwrap();
    let bob = UserId::from_uuid(Uuid::from_u128(2));
    assert!(
        application
            .create_user(request(), bob, contact("user-1@example.org"))
            .await
            .is_ok()
    );
    assert!(
        application
            .create_user(
                request(),
                UserId::from_uuid(Uuid::from_u128(3)),
                contact("elsewhere@example.org")
            )
            .await
            .is_err()
    );
}

#[tokio::test]
async fn given_a_changed_user_when_an_older_sequence_is_expected_then_the_edit_is_refused() {
    let application = application();
    let ada = user(&application, 1).await;
    let moved = |_: &Contact| Ok::<_, Infallible>(contact("elsewhere@example.org"));
    application
        .update_user(request(), ada, &Precondition::Exists, moved)
        .await
        .unwrap();
    let late = application
        .update_user(request(), ada, &Precondition::Sequence(vec![1]), moved)
        .await;
    assert_eq!(rejection(late), UserError::Changed { sequence: 2 });
}

#[tokio::test]
async fn given_a_suspended_user_when_they_book_then_it_is_refused_until_they_are_reinstated() {
    let application = application();
    let ada = user(&application, 1).await;
    let why = Comment::new("unpaid").unwrap();
    let id = DeliveryId::from_uuid(Uuid::from_u128(9));
    let suspended = (Standing::Suspended, why.clone());
    application
        .change_standing(request(), ada, &Precondition::None, suspended)
        .await
        .unwrap();
    assert_eq!(
        rejection(application.book(request(), id, order(ada, id), false).await),
        BookingError::UserSuspended
    );
    let reinstated = (Standing::Reinstated, why);
    application
        .change_standing(request(), ada, &Precondition::None, reinstated)
        .await
        .unwrap();
    assert!(
        application
            .book(request(), id, order(ada, id), false)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn given_no_such_user_when_they_book_then_it_is_refused() {
    let application = application();
    let id = DeliveryId::from_uuid(Uuid::from_u128(9));
    let nobody = order(UserId::from_uuid(Uuid::from_u128(8)), id);
    assert_eq!(
        rejection(application.book(request(), id, nobody, false).await),
        BookingError::UnknownUser
    );
    assert_eq!(application.head(), Position::START);
}

#[tokio::test]
async fn given_an_external_id_when_it_comes_again_then_the_same_request_is_the_same_delivery() {
    let application = application();
    let ada = user(&application, 1).await;
    let order = Order {
        external_id: ExternalId::new("order-1").ok(),
        ..order(ada, DeliveryId::from_uuid(Uuid::from_u128(10)))
    };
    let book = |number, order| {
        application.book(
            request(),
            DeliveryId::from_uuid(Uuid::from_u128(number)),
            order,
            false,
        )
    };
    let first = book(10, order.clone()).await.unwrap().value;
    let again = book(11, order.clone()).await.unwrap().value;
    assert_eq!((again.id, again.existing), (first.id, true));
    let mut turned = order.clone();
    turned.package.flags.reverse();
    assert_eq!(book(13, turned).await.unwrap().value.id, first.id);
    let other = Order {
        confirmation: Confirmation::None,
        expedited: true,
        ..order
    };
    assert_eq!(
        rejection(book(12, other).await),
        BookingError::ExternalIdTaken { delivery: first.id }
    );
    let found = application.delivery_by_external_id(ada, &ExternalId::new("order-1").unwrap());
    assert_eq!(found, Ok(Some(first.id)));
}

#[tokio::test]
async fn given_no_drone_when_a_delivery_is_cancelled_then_it_is_cancelled_at_once_and_only_once() {
    let application = application();
    let id = booked(&application, 1).await;
    let cancel = || {
        application.cancel(
            request(),
            id,
            &Precondition::None,
            (CancelReason::Mistake, None),
        )
    };
    cancel().await.unwrap();
    assert_eq!(status(&application, id), Status::Cancelled);
    let head = application.head();
    cancel().await.unwrap();
    assert_eq!(application.head(), head);
}

#[tokio::test]
async fn given_a_window_in_the_past_when_it_is_rescheduled_then_it_is_refused() {
    let application = application();
    let id = booked(&application, 1).await;
    let at = |seconds: i64| Timestamp::from_micros(NOW_US + seconds * 1_000_000).unwrap();
    let window = |from, to| {
        move |plan: &Plan| {
            Ok::<_, Infallible>(Plan {
                pickup_window: Window::new(at(from), at(to)).ok(),
                ..plan.clone()
            })
        }
    };
    let past = application
        .reschedule(request(), id, &Precondition::Exists, window(-9, -1))
        .await;
    assert!(matches!(
        rejection(past),
        ChangeError::Rejected(DeliveryRejection::WindowInPast { .. })
    ));
    application
        .reschedule(request(), id, &Precondition::Exists, window(1, 9))
        .await
        .unwrap();
    let unknown = DeliveryId::from_uuid(Uuid::from_u128(99));
    let refused = application
        .reschedule(request(), unknown, &Precondition::None, window(1, 9))
        .await;
    assert_eq!(rejection(refused), ChangeError::Unknown);
}

#[tokio::test]
async fn given_a_booking_that_stands_when_it_is_called_off_then_it_goes_on() {
    let application = application();
    let id = booked(&application, 1).await;
    let head = application.head();
    let refused = application.call_off(request(), id).await;
    assert_eq!(rejection(refused), ChangeError::Invalid(Stands));
    assert_eq!(
        (application.head(), status(&application, id)),
        (head, Status::Scheduled)
    );
}

#[tokio::test]
async fn given_two_who_change_a_delivery_at_once_then_both_changes_are_made_one_after_the_other() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new(Uuid::nil()));
    let (one, other) = (application_on(Arc::clone(&store)), application_on(store));
    let id = booked(&one, 1).await;
    // Each remembers the delivery as it was before the other changed it.
    for (application, radius) in [(&one, 1), (&other, 2), (&one, 3)] {
        let moved = |plan: &Plan| {
            let point = GeoPoint::from_e7(400_000_000 + radius, 0).unwrap();
            Ok::<_, Infallible>(Plan {
                dropoff: Place {
                    point,
                    address: None,
                },
                ..plan.clone()
            })
        };
        application
            .reschedule(request(), id, &Precondition::None, moved)
            .await
            .unwrap();
    }
    let delivery = one
        .loader()
        .load::<Option<domain::delivery::Delivery>>(StreamName::delivery(id));
    assert_eq!(delivery.unwrap().state.unwrap().revision(), 3);
}

#[tokio::test]
async fn given_a_step_that_the_delivery_does_not_take_then_it_is_said_why_and_nothing_is_written_until_it_does()
 {
    let application = application();
    let id = DeliveryId::from_uuid(Uuid::from_u128(1));
    let now = application.now().unwrap();
    let second = |second| now.plus(DurationMs::from_seconds(second));
    let mut order = order(user(&application, 1).await, id);
    order.plan.deliver_by = Some(second(30));
    let booked = application.book(request(), id, order, false);
    booked.await.unwrap();
    let head = application.head();
    let look = |now, deadlines_to| Look {
        now,
        deadlines_to,
        claims: Claiming::Never,
        is_quota_used_up: false,
    };

    // A deadline that counts as over before the delivery sees that it is.
    let booking = OperationId::of_booking(id);
    let refused = application.look_at(booking, look(now, second(40))).await;
    let why = "nothing comes of it".to_owned();
    assert_eq!(refused.unwrap(), Advanced::Refused(why));
    assert_eq!(application.head(), head);

    let later = look(second(40), second(40));
    let taken = application.look_at(booking, later).await;
    assert_eq!(taken.unwrap(), Advanced::Waits);
    let delivery = application.delivery_state(id).unwrap().unwrap();
    assert!(delivery.is_deadline_missed());
}
