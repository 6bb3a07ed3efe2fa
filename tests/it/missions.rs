//! What Airpost asks of Drone Management, read in the feed and answered with drone events.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Chance, Client, Recording, Server, poll_until};

use crate::scene::{
    History, Order, airpost, at, chance, list, new_user, report, scratch_in_memory, settled, text,
    with,
};

/// How long the service may take to ask.
const SOON: Duration = Duration::from_secs(30);

/// A fleet as it sees the service: what it reads in the feed, and what it answers.
struct Fleet {
    client: Client,
    chance: Chance,
    cursor: Option<String>,
    facts: u64,
}

impl Fleet {
    fn of(server: &Server) -> Self {
        Self {
            client: server.client(),
            chance: chance(),
            cursor: None,
            facts: 0,
        }
    }

    /// A delivery that fits a recorded flight, with some of its members otherwise.
    async fn book(&mut self, members: &Value) -> String {
        let user = new_user(&self.client, &mut self.chance).await;
        let mut request = Order::request(&user, &Recording::load(268), &mut self.chance);
        with(&mut request, members);
        let post = self.client.post("/v1/deliveries").json(&request);
        let booked = post.send().await.expect(201).json();
        text(&booked, "/id").to_owned()
    }

    /// The same, for which a mission was asked and a drone takes it: the delivery and the mission.
    async fn book_with_drone(&mut self, members: &Value) -> (String, String) {
        let delivery = self.book(members).await;
        let mission = mission_of(&self.asked("MissionRequested", &delivery).await);
        self.take(&mission, &delivery).await;
        (delivery, mission)
    }

    /// The next request of a kind for a delivery.
    async fn asked(&mut self, kind: &str, delivery: &str) -> Value {
        let cursor = Mutex::new(self.cursor.clone());
        let (client, passed) = (&self.client, &cursor);
        let look = || async move {
            let after = passed.lock().expect("nobody panics while looking").clone();
            let after = after.map_or(String::new(), |cursor| format!("&after={cursor}"));
            let types = "MissionRequested,StandDownRequested";
            let page = client
                .read(&format!("/v1/events?types={types}&limit=1{after}"))
                .await;
            *passed.lock().expect("nobody panics while looking") =
                Some(text(&page, "/next").to_owned());
            let item = list(&page, "/items").first()?.clone();
            let is_it = text(&item, "/type") == kind && text(&item, "/delivery_id") == delivery;
            is_it.then_some(item)
        };
        let asked = poll_until(SOON, kind, look).await;
        self.cursor = Some(text(&asked, "/cursor").to_owned());
        asked
    }

    /// A drone takes a mission for a delivery.
    async fn take(&mut self, mission: &str, delivery: &str) {
        let members = json!({"delivery_id": delivery});
        self.say("mission_assigned", mission, &members).await;
    }

    /// Reports a fact of a mission, by a drone of the mission's own.
    async fn say(&mut self, kind: &str, mission: &str, members: &Value) {
        self.facts += 1;
        let drone = format!("D-{}", mission.trim_start_matches("msn_"));
        let session = format!("{:08}", self.facts);
        let mut data = json!({
            "drone_id": drone, "mission_id": mission, "session_id": session, "seq": 1,
        });
        with(&mut data, members);
        let event = json!({
            "specversion": "1.0", "type": format!("drone.{kind}.v1"),
            "source": format!("/fleets/pgh/drones/{drone}"), "id": format!("{drone}:{session}:1"),
            "time": "2026-11-21T09:00:00Z", "data": data,
        });
        report(&self.client, &[event]).await;
    }

    async fn status(&self, delivery: &str) -> String {
        let path = format!("/v1/deliveries/{delivery}");
        text(&self.client.read(&path).await, "/status").to_owned()
    }

    async fn becomes(&self, delivery: &str, status: &str) {
        let look = || async { (self.status(delivery).await == status).then_some(()) };
        poll_until(SOON, status, look).await;
    }
}

fn mission_of(asked: &Value) -> String {
    text(asked, "/data/mission_id").to_owned()
}

