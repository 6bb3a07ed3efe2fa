//! The rows: one example of every event, command, report and drone event that is told apart.

use super::super::*;
use crate::drone::{BatteryLevel, DivertPlace, FactKind, Leg, ReturnPlace, Stop};

/// Names every variant of a type, in the order of the rows: a new one does not compile until it
/// has a name here, and is missed until there is an example of it.
macro_rules! rows {
    ($name:ident $all:ident: $of:ty { $($pattern:pat => $label:literal,)+ }) => {
        pub(super) const $all: &[&str] = &[$($label,)+];

        pub(super) fn $name(it: &$of) -> &'static str {
            match it { $($pattern => $label,)+ }
        }
    };
}

rows! { command_name COMMANDS: DeliveryCommand {
    DeliveryCommand::Create { .. } => "Create, otherwise",
    DeliveryCommand::Schedule { .. } => "Schedule",
    DeliveryCommand::Reschedule { .. } => "Reschedule",
    DeliveryCommand::Cancel { .. } => "Cancel",
    DeliveryCommand::Reject { .. } => "Reject",
    DeliveryCommand::GiveUp { .. } => "GiveUp",
    DeliveryCommand::FindDamaged { .. } => "FindDamaged",
    DeliveryCommand::MissDeadline { .. } => "MissDeadline",
    DeliveryCommand::Confirm { kind: Confirmation::None, .. } => "Confirm, too weak",
    DeliveryCommand::Confirm { .. } => "Confirm",
    DeliveryCommand::OverdueConfirmation { .. } => "OverdueConfirmation",
    DeliveryCommand::NoteStranded { .. } => "NoteStranded",
    DeliveryCommand::Vouch { .. } => "Vouch",
    DeliveryCommand::HandBack { .. } => "HandBack",
    DeliveryCommand::RequestReturn { .. } => "RequestReturn",
    DeliveryCommand::Reopen { to: ReopenedAs::InTransit, .. } => "Reopen, in_transit",
    DeliveryCommand::Reopen { to: ReopenedAs::Returning, .. } => "Reopen, returning",
    DeliveryCommand::Reopen { to: ReopenedAs::AtHub, .. } => "Reopen, at_hub",
    DeliveryCommand::Correct(_) => "Correct",
    DeliveryCommand::ReviseEta { .. } => "ReviseEta",
    DeliveryCommand::Report(_) => "Report",
} }

rows! { report_name REPORTS: Reported {
    Reported::Assigned { .. } => "Assigned",
    Reported::Ended { how: Ending::Rejected, .. } => "Ended, rejected",
    Reported::Ended { how: Ending::Aborted, .. } => "Ended, aborted",
    Reported::Ended { how: Ending::StoodDown, .. } => "Ended, stood down",
    Reported::Ended { how: Ending::Crashed, .. } => "Ended, crashed",
    Reported::Ended { how: Ending::Lost, .. } => "Ended, lost",
    Reported::DepartedToPickup => "DepartedToPickup",
    Reported::ArrivedAtPickup => "ArrivedAtPickup",
    Reported::Loaded { verdict: LoadVerdict::Matches, .. } => "Loaded, the right one",
    Reported::Loaded { verdict: LoadVerdict::WrongPackage, .. } => "Loaded, another one",
    Reported::Loaded { verdict: LoadVerdict::Overweight, .. } => "Loaded, too heavy",
    Reported::DepartedToDropoff => "DepartedToDropoff",
    Reported::ArrivedAtDropoff(Nearness::Inside(_)) => "ArrivedAtDropoff, near",
    Reported::ArrivedAtDropoff(Nearness::Outside(_)) => "ArrivedAtDropoff, far",
    Reported::ArrivedAtDropoff(Nearness::Unknown) => "ArrivedAtDropoff, somewhere",
    Reported::Released { confirmed: false, .. } => "Released, not confirmed",
    Reported::Released { nearness: Nearness::Inside(_), .. } => "Released, near",
    Reported::Released { nearness: Nearness::Outside(_), .. } => "Released, far",
    Reported::Released { nearness: Nearness::Unknown, .. } => "Released, somewhere",
    Reported::DepartedToReturn => "DepartedToReturn",
    Reported::Returned(ReturnedTo::Sender) => "Returned to the sender",
    Reported::Returned(ReturnedTo::Hub(_)) => "Returned to a hub",
    Reported::BroughtBack(ReturnedTo::Sender) => "Brought to the sender",
    Reported::BroughtBack(ReturnedTo::Hub(_)) => "Brought to a hub",
    Reported::Completed { payload_on_board: None | Some(false) } => "Completed, empty",
    Reported::Completed { payload_on_board: Some(true) } => "Completed, loaded",
    Reported::Verified { kind: Confirmation::None, .. } => "Verified, too weak",
    Reported::Verified { .. } => "Verified",
    Reported::HoldStarted(_) => "HoldStarted",
    Reported::HoldEnded => "HoldEnded",
    Reported::BatteryCritical => "BatteryCritical",
    Reported::Diverted { to: Diversion::Charge, .. } => "Diverted to charge",
    Reported::Diverted { to: Diversion::Home, .. } => "Diverted home",
    Reported::LinkLost => "LinkLost",
    Reported::LinkRestored => "LinkRestored",
    Reported::Dropped => "Dropped",
    Reported::EmergencyLanded { .. } => "EmergencyLanded",
    Reported::Misplaced(_) => "Misplaced",
} }

