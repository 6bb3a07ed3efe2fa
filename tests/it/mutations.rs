//! Drone events as no drone sends them: every one is accounted for, and nothing stops for it.
//!
//! `AIRPOST_MUTATIONS` says how many there are; without it ten thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use domain::session::{Session, SessionEvent};
use domain::stream::Category;
use eventstore::{JournalReader, Position};
use serde_json::{Value, json};
use tests::{Chance, Client, Recording, poll_until, tally};

use crate::accounts::occurrences;
use crate::scene::{
    Order, Taken, airpost, facts_of, list, number, number_from, report, scratch_in_memory, seeded,
    text, verify, with,
};

/// How many lines without being told otherwise.
const LINES_USUAL: u64 = 10_000;

/// Flights in one request: some hundred lines.
const FLIGHTS_AT_ONCE: u64 = 20;

/// Flights for one delivery, one after the other: also such as come too late, or beside another.
const FLIGHTS_EACH: u64 = 4;

/// How often an event is changed, of a thousand: seldom enough that those after it still count.
const CHANGED_PERMILLE: u16 = 300;

/// How often a line is sent once more as it is, of a thousand.
const REPEATED_PERMILLE: u16 = 50;

/// How often a line of bytes by chance stands before another one, of a thousand.
const RANDOM_PERMILLE: u16 = 20;

/// How many lines of each request are sent one by one.
const SINGLES: usize = 5;

/// How long missing facts may be waited for after the last request.
const SETTLED_SOON: Duration = Duration::from_mins(2);

/// How fast time passes once everything was told, so that nothing may wait any longer.
const HURRY: [&str; 2] = ["--time-scale", "1000"];

/// Values that a member may suddenly have.
fn odd_value(chance: &mut Chance) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(u64::MAX),
        json!(-1.0e308),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(300)),
        json!("msn_00000000-0000-0000-0000-000000000000"),
        json!("dlv_00000000-0000-7000-8000-000000000000"),
        json!("9999-12-31T23:59:59.999999Z"),
        json!("0001-01-01T00:00:00Z"),
        json!([]),
        json!([[[[[]]]]]),
        json!({}),
        json!({"lat_deg": 91, "lon_deg": null}),
    ];
    pick(&values, chance).clone()
}

fn pick<'a, T>(some: &'a [T], chance: &mut Chance) -> &'a T {
    let place = chance.below(some.len() as u64);
    let place = usize::try_from(place).expect("it is a place in memory");
    some.get(place).expect("it is one of them")
}

/// Changes a member somewhere in a document, or takes it away.
fn change(value: &mut Value, chance: &mut Chance) {
    let Some(members) = value.as_object_mut().filter(|members| !members.is_empty()) else {
        *value = odd_value(chance);
        return;
    };
    let names: Vec<String> = members.keys().cloned().collect();
    let name = pick(&names, chance);
    match chance.below(4) {
        0 => drop(members.remove(name)),
        1 => drop(members.insert(name.clone(), odd_value(chance))),
        2 => drop(members.insert(format!("{name}_"), odd_value(chance))),
        _ => change(members.get_mut(name).expect("it is one of them"), chance),
    }
}

/// A line that was an event.
fn line(mut event: Value, chance: &mut Chance) -> Vec<u8> {
    if !chance.happens(CHANGED_PERMILLE) {
        return event.to_string().into_bytes();
    }
    for _ in 0..chance.below(4) {
        change(&mut event, chance);
    }
    let mut bytes = event.to_string().into_bytes();
    match chance.below(6) {
        0 => {
            let length = usize::try_from(chance.below(bytes.len() as u64)).expect("it is a length");
            bytes.truncate(length);
        }
        1 => {
            for _ in 0..=chance.below(8) {
                let place = usize::try_from(chance.below(bytes.len() as u64)).expect("a place");
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= u8::try_from(chance.below(255) + 1).expect("it is a byte");
                }
            }
        }
        _ => {}
    }
    one_line(bytes)
}

/// A line is a line, and one without anything does not count.
fn one_line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.retain(|byte| *byte != b'\n' && *byte != b'\r');
    if bytes.iter().all(u8::is_ascii_whitespace) {
        bytes = b"{}".to_vec();
    }
    bytes
}

/// Bytes that nobody meant.
fn random(chance: &mut Chance) -> Vec<u8> {
    let words = (0..=chance.below(30)).map(|_| chance.bits().to_le_bytes());
    one_line(words.flatten().collect())
}