#[tokio::test]
async fn a_mission_that_is_asked_for_says_what_to_fly_and_is_flown_under_that_id() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let delivery = fleet.book(&json!({"expedited": true})).await;
    let asked = fleet.asked("MissionRequested", &delivery).await;
    let wanted = fleet
        .client
        .read(&format!("/v1/deliveries/{delivery}"))
        .await;
    for member in ["pickup", "dropoff"] {
        for coordinate in ["lat", "lon"] {
            let place = format!("/{member}/{coordinate}");
            assert_eq!(at(&asked, &format!("/data{place}")), at(&wanted, &place));
        }
    }
    for member in ["tag", "size", "mass_g"] {
        let place = format!("/package/{member}");
        assert_eq!(at(&asked, &format!("/data{place}")), at(&wanted, &place));
    }
    assert_eq!(at(&asked, "/data/expedited"), &json!(true));
    assert_eq!(
        (at(&asked, "/data/epoch"), at(&asked, "/data/ask")),
        (&json!(1), &json!(1))
    );
    assert_eq!(text(&asked, "/user_id"), text(&wanted, "/user_id"));

    let mission = mission_of(&asked);
    fleet.take(&mission, &delivery).await;
    let flown = fleet
        .client
        .read(&format!("/v1/deliveries/{delivery}"))
        .await;
    assert_eq!(
        (text(&flown, "/status"), text(&flown, "/mission_id")),
        ("assigned", mission.as_str())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_delivery_is_cancelled_once_its_drone_was_stood_down_and_not_before() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (delivery, mission) = fleet.book_with_drone(&json!({})).await;
    fleet
        .say("departed", &mission, &json!({"leg": "pickup"}))
        .await;

    let path = format!("/v1/deliveries/{delivery}/cancel");
    let cancel = || {
        let post = fleet.client.post(&path).json(&json!({"reason": "mistake"}));
        post.header("prefer", "respond-async").send()
    };
    let accepted = cancel().await.expect(202);
    let operation = accepted.required_header("location").to_owned();
    assert_eq!(text(&accepted.json(), "/kind"), "cancel");
    assert_eq!(text(&accepted.json(), "/status"), "running");
    // Said twice it is the same cancellation.
    assert_eq!(
        cancel().await.expect(202).header("location"),
        Some(operation.as_str())
    );
    let asked = fleet.asked("StandDownRequested", &delivery).await;
    assert_eq!(
        (mission_of(&asked), text(&asked, "/data/reason")),
        (mission.clone(), "cancelled")
    );
    assert_eq!(fleet.status(&delivery).await, "cancelling");
    fleet.say("stood_down", &mission, &json!({})).await;
    assert_eq!(fleet.status(&delivery).await, "cancelled");
    let done = || async {
        let operation = fleet.client.read(&operation).await;
        (text(&operation, "/status") == "succeeded").then_some(())
    };
    poll_until(SOON, "the cancellation to be over", done).await;
    server.stop().await;
}

#[tokio::test]
async fn a_cancellation_that_comes_too_late_fails_and_says_so() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (delivery, mission) = fleet
        .book_with_drone(&json!({"on_cancel_after_pickup": "continue"}))
        .await;
    let path = format!("/v1/deliveries/{delivery}/cancel");
    let post = fleet.client.post(&path).json(&json!({"reason": "mistake"}));
    let accepted = post.send().await.expect(202);
    let link = accepted.required_header("link").to_owned();
    let operation = link
        .split(['<', '>'])
        .nth(1)
        .expect("a link has a target")
        .to_owned();
    fleet.say("package_loaded", &mission, &json!({})).await;
    let over = || async {
        let operation = fleet.client.read(&operation).await;
        (text(&operation, "/status") == "failed").then_some(operation)
    };
    let operation = poll_until(SOON, "the cancellation to fail", over).await;
    assert_eq!(text(&operation, "/problem/reason"), "already_picked_up");
    server.stop().await;
}

