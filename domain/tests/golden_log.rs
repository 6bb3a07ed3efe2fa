//! A whole log of a few flights: every later version reads it as the same deliveries.
//!
//! `golden/flight.txt` holds, for each delivery, its events as they were stored
//! and what they were folded to. It is written once, by `AIRPOST_GOLDEN=write`
//! where it is missing, and only read ever after.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, in its helpers too"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use domain::codec::StoredEvent;
use domain::decider::{Decider, Occurrence};
use domain::delivery::{
    CancelReason, Confirmation, Delivery, DeliveryCommand, DeliveryEvent, Ending, HubPlace,
    LoadVerdict, Nearness, OnCancelAfterPickup, OnUndeliverable, Order, Package, PackageFlag,
    Place, Plan, ReleaseEvidence, ReleaseMethod, Report, Reported, ReturnedTo, Size,
};
use domain::geo::GeoPoint;
use domain::id::{DroneId, ExternalId, FactId, FleetId, MissionId, Tag, UserId};
use domain::quantity::{DistanceM, MassG};
use domain::text::Text;
use domain::time::Timestamp;
use uuid::Uuid;

const INSIDE: Nearness = Nearness::Inside(DistanceM::new(3));

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/flight.txt")
}

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_micros(1_792_852_800_000_000 + minute * 60_000_000).unwrap()
}

fn plan(dropoff_lat: f64) -> Plan {
    let place = |lat, lon, words: &str| Place {
        point: GeoPoint::from_degrees(lat, lon).unwrap(),
        address: words.parse().ok(),
    };
    Plan {
        pickup: place(40.4587, -79.7824, "12 Müller Street"),
        dropoff: place(dropoff_lat, -79.7790, "The green house"),
        pickup_window: None,
        deliver_by: Some(minute(90)),
    }
}

fn order() -> Order {
    Order {
        user: UserId::from_uuid(Uuid::from_u128(7)),
        external_id: Some(ExternalId::new("order-4711").unwrap()),
        plan: plan(40.4612),
        package: Package {
            id: None,
            tag: Tag::new("QR-1").unwrap(),
            size: Size::Medium,
            mass: MassG::new(450).unwrap(),
            dimensions: None,
            flags: vec![PackageFlag::Cold],
        },
        confirmation: Confirmation::None,
        expedited: true,
        on_undeliverable: OnUndeliverable::Hold,
        on_cancel_after_pickup: OnCancelAfterPickup::Return,
        metadata: vec![(Text::new("shop").unwrap(), Text::new("9").unwrap())],
    }
}

fn booking() -> Vec<DeliveryCommand> {
    let order = Box::new(order());
    let now = minute(0);
    vec![
        DeliveryCommand::Create { order, now },
        DeliveryCommand::Schedule { now },
    ]
}

fn cancel(at: i64) -> DeliveryCommand {
    DeliveryCommand::Cancel {
        reason: CancelReason::CustomerRequest,
        comment: "not needed any more".parse().ok(),
        now: minute(at),
    }
}

fn assigned() -> Reported {
    Reported::Assigned {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        eta_pickup: Some(minute(8)),
        eta_dropoff: None,
    }
}

fn loaded() -> Reported {
    Reported::Loaded {
        verdict: LoadVerdict::Matches,
        tag: Tag::new("QR-1").ok(),
        mass: MassG::new(452).ok(),
    }
}

fn released() -> Reported {
    Reported::Released {
        method: ReleaseMethod::Winch,
        evidence: Some(ReleaseEvidence::WinchStatus),
        confirmed: true,
        nearness: INSIDE,
    }
}

fn ended(how: Ending) -> Reported {
    let detail = "too windy".parse().ok();
    Reported::Ended { how, detail }
}

/// Reports of missions at minutes.
fn reports(all: impl IntoIterator<Item = (u128, i64, Reported)>) -> Vec<DeliveryCommand> {
    let report = |(mission, at, reported)| {
        DeliveryCommand::Report(Report {
            fact: FactId::new(format!("M100-07:0001:{at}")).unwrap(),
            mission: MissionId::from_uuid(Uuid::from_u128(mission)),
            event_time: minute(at),
            reported,
        })
    };
    all.into_iter().map(report).collect()
}

