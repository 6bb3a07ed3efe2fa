//! Any orders, events, reports and lives of deliveries, for property tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::arbitrary as any_of;
use crate::id::{ExternalId, PackageId, ProofHash, UserId};
use crate::quantity::DimensionsMm;
use crate::time::Timestamp;

fn place() -> impl Strategy<Value = Place> {
    (any_of::point(), option::of(any_of::text()))
        .prop_map(|(point, address)| Place { point, address })
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (
        place(),
        place(),
        option::of(any_of::window()),
        option::of(any_of::time()),
    )
        .prop_map(|(pickup, dropoff, pickup_window, deliver_by)| Plan {
            pickup,
            dropoff,
            pickup_window,
            deliver_by,
        })
}

fn package() -> impl Strategy<Value = Package> {
    (
        option::of(any_of::uuid().prop_map(PackageId::from_uuid)),
        any_of::tag(),
        any_of::word(Size::ALL),
        any_of::mass(),
        option::of(prop::array::uniform3(1..=DimensionsMm::MAX)),
        vec(any_of::word(PackageFlag::ALL), 0..6),
    )
        .prop_map(|(id, tag, size, mass, dimensions, flags)| Package {
            id,
            tag,
            size,
            mass,
            dimensions: dimensions.map(|sides| DimensionsMm::new(sides).unwrap()),
            flags,
        })
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    (
        any_of::uuid().prop_map(UserId::from_uuid),
        option::of("[A-Za-z0-9._~-]{1,128}".prop_map(|name| ExternalId::new(name).unwrap())),
        plan(),
        package(),
        any_of::word(Confirmation::ALL),
        any::<bool>(),
        any_of::word(OnUndeliverable::ALL),
        any_of::word(OnCancelAfterPickup::ALL),
        vec((any_of::text(), any_of::text()), 0..4),
    )
        .prop_map(
            |(
                user,
                external_id,
                plan,
                package,
                confirmation,
                expedited,
                on_undeliverable,
                on_cancel_after_pickup,
                metadata,
            )| Order {
                user,
                external_id,
                plan,
                package,
                confirmation,
                expedited,
                on_undeliverable,
                on_cancel_after_pickup,
                metadata,
            },
        )
}

fn assignment() -> impl Strategy<Value = Assignment> {
    (
        any_of::mission(),
        any_of::fleet(),
        any_of::drone(),
        prop_oneof![0..4_u32, any::<u32>()],
        option::of(any_of::time()),
        option::of(any_of::time()),
    )
        .prop_map(
            |(mission, fleet, drone, epoch, eta_pickup, eta_dropoff)| Assignment {
                mission,
                fleet,
                drone,
                epoch,
                eta_pickup,
                eta_dropoff,
            },
        )
}

/// Any event at all, sensible or not.
pub(crate) fn event() -> impl Strategy<Value = DeliveryEvent> {
    prop_oneof![
        booking_event(),
        fetching_event(),
        carrying_event(),
        ending_event(),
        handing_over_event(),
        side_event(),
    ]
}

fn booking_event() -> impl Strategy<Value = DeliveryEvent> {
    use DeliveryEvent as E;
    prop_oneof![
        order().prop_map(|order| E::Created(Box::new(order))),
        Just(E::Scheduled),
        plan().prop_map(|plan| E::Rescheduled(Box::new(plan))),
        (any_of::word(CancelReason::ALL), any_of::comment())
            .prop_map(|(reason, comment)| E::CancellationRequested { reason, comment }),
        Just(E::Cancelled),
        any_of::word(CancellationRefusal::ALL).prop_map(|why| E::CancellationRejected { why }),
        any_of::word(RejectReason::ALL).prop_map(|reason| E::Rejected { reason }),
        any_of::time().prop_map(|deliver_by| E::DeadlineMissed { deliver_by }),
    ]
}

pub(crate) fn proof() -> impl Strategy<Value = ProofHash> {
    "[0-9a-f]{1,8}".prop_map(|hash| ProofHash::new(hash).unwrap())
}

pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Nominal),
        Just(Condition::Delayed),
        any_of::word(HoldReason::ALL).prop_map(Condition::Holding),
        Just(Condition::Diverted),
        Just(Condition::LinkLost),
        Just(Condition::Emergency),
    ]
}

