//! Random lives: whatever a drone reports of one or two missions, in one or two lives of its sender,
//! told in any way.

use super::*;

/// One of every kind of fact, and of those that mean different things several.
fn facts(delivery: DeliveryId) -> Vec<(&'static str, Value)> {
    let delivery_id = delivery.to_string();
    let tag = tag_of(delivery);
    let elsewhere = json!({"lat_deg": 40.5, "lon_deg": -79.8});
    vec![
        ("mission_assigned", json!({"delivery_id": delivery_id})),
        ("mission_rejected", json!({"reason": "weather"})),
        ("mission_aborted", json!({"reason": "range"})),
        ("departed", json!({"leg": "pickup"})),
        ("arrived", json!({"at": "pickup"})),
        (
            "package_loaded",
            json!({"tag": tag.as_str(), "mass_g": 510}),
        ),
        ("package_loaded", json!({"tag": "another"})),
        ("package_loaded", json!({"mass_g": 900})),
        ("departed", json!({"leg": "dropoff"})),
        ("arrived", json!({"at": "dropoff"})),
        ("arrived", json!({"at": "dropoff", "position": elsewhere})),
        ("departed", json!({"leg": "return"})),
        (
            "package_released",
            json!({"method": "winch", "confirmed": true}),
        ),
        (
            "package_released",
            json!({"method": "drop", "confirmed": false}),
        ),
        (
            "package_released",
            json!({"method": "drop", "confirmed": true, "position": elsewhere}),
        ),
        (
            "recipient_verified",
            json!({"kind": "pin", "proof_hash": "a1"}),
        ),
        (
            "recipient_verified",
            json!({"kind": "photo", "proof_hash": "b2"}),
        ),
        ("hold_started", json!({"reason": "weather"})),
        ("hold_started", json!({"reason": "traffic"})),
        ("hold_ended", json!({})),
        ("battery", json!({"level": "low"})),
        ("battery", json!({"level": "critical", "endurance_s": 90})),
        ("diverted", json!({"reason": "battery", "to": "charge"})),
        ("diverted", json!({"reason": "storm", "to": "hub"})),
        ("link_lost", json!({})),
        ("link_restored", json!({})),
        ("crashed", json!({})),
        ("lost", json!({})),
        ("package_dropped", json!({})),
        ("emergency_landed", json!({})),
        ("stood_down", json!({})),
        ("returned", json!({"to": "sender"})),
        ("returned", json!({"to": "hub"})),
        ("returned", json!({"to": "hub", "tag": tag.as_str()})),
        ("mission_completed", json!({"outcome": "landed_home"})),
        (
            "mission_completed",
            json!({"outcome": "landed_elsewhere", "payload_on_board": true}),
        ),
    ]
}

const KINDS: usize = 36;

/// A life as it happened: which facts, each of which mission; somewhere at its beginning a drone
/// gets the first one.
#[derive(Clone, Debug)]
struct Life {
    confirmation: Confirmation,
    facts: Vec<(usize, u8)>,
    /// How many of them its sender tells before it begins anew.
    in_first: usize,
    /// Whether Airpost asked for the first mission, or the fleet began it by itself.
    is_asked: bool,
}

/// The longest beginning in which missions are assigned, so that no fact of the first session
/// waits for what the second one tells.
const ASSIGNED_WITHIN: usize = 5;

impl Life {
    async fn booked(&self) -> Service {
        Service::with_a_booking_to_confirm(self.confirmation).await
    }

    /// The first mission and another one.
    async fn missions(&self, service: &Service) -> [MissionId; 2] {
        let asked = service.asks_for().await;
        let first = if self.is_asked { asked } else { mission_of(0) };
        [first, mission_of(1)]
    }

    fn events(&self, delivery: DeliveryId, missions: [MissionId; 2]) -> Vec<Value> {
        let kinds = facts(delivery);
        let told = self.facts.iter().enumerate();
        told.map(|(place, (kind, of))| {
            let (kind, mut own) = kinds[*kind].clone();
            own["mission_id"] = json!(missions[usize::from(*of)].to_string());
            let (session, before) = if place < self.in_first {
                ("0001", 0)
            } else {
                ("0002", self.in_first)
            };
            let seq = u64::try_from(place - before).unwrap() + 1;
            event(session, seq, kind, &own)
        })
        .collect()
    }
}

