//! Every pair of a phase and an event, and of a phase and a command, is
//! classified: one row per event or command, one column per phase.
//!
//! A new event, command, kind of report or phase does not compile until it has
//! its row or column, and no cell is right until somebody thought about it.

use super::*;

/// The columns: every phase, with a delivery in it whose newest mission is the first, or, where
/// the package was fetched from a hub, the second.
const COLUMNS: &str = "Pe Sc As He Ap As He Ap Lo It Ad Rt Hb Ca Ca Ca Co Rd Cd Fm Fl";

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

/// What an event does to every phase, if it is of the delivery's newest mission.
#[expect(clippy::match_same_arms, reason = "every kind has a row of its own")]
const fn event_row(event: &DeliveryEvent) -> &'static str {
    match event {
        DeliveryEvent::Created(_) => {
            "-- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::Scheduled => {
            "Sc -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::Rescheduled(_) => {
            "== == == -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::DroneAssigned(_) => {
            "-- As -- -- -- -- -- -- -- -- -- -- As -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::DroneUnassigned { .. } => {
            "-- -- Sc Sc Sc Hb Hb Hb -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::HeadedToPickup { .. } => {
            "-- -- He -- -- He -- -- -- -- -- -- -- == -- -- -- -- -- -- --"
        }
        DeliveryEvent::ArrivedAtPickup { .. } => {
            "-- -- Ap Ap -- Ap Ap -- -- -- -- -- -- == == -- -- -- -- -- --"
        }
        DeliveryEvent::PickedUp { .. } => {
            "-- -- Lo Lo Lo Lo Lo Lo -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::InTransit { .. } => {
            "-- -- -- -- -- -- -- -- It -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::ArrivedAtDropoff { .. } => {
            "-- -- -- -- -- -- -- -- Ad Ad -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::DeliveryComplete { .. } => {
            "-- -- -- -- -- -- -- -- Co Co Co Co -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::AttemptFailed { .. } => {
            "-- -- == == == == == == -- -- -- -- -- == == == -- -- -- -- --"
        }
        DeliveryEvent::ReturnStarted { .. } => {
            "-- -- -- -- -- -- -- -- Rt Rt Rt -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::ArrivedAtHub { .. } => {
            "-- -- -- -- -- -- -- -- -- -- -- Hb -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::Returned { .. } => {
            "-- -- -- -- -- -- -- -- -- -- -- Rd Rd -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::CancellationRequested { .. } => {
            "Ca Ca Ca Ca Ca -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::Cancelled => {
            "-- -- -- -- -- -- -- -- -- -- -- -- -- Cd Cd Cd -- -- -- -- --"
        }
        DeliveryEvent::CancellationRejected { .. } => {
            "-- -- -- -- -- -- -- -- -- -- -- -- -- As He Ap -- -- -- -- --"
        }
        DeliveryEvent::Failed { .. } => {
            "-- -- -- -- -- Fa Fa Fa Fa Fa Fa Fa Fa -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::MilestoneTimeCorrected { .. } => {
            "-- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        DeliveryEvent::AnomalyRecorded { .. } => {
            "!! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !!"
        }
    }
}

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
}

#[test]
fn every_event_is_classified_in_every_phase() {
    let mut wrong = vec![];
    let kinds = events(M1).len();
    assert_eq!(
        kinds,
        <DeliveryEvent as crate::codec::StoredEvent>::TYPES.len()
    );
    for kind in 0..kinds {
        let row: Vec<_> = situations()
            .into_iter()
            .map(|(given, mission)| {
                let event = events(mission).swap_remove(kind);
                let before = given.state().unwrap();
                let occurrence = now(event, 50);
                let after = Delivery::evolve(Some(before.clone()), &occurrence).unwrap();
                cell(&before, &after, &[occurrence])
            })
            .collect();
        let event = events(M1).swap_remove(kind);
        let name = crate::codec::StoredEvent::name(&event);
        if row.join(" ") != event_row(&event) {
            wrong.push(format!("{name:24} {}", row.join(" ")));
        }
    }
    assert!(
        wrong.is_empty(),
        "what is so:\n{:24} {COLUMNS}\n{}",
        "",
        wrong.join("\n")
    );
}

/// What a command does in every phase, if a report is of the delivery's newest mission.
const fn command_row(command: &DeliveryCommand) -> &'static str {
    match command {
        DeliveryCommand::Create { .. } => {
            "no no no no no no no no no no no no no no no no no no no no no"
        }
        DeliveryCommand::Schedule { .. } => {
            "Sc -- -- -- -- -- -- -- -- -- -- -- -- no no no no no no no no"
        }
        DeliveryCommand::Reschedule { .. } => {
            "== == == no no no no no no no no no no no no no no no no no no"
        }
        DeliveryCommand::Cancel { .. } => {
            "Cd Cd Ca Ca Ca no no no no no no no no -- -- -- no no -- no no"
        }
        DeliveryCommand::Report(report) => report_row(&report.reported),
    }
}