rows! { fact_name FACTS: FactKind {
    FactKind::MissionAssigned { .. } => "mission_assigned",
    FactKind::MissionRejected { .. } => "mission_rejected",
    FactKind::MissionAborted { .. } => "mission_aborted",
    FactKind::Departed(Leg::Pickup) => "departed pickup",
    FactKind::Departed(Leg::Dropoff) => "departed dropoff",
    FactKind::Departed(Leg::Return) => "departed return",
    FactKind::Arrived(Stop::Pickup) => "arrived pickup",
    FactKind::Arrived(Stop::Dropoff) => "arrived dropoff",
    FactKind::PackageLoaded { .. } => "package_loaded",
    FactKind::PackageReleased { .. } => "package_released",
    FactKind::Returned { place: ReturnPlace::Sender, tag: None } => "returned sender",
    FactKind::Returned { place: ReturnPlace::Hub, tag: None } => "returned hub",
    FactKind::Returned { place: ReturnPlace::Base, tag: None } => "returned base",
    FactKind::Returned { place: ReturnPlace::Sender, tag: Some(_) } => "returned sender, with tag",
    FactKind::Returned { place: ReturnPlace::Hub, tag: Some(_) } => "returned hub, with tag",
    FactKind::Returned { place: ReturnPlace::Base, tag: Some(_) } => "returned base, with tag",
    FactKind::StoodDown => "stood_down",
    FactKind::Crashed { .. } => "crashed",
    FactKind::Lost { .. } => "lost",
    FactKind::RecipientVerified { .. } => "recipient_verified",
    FactKind::HoldStarted(_) => "hold_started",
    FactKind::HoldEnded => "hold_ended",
    FactKind::Battery(BatteryLevel::Low) => "battery low",
    FactKind::Battery(BatteryLevel::Critical) => "battery critical",
    FactKind::Battery(BatteryLevel::Emergency) => "battery emergency",
    FactKind::Diverted { to: DivertPlace::Charge, .. } => "diverted charge",
    FactKind::Diverted { to: DivertPlace::Hub, .. } => "diverted hub",
    FactKind::Diverted { to: DivertPlace::Base, .. } => "diverted base",
    FactKind::LinkLost => "link_lost",
    FactKind::LinkRestored => "link_restored",
    FactKind::PackageDropped => "package_dropped",
    FactKind::EmergencyLanded { .. } => "emergency_landed",
    FactKind::MissionCompleted { .. } => "mission_completed",
} }