fn handing_over_event() -> impl Strategy<Value = DeliveryEvent> {
    use DeliveryEvent as E;
    prop_oneof![
        (any_of::word(Confirmation::ALL), proof())
            .prop_map(|(kind, proof)| E::Confirmed { kind, proof }),
        (
            any_of::mission(),
            any_of::word(ReleaseMethod::ALL),
            option::of(any_of::word(ReleaseEvidence::ALL)),
            any_of::distance(),
        )
            .prop_map(|(mission, method, evidence, distance)| E::Released {
                mission,
                method,
                evidence,
                distance,
            }),
        Just(E::ConfirmationOverdue),
        any_of::text().prop_map(|reason| E::Vouched { reason }),
        any_of::word(Stranding::ALL).prop_map(|place| E::Stranded { place }),
        any_of::text().prop_map(|reason| E::GivenUp { reason }),
        any_of::text().prop_map(|reason| E::HandedBack { reason }),
    ]
}

fn side_event() -> impl Strategy<Value = DeliveryEvent> {
    use DeliveryEvent as E;
    prop_oneof![
        (any_of::mission(), condition())
            .prop_map(|(mission, condition)| E::ConditionChanged { mission, condition }),
        (
            any_of::mission(),
            option::of(any_of::time()),
            option::of(any_of::time())
        )
            .prop_map(|(mission, pickup_at, dropoff_at)| E::EtaRevised {
                mission,
                pickup_at,
                dropoff_at,
            }),
        (
            any_of::word(ReopenCause::ALL),
            any_of::word(ReopenedAs::ALL),
            any_of::comment()
        )
            .prop_map(|(cause, to, reason)| E::Reopened { cause, to, reason }),
        (
            any_of::word(Correction::ALL),
            any_of::comment(),
            any_of::text(),
            any_of::text()
        )
            .prop_map(|(what, was, now, reason)| E::Corrected {
                what,
                was,
                now,
                reason,
            }),
    ]
}

fn fetching_event() -> impl Strategy<Value = DeliveryEvent> {
    use DeliveryEvent as E;
    prop_oneof![
        assignment().prop_map(E::DroneAssigned),
        (
            any_of::mission(),
            any_of::word(UnassignReason::ALL),
            any_of::comment()
        )
            .prop_map(|(mission, reason, detail)| E::DroneUnassigned {
                mission,
                reason,
                detail
            }),
        any_of::mission().prop_map(|mission| E::HeadedToPickup { mission }),
        any_of::mission().prop_map(|mission| E::ArrivedAtPickup { mission }),
        (
            any_of::mission(),
            option::of(any_of::tag()),
            option::of(any_of::mass())
        )
            .prop_map(|(mission, tag, mass)| E::PickedUp { mission, tag, mass }),
        (any_of::mission(), any_of::word(AttemptFailure::ALL))
            .prop_map(|(mission, reason)| E::AttemptFailed { mission, reason }),
    ]
}

fn carrying_event() -> impl Strategy<Value = DeliveryEvent> {
    use DeliveryEvent as E;
    prop_oneof![
        any_of::mission().prop_map(|mission| E::InTransit { mission }),
        (any_of::mission(), option::of(any_of::distance()))
            .prop_map(|(mission, distance)| E::ArrivedAtDropoff { mission, distance }),
        (any_of::mission(), any_of::word(ReturnReason::ALL))
            .prop_map(|(mission, reason)| E::ReturnStarted { mission, reason }),
        (any_of::mission(), any_of::word(HubPlace::ALL))
            .prop_map(|(mission, place)| E::ArrivedAtHub { mission, place }),
        any_of::mission().prop_map(|mission| E::Returned { mission }),
    ]
}

fn ending_event() -> impl Strategy<Value = DeliveryEvent> {
    use DeliveryEvent as E;
    prop_oneof![
        (
            any_of::mission(),
            option::of(any_of::word(ReleaseMethod::ALL)),
            option::of(any_of::word(ReleaseEvidence::ALL)),
            option::of(any_of::distance()),
        )
            .prop_map(|(mission, method, evidence, distance)| {
                E::DeliveryComplete {
                    mission,
                    method,
                    evidence,
                    distance,
                }
            }),
        (any_of::mission(), any_of::word(Failure::ALL))
            .prop_map(|(mission, reason)| E::Failed { mission, reason }),
        (any_of::word(Milestone::ALL), any_of::time(), any_of::time()).prop_map(
            |(milestone, was, now)| E::MilestoneTimeCorrected {
                milestone,
                was,
                now
            }
        ),
        (
            any_of::fact(),
            any_of::mission(),
            any_of::word(Anomaly::ALL)
        )
            .prop_map(|(fact, mission, why)| E::AnomalyRecorded { fact, mission, why }),
    ]
}

