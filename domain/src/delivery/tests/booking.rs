//! Ordering, booking, rescheduling.

use super::*;
use crate::time::Window;

fn plan_with(change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = order().plan;
    change(&mut plan);
    plan
}

fn reschedule(plan: &Plan, now: Timestamp) -> DeliveryCommand {
    let plan = Box::new(plan.clone());
    DeliveryCommand::Reschedule { plan, now }
}

fn later() -> Plan {
    plan_with(|plan| plan.pickup_window = Some(Window::new(at(100), at(200)).unwrap()))
}

fn elsewhere() -> Plan {
    plan_with(|plan| plan.dropoff = place(404_700_000))
}

#[test]
fn an_order_is_taken_and_then_booked() {
    given::<Delivery>([])
        .when(create(order(), at(5)))
        .then([now(DeliveryEvent::Created(Box::new(order())), 5)])
        .when(DeliveryCommand::Schedule { now: at(6) })
        .then([now(DeliveryEvent::Scheduled, 6)]);
}

#[test]
fn the_same_order_again_is_the_same_delivery_and_another_is_refused() {
    booked().when(create(order(), at(9))).then_nothing();
    let other = Order {
        expedited: true,
        ..order()
    };
    booked()
        .when(create(other, at(9)))
        .then_rejected(DeliveryRejection::AlreadyExists);
}

#[test]
fn an_order_is_the_same_in_whatever_order_its_notes_and_flags_came() {
    let entry = |key: &str, value: &str| (key.parse().unwrap(), value.parse().unwrap());
    let mut one = order();
    one.metadata = vec![entry("b", "2"), entry("a", "1")];
    one.package.flags = vec![PackageFlag::Cold, PackageFlag::Fragile, PackageFlag::Cold];
    let mut same = order();
    same.metadata = vec![entry("a", "1"), entry("b", "2")];
    same.package.flags = vec![PackageFlag::Fragile, PackageFlag::Cold];
    booked_as(one).when(create(same, at(9))).then_nothing();
}

#[test]
fn what_is_past_cannot_be_ordered() {
    let in_window = |window| {
        let mut order = order();
        order.plan.pickup_window = Some(window);
        order
    };
    let window = Window::new(at(1), at(5)).unwrap();
    given::<Delivery>([])
        .when(create(in_window(window), at(5)))
        .then_rejected(DeliveryRejection::WindowInPast { not_after: at(5) });
    let mut by = order();
    by.plan.deliver_by = Some(at(5));
    given::<Delivery>([])
        .when(create(by, at(5)))
        .then_rejected(DeliveryRejection::DeadlineInPast { deliver_by: at(5) });
    // A window that has begun has not ended.
    let _ = given::<Delivery>([]).after(create(in_window(window), at(4)));
}

#[test]
fn nothing_can_be_asked_of_a_delivery_that_nobody_ordered() {
    for command in [
        DeliveryCommand::Schedule { now: at(1) },
        reschedule(&later(), at(1)),
        cancel(at(1)),
    ] {
        given::<Delivery>([])
            .when(command)
            .then_rejected(DeliveryRejection::Unknown);
    }
    given::<Delivery>([])
        .when(report(M1, 1, loaded()))
        .then_nothing();
}

#[test]
fn booking_again_changes_nothing_and_booking_what_was_cancelled_is_refused() {
    let schedule = DeliveryCommand::Schedule { now: at(9) };
    at_pickup().when(schedule.clone()).then_nothing();
    booked()
        .after(cancel(at(1)))
        .when(schedule)
        .then_rejected(refusal(
            Status::Cancelled,
            "scheduled",
            "its life is over; correct what is said of it, or order a new one",
        ));
}

#[test]
fn rescheduling_tells_the_whole_plan_and_counts_as_a_revision() {
    let moved = booked()
        .when(reschedule(&later(), at(1)))
        .then_events([DeliveryEvent::Rescheduled(Box::new(later()))]);
    let delivery = moved.state().unwrap();
    assert_eq!(delivery.status(), Status::Scheduled);
    assert_eq!(delivery.revision(), 1);
    assert_eq!(delivery.order().plan, later());
}

#[test]
fn rescheduling_to_what_is_planned_already_changes_nothing() {
    booked()
        .when(reschedule(&order().plan, at(1)))
        .then_nothing();
}

#[test]
fn a_delivery_is_rescheduled_so_often_and_no_oftener() {
    let plans = [later(), order().plan];
    let times = usize::try_from(RESCHEDULES_MAX).unwrap();
    let changed = plans.iter().cycle().take(times);
    let changed = changed.fold(booked(), |given, plan| given.after(reschedule(plan, at(1))));
    changed
        .clone()
        .when(reschedule(&later(), at(2)))
        .then_rejected(DeliveryRejection::RescheduledTooOften);
    let as_it_is = changed.state().unwrap().order().plan.clone();
    changed.when(reschedule(&as_it_is, at(2))).then_nothing();
}

#[test]
fn rescheduling_into_the_past_is_refused() {
    booked()
        .when(reschedule(&later(), at(200)))
        .then_rejected(DeliveryRejection::WindowInPast { not_after: at(200) });
}

#[test]
fn another_pickup_dropoff_or_window_takes_the_mission_from_an_assigned_drone() {
    let elsewhere_from = plan_with(|plan| plan.pickup = place(404_500_000));
    for plan in [later(), elsewhere(), elsewhere_from] {
        let replanned = flown([assigned()])
            .when(reschedule(&plan, at(5)))
            .then_events([
                DeliveryEvent::Rescheduled(Box::new(plan)),
                unassigned(M1, UnassignReason::Replanned),
            ]);
        assert_eq!(status(&replanned), Status::Scheduled);
    }
}

#[test]
fn another_deadline_or_wording_leaves_the_drone_its_mission() {
    let reworded = plan_with(|plan| plan.pickup.address = Some("Rear door".parse().unwrap()));
    let due = plan_with(|plan| plan.deliver_by = Some(at(900)));
    for plan in [due, reworded] {
        let replanned = flown([assigned()])
            .when(reschedule(&plan, at(5)))
            .then_events([DeliveryEvent::Rescheduled(Box::new(plan))]);
        assert_eq!(status(&replanned), Status::Assigned);
    }
}

#[test]
fn nothing_is_rescheduled_once_a_drone_set_out() {
    flown([assigned(), Reported::DepartedToPickup])
        .when(reschedule(&later(), at(5)))
        .then_rejected(refusal(
            Status::HeadedToPickup,
            "rescheduled",
            "the drone has set out for the package; wait for the drone, cancel it, complete it, or hand it back",
        ));
    at_hub()
        .after(report(M2, 20, assigned()))
        .when(reschedule(&later(), at(25)))
        .then_rejected(refusal(
            Status::Assigned,
            "rescheduled",
            "a drone is to fetch the package from a hub; wait for the drone, complete it, hand it back, or give it up",
        ));
}

#[test]
fn a_refusal_names_the_status_and_what_is_possible() {
    let given = flown([assigned(), loaded()]).state();
    let refused = Delivery::decide(&cancel(at(9)), &given).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a delivery that is loaded cannot be cancelled: the package has left the sender; \
         ask for its return, complete it, or hand it back"
    );
}
