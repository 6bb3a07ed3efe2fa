//! How a delivery finds a drone, loses it, and finds another.

use super::*;
use crate::delivery::{
    Condition, Confirmation, Ending, Failure, HubPlace, Nearness, OnUndeliverable, Phase,
    ReleaseMethod, Reported, ReturnedTo, Status,
};
use crate::quantity::DistanceM;
use crate::time::Window;

pub(super) fn scheduled() -> World {
    let mut world = World::new(SchedulingSettings::default());
    world.run();
    world
}

pub(super) fn missions(world: &World) -> Vec<MissionId> {
    world.asked.iter().map(|(mission, _)| *mission).collect()
}

#[test]
fn a_drone_is_asked_for_ten_minutes_before_the_window() {
    let mut order = crate::delivery::tests::order();
    order.plan.pickup_window = Some(Window::new(at(3_600), at(7_200)).unwrap());
    let mut world = World::ordering(order, SchedulingSettings::default());
    assert_eq!(world.run(), Some(at(3_000)));
    assert_eq!(world.asked, []);
    world.pass_to(at(3_000));
    assert_eq!(world.asked.len(), 1);
}

#[test]
fn silence_is_asked_again_for_the_same_mission_and_three_times_at_most() {
    let mut world = scheduled();
    for second in [60, 120] {
        world.pass_to(at(second));
    }
    let first = world.asked[0].0;
    assert_eq!(world.asked, [(first, 1), (first, 2), (first, 3)]);
    world.pass_to(at(180));
    assert_eq!(
        world.delivery.as_ref().unwrap().phase(),
        Phase::Rejected(RejectReason::NoDrone)
    );
    assert_eq!(world.stood_down, [(first, StandDownReason::NotWanted)]);
    assert!(!world.is_package_held && world.has_ended());
    assert_eq!(world.outcome(), Some(Outcome::Succeeded), "it was booked");
}

#[test]
fn what_is_refused_is_not_asked_for_again_but_another_mission() {
    let mut world = scheduled();
    for _ in 0..2 {
        let (mission, _) = *world.asked.last().unwrap();
        world.refuse(mission);
        world.run();
    }
    let asked = missions(&world);
    assert_eq!(asked.len(), 3);
    assert!(asked[0] != asked[1] && asked[1] != asked[2] && asked[0] != asked[2]);
    world.refuse(asked[2]);
    world.run();
    assert_eq!(world.status(), Status::Rejected);
    assert_eq!(world.stood_down, [], "there is nobody to stand down");
}

#[test]
fn a_mission_that_was_asked_for_by_another_plan_is_stood_down_and_asked_for_anew() {
    let mut world = scheduled();
    let first = world.asked[0].0;
    // Silence so far is no answer to what is asked from now on.
    world.pass_to(at(60));
    world.reschedule(|plan| plan.dropoff = plan.pickup.clone());
    world.run();
    let second = world.asked[2].0;
    assert_eq!(world.asked, [(first, 1), (first, 2), (second, 1)]);
    assert_ne!(first, second);
    assert_eq!(world.stood_down, [(first, StandDownReason::Replanned)]);
    // Tomorrow's window is tomorrow's request.
    world.reschedule(|plan| {
        plan.pickup_window = Some(Window::new(at(90_000), at(93_600)).unwrap());
    });
    assert_eq!(world.run(), Some(at(89_400)));
    let stood_down = world.stood_down.last().copied();
    assert_eq!(stood_down, Some((second, StandDownReason::Replanned)));
    world.pass_to(at(89_400));
    assert_eq!((world.asked.len(), world.status()), (4, Status::Scheduled));
    // Another deadline is no other flight.
    world.reschedule(|plan| plan.deliver_by = Some(at(100_000)));
    world.run();
    assert_eq!((world.asked.len(), world.stood_down.len()), (4, 2));
}

#[test]
fn a_drone_that_takes_what_is_no_longer_wanted_is_sent_back_and_another_is_asked_for() {
    let mut world = scheduled();
    let first = world.asked[0].0;
    world.reschedule(|plan| plan.dropoff = plan.pickup.clone());
    world.run();
    // It had begun before it heard of that.
    world.assign(first);
    world.run();
    world.end_mission(first, Ending::StoodDown);
    world.run();
    let last = world.asked.last().unwrap().0;
    assert_eq!(world.asked.len(), 3);
    assert!(missions(&world)[..2].iter().all(|asked| *asked != last));
    world.assign(last);
    world.run();
    assert_eq!(
        (world.status(), world.live()),
        (Status::Assigned, Some(last))
    );
}