/// One event of every kind, of a mission.
pub(super) fn events(mission: MissionId) -> Vec<DeliveryEvent> {
    let mut plan = order().plan;
    plan.deliver_by = Some(at(1_000));
    vec![
        DeliveryEvent::Created(Box::new(order())),
        DeliveryEvent::Scheduled,
        DeliveryEvent::Rescheduled(Box::new(plan)),
        assignment(super::mission(9), 9),
        unassigned(mission, UnassignReason::Aborted),
        DeliveryEvent::HeadedToPickup { mission },
        DeliveryEvent::ArrivedAtPickup { mission },
        picked_up(mission),
        DeliveryEvent::InTransit { mission },
        arrived_at_dropoff(mission, None),
        complete(mission),
        DeliveryEvent::AttemptFailed {
            mission,
            reason: AttemptFailure::Overweight,
        },
        DeliveryEvent::ReturnStarted {
            mission,
            reason: ReturnReason::DroneReturned,
        },
        DeliveryEvent::ArrivedAtHub {
            mission,
            place: HubPlace::Hub,
        },
        DeliveryEvent::Returned { mission },
        REQUESTED,
        DeliveryEvent::Cancelled,
        TOO_LATE,
        DeliveryEvent::Failed {
            mission,
            reason: Failure::PackageLost,
        },
        DeliveryEvent::MilestoneTimeCorrected {
            milestone: Milestone::InTransit,
            was: at(1),
            now: at(2),
        },
        DeliveryEvent::AnomalyRecorded {
            fact: FactId::new("odd").unwrap(),
            mission,
            why: Anomaly::WrongStatus,
        },
    ]
    .into_iter()
    .chain(later_events(mission))
    .collect()
}

fn later_events(mission: MissionId) -> Vec<DeliveryEvent> {
    vec![
        DeliveryEvent::Rejected {
            reason: RejectReason::Quota,
        },
        DeliveryEvent::DeadlineMissed { deliver_by: at(40) },
        DeliveryEvent::Confirmed {
            kind: Confirmation::Photo,
            proof: proof(),
        },
        DeliveryEvent::Reopened {
            cause: ReopenCause::Operator,
            to: ReopenedAs::Returning,
            reason: None,
        },
        DeliveryEvent::Corrected {
            what: Correction::Place,
            was: None,
            now: words("in the shed"),
            reason: words("they rang"),
        },
        DeliveryEvent::ConditionChanged {
            mission,
            condition: Condition::Delayed,
        },
        DeliveryEvent::EtaRevised {
            mission,
            pickup_at: Some(at(60)),
            dropoff_at: None,
        },
        DeliveryEvent::Released {
            mission,
            method: ReleaseMethod::Winch,
            evidence: None,
            distance: DistanceM::new(3),
        },
        DeliveryEvent::ConfirmationOverdue,
        DeliveryEvent::Vouched {
            reason: words("they rang"),
        },
        DeliveryEvent::Stranded {
            place: Stranding::OnBoard,
        },
        DeliveryEvent::GivenUp {
            reason: words("the sender fetched it"),
        },
        DeliveryEvent::HandedBack {
            reason: words("the sender has it"),
        },
    ]
}

/// One report of every kind that is told apart.
pub(super) fn reports() -> Vec<Reported> {
    let mut reports = vec![
        assigned(),
        Reported::DepartedToPickup,
        Reported::ArrivedAtPickup,
        loaded(),
        loaded_as(LoadVerdict::WrongPackage),
        loaded_as(LoadVerdict::Overweight),
        Reported::DepartedToDropoff,
        Reported::ArrivedAtDropoff(NEAR),
        Reported::ArrivedAtDropoff(FAR),
        Reported::ArrivedAtDropoff(Nearness::Unknown),
        unconfirmed_at(NEAR),
        unconfirmed_at(FAR),
        unconfirmed_at(Nearness::Unknown),
        released_at(NEAR),
        released_at(FAR),
        released_at(Nearness::Unknown),
        Reported::DepartedToReturn,
        Reported::Returned(ReturnedTo::Sender),
        Reported::Returned(ReturnedTo::Hub(HubPlace::Hub)),
        Reported::BroughtBack(ReturnedTo::Sender),
        Reported::BroughtBack(ReturnedTo::Hub(HubPlace::Hub)),
        completed(None),
        completed(Some(false)),
        completed(Some(true)),
        Reported::Misplaced(Anomaly::MissionAlreadyBound),
        verified(Confirmation::None),
        verified(Confirmation::Pin),
        Reported::HoldStarted(HoldReason::Weather),
        Reported::HoldEnded,
        Reported::BatteryCritical,
        diverted(Diversion::Charge),
        diverted(Diversion::Home),
        Reported::LinkLost,
        Reported::LinkRestored,
        Reported::Dropped,
        Reported::EmergencyLanded { detail: None },
    ];
    reports.extend(Ending::ALL.map(ended));
    reports
}

