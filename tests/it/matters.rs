//! What a person has to look at comes about by itself, is seen in the list of tasks, and goes with
//! its reason.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Billing, Bills, Chance, Client, Program, Recording, poll_until};

use crate::scene::{
    History, Order, airpost, at, chance, list, new_user, report, scratch_in_memory, text, with,
};

/// How long anything may take that the service does by itself.
const SOON: Duration = Duration::from_secs(30);

/// Every wait of the service is so much shorter.
const TIME_SCALE: &str = "20";

fn hurried() -> Program {
    airpost().with_setting("AIRPOST_TIME_SCALE", TIME_SCALE)
}

fn billed_by(billing: &Billing) -> Program {
    hurried().with_setting("AIRPOST_BILLING__URL", billing.url())
}

/// The tasks of a reason, whoever has seen to them, as far as the views are.
async fn tasks(client: &Client, reason: &str) -> Vec<Value> {
    let page = client.read("/v1/tasks?status=all").await;
    let all = list(&page, "/items").iter();
    let of_reason = all.filter(|task| text(task, "/reason") == reason);
    of_reason.cloned().collect()
}

/// The task of a reason, as soon as there is one.
async fn task(client: &Client, reason: &str) -> Value {
    let look = || async { tasks(client, reason).await.pop() };
    poll_until(SOON, reason, look).await
}

/// Waits until a task is none any more, by its name and in the list.
async fn gone(client: &Client, task: &Value) {
    let (path, reason) = (text(task, "/links/self"), text(task, "/reason"));
    poll_until(SOON, "the task to be gone", || async {
        let read = client.get(path).send().await;
        let is_gone = read.status() == 404 && tasks(client, reason).await.is_empty();
        is_gone.then_some(())
    })
    .await;
}

/// Says that somebody has seen to a task, which stays one.
async fn acknowledged(client: &Client, task: &Value) {
    let path = format!("{}/acknowledge", text(task, "/links/self"));
    let told = client.post(&path).send().await.expect(200).json();
    assert_eq!(text(&told, "/status"), "acknowledged");
}

async fn book(client: &Client, chance: &mut Chance) -> Answer {
    let user = new_user(client, chance).await;
    let request = Order::request(&user, &Recording::load(268), chance);
    let booked = client.post("/v1/deliveries").json(&request).send().await;
    booked.expect(201)
}

#[tokio::test]
async fn given_a_billing_service_that_is_away_when_a_booking_was_put_off_ten_times_then_that_is_a_task_until_it_goes_on()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::TooMany).await;
    let server = billed_by(&billing).serve(data.path()).await;
    let client = server.client();
    let booked = book(&client, &mut chance).await;
    let delivery = booked.required_header("location");
    assert_eq!(tasks(&client, "operation_stuck").await, [] as [Value; 0]);
    let stuck = task(&client, "operation_stuck").await;
    assert!(billing.requests() >= 10, "{}", billing.requests());
    assert_eq!(text(&stuck, "/kind"), "operation");
    assert_eq!(text(&stuck, "/effect"), "authorize_payment");
    let operation = client.read(text(&stuck, "/links/subject")).await;
    assert_eq!(text(&operation, "/id"), text(&stuck, "/operation_id"));
    assert_eq!(text(&operation, "/status"), "running");
    acknowledged(&client, &stuck).await;
    assert_eq!(tasks(&client, "operation_stuck").await.len(), 1);

    billing.now(Bills::Well);
    gone(&client, &stuck).await;
    poll_until(SOON, "the booking to stand", || async {
        let read = client.read(delivery).await;
        (text(&read, "/status") == "scheduled").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn an_authorization_that_the_billing_service_does_not_take_back_is_left_to_a_person() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let server = billed_by(&billing).serve(data.path()).await;
    let client = server.client();
    let booked = book(&client, &mut chance).await;
    let delivery = booked.required_header("location");
    poll_until(SOON, "the booking to stand", || async {
        let read = client.read(delivery).await;
        (text(&read, "/status") == "scheduled").then_some(())
    })
    .await;
    billing.now(Bills::Refusing);
    let cancelled = client.delete(delivery).send().await;
    assert!(cancelled.status() < 300, "{cancelled}");
    let refused = task(&client, "void_refused").await;
    let voids = billing.asked();
    let voids = voids.iter().filter(|asked| asked.method == "DELETE");
    assert_eq!(voids.count(), 1, "what is called wrong is not asked again");
    let [charge] = billing.charges().try_into().expect("one was authorized");
    assert_eq!(text(&refused, "/authorization_id"), charge.authorization);
    assert_eq!(text(&refused, "/operation_id"), charge.operation);
    acknowledged(&client, &refused).await;
    poll_until(SOON, "no task to be open", || async {
        let open = client.read("/v1/tasks").await;
        list(&open, "/items").is_empty().then_some(())
    })
    .await;
    server.stop().await;
}

/// A drone that a fleet sent by itself, and what it tells of one delivery.
struct Drone<'a> {
    client: &'a Client,
    mission: String,
    delivery: String,
    /// When all of it happened.
    time: String,
    seq: u64,
}