#[test]
fn a_drone_that_took_what_is_no_longer_wanted_and_flies_on_is_asked_again_and_then_a_person_looks()
{
    let mut world = scheduled();
    let first = world.asked[0].0;
    world.reschedule(|plan| plan.dropoff = plan.pickup.clone());
    world.run();
    let right = world.asked.last().unwrap().0;
    world.assign(first);
    world.run();
    let asked = |world: &World| {
        let of_first = |it: &&(MissionId, StandDownReason)| it.0 == first;
        world.stood_down.iter().filter(of_first).count()
    };
    assert_eq!(asked(&world), 2, "once more when it was given the mission");
    assert!(
        world
            .stood_down
            .contains(&(right, StandDownReason::NotWanted))
    );
    for (second, times) in [(60, 3), (120, 3)] {
        assert!(!needs_somebody(&world));
        world.pass_to(at(second));
        assert_eq!(asked(&world), times);
    }
    assert!(needs_somebody(&world));
    assert_eq!(strandings(&world), 1);
    world.end_mission(first, Ending::StoodDown);
    world.run();
    assert!(!needs_somebody(&world));
    let last = world.asked.last().unwrap().0;
    assert!(last != first && last != right);
}

#[test]
fn a_drone_that_is_given_a_plan_of_yesterday_before_anybody_told_it_is_told_then() {
    let mut world = scheduled();
    let first = world.asked[0].0;
    world.reschedule(|plan| plan.dropoff = plan.pickup.clone());
    world.assign(first);
    world.run();
    let replanned = (first, StandDownReason::Replanned);
    assert_eq!(world.stood_down, [replanned]);
    // It took the package all the same, and would bring it to where it is not wanted.
    world.load(first);
    world.pass_to(at(60));
    assert_eq!(world.stood_down, [replanned; 2]);
    world.report(first, Reported::DepartedToReturn);
    assert_eq!(world.pass_to(at(120)), None);
}

#[test]
fn a_drone_that_is_asked_to_bring_a_package_back_has_to_say_that_it_does() {
    let wanted_back = || {
        let (mut world, mission) = under_way();
        let now = world.now;
        assert!(world.command(&DeliveryCommand::RequestReturn { now }));
        assert_eq!(world.run(), Some(at(60)));
        let because = (mission, StandDownReason::ReturnRequested);
        assert_eq!(world.stood_down, [because]);
        (world, mission)
    };
    let (mut world, mission) = wanted_back();
    for (second, times) in [(60, 2), (120, 3), (180, 3)] {
        assert!(!needs_somebody(&world));
        world.pass_to(at(second));
        assert_eq!(world.stood_down.len(), times);
    }
    assert!(needs_somebody(&world));
    world.report(mission, Reported::DepartedToReturn);
    assert_eq!(world.run(), None);
    assert!(!needs_somebody(&world));

    let (mut world, mission) = wanted_back();
    world.report(mission, Reported::DepartedToReturn);
    assert_eq!(world.pass_to(at(60)), None);
    assert_eq!(world.stood_down.len(), 1);
}

#[test]
fn a_drone_that_does_not_say_that_it_turned_round_is_asked_again_and_then_a_person_looks() {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.cancel();
    let asked = |world: &World| world.stood_down.len();
    assert_eq!((world.run(), asked(&world)), (Some(at(60)), 1));
    for (second, times) in [(60, 2), (120, 3), (180, 3)] {
        assert!(!world.delivery.as_ref().unwrap().action_required());
        world.pass_to(at(second));
        assert_eq!(asked(&world), times);
    }
    let because = (mission, StandDownReason::Cancelled);
    assert_eq!(world.stood_down, [because; 3]);
    assert!(world.delivery.as_ref().unwrap().action_required());
    assert_eq!((world.run(), asked(&world)), (None, 3), "once");
    world.end_mission(mission, Ending::StoodDown);
    world.run();
    assert_eq!(world.status(), Status::Cancelled);
    assert!(!world.delivery.as_ref().unwrap().action_required() && world.has_ended());
}

