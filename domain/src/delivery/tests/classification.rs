//! Every pair of a phase and an event, a command, a report or a drone event is
//! classified: one row each, one column per phase, in the crate's README.
//!
//! A new variant or phase does not compile until it has its row or column, and
//! does not pass until the README has it: `AIRPOST_GOLDEN=write` writes it, and
//! then somebody has to read what it says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::drone::{
    BatteryLevel, DivertPlace, DroneFact, FactKind, Leg, ReturnPlace, Sender, Stop,
};
use crate::id::SessionId;
use crate::translation::{Thresholds, translate};

/// The columns: every phase, with a delivery in it whose newest mission is the first, or, where
/// the package was fetched from a hub, the second.
const COLUMNS: &str = "Pe Sc As He Ap As He Ap Lo It Ad Rt Hb Ca Ca Ca Co Rd Cd Fm Fl Rj Aw";

const fn column(phase: Phase) -> usize {
    match phase {
        Phase::Pending => 0,
        Phase::Scheduled => 1,
        Phase::Fetching { stage, holder } => {
            let first = match holder {
                Holder::Sender => 2,
                Holder::Hub => 5,
            };
            first + place_of(stage)
        }
        Phase::Carrying(CarryStage::Loaded) => 8,
        Phase::Carrying(CarryStage::InTransit) => 9,
        Phase::Carrying(CarryStage::AtDropoff) => 10,
        Phase::Returning => 11,
        Phase::AtHub => 12,
        Phase::Cancelling { stage } => 13 + place_of(stage),
        Phase::Complete => 16,
        Phase::Returned => 17,
        Phase::Cancelled => 18,
        Phase::Failed(Failure::Misdelivered) => 19,
        Phase::Failed(
            Failure::DroneLost
            | Failure::PackageLost
            | Failure::Damaged
            | Failure::Undeliverable
            | Failure::NoDrone,
        ) => 20,
        Phase::Rejected(_) => 21,
        Phase::Released(_) => 22,
    }
}

const fn place_of(stage: FetchStage) -> usize {
    match stage {
        FetchStage::Assigned => 0,
        FetchStage::HeadedToPickup => 1,
        FetchStage::AtPickup => 2,
    }
}

/// A delivery in each phase, in the order of the columns, and its newest mission.
fn situations() -> Vec<(Given<Delivery>, MissionId)> {
    let fetching = |stage: usize| {
        let reports = [
            assigned(),
            Reported::DepartedToPickup,
            Reported::ArrivedAtPickup,
        ];
        flown(reports.into_iter().take(stage + 1))
    };
    let from_hub = |stage: usize| {
        let reports = [
            assigned(),
            Reported::DepartedToPickup,
            Reported::ArrivedAtPickup,
        ];
        (20..)
            .zip(reports.into_iter().take(stage + 1))
            .fold(at_hub(), |given, (minute, reported)| {
                given.after(report(M2, minute, reported))
            })
    };
    let loaded = || at_pickup().after(report(M1, 4, loaded()));
    let in_transit = || loaded().after(report(M1, 5, Reported::DepartedToDropoff));
    let ending = |reported| at_dropoff().after(report(M1, 9, reported));
    let mut situations = vec![
        (given([]).after(create(order(), at(0))), M1),
        (flown([assigned(), ended(Ending::Aborted)]), M1),
    ];
    situations.extend((0..3).map(|stage| (fetching(stage), M1)));
    situations.extend((0..3).map(|stage| (from_hub(stage), M2)));
    situations.extend([
        (loaded(), M1),
        (in_transit(), M1),
        (at_dropoff(), M1),
        (ending(Reported::DepartedToReturn), M1),
        (at_hub(), M1),
    ]);
    situations.extend((0..3).map(|stage| (fetching(stage).after(cancel(at(9))), M1)));
    let returned = ending(Reported::DepartedToReturn).after(report(
        M1,
        10,
        Reported::Returned(ReturnedTo::Sender),
    ));
    let stood_down = report(M1, 10, ended(Ending::StoodDown));
    situations.extend([
        (ending(released_at(NEAR)), M1),
        (returned, M1),
        (at_pickup().after(cancel(at(9))).after(stood_down), M1),
        (ending(released_at(FAR)), M1),
        (ending(ended(Ending::Lost)), M1),
        (booked().after(reject(at(9))), M1),
        (awaiting(), M1),
    ]);
    situations
}

