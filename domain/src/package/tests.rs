//! How a package behaves, in sentences and laws.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::arbitrary as any_of;
use crate::codec::StoredEvent;
use crate::delivery::{PackageFlag, Size};
use crate::id::Tag;
use crate::quantity::{DimensionsMm, MassG};
use crate::spec::{Given, given, lived};

const NOW: Timestamp = Timestamp::MIN;

const ONE: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(1));
const OTHER: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(2));

fn declared(tag: &str) -> Declaration {
    Declaration {
        tag: Tag::new(tag).unwrap(),
        size: Size::Small,
        mass: MassG::new(450).unwrap(),
        dimensions: None,
        flags: vec![PackageFlag::Fragile],
    }
}

fn register(tag: &str) -> PackageCommand {
    let declared = declared(tag);
    PackageCommand::Register { declared, now: NOW }
}

fn update(tag: &str) -> PackageCommand {
    let declared = declared(tag);
    PackageCommand::Update { declared, now: NOW }
}

fn reserve(delivery: DeliveryId) -> PackageCommand {
    reserve_as("QR-1", delivery)
}

fn reserve_as(tag: &str, delivery: DeliveryId) -> PackageCommand {
    PackageCommand::Reserve {
        delivery,
        declared: declared(tag),
        now: NOW,
    }
}

const fn release(delivery: DeliveryId) -> PackageCommand {
    PackageCommand::Release { delivery, now: NOW }
}

fn package() -> Given<Package> {
    given([]).after(register("QR-1"))
}

#[test]
fn a_package_is_registered_once() {
    let package = given::<Package>([])
        .when(register("QR-1"))
        .then_events([PackageEvent::PackageRegistered(declared("QR-1"))]);
    assert_eq!(package.state().unwrap().declared(), &declared("QR-1"));
    package.clone().when(register("QR-1")).then_nothing();
    package
        .when(register("QR-2"))
        .then_rejected(PackageRejection::AlreadyExists);
}

#[test]
fn a_free_package_is_declared_anew_and_the_same_changes_nothing() {
    let changed = package()
        .when(update("QR-2"))
        .then_events([PackageEvent::PackageUpdated(declared("QR-2"))]);
    assert_eq!(changed.state().unwrap().declared(), &declared("QR-2"));
    changed.when(update("QR-2")).then_nothing();
}

#[test]
fn a_package_is_in_one_delivery_at_a_time() {
    let reserved = package()
        .when(reserve(ONE))
        .then_events([PackageEvent::PackageReserved { delivery: ONE }]);
    assert_eq!(reserved.state().unwrap().reserved_for(), Some(ONE));
    reserved.clone().when(reserve(ONE)).then_nothing();
    reserved
        .clone()
        .when(reserve(OTHER))
        .then_rejected(PackageRejection::Reserved { delivery: ONE });
    // Only the delivery that has it lets it go.
    reserved.clone().when(release(OTHER)).then_nothing();
    let free = reserved
        .when(release(ONE))
        .then_events([PackageEvent::PackageReleased { delivery: ONE }]);
    free.clone().when(release(ONE)).then_nothing();
    free.when(reserve(OTHER))
        .then_events([PackageEvent::PackageReserved { delivery: OTHER }]);
}

#[test]
fn a_package_is_reserved_as_it_was_ordered_or_not_at_all() {
    let changed = package().after(update("QR-2"));
    changed
        .clone()
        .when(reserve(ONE))
        .then_rejected(PackageRejection::DeclaredOtherwise);
    changed
        .when(reserve_as("QR-2", ONE))
        .then_events([PackageEvent::PackageReserved { delivery: ONE }]);
}

#[test]
fn a_package_knows_when_it_was_registered_and_when_it_last_changed() {
    let at = |micros| Timestamp::from_micros(micros).unwrap();
    let package = given::<Package>([])
        .after(PackageCommand::Register {
            declared: declared("QR-1"),
            now: at(1),
        })
        .after(PackageCommand::Reserve {
            delivery: ONE,
            declared: declared("QR-1"),
            now: at(2),
        });
    let package = package.state().unwrap();
    assert_eq!(
        (package.registered_at(), package.changed_at()),
        (at(1), at(2))
    );
}

#[test]
fn a_reserved_package_is_not_declared_anew() {
    let reserved = package().after(reserve(ONE));
    reserved
        .clone()
        .when(update("QR-2"))
        .then_rejected(PackageRejection::Reserved { delivery: ONE });
    // To say what was said already asks for no change.
    reserved.clone().when(update("QR-1")).then_nothing();
    reserved
        .after(release(ONE))
        .when(update("QR-2"))
        .then_events([PackageEvent::PackageUpdated(declared("QR-2"))]);
}

