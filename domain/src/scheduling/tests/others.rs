//! Operations beside bookings, to cancel, to change, to bring back: each ends when the delivery
//! says how it came out, and not before.

use super::*;
use crate::delivery::{Ending, Reported, ReturnedTo};

/// A delivery with a drone, and that drone's mission.
fn with_a_drone() -> (World, MissionId) {
    let mut world = World::new(SchedulingSettings::default());
    world.run();
    let mission = world.asked[0].0;
    world.assign(mission);
    (world, mission)
}

fn carried() -> (World, MissionId) {
    let (mut world, mission) = with_a_drone();
    world.load(mission);
    (world, mission)
}

fn asked_for(kind: OperationKind) -> Option<Operation> {
    after(None, begun(kind))
}

fn begun(kind: OperationKind) -> OperationEvent {
    OperationEvent::OperationStarted {
        kind,
        delivery: world::DELIVERY,
        user: crate::id::UserId::from_uuid(uuid::Uuid::nil()),
        sequence: 3,
    }
}

fn after(state: Option<Operation>, event: OperationEvent) -> Option<Operation> {
    Scheduling::evolve(state, &Occurrence::new(event, at(1)))
}

/// What is next for an operation, with its delivery as it is in a world.
fn next(operation: Option<&Operation>, world: &World) -> Next {
    let around = Around {
        delivery: world.delivery.as_ref().unwrap(),
        asked: None,
        live: None,
        live_dispatch: None,
        package_holder: None,
        now: world.now,
        deadlines_to: world.now,
        settings: &world.settings,
    };
    Scheduling::react(&operation.cloned(), &around)
}

fn ends(operation: Option<&Operation>, world: &World, outcome: Outcome) {
    assert_eq!(next(operation, world), Next::Conclude(outcome));
    let event = match outcome {
        Outcome::Failed(problem) => OperationEvent::OperationFailed { problem },
        Outcome::Succeeded => OperationEvent::OperationSucceeded,
        Outcome::Cancelled | Outcome::TimedOut(_) => unreachable!("only a booking ends so"),
    };
    let concluded = after(operation.cloned(), event);
    assert_eq!(next(concluded.as_ref(), world), Next::End);
    let ended = after(concluded, OperationEvent::ProcessEnded);
    assert_eq!(
        next(ended.as_ref(), world),
        Next::Wait(None),
        "it is over for good"
    );
}

#[test]
fn a_cancellation_waits_for_the_drone_and_succeeds_or_comes_too_late() {
    let cancel = asked_for(OperationKind::Cancel);
    let cancelling = || {
        let (mut world, mission) = with_a_drone();
        world.cancel();
        assert_eq!(next(cancel.as_ref(), &world), Next::Wait(None));
        (world, mission)
    };
    let (mut world, mission) = cancelling();
    world.end_mission(mission, Ending::StoodDown);
    ends(cancel.as_ref(), &world, Outcome::Succeeded);
    let (mut world, mission) = cancelling();
    world.load(mission);
    ends(
        cancel.as_ref(),
        &world,
        Outcome::Failed(OperationProblem::AlreadyPickedUp),
    );
}

#[test]
fn a_change_is_done_when_it_is_taken() {
    let (world, _) = with_a_drone();
    let change = asked_for(OperationKind::Reschedule);
    ends(change.as_ref(), &world, Outcome::Succeeded);
}

#[test]
fn a_return_waits_for_the_package_and_fails_with_the_delivery() {
    let bring_back = asked_for(OperationKind::Return);
    let returning = || {
        let (mut world, mission) = carried();
        let now = world.now;
        assert!(world.command(&DeliveryCommand::RequestReturn { now }));
        assert_eq!(next(bring_back.as_ref(), &world), Next::Wait(None));
        (world, mission)
    };
    let (mut world, mission) = returning();
    world.report(mission, Reported::Returned(ReturnedTo::Sender));
    ends(bring_back.as_ref(), &world, Outcome::Succeeded);
    let (mut world, mission) = returning();
    world.end_mission(mission, Ending::Crashed);
    ends(
        bring_back.as_ref(),
        &world,
        Outcome::Failed(OperationProblem::EndedOtherwise),
    );
}

#[test]
fn what_is_over_is_begun_anew_when_it_is_asked_for_again_and_what_is_under_way_is_not() {
    let under_way = asked_for(OperationKind::Return);
    assert_eq!(
        after(under_way.clone(), begun(OperationKind::Return)),
        under_way
    );
    let problem = OperationProblem::EndedOtherwise;
    let failed = after(
        under_way.clone(),
        OperationEvent::OperationFailed { problem },
    );
    let over = after(failed, OperationEvent::ProcessEnded);
    assert_eq!(after(over, begun(OperationKind::Return)), under_way);
}