/// Any event with any time, implied or not.
pub(crate) fn occurrence() -> impl Strategy<Value = Occurrence<DeliveryEvent>> {
    let times = (any_of::time(), any_of::time());
    (event(), times, any::<bool>()).prop_map(|(event, (event_time, recorded_at), inferred)| {
        Occurrence {
            event,
            event_time,
            recorded_at,
            inferred,
        }
    })
}

fn nearness() -> impl Strategy<Value = Nearness> {
    prop_oneof![
        2 => any_of::distance().prop_map(Nearness::Inside),
        1 => any_of::distance().prop_map(Nearness::Outside),
        1 => Just(Nearness::Unknown),
    ]
}

fn reported() -> impl Strategy<Value = Reported> {
    let verdict = prop_oneof![
        3 => Just(LoadVerdict::Matches),
        1 => Just(LoadVerdict::WrongPackage),
        1 => Just(LoadVerdict::Overweight),
    ];
    let to = prop_oneof![
        Just(ReturnedTo::Sender),
        any_of::word(HubPlace::ALL).prop_map(ReturnedTo::Hub),
    ];
    prop_oneof![
        8 => (
            any_of::fleet(),
            any_of::drone(),
            option::of(any_of::time()),
            option::of(any_of::time())
        )
            .prop_map(|(fleet, drone, eta_pickup, eta_dropoff)| Reported::Assigned {
                fleet,
                drone,
                eta_pickup,
                eta_dropoff
            }),
        1 => (any_of::word(&Ending::ALL), any_of::comment())
            .prop_map(|(how, detail)| Reported::Ended { how, detail }),
        2 => Just(Reported::DepartedToPickup),
        2 => Just(Reported::ArrivedAtPickup),
        2 => (verdict, option::of(any_of::tag()), option::of(any_of::mass()))
            .prop_map(|(verdict, tag, mass)| Reported::Loaded { verdict, tag, mass }),
        2 => Just(Reported::DepartedToDropoff),
        2 => nearness().prop_map(Reported::ArrivedAtDropoff),
        1 => (
            any_of::word(ReleaseMethod::ALL),
            option::of(any_of::word(ReleaseEvidence::ALL)),
            any::<bool>(),
            nearness(),
        )
            .prop_map(|(method, evidence, confirmed, nearness)| Reported::Released {
                method,
                evidence,
                confirmed,
                nearness
            }),
        1 => Just(Reported::DepartedToReturn),
        1 => to.clone().prop_map(Reported::Returned),
        1 => to.prop_map(Reported::BroughtBack),
        1 => any::<Option<bool>>()
            .prop_map(|payload_on_board| Reported::Completed { payload_on_board }),
        1 => any_of::word(&[
            Anomaly::MissionAlreadyBound,
            Anomaly::ForeignDrone,
            Anomaly::UnknownDelivery,
        ])
        .prop_map(Reported::Misplaced),
        2 => (any_of::word(Confirmation::ALL), proof())
            .prop_map(|(kind, proof)| Reported::Verified { kind, proof }),
        2 => trouble(),
    ]
}

fn trouble() -> impl Strategy<Value = Reported> {
    let to = prop_oneof![3 => Just(Diversion::Charge), 1 => Just(Diversion::Home)];
    prop_oneof![
        4 => any_of::word(HoldReason::ALL).prop_map(Reported::HoldStarted),
        2 => Just(Reported::HoldEnded),
        2 => Just(Reported::BatteryCritical),
        2 => (to, any_of::comment()).prop_map(|(to, detail)| Reported::Diverted { to, detail }),
        2 => Just(Reported::LinkLost),
        2 => Just(Reported::LinkRestored),
        1 => Just(Reported::Dropped),
        1 => any_of::comment().prop_map(|detail| Reported::EmergencyLanded { detail }),
    ]
}

