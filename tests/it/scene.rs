//! What scenarios begin with: the program, a folder, a seed, a user, an order and its flight.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Answer, Chance, Client, Mission, Program, Recording};

/// The flights that come with the tests.
pub(crate) const FLIGHTS: [u32; 3] = [268, 269, 270];

/// The event types of a delivery that went well, in their order.
pub(crate) const WENT_WELL: [&str; 9] = [
    "Created",
    "Scheduled",
    "DroneAssigned",
    "HeadedToPickup",
    "ArrivedAtPickup",
    "PickedUp",
    "InTransit",
    "ArrivedAtDropoff",
    "DeliveryComplete",
];

/// The program under test, built with these tests.
pub(crate) fn airpost() -> Program {
    Program::new(env!("CARGO_BIN_EXE_airpost-under-test"))
}

/// An empty folder that goes away with the test.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().expect("the system's folder for temporary files can be written")
}

/// The same in memory, where the machine has such a folder: a sync costs nothing there.
pub(crate) fn scratch_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_absent| scratch())
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a scratch folder can be written");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a scratch folder can be written");
        }
    }
}

/// Another chance in every run, whose seed a failing test shows; `AIRPOST_SEED` repeats one.
#[expect(
    clippy::print_stdout,
    reason = "the test runner shows a failing test's output, and only that"
)]
pub(crate) fn seeded() -> (u64, Chance) {
    let seed =
        number_from("AIRPOST_SEED").unwrap_or_else(|| RandomState::new().hash_one("airpost"));
    println!("to draw the same again: AIRPOST_SEED={seed}");
    (seed, Chance::new(seed))
}

/// The same without the seed.
pub(crate) fn chance() -> Chance {
    seeded().1
}

/// The number in an environment variable, if it is set.
///
/// # Panics
/// When it is set to something else: a misspelled number must not mean the default.
pub(crate) fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text} is no number: {error}")),
    )
}

/// What is at `pointer` in `value`, which must be there.
#[track_caller]
pub(crate) fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value
        .pointer(pointer)
        .unwrap_or_else(|| panic!("nothing at {pointer} in {value}"))
}

/// The text at `pointer` in `value`, which must be there.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
}

/// The number at `pointer` in `value`, which must be there.
#[track_caller]
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer} in {value}"))
}

/// The members of the list at `pointer` in `value`, which must be there.
#[track_caller]
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list at {pointer} in {value}"))
}

/// The instant at `pointer` in `value`, which must be there.
#[track_caller]
pub(crate) fn instant(value: &Value, pointer: &str) -> DateTime<Utc> {
    let text = text(value, pointer);
    assert!(text.ends_with('Z'), "not in UTC with Z: {text}");
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The same object with some of its members otherwise.
pub(crate) fn with(object: &mut Value, members: &Value) {
    let (object, members) = (object.as_object_mut(), members.as_object());
    let object = object.expect("it is an object");
    object.extend(members.cloned().unwrap_or_default());
}

/// A user whom nobody else is, and whose id.
pub(crate) async fn new_user(client: &Client, chance: &mut Chance) -> String {
    let name = format!("user-{:016x}", chance.bits());
    let body = json!({"name": name, "email": format!("{name}@example.org")});
    text(
        &client
            .post("/v1/users")
            .json(&body)
            .send()
            .await
            .expect(201)
            .json(),
        "/id",
    )
    .to_owned()
}

/// A delivery that a recorded flight fits: what was asked for, and what the service made of it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) user: String,
    pub(crate) id: String,
    pub(crate) request: Value,
    pub(crate) flight: Recording,
    pub(crate) mission: Mission,
}

impl Order {
    /// The body of a request for a delivery that `flight` fits.
    pub(crate) fn request(user: &str, flight: &Recording, chance: &mut Chance) -> Value {
        let (plan, number) = (flight.plan(), chance.bits());
        json!({
            "external_id": format!("order-{number:016x}"), "user_id": user,
            "pickup": plan.pickup.json(), "dropoff": plan.dropoff.json(),
            "package": {"tag": format!("QR-{number:016x}"), "size": "small", "mass_g": plan.payload_g},
        })
    }

    /// A user and a delivery that `flight` fits; nothing has flown yet.
    pub(crate) async fn place(client: &Client, flight: &Recording, chance: &mut Chance) -> Self {
        let user = new_user(client, chance).await;
        Self::place_for(client, &user, flight, chance).await
    }

    /// A delivery of `user` that `flight` fits; nothing has flown yet.
    pub(crate) async fn place_for(
        client: &Client,
        user: &str,
        flight: &Recording,
        chance: &mut Chance,
    ) -> Self {
        let request = Self::request(user, flight, chance);
        let made = client
            .post("/v1/deliveries")
            .json(&request)
            .send()
            .await
            .expect(201)
            .json();
        assert_eq!(text(&made, "/status"), "scheduled");
        let id = text(&made, "/id").to_owned();
        let mission = Self::mission(&id, &request, chance);
        Self {
            user: user.to_owned(),
            id,
            request,
            flight: flight.clone(),
            mission,
        }
    }

    /// A mission for the delivery `id`, flown by a drone that nobody else has.
    pub(crate) fn mission(id: &str, request: &Value, chance: &mut Chance) -> Mission {
        Mission {
            delivery: id.to_owned(),
            mission: format!("msn_{}", chance.uuid()),
            drone: format!("M100-{:016x}", chance.bits()),
            session: "0001".to_owned(),
            tag: text(request, "/package/tag").to_owned(),
            released: true,
        }
    }

    /// This order, whose package nobody takes: the drone returns with it.
    pub(crate) fn not_released(mut self) -> Self {
        self.mission.released = false;
        self
    }

