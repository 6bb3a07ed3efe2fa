//! A package is in one delivery that is not over, also in one whose life goes on after its end.

use uuid::Uuid;

use super::*;
use crate::delivery::{Ending, Reported, ReturnedTo, Status};

const OTHER: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(2));
const THIRD: DeliveryId = DeliveryId::from_uuid(Uuid::from_u128(3));

/// A delivery that was cancelled, and whose drone took the package all the same.
fn cancelled() -> (World, MissionId) {
    let mut world = World::new(SchedulingSettings::default());
    world.run();
    let (mission, _) = world.asked.last().copied().unwrap();
    world.assign(mission);
    assert!(world.cancel());
    world.end_mission(mission, Ending::StoodDown);
    world.run();
    assert!(world.has_ended() && !world.is_package_held);
    (world, mission)
}

fn shared_with(with: DeliveryId) -> Left {
    let delivery = world::DELIVERY;
    Left::SharedPackage { delivery, with }
}

#[test]
fn given_a_free_package_when_its_delivery_goes_on_after_its_end_then_it_is_kept_until_the_next_end()
{
    let (mut world, mission) = cancelled();
    world.load(mission);
    world.run();
    assert_eq!(world.status(), Status::Returning);
    assert!(world.is_package_held);
    assert_eq!(world.left(), []);
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    world.run();
    assert!(world.has_ended() && !world.is_package_held);
}

#[test]
fn given_a_package_that_another_delivery_took_when_its_own_goes_on_then_a_person_is_told_of_both_once()
 {
    let (mut world, mission) = cancelled();
    world.package_holder = Some(OTHER);
    world.load(mission);
    world.run();
    assert_eq!(world.status(), Status::Returning);
    assert!(!world.is_package_held);
    world.run();
    assert_eq!(world.left(), [shared_with(OTHER)]);
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    world.run();
    assert!(world.has_ended());
    assert_eq!(world.left(), [shared_with(OTHER)]);
}

#[test]
fn given_a_shared_package_when_the_other_delivery_is_over_then_it_is_kept_or_the_next_one_is_told()
{
    let (mut world, mission) = cancelled();
    world.package_holder = Some(OTHER);
    world.load(mission);
    world.run();
    let mut next = world.clone();
    world.package_holder = None;
    world.run();
    assert!(world.is_package_held);
    assert_eq!(world.left(), [shared_with(OTHER)]);

    next.package_holder = Some(THIRD);
    next.run();
    assert!(!next.is_package_held);
    assert_eq!(next.left(), [shared_with(OTHER), shared_with(THIRD)]);
}

#[test]
fn given_a_package_that_was_not_let_go_yet_when_its_delivery_goes_on_then_nothing_is_kept_anew() {
    let mut world = World::new(SchedulingSettings::default());
    world.run();
    let (mission, _) = world.asked.last().copied().unwrap();
    world.assign(mission);
    assert!(world.cancel());
    // Nobody looked at what belongs to its end before the drone had the package.
    world.end_mission(mission, Ending::StoodDown);
    world.load(mission);
    world.run();
    assert!(world.is_package_held);
    assert!(!world.written.contains(&OperationEvent::PackageKept));
}
