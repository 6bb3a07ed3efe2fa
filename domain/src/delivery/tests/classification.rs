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
use crate::drone::{DroneFact, FactKind, Sender};
use crate::id::SessionId;
use crate::translation::{Thresholds, translate};

mod examples;

use examples::{
    COMMANDS, FACTS, REPORTS, command_name, commands, events, fact_name, facts, report_name,
    reports,
};

/// The columns: every phase, with a delivery in it whose newest mission is the first, or, where
/// the package was fetched from a hub, the second.
const COLUMNS: &str = "Pe Sc As He Ap As He Ap Lo It Ad Rt Hb Ca Ca Ca Co Rd Cd Fm Fl Fu Fd Rj Aw";

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
        Phase::Failed(Failure::DroneLost | Failure::PackageLost | Failure::NoDrone) => 20,
        Phase::Failed(Failure::Undeliverable) => 21,
        Phase::Failed(Failure::Damaged) => 22,
        Phase::Rejected(_) => 23,
        Phase::Released(_) => 24,
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
pub(super) fn situations() -> Vec<(Given<Delivery>, MissionId)> {
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
        (at_hub().after(give_up(12)), M1),
        (at_hub().after(find_damaged(12)), M1),
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

/// How a drone event is told.
#[derive(Clone, Copy)]
struct Told {
    mission: MissionId,
    is_late: bool,
    is_placed: bool,
}

/// What a fact comes to.
fn told(given: &Given<Delivery>, told: Told, kind: FactKind) -> &'static str {
    let sender = Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new("0001").unwrap(),
    };
    let delivery = given.state().unwrap();
    let near = delivery.order().plan.dropoff.point;
    let fact = DroneFact {
        id: FactId::new("fact").unwrap(),
        mission: told.mission,
        event_time: at(50),
        position: told.is_placed.then_some(near),
        kind,
    };
    let thresholds = Thresholds::default();
    let report = translate(&fact, told.is_late, &sender, &delivery, &thresholds);
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

/// The deliveries that the tables are about, each with its newest mission. Each has a deadline
/// that is over.
fn overdue() -> Vec<(Given<Delivery>, MissionId)> {
    let overdue = |mut occurrence: Occurrence<DeliveryEvent>| {
        if let DeliveryEvent::Created(order) = &mut occurrence.event {
            order.plan.deliver_by = Some(at(40));
        }
        occurrence
    };
    let situations = situations().into_iter().map(|(given_so_far, mission)| {
        let history = given_so_far.history().iter().cloned();
        (given(history.map(overdue)), mission)
    });
    situations.collect()
}

/// The same, after the newest mission's drone reported something that may change how it does.
fn overdue_and(reported: &Reported) -> Vec<(Given<Delivery>, MissionId)> {
    let situations = overdue().into_iter().map(|(given, mission)| {
        let reported = report(mission, 45, reported.clone());
        (given.after(reported), mission)
    });
    situations.collect()
}

/// The same as [`overdue`], each with a mission before the newest: the one that brought the package
/// to the hub, or one that ended before it had it. A delivery that was never scheduled, or that no
/// drone ever came for, has none, and hears of one that it does not know.
fn with_former() -> Vec<(Given<Delivery>, MissionId)> {
    let situations = overdue().into_iter().map(|(so_far, newest)| {
        let first = if newest == M2 { M1 } else { FORMER };
        let had_drone = so_far.state().unwrap().mission().is_some();
        let mut history = so_far.history().to_vec();
        if first == FORMER && had_drone {
            for occurrence in &mut history {
                if let DeliveryEvent::DroneAssigned(assigned) = &mut occurrence.event {
                    assigned.epoch += 1;
                }
            }
            let is_scheduled = |o: &Occurrence<DeliveryEvent>| o.event == DeliveryEvent::Scheduled;
            let place = history.iter().position(is_scheduled).unwrap() + 1;
            let before = [
                now(assignment(FORMER, 1), 0),
                now(unassigned(FORMER, UnassignReason::Aborted), 0),
            ];
            history.splice(place..place, before);
        }
        (given(history), first)
    });
    situations.collect()
}

