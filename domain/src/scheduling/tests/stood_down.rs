//! Who is asked to end a mission, why and how often, and that nobody waits for it any more.

use super::drones::{missions, needs_somebody, scheduled, under_way};
use super::*;
use crate::delivery::{Ending, LoadVerdict, OnCancelAfterPickup, Reported, Status};
use crate::time::Window;

const CANCELLED: StandDownReason = StandDownReason::Cancelled;
const REPLANNED: StandDownReason = StandDownReason::Replanned;
const NOT_WANTED: StandDownReason = StandDownReason::NotWanted;
const RETURN_REQUESTED: StandDownReason = StandDownReason::ReturnRequested;

/// Why a mission was asked to end, in order.
fn reasons(world: &World, mission: MissionId) -> Vec<StandDownReason> {
    let asked = world.stood_down.iter().filter(|it| it.0 == mission);
    asked.map(|(_, reason)| *reason).collect()
}

fn tomorrow(world: &mut World) {
    let window = Window::new(at(90_000), at(93_600));
    assert!(world.reschedule(|plan| plan.pickup_window = window.ok()));
}

#[test]
fn given_a_plan_that_is_changed_and_changed_back_then_another_mission_is_asked_for() {
    let mut world = scheduled();
    let first = world.asked[0].0;
    for second in [60, 120] {
        world.pass_to(at(second));
    }
    tomorrow(&mut world);
    world.run();
    assert_eq!(reasons(&world, first), [REPLANNED]);
    world.reschedule(|plan| plan.pickup_window = None);
    assert_eq!(world.run(), Some(at(180)));
    let (second, ask) = *world.asked.last().unwrap();
    assert!(second != first && ask == 1, "the asks begin anew");
    world.pass_to(at(180));
    assert_eq!(world.asked.last(), Some(&(second, 2)));
    assert_eq!(missions(&world).len(), 5);
}

#[test]
fn given_a_plan_that_is_changed_and_changed_back_unseen_then_the_mission_is_waited_for() {
    let mut world = scheduled();
    let first = world.asked[0].0;
    tomorrow(&mut world);
    world.reschedule(|plan| plan.pickup_window = None);
    assert_eq!(world.run(), Some(at(60)));
    assert_eq!((missions(&world), world.stood_down.len()), (vec![first], 0));
}

/// A package that an operator found at a hub, from where three drones refused to bring it, and the
/// missions that were asked for.
fn refused_at_hub() -> (World, Vec<MissionId>) {
    let (mut world, mission) = under_way();
    world.end_mission(mission, Ending::Crashed);
    assert!(world.find_at_hub());
    world.run();
    for _ in 0..3 {
        let (mission, _) = *world.asked.last().unwrap();
        world.refuse(mission);
        world.run();
    }
    assert_eq!((world.status(), world.asked.len()), (Status::AtHub, 4));
    assert!(needs_somebody(&world));
    let asked = missions(&world);
    (world, asked)
}

#[test]
fn given_a_life_that_goes_on_when_a_drone_is_asked_for_then_the_asks_begin_anew_under_other_ids() {
    for is_seen in [true, false] {
        let (mut world, before) = refused_at_hub();
        assert!(world.give_up());
        if is_seen {
            world.run();
        }
        assert_eq!(world.has_ended(), is_seen);
        assert!(world.find_at_hub());
        assert_eq!(world.run(), Some(at(60)));
        let asked = world.asked.split_off(4);
        let (mission, ask) = asked[0];
        assert_eq!((asked.len(), ask), (1, 1), "the end was seen: {is_seen}");
        assert!(!before.contains(&mission), "the end was seen: {is_seen}");
    }
}

#[test]
fn given_a_life_that_goes_on_when_a_mission_of_the_one_before_is_open_then_it_is_stood_down() {
    let (mut world, mission) = under_way();
    world.end_mission(mission, Ending::Crashed);
    assert!(world.find_at_hub());
    world.run();
    let (open, _) = world.asked[1];
    assert!(world.give_up());
    assert!(world.find_at_hub());
    world.run();
    assert_eq!(reasons(&world, open), [NOT_WANTED]);
    let (mission, ask) = world.asked[2];
    assert!(mission != open && ask == 1);
    assert_eq!(world.asked.len(), 3);
}

#[test]
fn given_a_package_on_board_then_only_another_drop_off_turns_its_drone_round() {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    tomorrow(&mut world);
    world.assign(mission);
    world.run();
    assert_eq!(reasons(&world, mission), [REPLANNED]);
    // It took the package all the same, and brings it where it is wanted.
    world.load(mission);
    for second in [60, 120, 180] {
        world.pass_to(at(second));
    }
    assert_eq!(reasons(&world, mission), [REPLANNED]);
    assert!(!needs_somebody(&world));
}