#[tokio::test]
async fn another_window_stands_the_drone_down_and_asks_for_another_mission() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (delivery, first) = fleet.book_with_drone(&json!({})).await;
    let window = json!({"pickup_window": {
        "not_before": "2020-01-01T00:00:00Z", "not_after": "2099-01-01T00:00:00Z",
    }});
    let path = format!("/v1/deliveries/{delivery}");
    let change = fleet.client.patch(&path).json(&window);
    let _ = change.header("if-match", "*").send().await.expect(200);
    let asked = fleet.asked("StandDownRequested", &delivery).await;
    assert_eq!(
        (mission_of(&asked), text(&asked, "/data/reason")),
        (first.clone(), "replanned")
    );
    let asked = fleet.asked("MissionRequested", &delivery).await;
    assert_ne!(mission_of(&asked), first);
    assert_eq!(at(&asked, "/data/epoch"), &json!(2));
    assert_eq!(
        text(&asked, "/data/window/not_after"),
        "2099-01-01T00:00:00.000000Z"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_drone_that_does_not_say_that_it_turned_round_is_asked_again_and_then_a_person_looks() {
    let data = scratch_in_memory();
    let fast = airpost().with_setting("AIRPOST_TIME_SCALE", "100");
    let server = fast.serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (delivery, mission) = fleet.book_with_drone(&json!({})).await;
    let path = format!("/v1/deliveries/{delivery}");
    let _ = fleet.client.delete(&path).send().await.expect(202);
    for _ in 0..3 {
        let asked = fleet.asked("StandDownRequested", &delivery).await;
        assert_eq!(
            (mission_of(&asked), text(&asked, "/data/reason")),
            (mission.clone(), "cancelled")
        );
    }
    let look = || async {
        let tasks = fleet.client.read("/v1/tasks").await;
        list(&tasks, "/items").first().cloned()
    };
    let task = poll_until(SOON, "a person to be told", look).await;
    assert_eq!(text(&task, "/reason"), "not_stood_down");
    assert_eq!(
        at(&fleet.client.read(&path).await, "/action_required"),
        &json!(true)
    );
    fleet.say("stood_down", &mission, &json!({})).await;
    fleet.becomes(&delivery, "cancelled").await;
    assert_eq!(
        at(&fleet.client.read(&path).await, "/action_required"),
        &json!(false)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_fleet_that_says_nothing_is_asked_again_for_the_same_and_then_nobody_comes() {
    let data = scratch_in_memory();
    let fast = airpost().with_setting("AIRPOST_TIME_SCALE", "100");
    let server = fast.serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let delivery = fleet.book(&json!({})).await;
    let first = fleet.asked("MissionRequested", &delivery).await;
    for ask in [2, 3] {
        let again = fleet.asked("MissionRequested", &delivery).await;
        assert_eq!(
            (mission_of(&again), at(&again, "/data/ask")),
            (mission_of(&first), &json!(ask))
        );
    }
    let asked = fleet.asked("StandDownRequested", &delivery).await;
    assert_eq!(text(&asked, "/data/reason"), "not_wanted");
    fleet.becomes(&delivery, "rejected").await;
    let history = History::of(&fleet.client, &delivery).await;
    assert_eq!(history.types(), ["Created", "Scheduled", "Rejected"]);
    // Its package can be in another delivery again.
    let request = fleet
        .client
        .read(&format!("/v1/deliveries/{delivery}"))
        .await;
    let tag = text(&request, "/package/tag").to_owned();
    let again = json!({"package": {"tag": tag, "size": "small", "mass_g": 500}});
    fleet.book(&again).await;
    server.stop().await;
}

#[tokio::test]
async fn a_fleet_that_refuses_is_asked_for_another_mission_three_times_in_all() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let delivery = fleet.book(&json!({})).await;
    let mut missions = Vec::new();
    for _ in 0..3 {
        let mission = mission_of(&fleet.asked("MissionRequested", &delivery).await);
        let refusal = json!({"delivery_id": delivery, "reason": "weather"});
        fleet.say("mission_rejected", &mission, &refusal).await;
        missions.push(mission);
    }
    fleet.becomes(&delivery, "rejected").await;
    missions.sort_unstable();
    missions.dedup();
    assert_eq!(missions.len(), 3);
    server.stop().await;
}

#[tokio::test]
async fn a_mission_that_was_asked_for_is_stood_down_when_the_fleet_sends_a_drone_by_itself() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let delivery = fleet.book(&json!({})).await;
    let asked = mission_of(&fleet.asked("MissionRequested", &delivery).await);
    let own = format!("msn_{}", fleet.chance.uuid());
    fleet.take(&own, &delivery).await;
    let unwanted = fleet.asked("StandDownRequested", &delivery).await;
    assert_eq!(
        (mission_of(&unwanted), text(&unwanted, "/data/reason")),
        (asked, "not_wanted")
    );
    // A second one for the same delivery is not taken, and stood down.
    let zombie = format!("msn_{}", fleet.chance.uuid());
    fleet.take(&zombie, &delivery).await;
    let unwanted = fleet.asked("StandDownRequested", &delivery).await;
    assert_eq!(mission_of(&unwanted), zombie);
    assert_eq!(fleet.status(&delivery).await, "assigned");
    server.stop().await;
}

#[tokio::test]
async fn given_a_service_that_was_killed_when_it_starts_again_then_its_bookings_go_on() {
    let data = scratch_in_memory();
    let fast = || airpost().with_setting("AIRPOST_TIME_SCALE", "50");
    let server = fast().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let delivery = fleet.book(&json!({})).await;
    let first = mission_of(&fleet.asked("MissionRequested", &delivery).await);
    server.kill().await;
    let server = fast().serve(data.path()).await;
    fleet.client = server.client();
    let again = fleet.asked("MissionRequested", &delivery).await;
    assert_eq!(
        mission_of(&again),
        first,
        "asked again, and nothing forgotten"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_delivery_that_an_operator_reopens_at_the_hub_is_given_another_drone() {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (delivery, first) = fleet.book_with_drone(&json!({})).await;
    fleet.say("package_loaded", &first, &json!({})).await;
    fleet.say("crashed", &first, &json!({})).await;
    fleet.becomes(&delivery, "failed").await;
    // Nothing is left to be done, as far as is known.
    let _ = settled(&fleet.client).await;
    let path = format!("/v1/deliveries/{delivery}/reopen");
    let found = json!({"to": "at_hub", "reason": "it was found whole and brought to the hub"});
    let reopened = fleet.client.post(&path).json(&found).send().await;
    assert_eq!(text(&reopened.expect(200).json(), "/status"), "at_hub");
    let asked = fleet.asked("MissionRequested", &delivery).await;
    assert_ne!(mission_of(&asked), first);
    assert_eq!(
        (at(&asked, "/data/epoch"), at(&asked, "/data/from")),
        (&json!(2), &json!("hub"))
    );
    server.stop().await;
}

/// A registered package's declaration and its address.
async fn registered(fleet: &Fleet, tag: &str) -> (Value, String) {
    let declared = json!({"tag": tag, "size": "small", "mass_g": 500});
    let post = fleet.client.post("/v1/packages").json(&declared);
    let package = post.send().await.expect(201).json();
    let id = text(&package, "/id");
    (json!({"package": {"id": id}}), format!("/v1/packages/{id}"))
}

/// A drone that has the package of this order crashes, and nobody has the package any more: the
/// delivery and the mission.
async fn crashed(fleet: &mut Fleet, order: &Value, package: &str) -> (String, String) {
    let (delivery, mission) = fleet.book_with_drone(order).await;
    fleet.say("package_loaded", &mission, &json!({})).await;
    fleet.say("crashed", &mission, &json!({})).await;
    held_by(fleet, package, None).await;
    (delivery, mission)
}

async fn held_by(fleet: &Fleet, package: &str, delivery: Option<&str>) {
    let look = || async {
        let package = fleet.client.read(package).await;
        (at(&package, "/delivery_id") == &json!(delivery)).then_some(())
    };
    poll_until(SOON, &format!("the package to be {delivery:?}'s"), look).await;
}

async fn reopen(fleet: &Fleet, delivery: &str) {
    let path = format!("/v1/deliveries/{delivery}/reopen");
    let found = json!({"to": "returning", "reason": "somebody saw it fly home"});
    let reopened = fleet.client.post(&path).json(&found).send().await;
    assert_eq!(text(&reopened.expect(200).json(), "/status"), "returning");
}

#[tokio::test]
async fn given_a_service_that_is_killed_when_a_delivery_is_reopened_then_it_has_its_package_until_its_next_end()
 {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (order, package) = registered(&fleet, "CRATE-7").await;
    let (delivery, mission) = crashed(&mut fleet, &order, &package).await;
    reopen(&fleet, &delivery).await;
    server.kill().await;
    let server = airpost().serve(data.path()).await;
    fleet.client = server.client();
    held_by(&fleet, &package, Some(&delivery)).await;
    let another = Recording::load(268);
    let user = new_user(&fleet.client, &mut fleet.chance).await;
    let mut another = Order::request(&user, &another, &mut fleet.chance);
    with(
        &mut another,
        &json!({"package": {"tag": "CRATE-7", "size": "small", "mass_g": 500}}),
    );
    let post = fleet.client.post("/v1/deliveries").json(&another);
    let refused = post.send().await.expect_problem(409);
    assert_eq!(text(&refused, "/code"), "tag-in-use");
    let back = json!({"to": "sender"});
    fleet.say("returned", &mission, &back).await;
    fleet.becomes(&delivery, "returned").await;
    held_by(&fleet, &package, None).await;
    server.stop().await;
}

#[tokio::test]
async fn given_a_tag_that_another_delivery_took_when_one_is_reopened_then_it_goes_on_and_a_person_is_told_of_both()
 {
    let data = scratch_in_memory();
    let server = airpost().serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (order, package) = registered(&fleet, "CRATE-8").await;
    let (delivery, mission) = crashed(&mut fleet, &order, &package).await;
    let other = fleet.book(&order).await;
    held_by(&fleet, &package, Some(&other)).await;
    reopen(&fleet, &delivery).await;
    let look = || async {
        let tasks = fleet.client.read("/v1/tasks?kind=operation").await;
        list(&tasks, "/items").first().cloned()
    };
    let task = poll_until(SOON, "the task", look).await;
    assert_eq!(text(&task, "/reason"), "package_shared");
    assert_eq!(
        (
            text(&task, "/delivery_id"),
            text(&task, "/other_delivery_id")
        ),
        (delivery.as_str(), other.as_str())
    );
    let back = json!({"to": "sender"});
    fleet.say("returned", &mission, &back).await;
    fleet.becomes(&delivery, "returned").await;
    let _ = settled(&fleet.client).await;
    held_by(&fleet, &package, Some(&other)).await;
    server.stop().await;
}

#[tokio::test]
async fn given_a_tolerance_of_the_mass_then_a_package_beyond_it_is_not_brought() {
    let data = scratch_in_memory();
    let strict = airpost()
        .with_setting("AIRPOST_MASS_TOLERANCE_PERCENT", "1")
        .with_setting("AIRPOST_MASS_TOLERANCE_G", "0");
    let server = strict.serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    for (measured_g, status) in [(505, "loaded"), (506, "scheduled")] {
        let tag = format!("CRATE-{measured_g}");
        let (order, _) = registered(&fleet, &tag).await;
        let (delivery, mission) = fleet.book_with_drone(&order).await;
        let weighed = json!({"mass_g": measured_g});
        fleet.say("package_loaded", &mission, &weighed).await;
        fleet.becomes(&delivery, status).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn given_a_threshold_of_expected_times_then_one_that_moved_by_less_than_usual_is_told() {
    let data = scratch_in_memory();
    let watchful = airpost()
        .with_setting("AIRPOST_ETA_MOVED_S_MIN", "20")
        .with_setting("AIRPOST_ETA_REVISED_EVERY_S", "1");
    let server = watchful.serve(data.path()).await;
    let mut fleet = Fleet::of(&server);
    let (delivery, mission) = fleet.book_with_drone(&json!({})).await;
    let expects = |next_s: u32| json!({"phase": "in_flight", "eta": {"next_s": next_s}});
    fleet.say("telemetry", &mission, &expects(10_000)).await;
    // As long as this is tried, neither a minute nor a tenth of what is left is reached.
    let fleet = tokio::sync::Mutex::new(fleet);
    let look = || async {
        let mut fleet = fleet.lock().await;
        fleet.say("telemetry", &mission, &expects(10_025)).await;
        let history = History::of(&fleet.client, &delivery).await;
        let told = history.types().into_iter().filter(|it| *it == "EtaRevised");
        (told.count() == 2).then_some(())
    };
    poll_until(SOON, "the other time to be told", look).await;
    server.stop().await;
}
