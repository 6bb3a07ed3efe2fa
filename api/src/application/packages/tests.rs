//! Packages, as another use case keeps them and lets them go.

use std::convert::Infallible;

use domain::actor::{Actor, ActorKind};
use domain::delivery::{Assignment, Delivery, DeliveryEvent, PackageFlag};
use domain::id::{MissionId, OperationId, UserId};
use domain::quantity::MassG;
use domain::scheduling::{Operation, OperationEvent, OperationKind, Step};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::*;
use crate::application::tests::{application, order};
use crate::application::{Advanced, Application, Claiming, Done, Failure, Look, Request};

const ONE: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(1));
const OTHER: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(2));

/// The package of an order, not registered.
fn described() -> OrderedPackage {
    order(UserId::from_uuid(Uuid::nil()), ONE).package
}

fn request(application: &Application) -> Request {
    Request::of_client(
        application.environment().new_id(),
        Actor::unnamed(ActorKind::System),
    )
}

async fn keep(
    application: &Application,
    package: &OrderedPackage,
    delivery: DeliveryId,
) -> Result<Done<()>, TransactError<ReservationRefusal>> {
    let now = application.now().unwrap();
    let decide = |draft: &mut Draft<'_>| reserve(draft, package, delivery, now);
    application.transact(&request(application), decide).await
}

async fn let_go(application: &Application, package: &OrderedPackage, delivery: DeliveryId) {
    let now = application.now().unwrap();
    let decide = |draft: &mut Draft<'_>| {
        release(draft, package, delivery, now)
            .map_err(|error| TransactError::<Infallible>::Failed(Failure::Load(error)))
    };
    application
        .transact(&request(application), decide)
        .await
        .unwrap();
}

/// Registers what is described under an id of its own.
async fn registered(application: &Application) -> OrderedPackage {
    let declared = Declaration::of_order(&described());
    let id = PackageId::from_uuid(application.environment().new_id());
    decided(
        application,
        id,
        PackageCommand::Register {
            declared: declared.clone(),
            now: application.now().unwrap(),
        },
    )
    .await;
    declared.to_order(Some(id))
}

async fn decided(application: &Application, id: PackageId, command: PackageCommand) {
    application
        .transact(&request(application), |draft| {
            let mut package = draft.load::<Option<Package>>(StreamName::package(id))?;
            let events = Package::decide(&command, &package.state)
                .map_err(TransactError::<PackageRejection>::Rejected)?;
            draft.record(&mut package, None, None, &events);
            Ok(())
        })
        .await
        .unwrap();
}

fn holder(application: &Application, package: &OrderedPackage, delivery: DeliveryId) -> Holders {
    let loader = application.loader();
    let name = StreamName::package(package_of(package, delivery));
    let registered = loader.load::<Option<Package>>(name).unwrap().state;
    let tag = loader.load::<Option<DeliveryId>>(StreamName::tag_claim(&package.tag));
    Holders {
        package: registered.and_then(|package| package.reserved_for()),
        tag: tag.unwrap().state,
    }
}

/// Who has a package and the tag on it.
#[derive(Debug, PartialEq)]
struct Holders {
    package: Option<DeliveryId>,
    tag: Option<DeliveryId>,
}

const FREE: Holders = Holders {
    package: None,
    tag: None,
};

const fn of(delivery: DeliveryId) -> Holders {
    Holders {
        package: Some(delivery),
        tag: Some(delivery),
    }
}

#[tokio::test]
async fn given_a_described_package_when_it_is_kept_then_it_is_registered_on_the_way_and_once() {
    let application = application();
    let package = described();
    keep(&application, &package, ONE).await.unwrap();
    assert_eq!(holder(&application, &package, ONE), of(ONE));
    let head = application.head();
    keep(&application, &package, ONE).await.unwrap();
    assert_eq!(application.head(), head);
    let_go(&application, &package, ONE).await;
    assert_eq!(holder(&application, &package, ONE), FREE);
    let head = application.head();
    let_go(&application, &package, ONE).await;
    assert_eq!(application.head(), head);
}