fn mission_of(number: u8) -> MissionId {
    MissionId::from_uuid(Uuid::from_u128(77 + u128::from(number)))
}

fn life() -> impl Strategy<Value = Life> {
    let fact = (0..KINDS, prop_oneof![6 => Just(0u8), 1 => Just(1u8)]);
    let confirmation = prop::sample::select(vec![Confirmation::None, Confirmation::Photo]);
    // In every second life the fleet assigns a mission too many as well.
    let assigned = (0..3usize, prop::option::of(0..3usize));
    // In most lives the sender begins anew in the middle of it.
    let in_first = ASSIGNED_WITHIN..30;
    (
        prop::collection::vec(fact, 3..20),
        assigned,
        confirmation,
        in_first,
        any::<bool>(),
    )
        .prop_map(
            |(mut facts, (at, too_many), confirmation, in_first, is_asked)| {
                facts.insert(at, (0, 0));
                if let Some(at) = too_many {
                    facts.insert(at, (0, 1));
                }
                let in_first = in_first.min(facts.len());
                for (kind, of) in facts.iter_mut().skip(in_first) {
                    *of = if *kind == 0 { 0 } else { *of };
                }
                Life {
                    confirmation,
                    facts,
                    in_first,
                    is_asked,
                }
            },
        )
}

/// What happens after a request.
#[derive(Clone, Copy, Debug)]
enum After {
    Nothing,
    Restart,
    /// A restart, after which what waits for nothing any more is released.
    Release,
}

/// A life, and how it is told: in which order within each session, what twice, in which requests,
/// and what happens after each.
fn telling() -> impl Strategy<Value = (Life, Vec<(Vec<usize>, After)>)> {
    let life = life().prop_flat_map(|life| {
        let (first, all) = (life.in_first, life.facts.len());
        let [first, second] = [0..first, first..all].map(Iterator::collect::<Vec<_>>);
        let again = prop::collection::vec(0..all, 0..8);
        let orders = (Just(first).prop_shuffle(), Just(second).prop_shuffle());
        (Just(life), orders, again)
    });
    let after = prop_oneof![4 => Just(After::Nothing), 3 => Just(After::Restart), 1 => Just(After::Release)];
    let cuts = prop::collection::vec((1..6usize, after), 30);
    (life, cuts).prop_map(|((life, (mut order, second), again), cuts)| {
        order.extend(second);
        order.extend(again);
        let mut rest = order.as_slice();
        let mut requests = Vec::new();
        for (cut, after) in cuts {
            let (request, later) = rest.split_at(cut.min(rest.len()));
            requests.push((request.to_vec(), after));
            rest = later;
        }
        (life, requests)
    })
}

#[test]
fn there_is_a_fact_of_every_kind_that_is_understood() {
    let all = facts(DeliveryId::from_uuid(Uuid::nil()));
    assert_eq!(all.len(), KINDS);
    for (kind, _) in all {
        assert!(wire::is_understood(kind), "{kind}");
    }
}

proptest! {
    /// I11 over random lives; and the fleet is asked for the same.
    #[test]
    fn any_life_told_in_any_order_with_echoes_splits_and_restarts_is_the_same_delivery((life, requests) in telling()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let in_order = life.booked().await;
            let missions = life.missions(&in_order).await;
            let events = life.events(in_order.delivery, missions);
            in_order.receive(&events).await;
            let mut service = life.booked().await;
            prop_assert_eq!(life.missions(&service).await, missions);
            for (request, after) in requests {
                let told: Vec<_> = request.iter().map(|place| events[*place].clone()).collect();
                service.receive(&told).await;
                match after {
                    After::Nothing => {}
                    After::Restart => service.restart(),
                    After::Release => {
                        service.restart();
                        service.release().await;
                    }
                }
            }
            // The service's clock stands still, so that when it was told of what is the same too.
            // The whole state: status, custody, condition, confirmation, milestones, anomalies.
            prop_assert_eq!(service.delivery(), in_order.delivery());
            prop_assert_eq!(service.asked(&missions), in_order.asked(&missions));
            Ok(())
        })?;
    }
}