/// The lines as they are sent: with others among them, and some of them twice.
fn told_badly(lines: impl Iterator<Item = Vec<u8>>, chance: &mut Chance) -> Vec<Vec<u8>> {
    let mut sent: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        if chance.happens(RANDOM_PERMILLE) {
            sent.push(random(chance));
        }
        sent.push(line);
        if chance.happens(REPEATED_PERMILLE) {
            let again = pick(&sent, chance).clone();
            sent.push(again);
        }
    }
    sent
}

/// What drones say that have trouble, and what nobody knows.
fn odd_kinds() -> Vec<(&'static str, Value)> {
    vec![
        ("mission_rejected", json!({"reason": "weather"})),
        (
            "mission_aborted",
            json!({"reason": "airspace", "detail": "too close"}),
        ),
        (
            "recipient_verified",
            json!({"kind": "pin", "proof_hash": "ab".repeat(32)}),
        ),
        ("hold_started", json!({"reason": "traffic"})),
        ("hold_ended", json!({})),
        ("battery", json!({"level": "critical", "endurance_s": 60})),
        ("diverted", json!({"reason": "battery", "to": "hub"})),
        ("link_lost", json!({})),
        ("link_restored", json!({})),
        ("crashed", json!({"detail": "tree"})),
        ("lost", json!({})),
        ("package_dropped", json!({})),
        ("emergency_landed", json!({})),
        ("stood_down", json!({})),
        ("returned", json!({"to": "sender"})),
        (
            "mission_completed",
            json!({"outcome": "landed_home", "payload_on_board": true}),
        ),
        ("no_such_kind", json!({"what": 1})),
    ]
}

/// The facts of a flight for a delivery, by a drone and in a mission and a session of its own, with
/// some among them that do not belong there.
fn flight(order: &Order, chance: &mut Chance) -> Vec<Value> {
    let mission = Order::mission(&order.id, &order.request, chance);
    let mut facts = facts_of(order.flight.events(&mission));
    let odd = odd_kinds();
    for _ in 0..chance.below(4) {
        let (kind, members) = pick(&odd, chance);
        let place = usize::try_from(chance.below(facts.len() as u64)).expect("a place");
        let mut fact = facts.get(place).expect("it is one of them").clone();
        let mut data = json!({
            "drone_id": mission.drone, "mission_id": mission.mission, "session_id": mission.session,
        });
        with(&mut data, members);
        with(
            &mut fact,
            &json!({"type": format!("drone.{kind}.v1"), "data": data}),
        );
        facts.insert(place + 1, fact);
    }
    for (seq, fact) in (1_u64..).zip(&mut facts) {
        let id = format!("{}:{}:f{seq}", mission.drone, mission.session);
        with(fact, &json!({"id": id}));
        let data = fact.get_mut("data").expect("every fact has data");
        with(data, &json!({"seq": seq}));
    }
    facts
}

/// What became of all lines.
#[derive(Debug, Default)]
struct Told {
    lines: u64,
    accepted: u64,
    duplicates: u64,
    rejected: u64,
    /// Of those sent before, how many were not refused then nor now.
    repeated: u64,
    sent: BTreeSet<Vec<u8>>,
}

impl Told {
    /// Tells some lines: most of them as lines, of the others those that are JSON as a batch, and
    /// each of the last by itself.
    async fn tell(&mut self, client: &Client, mut lines: Vec<Vec<u8>>) {
        let singles = lines.split_off(lines.len().saturating_sub(SINGLES));
        let (batch, lines): (Vec<_>, Vec<_>) = (0..)
            .zip(lines)
            .partition(|(n, line)| n % 4 == 0 && serde_json::from_slice::<Value>(line).is_ok());
        let [batch, lines] = [batch, lines].map(|some| some.into_iter().map(|(_, line)| line));
        let (batch, lines): (Vec<_>, Vec<_>) = (batch.collect(), lines.collect());
        let body = lines.join(&b'\n');
        self.tell_many(client, "application/x-ndjson", body, lines)
            .await;
        let body = [&b"["[..], &batch.join(&b','), b"]"].concat();
        self.tell_many(client, "application/cloudevents-batch+json", body, batch)
            .await;
        for line in singles {
            self.tell_one(client, line).await;
        }
    }