#[test]
fn given_a_drone_that_was_replanned_when_it_is_cancelled_then_it_is_told_so_and_asked_as_often() {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.reschedule(|plan| plan.dropoff = plan.pickup.clone());
    world.assign(mission);
    world.run();
    assert!(world.cancel());
    assert_eq!(world.run(), Some(at(60)));
    assert_eq!(reasons(&world, mission), [REPLANNED, CANCELLED]);
    for (second, times) in [(60, 2), (120, 3), (180, 3)] {
        assert!(!needs_somebody(&world));
        world.pass_to(at(second));
        assert_eq!(reasons(&world, mission)[1..], vec![CANCELLED; times]);
    }
    assert!(needs_somebody(&world));
}

#[test]
fn given_a_cancellation_that_came_too_late_when_the_package_is_wanted_back_then_its_drone_is_told()
{
    let mut order = crate::delivery::tests::order();
    order.on_cancel_after_pickup = OnCancelAfterPickup::Continue;
    let mut world = World::ordering(order, SchedulingSettings::default());
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.cancel();
    world.load(mission);
    assert_eq!(world.run(), None, "it brings it, as was ordered");
    let now = world.now;
    assert!(world.command(&DeliveryCommand::RequestReturn { now }));
    world.pass_to(at(60));
    assert_eq!(
        reasons(&world, mission),
        [CANCELLED, RETURN_REQUESTED, RETURN_REQUESTED]
    );
}

#[test]
fn given_a_drone_that_was_asked_to_end_as_often_as_anybody_then_a_person_looks_at_once() {
    let settings = SchedulingSettings {
        asks_max: u8::MAX,
        ..SchedulingSettings::default()
    };
    let mut world = World::new(settings);
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.cancel();
    for minute in 1..=10 {
        assert!(!needs_somebody(&world));
        world.pass_to(at(minute * 60));
    }
    assert_eq!(reasons(&world, mission).len(), 10);
    assert!(needs_somebody(&world));
}

/// A mission that was stood down before any drone had it, and then is given one all the same.
fn crossed() -> (World, MissionId) {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.reschedule(|plan| plan.dropoff = plan.pickup.clone());
    world.run();
    assert_eq!(reasons(&world, mission), [REPLANNED]);
    world.now = at(10);
    world.assign(mission);
    (world, mission)
}

#[test]
fn given_a_mission_that_was_stood_down_when_it_is_assigned_then_that_is_asked_again_at_once() {
    let (mut world, mission) = crossed();
    assert_eq!(reasons(&world, mission), [REPLANNED; 2]);
    assert_eq!(world.run(), Some(at(70)));
    assert_eq!(reasons(&world, mission), [REPLANNED; 2]);
    let own = MissionId::from_uuid(uuid::Uuid::from_u128(99));
    world.end_mission(mission, Ending::StoodDown);
    world.assign(own);
    assert_eq!(reasons(&world, own), [], "it was never to be ended");
}

#[test]
fn given_a_mission_that_was_not_wanted_when_it_is_assigned_then_that_is_asked_again_each_time() {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    assert!(world.cancel());
    world.run();
    assert_eq!(reasons(&world, mission), [NOT_WANTED]);
    world.assign(mission);
    assert_eq!(world.status(), Status::Cancelled);
    assert_eq!(reasons(&world, mission), [NOT_WANTED; 2]);
    for _ in 0..20 {
        world.assign(mission);
    }
    assert_eq!(reasons(&world, mission), [NOT_WANTED; 10]);
}

#[test]
fn given_a_package_that_is_picked_up_though_cancelled_then_its_drone_has_to_say_that_it_turns_round()
 {
    let returning = || {
        let mut world = scheduled();
        let mission = world.asked[0].0;
        world.assign(mission);
        world.cancel();
        world.load(mission);
        assert_eq!(world.status(), Status::Returning);
        assert_eq!(world.run(), Some(at(60)));
        (world, mission)
    };
    insisted(returning);
}

#[test]
fn given_a_drone_that_was_told_in_vain_when_it_has_the_package_then_it_is_asked_anew_to_bring_it_back()
 {
    for is_cancelled in [false, true] {
        let mut world = scheduled();
        let mission = world.asked[0].0;
        world.assign(mission);
        world.cancel();
        for second in [60, 120, 180] {
            world.pass_to(at(second));
        }
        assert_eq!(reasons(&world, mission), [CANCELLED; 3]);
        assert!(needs_somebody(&world));
        if is_cancelled {
            world.end_mission(mission, Ending::StoodDown);
            world.run();
            assert_eq!(world.status(), Status::Cancelled);
        }
        world.load(mission);
        assert_eq!(world.status(), Status::Returning);
        for (second, times) in [(180, 1), (240, 2), (300, 3), (360, 3)] {
            assert!(!needs_somebody(&world), "cancelled: {is_cancelled}");
            world.pass_to(at(second));
            assert_eq!(
                reasons(&world, mission)[3..],
                vec![RETURN_REQUESTED; times],
                "cancelled: {is_cancelled}"
            );
        }
        assert!(needs_somebody(&world));
    }
}