#[tokio::test]
async fn given_a_tag_under_way_when_another_delivery_wants_it_then_it_waits_for_the_end() {
    let application = application();
    let package = described();
    keep(&application, &package, ONE).await.unwrap();
    let head = application.head();
    let refused = keep(&application, &package, OTHER).await.unwrap_err();
    let in_use = ReservationRefusal::TagInUse { by: ONE };
    assert_eq!(refused, TransactError::Rejected(in_use));
    // Whoever does not have it lets nothing go.
    let_go(&application, &package, OTHER).await;
    assert_eq!(application.head(), head, "a refusal wrote something");
    let_go(&application, &package, ONE).await;
    keep(&application, &package, OTHER).await.unwrap();
    assert_eq!(holder(&application, &package, OTHER), of(OTHER));
}

#[tokio::test]
async fn given_a_registered_package_when_it_is_ordered_then_only_as_it_was_declared() {
    let application = application();
    let package = registered(&application).await;
    let heavier = OrderedPackage {
        mass: MassG::new(501).unwrap(),
        ..package.clone()
    };
    let refused = keep(&application, &heavier, ONE).await.unwrap_err();
    let otherwise = ReservationRefusal::DeclaredOtherwise;
    assert_eq!(refused, TransactError::Rejected(otherwise));
    let turned = OrderedPackage {
        flags: vec![PackageFlag::Cold, PackageFlag::Fragile, PackageFlag::Cold],
        ..package.clone()
    };
    keep(&application, &turned, ONE).await.unwrap();
    let refused = keep(&application, &package, OTHER).await.unwrap_err();
    let reserved = ReservationRefusal::PackageReserved { by: ONE };
    assert_eq!(refused, TransactError::Rejected(reserved));
}

#[tokio::test]
async fn given_no_such_package_when_it_is_ordered_then_it_is_refused_and_letting_it_go_is_nothing()
{
    let application = application();
    let nowhere = OrderedPackage {
        id: Some(PackageId::from_uuid(Uuid::from_u128(9))),
        ..described()
    };
    let refused = keep(&application, &nowhere, ONE).await.unwrap_err();
    let unknown = ReservationRefusal::Unknown;
    assert_eq!(refused, TransactError::Rejected(unknown));
    let_go(&application, &nowhere, ONE).await;
    assert_eq!(application.head(), eventstore::Position::START);
}

#[tokio::test]
async fn given_two_who_want_a_tag_at_once_then_one_gets_it() {
    let application = application();
    let package = described();
    let (one, other) = tokio::join!(
        keep(&application, &package, ONE),
        keep(&application, &package, OTHER)
    );
    assert_eq!(
        usize::from(one.is_ok()) + usize::from(other.is_ok()),
        1,
        "{one:?}, {other:?}"
    );
}

#[tokio::test]
async fn given_a_package_that_was_let_go_and_declared_otherwise_then_it_is_kept_again_as_it_is() {
    let application = application();
    let package = registered(&application).await;
    keep(&application, &package, ONE).await.unwrap();
    let_go(&application, &package, ONE).await;
    let heavier = Declaration {
        mass: MassG::new(501).unwrap(),
        ..Declaration::of_order(&package)
    };
    let now = application.now().unwrap();
    let update = PackageCommand::Update {
        declared: heavier,
        now,
    };
    decided(&application, package.id.unwrap(), update).await;
    keep_again(&application, &package, ONE).await.unwrap();
    assert_eq!(holder(&application, &package, ONE), of(ONE));
    let head = application.head();
    keep_again(&application, &package, ONE).await.unwrap();
    assert_eq!(application.head(), head, "it had it already");
}

#[tokio::test]
async fn given_a_tag_that_another_delivery_took_then_nothing_is_kept_again_and_that_one_is_named() {
    let application = application();
    let package = described();
    keep(&application, &package, ONE).await.unwrap();
    let_go(&application, &package, ONE).await;
    assert_eq!(other_than(&application, &package, ONE).await, None);
    keep(&application, &package, OTHER).await.unwrap();
    let head = application.head();
    let refused = keep_again(&application, &package, ONE).await.unwrap_err();
    let in_use = ReservationRefusal::TagInUse { by: OTHER };
    assert_eq!(refused, TransactError::Rejected(in_use));
    assert_eq!(application.head(), head, "a refusal wrote something");
    assert_eq!(other_than(&application, &package, ONE).await, Some(OTHER));
    assert_eq!(other_than(&application, &package, OTHER).await, None);
}