    async fn tell_many(
        &mut self,
        client: &Client,
        content_type: &str,
        body: Vec<u8>,
        lines: Vec<Vec<u8>>,
    ) {
        let count = lines.len() as u64;
        let post = client.post("/v1/drone-events").body(content_type, body);
        let taken = Taken::of(&post.send().await.expect(200));
        let refused = taken.rejected.len() as u64;
        let counted = taken.accepted + taken.duplicates + refused;
        assert_eq!(counted, count, "every line is accounted for");
        for refusal in &taken.rejected {
            assert!(!text(refusal, "/problem/detail").is_empty(), "{refusal}");
            assert_ne!(text(refusal, "/problem/code"), "internal", "{refusal}");
        }
        let refusals = taken.rejected.iter().map(|it| number(it, "/index"));
        let refusals: BTreeSet<u64> = refusals.collect();
        self.count(taken.accepted, taken.duplicates, refused);
        for (index, line) in (0..).zip(lines) {
            if !refusals.contains(&index) {
                self.note(line);
            }
        }
    }

    /// What is refused is so with the status of a refusal.
    async fn tell_one(&mut self, client: &Client, line: Vec<u8>) {
        let post = client
            .post("/v1/drone-events")
            .body("application/cloudevents+json", line.clone());
        let answer = post.send().await;
        match answer.status() {
            200 => {
                let taken = Taken::of(&answer);
                self.count(taken.accepted, taken.duplicates, 0);
                self.note(line);
            }
            refused => {
                assert!((400..500).contains(&refused), "{refused}: {answer:?}");
                self.count(0, 0, 1);
            }
        }
    }

    fn count(&mut self, accepted: u64, duplicates: u64, rejected: u64) {
        self.lines += accepted + duplicates + rejected;
        self.accepted += accepted;
        self.duplicates += duplicates;
        self.rejected += rejected;
    }

    /// A line that was taken.
    fn note(&mut self, line: Vec<u8>) {
        self.repeated += u64::from(!self.sent.insert(line));
    }
}

/// What became of a fact that was stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Applied,
    Parked,
    GivenUp,
}

/// One sender's facts.
#[derive(Debug, Default)]
struct Kept {
    session: Session,
    /// By their numbers.
    fates: BTreeMap<u64, Fate>,
}

impl Kept {
    fn take(&mut self, event: &SessionEvent) {
        let decided = match event {
            SessionEvent::FactReceived(fact) => {
                let other = self.fates.insert(fact.seq, Fate::Applied);
                assert_eq!(other, None, "stored twice: {fact:?}");
                None
            }
            SessionEvent::FactParked { seq, parked: _ } => Some((seq, Fate::Parked)),
            SessionEvent::FactUnparked { seq } => Some((seq, Fate::Applied)),
            SessionEvent::DeadLettered { seq, why: _ } => Some((seq, Fate::GivenUp)),
            SessionEvent::SessionOpened(_) | SessionEvent::GapPassed { .. } => None,
        };
        if let Some((seq, fate)) = decided {
            let known = self.fates.get_mut(seq);
            *known.unwrap_or_else(|| panic!("{event:?} of what was never stored")) = fate;
        }
        self.session = std::mem::take(&mut self.session).evolve(event);
    }

    /// Whether a fact waits for those before it: then it is not decided yet.
    fn is_waited(&self) -> bool {
        self.session.backlog().held().len() > 0
    }

    /// Whether a fact waits for its mission, its delivery or a release that knows its kind.
    fn waits(&self) -> bool {
        self.session.backlog().parked().len() > 0
    }
}

/// Every session of a journal, as far as its events tell.
fn kept(data: &Path) -> Vec<Kept> {
    let mut sessions = BTreeMap::<_, Kept>::new();
    let journal = JournalReader::open(&data.join("journal")).expect("it can be read");
    let walked = journal.walk(Position::START, &mut |record, _| {
        let category = Category::from_number(record.stream.category.get());
        if category == Some(Category::DroneSession) {
            let session = sessions.entry(record.stream.key).or_default();
            for occurrence in occurrences::<SessionEvent>(&record) {
                session.take(&occurrence.event);
            }
        }
        ControlFlow::Continue(())
    });
    walked.expect("it can be read");
    sessions.into_values().collect()
}

/// How often each type of event is in a log, by its export.
async fn exported(data: &Path) -> BTreeMap<String, u64> {
    let data = data.to_string_lossy();
    let export = ["export", "--data", &data, "--format", "ndjson"];
    let output = airpost().run(export).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let mut types = BTreeMap::new();
    for line in output.stdout.lines().skip(1) {
        let record: Value = serde_json::from_str(line).expect("every line is JSON");
        if record.get("events").is_some() {
            for event in list(&record, "/events") {
                *types.entry(text(event, "/name").to_owned()).or_default() += 1;
            }
        }
    }
    types
}