const FORMER: MissionId = MissionId::from_uuid(Uuid::from_u128(100));

type Row = (&'static str, String);

/// The rows of one table, and that there is one for every name.
fn rows<T>(
    situations: &[(Given<Delivery>, MissionId)],
    names: &[&str],
    examples: &[T],
    name: impl Fn(&T) -> &'static str,
    cell: impl Fn(&Given<Delivery>, MissionId, usize) -> &'static str,
) -> Vec<Row> {
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
    rows
}

fn write_table(text: &mut String, title: &str, rows: &[Row]) {
    writeln!(text, "{title:27} {COLUMNS}").unwrap();
    for (name, cells) in rows {
        writeln!(text, "{name:27} {cells}").unwrap();
    }
    text.push('\n');
}

fn report_rows(situations: &[(Given<Delivery>, MissionId)]) -> Vec<Row> {
    let cell = |given: &_, mission, place| {
        decided(given, &report(mission, 50, reports().swap_remove(place)))
    };
    rows(situations, REPORTS, &reports(), report_name, cell)
}

/// The rows of drone events; `so` is how they are told.
fn fact_rows(situations: &[(Given<Delivery>, MissionId)], so: impl Fn(Told) -> Told) -> Vec<Row> {
    let cell = |given: &_, mission, place| {
        let in_turn = Told {
            mission,
            is_late: false,
            is_placed: true,
        };
        told(given, so(in_turn), facts().swap_remove(place))
    };
    rows(situations, FACTS, &facts(), fact_name, cell)
}

/// Those that are not as in the table before.
fn unlike(rows: Vec<Row>, usual: &[Row]) -> Vec<Row> {
    rows.into_iter()
        .filter(|row| !usual.contains(row))
        .collect()
}

fn classification() -> String {
    let types = <DeliveryEvent as crate::codec::StoredEvent>::TYPES;
    let names: Vec<_> = types.iter().map(|of| of.name).collect();
    let mut text = String::new();
    let situations = overdue();
    let event = crate::codec::StoredEvent::name;
    let evolved = |given: &Given<Delivery>, mission, place| {
        let occurrence = now(events(mission).swap_remove(place), 50);
        let before = given.state().unwrap();
        let after = Delivery::evolve(Some(before.clone()), &occurrence).unwrap();
        cell(&before, &after, &[occurrence])
    };
    let evolved = rows(&situations, &names, &events(M1), event, evolved);
    write_table(&mut text, "EVENT", &evolved);

    let own_rows: Vec<_> = COMMANDS
        .iter()
        .filter(|it| **it != "Report")
        .copied()
        .collect();
    let commanded =
        |given: &_, mission, place| decided(given, &commands(mission).swap_remove(place));
    let commanded = rows(
        &situations,
        &own_rows,
        &commands(M1),
        command_name,
        commanded,
    );
    write_table(&mut text, "COMMAND", &commanded);

    let reported = report_rows(&situations);
    write_table(&mut text, "REPORT", &reported);
    let so_far = [
        ("while held", Reported::HoldStarted(HoldReason::Weather)),
        ("while out of reach", Reported::LinkLost),
    ];
    for (when, so_far) in &so_far {
        let rows = unlike(report_rows(&overdue_and(so_far)), &reported);
        write_table(&mut text, &format!("REPORT, {when}"), &rows);
    }

    let told = fact_rows(&situations, |told| told);
    write_table(&mut text, "DRONE EVENT", &told);
    for (when, so_far) in &so_far {
        let rows = unlike(fact_rows(&overdue_and(so_far), |told| told), &told);
        write_table(&mut text, &format!("…, {when}"), &rows);
    }
    let late = fact_rows(&situations, |told| Told {
        is_late: true,
        ..told
    });
    write_table(&mut text, "…, late", &unlike(late, &told));
    let placeless = |told| Told {
        is_placed: false,
        ..told
    };
    let placeless = fact_rows(&situations, placeless);
    write_table(
        &mut text,
        "…, without a position",
        &unlike(placeless, &told),
    );
    let former = fact_rows(&with_former(), |told| told);
    write_table(&mut text, "…, of a former mission", &former);
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