impl<'a> Drone<'a> {
    /// A drone that has the package of a new delivery.
    async fn carrying(client: &'a Client, chance: &mut Chance) -> Self {
        let booked = book(client, chance).await.json();
        let delivery = text(&booked, "/id").to_owned();
        let history = History::of(client, &delivery).await;
        let created = history.items.first().expect("it was created");
        let mut drone = Self {
            client,
            mission: format!("msn_{}", chance.uuid()),
            delivery,
            time: text(created, "/event_time").to_owned(),
            seq: 0,
        };
        let of = json!({"delivery_id": drone.delivery});
        drone.say("mission_assigned", &of).await;
        drone.say("package_loaded", &json!({})).await;
        drone
    }

    async fn say(&mut self, kind: &str, members: &Value) {
        self.seq += 1;
        let (mission, seq) = (&self.mission, self.seq);
        let drone = format!("D-{}", mission.trim_start_matches("msn_"));
        let mut data = json!({
            "drone_id": drone, "mission_id": mission, "session_id": "0001", "seq": seq,
        });
        with(&mut data, members);
        let event = json!({
            "specversion": "1.0", "type": format!("drone.{kind}.v1"),
            "source": format!("/fleets/pgh/drones/{drone}"), "id": format!("{drone}:1:{seq}"),
            "time": self.time, "data": data,
        });
        report(self.client, &[event]).await;
    }

    fn path(&self) -> String {
        format!("/v1/deliveries/{}", self.delivery)
    }

    async fn becomes(&self, status: &str, action_required: bool) {
        let look = || async {
            let read = self.client.read(&self.path()).await;
            let is_so = text(&read, "/status") == status
                && at(&read, "/action_required") == &json!(action_required);
            is_so.then_some(())
        };
        poll_until(SOON, status, look).await;
    }

    /// Nobody takes the package, and the drone brings it to a hub.
    async fn finds_nobody(&mut self) {
        self.say("arrived", &json!({"at": "dropoff"})).await;
        self.say("departed", &json!({"leg": "return"})).await;
        self.say("returned", &json!({"to": "hub"})).await;
    }
}

#[tokio::test]
async fn a_package_that_waits_at_a_hub_for_nobody_is_a_task_until_it_is_returned() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = hurried().serve(data.path()).await;
    let client = server.client();
    let mut drone = Drone::carrying(&client, &mut chance).await;
    drone.finds_nobody().await;
    drone.becomes("at_hub", true).await;
    let left = task(&client, "left_at_hub").await;
    assert_eq!(text(&left, "/kind"), "action_required");
    assert_eq!(text(&left, "/delivery_id"), drone.delivery);
    acknowledged(&client, &left).await;
    drone.say("returned", &json!({"to": "sender"})).await;
    drone.becomes("returned", false).await;
    gone(&client, &left).await;
    server.stop().await;
}

#[tokio::test]
async fn a_package_said_to_be_left_on_board_is_a_task_once_nobody_told_in_time_where_it_went() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    // At the service's scale that is five seconds.
    let server = hurried()
        .with_setting("AIRPOST_LEFT_ON_BOARD_WAIT_S", "100")
        .serve(data.path())
        .await;
    let client = server.client();
    let mut drone = Drone::carrying(&client, &mut chance).await;
    let left = json!({"outcome": "landed_home", "payload_on_board": true});
    drone.say("mission_completed", &left).await;
    let history = History::of(&client, &drone.delivery).await;
    assert!(history.types().contains(&"AnomalyRecorded"), "at once");
    assert_eq!(tasks(&client, "ended_with_package").await, [] as [Value; 0]);
    drone.becomes("loaded", false).await;

    drone.becomes("loaded", true).await;
    let task = task(&client, "ended_with_package").await;
    assert_eq!(text(&task, "/delivery_id"), drone.delivery);
    drone.say("returned", &json!({"to": "sender"})).await;
    drone.becomes("returned", false).await;
    gone(&client, &task).await;
    server.stop().await;
}

#[tokio::test]
async fn a_package_that_waits_at_a_hub_for_nobody_is_given_up_by_an_operator_who_says_why() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let server = hurried().serve(data.path()).await;
    let client = server.client();
    let mut drone = Drone::carrying(&client, &mut chance).await;
    drone.finds_nobody().await;
    let left = task(&client, "left_at_hub").await;
    let give_up = format!("{}/give-up", drone.path());
    let why = json!({"reason": "the sender does not want it back"});
    let answer = client.post(&give_up).json(&why).send().await.expect(200);
    assert_eq!(text(&answer.json(), "/status"), "failed");
    assert_eq!(text(&answer.json(), "/failure"), "undeliverable");
    gone(&client, &left).await;
    let failed = task(&client, "undeliverable").await;
    assert_eq!(text(&failed, "/delivery_id"), drone.delivery);
    let again = client.post(&give_up).json(&why).send().await.expect(200);
    assert_eq!(text(&again.json(), "/status"), "failed");
    server.stop().await;
}