#[test]
fn there_is_a_delivery_for_every_column() {
    let columns: Vec<_> = situations()
        .iter()
        .map(|(given, _)| column(given.state().unwrap().phase()))
        .collect();
    assert_eq!(columns, (0..COLUMNS.split(' ').count()).collect::<Vec<_>>());
}

/// How a status is written in a cell.
const fn short(status: Status) -> &'static str {
    match status {
        Status::Pending => "Pe",
        Status::Scheduled => "Sc",
        Status::Assigned => "As",
        Status::HeadedToPickup => "He",
        Status::AtPickup => "Ap",
        Status::Loaded => "Lo",
        Status::InTransit => "It",
        Status::AtDropoff => "Ad",
        Status::Complete => "Co",
        Status::Rejected => "Rj",
        Status::Cancelling => "Ca",
        Status::Cancelled => "Cd",
        Status::Returning => "Rt",
        Status::AtHub => "Hb",
        Status::Returned => "Rd",
        Status::Failed => "Fa",
    }
}

/// One cell: `--` nothing happens, `no` rejected, `!!` an anomaly, `==` something happens in the
/// same status, or the status that it leads to.
fn cell(before: &Delivery, after: &Delivery, events: &[Occurrence<DeliveryEvent>]) -> &'static str {
    let is_anomaly =
        |o: &Occurrence<DeliveryEvent>| matches!(o.event, DeliveryEvent::AnomalyRecorded { .. });
    if before.status() != after.status() {
        short(after.status())
    } else if !events.is_empty() && events.iter().all(is_anomaly) {
        "!!"
    } else if before == after {
        "--"
    } else {
        "=="
    }
}

/// Names every variant of a type, in the order of the rows: a new one does not compile until it
/// has a name here, and is missed until there is an example of it.
macro_rules! rows {
    ($name:ident $all:ident: $of:ty { $($pattern:pat => $label:literal,)+ }) => {
        const $all: &[&str] = &[$($label,)+];

        fn $name(it: &$of) -> &'static str {
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
    DeliveryCommand::MissDeadline { .. } => "MissDeadline",
    DeliveryCommand::Confirm { kind: Confirmation::None, .. } => "Confirm, too weak",
    DeliveryCommand::Confirm { .. } => "Confirm",
    DeliveryCommand::OverdueConfirmation { .. } => "OverdueConfirmation",
    DeliveryCommand::Vouch { .. } => "Vouch",
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
    FactKind::Returned(ReturnPlace::Sender) => "returned sender",
    FactKind::Returned(ReturnPlace::Hub) => "returned hub",
    FactKind::Returned(ReturnPlace::Base) => "returned base",
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
fn events(mission: MissionId) -> Vec<DeliveryEvent> {
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
    ]
}

/// One report of every kind that is told apart.
fn reports() -> Vec<Reported> {
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
fn commands(mission: MissionId) -> Vec<DeliveryCommand> {
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
        DeliveryCommand::GiveUp { now: at(50) },
        DeliveryCommand::MissDeadline { now: at(50) },
        confirm(Confirmation::None, 50),
        confirm(Confirmation::Pin, 50),
        DeliveryCommand::OverdueConfirmation { now: at(50) },
        vouch(50),
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
            now: at(50),
        },
    ]
}

/// One drone event of every kind that is told apart, near the drop-off.
fn facts() -> Vec<FactKind> {
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
    let places = ReturnPlace::ALL.iter();
    facts.extend(places.map(|place| FactKind::Returned(*place)));
    facts
}

/// What a fact of the delivery's newest mission comes to.
fn told(given: &Given<Delivery>, mission: MissionId, kind: FactKind) -> &'static str {
    let sender = Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new("0001").unwrap(),
    };
    let delivery = given.state().unwrap();
    let fact = DroneFact {
        id: FactId::new("fact").unwrap(),
        mission,
        event_time: at(50),
        position: Some(delivery.order().plan.dropoff.point),
        kind,
    };
    let report = translate(&fact, false, &sender, &delivery, &Thresholds::default());
    report.map_or("--", |report| {
        decided(given, &DeliveryCommand::Report(report))
    })
}