#[test]
fn a_delivery_that_loses_its_drone_gets_another_and_fails_if_none_comes() {
    let mut world = scheduled();
    let first = world.asked[0].0;
    world.assign(first);
    world.run();
    world.end_mission(first, Ending::Aborted);
    world.run();
    let second = world.asked[1].0;
    assert_ne!(first, second);
    for _ in 0..3 {
        let until = world.run().unwrap();
        world.pass_to(until);
    }
    assert_eq!(
        world.delivery.as_ref().unwrap().phase(),
        Phase::Failed(Failure::NoDrone)
    );
    assert!(world.has_ended() && !world.is_package_held);
}

#[test]
fn a_mission_that_was_asked_for_is_stood_down_when_a_fleet_sends_a_drone_by_itself() {
    let mut world = scheduled();
    let asked = world.asked[0].0;
    let own = MissionId::from_uuid(uuid::Uuid::from_u128(99));
    world.assign(own);
    world.run();
    assert_eq!(world.live(), Some(own));
    assert_eq!(world.stood_down, [(asked, StandDownReason::NotWanted)]);
}

#[test]
fn a_drone_that_comes_for_a_delivery_that_was_given_up_is_stood_down() {
    let mut world = scheduled();
    for second in [60, 120, 180] {
        world.pass_to(at(second));
    }
    let late = MissionId::from_uuid(uuid::Uuid::from_u128(98));
    world.assign(late);
    assert_eq!(world.status(), Status::Rejected);
    assert_eq!(
        world.stood_down.last(),
        Some(&(late, StandDownReason::NotWanted))
    );
}

#[test]
fn the_package_is_freed_when_the_delivery_is_over_and_not_before() {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.run();
    world.report(mission, Reported::DepartedToDropoff);
    world.run();
    assert!(world.is_package_held);
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    world.run();
    assert_eq!(world.status(), Status::Returned);
    assert!(!world.is_package_held && world.has_ended());
}

#[test]
fn a_deadline_that_is_missed_is_noted_once_whatever_else_is_waited_for() {
    let mut order = crate::delivery::tests::order();
    order.plan.deliver_by = Some(at(90));
    let mut world = World::ordering(order, SchedulingSettings::default());
    assert_eq!(world.run(), Some(at(60)));
    world.pass_to(at(60));
    assert_eq!(world.run(), Some(at(90)), "before the next answer is due");
    world.pass_to(at(90));
    let missed = |world: &World| {
        let missed = |event: &&crate::delivery::DeliveryEvent| {
            matches!(event, crate::delivery::DeliveryEvent::DeadlineMissed { .. })
        };
        world.history.iter().filter(missed).count()
    };
    assert_eq!(missed(&world), 1);
    world.pass_to(at(120));
    assert_eq!(missed(&world), 1);
}

#[test]
fn the_end_of_the_window_is_waited_for_where_it_comes_before_the_end_of_a_silence() {
    let mut order = crate::delivery::tests::order();
    order.plan.pickup_window = Some(Window::new(at(0), at(20)).unwrap());
    let mut world = World::ordering(order, SchedulingSettings::default());
    assert_eq!(world.run(), Some(at(20)));
    let (mission, _) = world.asked.last().copied().unwrap();
    world.pass_to(at(20));
    assert_eq!(world.status(), Status::Rejected);
    assert_eq!(world.stood_down, [(mission, StandDownReason::NotWanted)]);
}

#[test]
fn a_window_that_is_over_finds_no_drone_any_more() {
    let mut order = crate::delivery::tests::order();
    order.plan.pickup_window = Some(Window::new(at(10), at(70)).unwrap());
    let mut world = World::ordering(order, SchedulingSettings::default());
    world.run();
    world.pass_to(at(70));
    assert_eq!(world.status(), Status::Rejected);
}

/// A delivery that a drone brings.
pub(super) fn under_way() -> (World, MissionId) {
    let mut world = scheduled();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.report(mission, Reported::DepartedToDropoff);
    world.run();
    (world, mission)
}