fn operators_command() -> impl Strategy<Value = DeliveryCommand> {
    let correct = (
        any_of::word(Correction::ALL),
        any_of::comment(),
        any_of::text(),
        any_of::text(),
        any_of::time(),
    )
        .prop_map(|(what, was, now_is, reason, now)| {
            DeliveryCommand::Correct(Box::new(Correct {
                what,
                was,
                now_is,
                reason,
                now,
            }))
        });
    prop_oneof![
        (any_of::text(), any_of::time())
            .prop_map(|(reason, now)| DeliveryCommand::Vouch { reason, now }),
        (any_of::text(), any_of::time())
            .prop_map(|(reason, now)| DeliveryCommand::FindDamaged { reason, now }),
        (any_of::text(), any_of::time())
            .prop_map(|(reason, now)| DeliveryCommand::HandBack { reason, now }),
        (
            any_of::word(ReopenedAs::ALL),
            any_of::text(),
            any_of::time()
        )
            .prop_map(|(to, reason, now)| DeliveryCommand::Reopen { to, reason, now }),
        correct,
    ]
}

fn handing_over_command() -> impl Strategy<Value = DeliveryCommand> {
    prop_oneof![
        2 => (any_of::word(Confirmation::ALL), proof(), any_of::time())
            .prop_map(|(kind, proof, now)| DeliveryCommand::Confirm { kind, proof, now }),
        1 => any_of::time().prop_map(|now| DeliveryCommand::OverdueConfirmation { now }),
        1 => any_of::time().prop_map(|now| DeliveryCommand::NoteStranded { now }),
        1 => any_of::time().prop_map(|now| DeliveryCommand::RequestReturn { now }),
        1 => (
            any_of::mission(),
            option::of(any_of::time()),
            option::of(any_of::time()),
            any_of::time()
        )
            .prop_map(|(mission, pickup_at, dropoff_at, now)| DeliveryCommand::ReviseEta {
                mission,
                estimate: Estimate {
                    pickup_at,
                    dropoff_at
                },
                thresholds: EtaThresholds::default(),
                now
            }),
    ]
}

pub(crate) fn report() -> impl Strategy<Value = Report> {
    (
        any_of::fact(),
        any_of::mission(),
        any_of::time(),
        reported(),
    )
        .prop_map(|(fact, mission, event_time, reported)| Report {
            fact,
            mission,
            event_time,
            reported,
        })
}

/// Any command at all. Orders and plans come from small pools, so that some are asked for again.
pub(crate) fn command() -> impl Strategy<Value = DeliveryCommand> {
    prop_oneof![
        1 => (order(), any_of::time()).prop_map(|(order, now)| DeliveryCommand::Create {
            order: Box::new(order),
            now
        }),
        1 => any_of::time().prop_map(|now| DeliveryCommand::Schedule { now }),
        2 => (plan(), any_of::time()).prop_map(|(plan, now)| DeliveryCommand::Reschedule {
            plan: Box::new(plan),
            now
        }),
        1 => (
            any_of::word(CancelReason::ALL),
            any_of::comment(),
            any_of::time()
        )
            .prop_map(|(reason, comment, now)| DeliveryCommand::Cancel {
                reason,
                comment,
                now
            }),
        1 => (any_of::word(RejectReason::ALL), any_of::time())
            .prop_map(|(reason, now)| DeliveryCommand::Reject { reason, now }),
        1 => (any_of::comment(), any_of::time())
            .prop_map(|(reason, now)| DeliveryCommand::GiveUp { reason, now }),
        1 => any_of::time().prop_map(|now| DeliveryCommand::MissDeadline { now }),
        1 => operators_command(),
        3 => handing_over_command(),
        24 => report().prop_map(DeliveryCommand::Report),
    ]
}

/// A life: an order is taken and booked, then anything comes.
pub(crate) fn life() -> impl Strategy<Value = Vec<DeliveryCommand>> {
    (order(), vec(command(), 0..40)).prop_map(|(mut order, then)| {
        let now = Timestamp::MIN;
        order.plan.pickup_window = None;
        order.plan.deliver_by = None;
        let order = Box::new(order);
        let booked = [
            DeliveryCommand::Create { order, now },
            DeliveryCommand::Schedule { now },
        ];
        booked.into_iter().chain(then).collect()
    })
}
