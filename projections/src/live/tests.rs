//! Tests of the last known telemetry.

use domain::drone::Sender;
use domain::id::SessionId;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::test_log::{at, mission};

#[derive(Clone, Debug)]
struct Said {
    fleet: u8,
    drone: u8,
    session: u8,
    seq: u64,
    mission: Option<u8>,
    received_at: i64,
}

fn said() -> impl Strategy<Value = Said> {
    (
        0..2_u8,
        0..4_u8,
        0..3_u8,
        0..10_u64,
        option::of(0..3_u8),
        0..50_i64,
    )
        .prop_map(|(fleet, drone, session, seq, mission, received_at)| Said {
            fleet,
            drone,
            session,
            seq,
            mission,
            received_at,
        })
}

fn fleet(number: u8) -> FleetId {
    FleetId::new(format!("fleet-{number}")).unwrap()
}

fn drone(number: u8) -> DroneId {
    DroneId::new(format!("drone-{number}")).unwrap()
}

fn telemetry(said: &Said) -> Telemetry {
    Telemetry {
        sender: Sender {
            fleet: fleet(said.fleet),
            drone: drone(said.drone),
            session: SessionId::new(format!("boot-{}", said.session)).unwrap(),
        },
        seq: said.seq,
        mission: said.mission.map(|number| mission(u128::from(number))),
        simulated: false,
        event_time: at(said.received_at),
        received_at: at(said.received_at),
        phase: None,
        position: None,
        velocity: None,
        heading_cdeg: None,
        battery: None,
        eta_next: None,
        eta_end: None,
    }
}

proptest! {
    /// Law: of each drone the newest is known, however it comes, and every
    /// look-up says the same.
    #[test]
    fn the_newest_of_each_drone_is_known(sayings in vec(said(), 0..60)) {
        let live = LiveDrones::default();
        let mut newest: BTreeMap<DroneName, Telemetry> = BTreeMap::new();
        for said in &sayings {
            let telemetry = telemetry(said);
            let name = name_of(&telemetry);
            let is_newer = newest.get(&name).is_none_or(|known| age(known) < age(&telemetry));
            prop_assert_eq!(live.note(telemetry.clone()) == Observation::Newest, is_newer);
            if is_newer {
                newest.insert(name, telemetry);
            }
        }
        let listed: Vec<Telemetry> =
            live.list(None, 100).iter().map(|known| (**known).clone()).collect();
        prop_assert_eq!(&listed, &newest.values().cloned().collect::<Vec<_>>());
        for number in 0..3 {
            let mission = mission(number);
            let flying = newest.values().filter(|known| known.mission == Some(mission));
            let heard_last = flying.map(|known| known.received_at).max();
            let found = live.on_mission(mission);
            prop_assert_eq!(found.as_ref().map(|known| known.received_at), heard_last);
            prop_assert!(found.is_none_or(|known| known.mission == Some(mission)));
        }
        for number in 0..4 {
            let named = live.drones_named(&drone(number));
            let expected = newest.keys().filter(|(name, _)| *name == drone(number));
            prop_assert_eq!(named.len(), expected.count());
        }
    }

    /// Law: never more drones than the bound, and none is kept that was silent longer than one that went.
    #[test]
    fn whoever_has_been_silent_longest_goes_first(sayings in vec(said(), 0..60), most in 1..5_usize) {
        let live = LiveDrones::new(most);
        for said in &sayings {
            let before = live.list(None, 100);
            live.note(telemetry(said));
            let after = live.list(None, 100);
            prop_assert!(after.len() <= most);
            let kept = |gone: &Arc<Telemetry>| {
                after.iter().any(|known| name_of(known) == name_of(gone))
            };
            for gone in before.iter().filter(|known| !kept(known)) {
                prop_assert!(after.iter().all(|known| known.received_at >= gone.received_at));
            }
        }
        prop_assert_eq!(live.known.read().unwrap().by_receipt.len(), live.len());
    }
}

#[test]
fn a_list_goes_on_after_a_drone() {
    let live = LiveDrones::default();
    for number in [3, 1, 2] {
        live.note(telemetry(&Said {
            fleet: 0,
            drone: number,
            session: 0,
            seq: 1,
            mission: None,
            received_at: 0,
        }));
    }
    let names = |list: Vec<Arc<Telemetry>>| -> Vec<String> {
        let drones = list.iter().map(|known| known.sender.drone.to_string());
        drones.collect()
    };
    assert_eq!(names(live.list(None, 2)), ["drone-1", "drone-2"]);
    let after = (drone(2), fleet(0));
    assert_eq!(names(live.list(Some(&after), 2)), ["drone-3"]);
    assert!(live.drone(&fleet(0), &drone(3)).is_some());
    assert!(live.drone(&fleet(1), &drone(3)).is_none());
}