async fn keep_again(
    application: &Application,
    package: &OrderedPackage,
    delivery: DeliveryId,
) -> Result<Done<()>, TransactError<ReservationRefusal>> {
    let now = application.now().unwrap();
    let decide = |draft: &mut Draft<'_>| reserve_again(draft, package, delivery, now);
    application.transact(&request(application), decide).await
}

async fn other_than(
    application: &Application,
    package: &OrderedPackage,
    delivery: DeliveryId,
) -> Option<DeliveryId> {
    let decide = |draft: &mut Draft<'_>| {
        other_holder(draft, package, delivery)
            .map_err(|error| TransactError::<Infallible>::Failed(Failure::Load(error)))
    };
    let looked = application.transact(&request(application), decide).await;
    looked.unwrap().value
}

/// A delivery that a drone fetches, by a log in which its package was let go and never kept.
async fn fetched_after_its_package_was_let_go(application: &Application) -> OperationId {
    let (now, user) = (application.now().unwrap(), UserId::from_uuid(Uuid::nil()));
    let booking = OperationId::of_booking(ONE);
    let assigned = DeliveryEvent::DroneAssigned(Assignment {
        mission: MissionId::from_uuid(Uuid::from_u128(3)),
        fleet: "pgh".parse().unwrap(),
        drone: "M100-07".parse().unwrap(),
        epoch: 1,
        eta_pickup: None,
        eta_dropoff: None,
    });
    let created = DeliveryEvent::Created(Box::new(order(user, ONE)));
    let of_delivery = [created, DeliveryEvent::Scheduled, assigned];
    let started = OperationEvent::OperationStarted {
        kind: OperationKind::Schedule,
        delivery: ONE,
        user,
        sequence: 2,
    };
    let passed = |step| OperationEvent::StepPassed { step };
    let of_booking = [
        started,
        passed(Step::User),
        passed(Step::Package),
        OperationEvent::PackageFreed,
    ];
    let at_once = |event| Occurrence::new(event, now);
    let of_delivery = of_delivery.map(at_once);
    let of_booking = of_booking.map(|event| Occurrence::new(event, now));
    let request = request(application);
    let written = application.transact(&request, |draft| {
        let mut delivery = draft.load::<Option<Delivery>>(StreamName::delivery(ONE))?;
        draft.record(&mut delivery, None, None, &of_delivery);
        let mut operation = draft.load::<Option<Operation>>(StreamName::operation(booking))?;
        draft.record(&mut operation, None, None, &of_booking);
        Ok::<_, TransactError<Infallible>>(())
    });
    written.await.unwrap();
    booking
}

#[tokio::test]
async fn given_a_package_that_is_not_there_to_be_kept_again_then_it_is_said_and_not_tried_for_ever()
{
    let application = application();
    let booking = fetched_after_its_package_was_let_go(&application).await;
    let head = application.head();
    let now = application.now().unwrap();
    let look = Look {
        now,
        deadlines_to: now,
        claims: Claiming::Never,
        is_quota_used_up: false,
    };
    let looked = application.look_at(booking, look).await;
    let why = ReservationRefusal::Unknown.to_string();
    assert_eq!(looked, Ok(Advanced::Refused(why)));
    assert_eq!(application.head(), head);
}

#[tokio::test]
async fn what_is_refused_for_what_came_between_two_looks_is_decided_once_more() {
    let (application, package) = (application(), described());
    let now = application.now().unwrap();
    let mut looks = 0;
    let decide = |draft: &mut Draft<'_>| {
        looks += 1;
        let claim = StreamName::tag_claim(&package.tag);
        let is_own = draft.load::<Option<DeliveryId>>(claim)?.state == Some(ONE);
        if looks == 1 {
            // The first attempt of this request, which was given up for lost.
            let first = keep(&application, &package, ONE).now_or_never();
            assert!(first.expect("memory is quick").is_ok());
        }
        if is_own {
            return Ok(());
        }
        reserve(draft, &package, OTHER, now)
    };
    let done = application.transact(&request(&application), decide).await;
    assert!(done.is_ok(), "{done:?}");
    assert_eq!(looks, 2);
}