#[test]
fn a_drone_that_is_silent_for_half_a_minute_is_lost_to_sight_and_not_before() {
    let (mut world, mission) = under_way();
    world.now = at(100);
    world.lose_link();
    world.pass_to(at(129));
    let condition = |world: &World| world.delivery.as_ref().unwrap().condition();
    assert_eq!(condition(&world), Condition::Nominal);
    world.pass_to(at(130));
    assert_eq!(condition(&world), Condition::LinkLost);
    // It is said once.
    assert_eq!(world.run(), None);
    world.report(mission, Reported::LinkRestored);
    assert_eq!(condition(&world), Condition::Nominal);
}

/// A delivery whose package is let go at second 100, to be confirmed.
fn released() -> World {
    released_as_of(at(100), at(100))
}

/// By the drone's clock it was then, and then we were told.
fn released_as_of(event_time: Timestamp, told_at: Timestamp) -> World {
    let mut order = crate::delivery::tests::order();
    order.confirmation = Confirmation::Pin;
    let mut world = World::ordering(order, SchedulingSettings::default());
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.now = told_at;
    world.report_as_of(
        event_time,
        mission,
        Reported::Released {
            method: ReleaseMethod::Winch,
            evidence: None,
            confirmed: true,
            nearness: NEAR,
        },
    );
    world
}

#[test]
fn given_a_drone_that_came_down_when_it_is_not_heard_any_more_then_it_stays_an_emergency() {
    let (mut world, mission) = under_way();
    world.now = at(100);
    world.report(mission, Reported::EmergencyLanded { detail: None });
    world.lose_link();
    assert_eq!(world.run(), None);
    assert_eq!(world.pass_to(at(131)), None);
    let condition = world.delivery.as_ref().unwrap().condition();
    assert_eq!(condition, Condition::Emergency);
}

#[test]
fn given_a_drone_that_came_down_when_it_is_not_heard_then_its_deadline_is_missed_all_the_same() {
    let mut order = crate::delivery::tests::order();
    order.plan.deliver_by = Some(at(500));
    let mut world = World::ordering(order, SchedulingSettings::default());
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.now = at(100);
    world.load(mission);
    world.report(mission, Reported::EmergencyLanded { detail: None });
    world.lose_link();
    assert_eq!(world.pass_to(at(130)), Some(at(500)));
    world.pass_to(at(500));
    assert!(world.delivery.as_ref().unwrap().is_deadline_missed());
}

#[test]
fn given_a_drone_that_is_not_heard_after_the_release_then_its_confirmation_is_waited_for_all_the_same()
 {
    let mut world = released();
    world.lose_link();
    assert_eq!(world.pass_to(at(131)), Some(at(400)));
    world.pass_to(at(400));
    assert!(needs_somebody(&world));
}

#[test]
fn a_confirmation_that_does_not_come_is_a_matter_for_a_person_after_five_minutes() {
    let mut world = released();
    assert_eq!(world.pass_to(at(101)), Some(at(400)));
    assert!(!needs_somebody(&world));
    world.pass_to(at(400));
    assert!(needs_somebody(&world));
    assert_eq!(world.run(), None, "it is said once");
}

#[test]
fn given_a_release_that_is_told_an_hour_late_then_its_confirmation_is_waited_for_since_it_was_told()
{
    let mut world = released_as_of(at(100), at(3_700));
    assert_eq!(world.run(), Some(at(4_000)));
    assert!(!needs_somebody(&world));
    world.pass_to(at(4_000));
    assert!(needs_somebody(&world));
}

#[test]
fn given_a_drone_whose_clock_is_ahead_then_nobody_is_waited_for_longer() {
    let mut world = released_as_of(at(700), at(100));
    assert_eq!(world.run(), Some(at(400)));
}

#[test]
fn given_a_package_left_on_board_that_is_told_an_hour_late_then_news_is_waited_for_since_it_was_told()
 {
    let (mut world, mission) = under_way();
    world.now = at(3_700);
    let payload_on_board = Some(true);
    let ended = Reported::Completed { payload_on_board };
    world.report_as_of(at(100), mission, ended);
    assert_eq!(world.run(), Some(at(3_820)));
    assert!(!needs_somebody(&world));
    world.pass_to(at(3_820));
    assert!(needs_somebody(&world));
}