    /// The events of the whole flight, in the order in which they happened.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.flight.events(&self.mission)
    }

    /// The same without telemetry: what must never be lost.
    pub(crate) fn facts(&self) -> Vec<Value> {
        facts_of(self.events())
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/deliveries/{}", self.id)
    }

    /// The delivery as the service tells it.
    pub(crate) async fn read(&self, client: &Client) -> Value {
        client.read(&self.path()).await
    }

    /// The delivery's history as the service tells it.
    pub(crate) async fn history(&self, client: &Client) -> History {
        History::of(client, &self.id).await
    }
}

/// The facts among `events`: everything but telemetry.
pub(crate) fn facts_of(events: Vec<Value>) -> Vec<Value> {
    events
        .into_iter()
        .filter(|event| text(event, "/type") != "drone.telemetry.v1")
        .collect()
}

/// How often a log is found to end at the same position before it counts as settled: what the
/// service does by itself follows within milliseconds.
const SAME_ENDS: u32 = 30;

/// Waits until the service has nothing more to write by itself, and gives where the log ends.
pub(crate) async fn settled(client: &Client) -> u64 {
    let seen = std::sync::Mutex::new((0, 0));
    let last = &seen;
    let look = || async move {
        let answer = client
            .get("/v1/users?email=nobody@example.org")
            .send()
            .await;
        let end = answer.required_header("stream-position");
        let end: u64 = end.parse().expect("a position is a number");
        let mut seen = last.lock().expect("nobody panics while looking");
        *seen = if seen.0 == end {
            (end, seen.1 + 1)
        } else {
            (end, 0)
        };
        (seen.1 >= SAME_ENDS).then_some(end)
    };
    tests::poll_until(std::time::Duration::from_mins(1), "the log to settle", look).await
}

/// What happened to a delivery, as the service tells it.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) items: Vec<Value>,
}

impl History {
    pub(crate) async fn of(client: &Client, delivery: &str) -> Self {
        let history = client
            .read(&format!("/v1/deliveries/{delivery}/history"))
            .await;
        Self {
            items: list(&history, "/items").to_vec(),
        }
    }

    pub(crate) fn types(&self) -> Vec<&str> {
        self.items.iter().map(|item| text(item, "/type")).collect()
    }

    /// What a drone's facts brought about and when it happened, by their own clock.
    pub(crate) fn flown(&self) -> Vec<(&str, DateTime<Utc>)> {
        let flown = self
            .items
            .iter()
            .filter(|item| !["Created", "Scheduled"].contains(&text(item, "/type")));
        flown
            .map(|item| (text(item, "/type"), instant(item, "/event_time")))
            .collect()
    }
}

/// The events that a mission's facts bring about, with the facts' times, as long as all goes well.
pub(crate) fn expected_of(events: &[Value]) -> Vec<(&'static str, DateTime<Utc>)> {
    let meaning = |fact: &Value| {
        let leg = ["/data/leg", "/data/at"]
            .iter()
            .find_map(|pointer| fact.pointer(pointer)?.as_str());
        match (text(fact, "/type"), leg) {
            ("drone.mission_assigned.v1", _) => Some("DroneAssigned"),
            ("drone.departed.v1", Some("pickup")) => Some("HeadedToPickup"),
            ("drone.arrived.v1", Some("pickup")) => Some("ArrivedAtPickup"),
            ("drone.package_loaded.v1", _) => Some("PickedUp"),
            ("drone.departed.v1", Some("dropoff")) => Some("InTransit"),
            ("drone.arrived.v1", Some("dropoff")) => Some("ArrivedAtDropoff"),
            ("drone.package_released.v1", _) => Some("DeliveryComplete"),
            _ => None,
        }
    };
    events
        .iter()
        .filter_map(|fact| Some((meaning(fact)?, instant(fact, "/time"))))
        .collect()
}

/// What the service made of a batch of drone events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taken {
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: Vec<Value>,
}

impl Taken {
    #[track_caller]
    pub(crate) fn of(answer: &Answer) -> Self {
        let body = answer.json();
        let (accepted, duplicates) = (number(&body, "/accepted"), number(&body, "/duplicates"));
        Self {
            accepted,
            duplicates,
            rejected: list(&body, "/rejected").to_vec(),
        }
    }
}

/// Lines of JSON, as `application/x-ndjson` carries them.
pub(crate) fn lines(events: &[Value]) -> String {
    events
        .iter()
        .map(|event| event.to_string() + "\n")
        .collect()
}

/// Reports drone events in one request; none may be rejected.
pub(crate) async fn report(client: &Client, events: &[Value]) -> Taken {
    let request = client
        .post("/v1/drone-events")
        .body("application/x-ndjson", lines(events));
    let taken = Taken::of(&request.send().await.expect(200));
    assert_eq!(taken.rejected, [] as [Value; 0]);
    assert_eq!(
        taken.accepted + taken.duplicates,
        u64::try_from(events.len()).expect("a batch is small")
    );
    taken
}

/// The value of a series of `/metrics`, by its name and labels, if it is there.
pub(crate) async fn metric(client: &Client, series: &str) -> Option<String> {
    let answer = client.get("/metrics").send().await.expect(200);
    let metrics = String::from_utf8_lossy(answer.bytes()).into_owned();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.to_owned())
}

/// Checks what the data folder holds, as an operator would: journal sound, views equal to the fold.
/// Gives what was said of it.
pub(crate) async fn verify(data: &Path) -> String {
    let output = airpost()
        .run(["verify".as_ref(), "--data".as_ref(), data.as_os_str()])
        .await;
    assert_eq!(
        output.code,
        Some(0),
        "verify found:\n{}{}",
        output.stdout,
        output.stderr
    );
    output.stdout
}