#[tokio::test]
async fn whatever_comes_as_drone_events_is_accounted_for_and_the_stream_goes_on() {
    let (data, (_, mut chance)) = (scratch_in_memory(), seeded());
    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let recording = Recording::load(268);
    let lines = number_from("AIRPOST_MUTATIONS").unwrap_or(LINES_USUAL);
    let (mut told, mut reports) = (Told::default(), Told::default());
    while told.lines < lines {
        let mut facts = Vec::new();
        for _ in 0..FLIGHTS_AT_ONCE / FLIGHTS_EACH {
            let order = Order::place(&client, &recording, &mut chance).await;
            for _ in 0..FLIGHTS_EACH {
                facts.extend(flight(&order, &mut chance));
            }
        }
        let facts: Vec<_> = (facts.into_iter())
            .map(|fact| line(fact, &mut chance))
            .collect();
        let facts = told_badly(facts.into_iter(), &mut chance);
        told.tell(&client, facts).await;
    }
    let order = Order::place(&client, &recording, &mut chance).await;
    // Reports of positions are stored nowhere, so they are counted apart.
    let mut positions = order.events();
    positions.retain(|event| text(event, "/type") == "drone.telemetry.v1");
    let positions = positions.into_iter().map(|event| line(event, &mut chance));
    reports.tell(&client, positions.collect()).await;
    for told in [&told, &reports] {
        let least = told.lines / 20;
        let counts = (told.accepted, told.duplicates, told.rejected);
        assert!(told.accepted > least && told.rejected > least, "{counts:?}");
    }
    // Nothing else comes twice but what was sent twice.
    assert!(told.duplicates > 0);
    assert_eq!(told.duplicates, told.repeated);

    let settled = || async { (!kept(data.path()).iter().any(Kept::is_waited)).then_some(()) };
    poll_until(SETTLED_SOON, "no fact to be waited for", settled).await;
    let fine = Order::place(&client, &Recording::load(269), &mut chance).await;
    let facts = fine.facts();
    report(&client, &facts).await;
    assert_eq!(text(&fine.read(&client).await, "/status"), "complete");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.stop().await;
    let server = airpost().serve_with(data.path(), &HURRY).await;
    let given_up = || async { (!kept(data.path()).iter().any(Kept::waits)).then_some(()) };
    poll_until(SETTLED_SOON, "no fact to wait any longer", given_up).await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.stop().await;
    verify(data.path()).await;
    let accepted = told.accepted + facts.len() as u64;
    let types = exported(data.path()).await;
    assert_eq!(
        types.get("FactReceived"),
        Some(&accepted),
        "stored is what was accepted"
    );
    assert_each_was_decided(&kept(data.path()), accepted);
    assert_deliveries_heard(&types, accepted);
}

/// Each fact was applied or given up, and most were applied.
#[track_caller]
fn assert_each_was_decided(kept: &[Kept], accepted: u64) {
    assert!(!kept.iter().any(|it| it.is_waited() || it.waits()));
    let count = |fate| {
        let fates = kept.iter().flat_map(|it| it.fates.values());
        fates.filter(|known| **known == fate).count() as u64
    };
    let [applied, parked, given_up] = [Fate::Applied, Fate::Parked, Fate::GivenUp].map(count);
    let told = format!("{applied} applied, {parked} parked, {given_up} given up");
    assert_eq!((applied + given_up, parked), (accepted, 0), "{told}");
    assert!(given_up > 0 && applied * 2 > accepted, "{told}");
    tally(&format!(
        "changed drone events: {accepted} stored of as many accepted, {told}"
    ));
}

/// What was told means something to deliveries, in all their states.
#[track_caller]
fn assert_deliveries_heard(types: &BTreeMap<String, u64>, accepted: u64) {
    let count = |name: &str| types.get(name).copied().unwrap_or_default();
    let reached: BTreeSet<_> = [
        "DroneAssigned",
        "PickedUp",
        "DeliveryComplete",
        "Failed",
        "ReturnStarted",
        "ConditionChanged",
        "AnomalyRecorded",
        "DroneUnassigned",
    ]
    .into_iter()
    .filter(|name| count(name) == 0)
    .collect();
    assert!(reached.is_empty(), "none is {reached:?}: {types:?}");
    assert!(count("MissionBound") * 30 > accepted, "{types:?}");
}