#[test]
fn nothing_is_done_with_a_package_that_was_never_registered() {
    for command in [update("QR-1"), reserve(ONE), release(ONE)] {
        given::<Package>([])
            .when(command)
            .then_rejected(PackageRejection::Unknown);
    }
}

#[test]
fn what_an_order_says_of_a_package_is_what_was_declared_of_it() {
    let declared = Declaration {
        flags: vec![PackageFlag::Cold, PackageFlag::Fragile],
        ..declared("QR-1")
    };
    let ordered = declared.to_order(None);
    assert_eq!(Declaration::of_order(&ordered), declared.in_stored_order());
}

fn any_delivery() -> impl Strategy<Value = DeliveryId> {
    (1..=3_u128).prop_map(|n| DeliveryId::from_uuid(Uuid::from_u128(n)))
}

/// Few enough to meet again, and any that can be stored.
fn any_declaration() -> impl Strategy<Value = Declaration> {
    let any = (
        any_of::tag(),
        any_of::word(Size::ALL),
        any_of::mass(),
        prop::option::of(
            prop::array::uniform3(1..=DimensionsMm::MAX)
                .prop_map(|sides| DimensionsMm::new(sides).unwrap()),
        ),
        prop::collection::btree_set(any_of::word(PackageFlag::ALL), 0..4),
    )
        .prop_map(|(tag, size, mass, dimensions, flags)| Declaration {
            tag,
            size,
            mass,
            dimensions,
            flags: flags.into_iter().collect(),
        });
    prop_oneof![Just(declared("QR-1")), Just(declared("QR-2")), any]
}

fn any_event() -> impl Strategy<Value = PackageEvent> {
    prop_oneof![
        any_declaration().prop_map(PackageEvent::PackageRegistered),
        any_declaration().prop_map(PackageEvent::PackageUpdated),
        any_delivery().prop_map(|delivery| PackageEvent::PackageReserved { delivery }),
        any_delivery().prop_map(|delivery| PackageEvent::PackageReleased { delivery }),
    ]
}

fn any_command() -> impl Strategy<Value = PackageCommand> {
    prop_oneof![
        (any_declaration(), any_of::time())
            .prop_map(|(declared, now)| PackageCommand::Register { declared, now }),
        (any_declaration(), any_of::time())
            .prop_map(|(declared, now)| PackageCommand::Update { declared, now }),
        (any_delivery(), any_declaration(), any_of::time()).prop_map(
            |(delivery, declared, now)| PackageCommand::Reserve {
                delivery,
                declared,
                now
            }
        ),
        (any_delivery(), any_of::time())
            .prop_map(|(delivery, now)| PackageCommand::Release { delivery, now }),
    ]
}

proptest! {
    #[test]
    fn the_laws_of_a_decider_hold(life in prop::collection::vec(any_command(), 0..20)) {
        let _ = lived::<Package>(&life);
    }

    #[test]
    fn whoever_has_a_package_keeps_it_until_they_let_it_go(
        life in prop::collection::vec(any_command(), 0..30),
    ) {
        let mut holder = None;
        for occurrence in lived::<Package>(&life) {
            match occurrence.event {
                PackageEvent::PackageReserved { delivery } => {
                    prop_assert_eq!(holder.replace(delivery), None);
                }
                PackageEvent::PackageReleased { delivery } => {
                    prop_assert_eq!(holder.take(), Some(delivery));
                }
                PackageEvent::PackageUpdated(_) => prop_assert_eq!(holder, None),
                PackageEvent::PackageRegistered(_) => {}
            }
        }
    }

    #[test]
    fn any_events_fold_in_parts_as_they_fold_at_once(
        all in prop::collection::vec((any_event(), any_of::time()), 0..20),
        cut in 0..20_usize,
    ) {
        let all: Vec<_> = all.into_iter().map(|(event, at)| Occurrence::new(event, at)).collect();
        let (a, b) = all.split_at(cut.min(all.len()));
        prop_assert_eq!(Package::fold(&all), Package::fold_from(Package::fold(a), b));
    }

    #[test]
    fn what_is_stored_is_read_back(event in any_event()) {
        let stored = event.encode();
        prop_assert_eq!(PackageEvent::decode(stored.event_type, stored.schema, &stored.payload), Ok(event));
    }
}