fn decided(given: &Given<Delivery>, command: &DeliveryCommand) -> &'static str {
    let before = given.state();
    match Delivery::decide(command, &before) {
        Err(_) => "no",
        Ok(events) => {
            let after = Delivery::fold_from(before.clone(), &events).unwrap();
            cell(&before.unwrap(), &after, &events)
        }
    }
}

/// The rows of one table, and that there is one for every name.
fn table<T>(
    text: &mut String,
    (title, names): (&str, &[&str]),
    examples: &[T],
    name: impl Fn(&T) -> &'static str,
    cell: impl Fn(&Given<Delivery>, MissionId, usize) -> &'static str,
) {
    let situations = situations();
    writeln!(text, "{title:27} {COLUMNS}").unwrap();
    let mut rows: Vec<_> = examples
        .iter()
        .enumerate()
        .map(|(place, example)| {
            let cells = situations
                .iter()
                .map(|(given, mission)| cell(given, *mission, place));
            (name(example), cells.collect::<Vec<_>>().join(" "))
        })
        .collect();
    let found: BTreeSet<_> = rows.iter().map(|(name, _)| *name).collect();
    let missing: Vec<_> = names.iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
    rows.sort_by_key(|(name, _)| names.iter().position(|it| it == name));
    rows.dedup();
    for (name, cells) in rows {
        writeln!(text, "{name:27} {cells}").unwrap();
    }
    text.push('\n');
}

fn classification() -> String {
    let types = <DeliveryEvent as crate::codec::StoredEvent>::TYPES;
    let names: Vec<_> = types.iter().map(|of| of.name).collect();
    let mut text = String::new();
    let event = crate::codec::StoredEvent::name;
    table(
        &mut text,
        ("EVENT", &names),
        &events(M1),
        event,
        |given, mission, place| {
            let occurrence = now(events(mission).swap_remove(place), 50);
            let before = given.state().unwrap();
            let after = Delivery::evolve(Some(before.clone()), &occurrence).unwrap();
            cell(&before, &after, &[occurrence])
        },
    );
    let own_rows = |names: &'static [&str]| -> Vec<&str> {
        let rows = names.iter().filter(|name| **name != "Report");
        rows.copied().collect()
    };
    table(
        &mut text,
        ("COMMAND", &own_rows(COMMANDS)),
        &commands(M1),
        command_name,
        |given, mission, place| decided(given, &commands(mission).swap_remove(place)),
    );
    table(
        &mut text,
        ("REPORT", REPORTS),
        &reports(),
        report_name,
        |given, mission, place| decided(given, &report(mission, 50, reports().swap_remove(place))),
    );
    table(
        &mut text,
        ("DRONE EVENT", FACTS),
        &facts(),
        fact_name,
        |given, mission, place| told(given, mission, facts().swap_remove(place)),
    );
    text.trim_end().to_owned() + "\n"
}

const BEGIN: &str = "<!-- what is so, written by AIRPOST_GOLDEN=write -->\n```text\n";
const END: &str = "```\n<!-- so far -->";

#[test]
fn the_readme_tells_what_every_event_command_report_and_drone_event_does_in_every_phase() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (told, after) = rest.split_once(END).unwrap();
    let so = classification();
    if told != so && std::env::var("AIRPOST_GOLDEN").as_deref() == Ok("write") {
        let readme = [before, BEGIN, &so, END, after].concat();
        std::fs::write(&path, readme).unwrap();
        return;
    }
    assert_eq!(told, so, "the table in the README is not what is so");
}

#[test]
fn no_report_of_another_mission_changes_a_status_but_an_assignment_where_a_drone_is_awaited() {
    for (given, _) in situations() {
        for reported in reports() {
            let cell = decided(&given, &report(super::mission(77), 50, reported.clone()));
            let awaited = [Status::Scheduled, Status::AtHub].contains(&status(&given));
            if awaited && matches!(reported, Reported::Assigned { .. }) {
                assert_eq!(cell, "As");
            } else {
                assert!(["--", "!!"].contains(&cell), "{reported:?} gave {cell}");
            }
        }
    }
}