const fn report_row(reported: &Reported) -> &'static str {
    match reported {
        Reported::Assigned { .. } => {
            "!! -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- -- --"
        }
        Reported::Ended { how, .. } => match how {
            Ending::Rejected | Ending::Aborted | Ending::StoodDown => {
                "-- -- Sc Sc Sc Hb Hb Hb Rt Rt Rt -- -- Cd Cd Cd -- -- -- -- --"
            }
            Ending::Crashed | Ending::Lost => {
                "-- -- Sc Sc Sc Hb Hb Hb Fa Fa Fa Fa -- Cd Cd Cd -- -- -- -- --"
            }
        },
        Reported::DepartedToPickup => {
            "-- -- He -- -- He -- -- -- -- -- -- -- == -- -- -- -- -- -- --"
        }
        Reported::ArrivedAtPickup => {
            "-- -- Ap Ap -- Ap Ap -- -- -- -- -- -- == == -- -- -- -- -- --"
        }
        Reported::Loaded { verdict, .. } => match verdict {
            LoadVerdict::Matches => {
                "!! !! Lo Lo Lo Lo Lo Lo -- -- -- -- -- Rt Rt Rt -- -- !! -- --"
            }
            LoadVerdict::WrongPackage | LoadVerdict::Overweight => {
                "!! !! Sc Sc Sc Hb Hb Hb !! !! !! -- -- == == == -- -- !! -- --"
            }
        },
        Reported::DepartedToDropoff => {
            "!! !! It It It It It It It -- -- -- -- Rt Rt Rt -- -- !! -- --"
        }
        Reported::ArrivedAtDropoff(nearness) => match nearness {
            Nearness::Inside(_) | Nearness::Unknown => {
                "!! !! Ad Ad Ad Ad Ad Ad Ad Ad -- -- -- Rt Rt Rt -- -- !! -- --"
            }
            Nearness::Outside(_) => {
                "-- -- !! !! !! !! !! !! !! !! -- -- -- !! !! !! -- -- -- -- --"
            }
        },
        Reported::Released {
            confirmed: false, ..
        } => "-- -- !! !! !! !! !! !! !! !! !! !! -- !! !! !! -- -- -- -- --",
        Reported::Released {
            confirmed: true,
            nearness,
            ..
        } => match nearness {
            Nearness::Inside(_) => "!! !! Co Co Co Co Co Co Co Co Co Co !! Co Co Co -- !! !! !! !!",
            Nearness::Outside(_) => {
                "!! !! Fa Fa Fa Fa Fa Fa Fa Fa Fa !! -- Fa Fa Fa !! -- !! -- !!"
            }
            Nearness::Unknown => "!! !! !! !! !! !! !! !! !! !! !! !! -- !! !! !! -- -- !! -- !!",
        },
        Reported::DepartedToReturn => {
            "-- -- -- -- -- -- -- -- Rt Rt Rt -- -- -- -- -- -- -- -- -- --"
        }
        Reported::Returned(ReturnedTo::Sender) => {
            "-- -- -- -- -- -- -- -- Rd Rd Rd Rd Rd -- -- -- -- -- -- -- !!"
        }
        Reported::Returned(ReturnedTo::Hub(_)) => {
            "-- -- -- -- -- -- -- -- Hb Hb Hb Hb -- -- -- -- -- -- -- -- !!"
        }
        Reported::Completed { payload_on_board } => match payload_on_board {
            None | Some(false) => "-- -- Sc Sc Sc Hb Hb Hb !! !! !! !! -- Cd Cd Cd -- -- -- -- --",
            Some(true) => "!! !! !! !! !! !! !! !! !! !! !! !! -- !! !! !! !! -- !! !! !!",
        },
        Reported::Misplaced(_) => "!! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !! !!",
    }
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
    ];
    reports.extend(Ending::ALL.map(ended));
    reports
}

/// One command of every kind that is told apart.
fn commands(mission: MissionId) -> Vec<DeliveryCommand> {
    let mut plan = order().plan;
    plan.deliver_by = Some(at(1_000));
    let mut other = order();
    other.expedited = true;
    let mut commands = vec![
        create(other, at(50)),
        DeliveryCommand::Schedule { now: at(50) },
        DeliveryCommand::Reschedule {
            plan: Box::new(plan),
            now: at(50),
        },
        cancel(at(50)),
    ];
    commands.extend(
        reports()
            .into_iter()
            .map(|reported| report(mission, 50, reported)),
    );
    commands
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

#[test]
fn every_command_is_classified_in_every_phase() {
    let mut wrong = vec![];
    for kind in 0..commands(M1).len() {
        let row: Vec<_> = situations()
            .into_iter()
            .map(|(given, mission)| decided(&given, &commands(mission).swap_remove(kind)))
            .collect();
        let command = commands(M1).swap_remove(kind);
        if row.join(" ") != command_row(&command) {
            wrong.push(format!("{} {command:?}", row.join(" ")));
        }
    }
    assert!(
        wrong.is_empty(),
        "what is so:\n{COLUMNS}\n{}",
        wrong.join("\n")
    );
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