/// One command of every kind; reports have their own rows.
pub(super) fn commands(mission: MissionId) -> Vec<DeliveryCommand> {
    let mut plan = order().plan;
    plan.deliver_by = Some(at(1_000));
    let mut other = order();
    other.expedited = true;
    vec![
        create(other, at(50)),
        DeliveryCommand::Schedule { now: at(50) },
        DeliveryCommand::Reschedule {
            plan: Box::new(plan),
            now: at(50),
        },
        cancel(at(50)),
        reject(at(50)),
        give_up(50),
        find_damaged(50),
        DeliveryCommand::MissDeadline { now: at(50) },
        confirm(Confirmation::None, 50),
        confirm(Confirmation::Pin, 50),
        DeliveryCommand::OverdueConfirmation { now: at(50) },
        DeliveryCommand::NoteStranded { now: at(50) },
        vouch(50),
        hand_back(50),
        DeliveryCommand::RequestReturn { now: at(50) },
        reopen(ReopenedAs::InTransit, 50),
        reopen(ReopenedAs::Returning, 50),
        reopen(ReopenedAs::AtHub, 50),
        correct("in the shed", 50),
        DeliveryCommand::ReviseEta {
            mission,
            estimate: Estimate {
                pickup_at: Some(at(60)),
                dropoff_at: Some(at(70)),
            },
            thresholds: EtaThresholds::default(),
            now: at(50),
        },
    ]
}

/// One drone event of every kind that is told apart, near the drop-off.
pub(super) fn facts() -> Vec<FactKind> {
    let mut facts = vec![
        FactKind::MissionAssigned {
            delivery: crate::id::DeliveryId::from_uuid(Uuid::nil()),
            eta_pickup: None,
            eta_dropoff: None,
        },
        FactKind::MissionRejected { detail: None },
        FactKind::MissionAborted { detail: None },
        FactKind::PackageLoaded {
            tag: None,
            mass: None,
        },
        FactKind::PackageReleased {
            method: ReleaseMethod::Winch,
            confirmed: true,
            evidence: None,
        },
        FactKind::StoodDown,
        FactKind::Crashed { detail: None },
        FactKind::Lost { detail: None },
        FactKind::MissionCompleted {
            payload_on_board: None,
        },
        FactKind::RecipientVerified {
            kind: Confirmation::Pin,
            proof: proof(),
        },
        FactKind::HoldStarted(HoldReason::Weather),
        FactKind::HoldEnded,
        FactKind::LinkLost,
        FactKind::LinkRestored,
        FactKind::PackageDropped,
        FactKind::EmergencyLanded { detail: None },
    ];
    let levels = BatteryLevel::ALL.iter();
    facts.extend(levels.map(|level| FactKind::Battery(*level)));
    let places = DivertPlace::ALL.iter();
    facts.extend(places.map(|to| FactKind::Diverted {
        to: *to,
        detail: None,
    }));
    facts.extend(Leg::ALL.iter().map(|leg| FactKind::Departed(*leg)));
    facts.extend(Stop::ALL.iter().map(|stop| FactKind::Arrived(*stop)));
    for tag in [None, Some(order().package.tag)] {
        let places = ReturnPlace::ALL.iter();
        facts.extend(places.map(|place| FactKind::Returned {
            place: *place,
            tag: tag.clone(),
        }));
    }
    facts
}