#[test]
fn given_a_package_that_is_picked_up_after_the_end_then_its_drone_has_to_say_that_it_turns_round() {
    let reopened = || {
        let mut world = scheduled();
        let mission = world.asked[0].0;
        world.assign(mission);
        world.cancel();
        world.end_mission(mission, Ending::StoodDown);
        world.run();
        assert_eq!(world.status(), Status::Cancelled);
        world.load(mission);
        assert_eq!(world.status(), Status::Returning);
        assert_eq!(world.run(), Some(at(60)));
        (world, mission)
    };
    insisted(reopened);
}

/// Its drone was told once that the delivery is cancelled, and that the package is wanted back
/// when it said that it has it.
fn insisted(returning: impl Fn() -> (World, MissionId)) {
    let (mut world, mission) = returning();
    for (second, times) in [(0, 1), (60, 2), (120, 3), (180, 3)] {
        assert!(!needs_somebody(&world));
        world.pass_to(at(second));
        assert_eq!(reasons(&world, mission)[0], CANCELLED);
        assert_eq!(reasons(&world, mission)[1..], vec![RETURN_REQUESTED; times]);
    }
    assert!(needs_somebody(&world));
    world.report(mission, Reported::DepartedToReturn);
    assert_eq!(world.run(), None);
    assert!(!needs_somebody(&world));

    let (mut world, mission) = returning();
    world.report(mission, Reported::DepartedToReturn);
    assert_eq!(world.pass_to(at(60)), None);
    assert_eq!(reasons(&world, mission), [CANCELLED, RETURN_REQUESTED]);
}

#[test]
fn given_a_package_that_is_picked_up_by_a_drone_that_was_never_told_then_it_is_told() {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.end_mission(mission, Ending::Aborted);
    world.cancel();
    assert_eq!(reasons(&world, mission), []);
    world.load(mission);
    assert_eq!(world.status(), Status::Returning);
    assert_eq!(reasons(&world, mission), [RETURN_REQUESTED]);
}

#[test]
fn given_a_drone_under_way_when_a_persons_word_ends_its_delivery_then_it_is_stood_down() {
    let reason = || "they called".parse().unwrap();
    let hand_back = |now| DeliveryCommand::HandBack {
        reason: reason(),
        now,
    };
    let vouch = |now| DeliveryCommand::Vouch {
        reason: reason(),
        now,
    };
    let words: [&dyn Fn(Timestamp) -> DeliveryCommand; 2] = [&hand_back, &vouch];
    for word in words {
        let (mut world, mission) = under_way();
        assert!(world.command(&word(world.now)));
        assert_eq!(reasons(&world, mission), [NOT_WANTED]);
        world.run();
        assert!(world.has_ended());
    }

    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.cancel();
    for second in [60, 120, 180] {
        world.pass_to(at(second));
    }
    assert!(world.give_up());
    assert_eq!(world.status(), Status::Cancelled);
    assert_eq!(
        reasons(&world, mission),
        [CANCELLED, CANCELLED, CANCELLED, NOT_WANTED]
    );
}

#[test]
fn given_a_package_that_is_kept_at_a_hub_when_its_drone_never_comes_then_it_is_kept_still() {
    let (mut world, mission) = under_way();
    world.end_mission(mission, Ending::Crashed);
    assert!(world.find_at_hub());
    world.run();
    let second = world.asked[1].0;
    world.assign(second);
    world.end_mission(second, Ending::Aborted);
    for minute in 0..4 {
        world.pass_to(at(minute * 60));
    }
    assert_eq!((world.status(), world.asked.len()), (Status::AtHub, 5));
    assert!(needs_somebody(&world));
}

#[test]
fn given_a_bad_package_that_is_told_late_then_its_drone_has_to_say_that_it_turns_round() {
    let (mut world, mission) = under_way();
    let verdict = LoadVerdict::WrongPackage;
    let loaded = Reported::Loaded {
        verdict,
        tag: None,
        mass: None,
    };
    world.report(mission, loaded);
    assert_eq!(world.status(), Status::Returning);
    for (second, times) in [(0, 1), (60, 2), (120, 3), (180, 3)] {
        assert!(!needs_somebody(&world));
        world.pass_to(at(second));
        let failed = StandDownReason::AttemptFailed;
        assert_eq!(reasons(&world, mission), vec![failed; times]);
    }
    assert!(needs_somebody(&world));
    world.end_mission(mission, Ending::StoodDown);
    world.run();
    assert!(!needs_somebody(&world));
}