#[test]
fn a_package_that_was_left_on_board_is_a_matter_for_a_person_after_two_minutes() {
    let left = |world: &mut World, mission| {
        world.now = at(100);
        let payload_on_board = Some(true);
        world.report(mission, Reported::Completed { payload_on_board });
        assert_eq!(world.pass_to(at(101)), Some(at(220)));
        assert!(!needs_somebody(world));
    };
    let (mut world, mission) = under_way();
    left(&mut world, mission);
    world.pass_to(at(219));
    assert!(!needs_somebody(&world));
    world.pass_to(at(220));
    assert!(needs_somebody(&world));
    assert_eq!(world.run(), None, "it is said once");

    let (mut world, mission) = under_way();
    left(&mut world, mission);
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    world.pass_to(at(1_000));
    assert_eq!(world.status(), Status::Returned);
    assert_eq!(strandings(&world), 0);
}

/// A package that its drone brought to a hub, ordered as this says.
fn at_hub(order: crate::delivery::Order) -> (World, MissionId) {
    let mut world = World::ordering(order, SchedulingSettings::default());
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.report(mission, Reported::ArrivedAtDropoff(NEAR));
    world.report(mission, Reported::DepartedToReturn);
    world.report(mission, Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)));
    (world, mission)
}

#[test]
fn a_package_that_is_not_tried_again_waits_at_its_hub_for_a_person_and_no_drone_is_asked_for() {
    let (mut world, mission) = at_hub(crate::delivery::tests::order());
    assert_eq!(world.run(), None);
    assert!(needs_somebody(&world));
    assert_eq!(strandings(&world), 1);
    assert_eq!(world.asked.len(), 1);
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    world.run();
    assert!(!needs_somebody(&world) && world.has_ended());
}

#[test]
fn no_drone_is_asked_for_from_a_hub_once_the_window_is_over() {
    let mut order = crate::delivery::tests::order();
    order.on_undeliverable = OnUndeliverable::Hold;
    order.plan.pickup_window = Some(Window::new(at(10), at(70)).unwrap());
    let (mut world, _) = at_hub(order.clone());
    world.run();
    assert_eq!(world.asked.len(), 2, "there is time");

    let (mut world, _) = at_hub(order);
    world.now = at(70);
    world.run();
    assert_eq!(world.asked.len(), 1);
    let failed = Phase::Failed(Failure::Undeliverable);
    assert_eq!(world.delivery.as_ref().unwrap().phase(), failed);
    assert!(needs_somebody(&world));
}

#[test]
fn what_an_operator_found_at_a_hub_is_not_given_up_though_its_window_is_over() {
    let mut order = crate::delivery::tests::order();
    order.plan.pickup_window = Some(Window::new(at(10), at(70)).unwrap());
    let mut world = World::ordering(order, SchedulingSettings::default());
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    world.load(mission);
    world.end_mission(mission, Ending::Crashed);
    world.now = at(100);
    world.run();
    assert_eq!(world.status(), Status::Failed);
    assert!(world.find_at_hub());
    assert_eq!(world.run(), None);
    assert_eq!(world.status(), Status::AtHub);
    assert!(needs_somebody(&world));
    assert_eq!((strandings(&world), world.asked.len()), (1, 1));
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    world.run();
    assert!(world.has_ended() && !needs_somebody(&world));
}

#[test]
fn what_an_operator_found_at_a_hub_is_not_given_up_though_no_drone_comes() {
    let (mut world, mission) = under_way();
    world.end_mission(mission, Ending::Crashed);
    assert!(world.find_at_hub());
    for second in [0, 60, 120, 180] {
        world.pass_to(at(second));
    }
    assert_eq!((world.status(), world.asked.len()), (Status::AtHub, 4));
    assert!(needs_somebody(&world));
    assert_eq!(world.run(), None);
}

pub(super) fn needs_somebody(world: &World) -> bool {
    world.delivery.as_ref().unwrap().action_required()
}

fn strandings(world: &World) -> usize {
    let is_stranded = |event: &&crate::delivery::DeliveryEvent| {
        matches!(event, crate::delivery::DeliveryEvent::Stranded { .. })
    };
    world.history.iter().filter(is_stranded).count()
}

const NEAR: Nearness = Nearness::Inside(DistanceM::new(3));