/// What happened to each delivery, by its name.
fn lives() -> [(&'static str, Vec<DeliveryCommand>); 3] {
    let replanned = DeliveryCommand::Reschedule {
        plan: Box::new(plan(40.4613)),
        now: minute(1),
    };
    let delivered = reports([
        (1, 2, assigned()),
        (1, 3, ended(Ending::Rejected)),
        (2, 4, assigned()),
        (2, 9, Reported::ArrivedAtPickup),
        (2, 10, loaded()),
        (2, 14, Reported::ArrivedAtDropoff(INSIDE)),
        (2, 15, released()),
        (2, 5, Reported::DepartedToPickup),
        (1, 16, released()),
    ]);
    let returned = reports([
        (3, 2, assigned()),
        (3, 4, loaded()),
        (3, 6, Reported::DepartedToReturn),
        (3, 8, Reported::Returned(ReturnedTo::Hub(HubPlace::Base))),
        (4, 9, assigned()),
        (4, 11, loaded()),
        (4, 12, Reported::Returned(ReturnedTo::Sender)),
    ]);
    let cancelled = [
        reports([(5, 2, assigned())]),
        vec![cancel(3)],
        reports([(5, 4, ended(Ending::StoodDown))]),
    ];
    [
        (
            "delivered",
            [booking(), vec![replanned], delivered].concat(),
        ),
        ("returned", [booking(), returned].concat()),
        ("cancelled", [booking(), cancelled.concat()].concat()),
    ]
}

/// The events as they are stored, one a line: type, schema, time, whether inferred, payload.
fn stored(life: &[DeliveryCommand]) -> String {
    let (mut state, mut text) = (Delivery::initial(), String::new());
    for command in life {
        for occurrence in Delivery::decide(command, &state).unwrap() {
            let encoded = occurrence.event.encode();
            let (at_us, inferred) = (occurrence.event_time.micros(), occurrence.inferred);
            let (event_type, schema) = (encoded.event_type, encoded.schema);
            write!(text, "event {event_type} {schema} {at_us} {inferred} ").unwrap();
            for byte in &encoded.payload {
                write!(text, "{byte:02x}").unwrap();
            }
            text.push('\n');
            state = Delivery::evolve(state, &occurrence);
        }
    }
    text
}

fn read(line: &str) -> Occurrence<DeliveryEvent> {
    let words: Vec<_> = line.split(' ').collect();
    let &[_, event_type, schema, at_us, inferred, payload] = words.as_slice() else {
        panic!("{line}");
    };
    let digits: Vec<_> = payload.chars().collect();
    let payload: Vec<_> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap())
        .collect();
    let (event_type, schema) = (event_type.parse().unwrap(), schema.parse().unwrap());
    let event_time = Timestamp::from_micros(at_us.parse().unwrap()).unwrap();
    Occurrence {
        event: DeliveryEvent::decode(event_type, schema, &payload).unwrap(),
        event_time,
        recorded_at: event_time,
        inferred: inferred.parse().unwrap(),
    }
}

/// What the events of some lines fold to, in words that mean the same for ever.
fn folded<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    let occurrences: Vec<_> = lines.map(read).collect();
    let delivery = Delivery::fold(&occurrences).unwrap();
    let mut text = String::new();
    let (status, custody) = (delivery.status(), delivery.custody());
    let counts = (delivery.attempt(), delivery.epoch(), delivery.revision());
    writeln!(text, "state {status} {custody:?} {counts:?}").unwrap();
    let dropoff = &delivery.order().plan.dropoff;
    let (lat, lon) = (dropoff.point.lat_e7(), dropoff.point.lon_e7());
    writeln!(
        text,
        "state {lat} {lon} {}",
        dropoff.address.as_ref().unwrap()
    )
    .unwrap();
    for reached in delivery.milestones() {
        let mission = reached.mission.uuid().as_u128();
        let (at_us, inferred) = (reached.at.micros(), reached.inferred);
        writeln!(
            text,
            "state {} {mission} {at_us} {inferred}",
            reached.milestone
        )
        .unwrap();
    }
    text
}

#[test]
fn a_log_that_was_written_once_holds_the_same_deliveries_for_ever() {
    if !path().exists() && std::env::var("AIRPOST_GOLDEN").as_deref() == Ok("write") {
        let written = lives().map(|(name, life)| {
            let events = stored(&life);
            let state = folded(events.lines());
            format!("delivery {name}\n{events}{state}")
        });
        fs::write(path(), written.concat()).unwrap();
    }
    let golden = fs::read_to_string(path()).unwrap();
    let deliveries: Vec<_> = golden
        .split("delivery ")
        .filter(|d| !d.is_empty())
        .collect();
    assert_eq!(deliveries.len(), lives().len());
    for delivery in deliveries {
        let events = delivery.lines().filter(|line| line.starts_with("event "));
        let state = delivery.lines().filter(|line| line.starts_with("state "));
        let (folded, state) = (folded(events), state.collect::<Vec<_>>());
        assert_eq!(folded.lines().collect::<Vec<_>>(), state);
    }
}
