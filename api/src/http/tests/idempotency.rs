//! Requests under a key: carried out once, however often they are sent.

use super::*;

const KEY: (&str, &str) = (
    "idempotency-key",
    "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"",
);

/// A request under a key.
#[derive(Clone, Copy)]
struct Keyed<'a> {
    method: &'a str,
    path: &'a str,
    key: &'a str,
}

impl Keyed<'_> {
    async fn send(self, scene: &Scene, body: &Value) -> Answer {
        let headers = [("idempotency-key", self.key), ("if-match", "*")];
        let body = Some(body.clone());
        scene.call(self.method, self.path, &headers, body).await
    }
}

/// What must be the same in both answers.
fn answer(answer: &Answer) -> (u16, Vec<Option<&str>>, Value) {
    let names = [
        "etag",
        "location",
        "content-location",
        "stream-position",
        "link",
        "preference-applied",
        "content-type",
    ];
    let headers = names
        .iter()
        .map(|name| Some(answer.headers.get(*name)?.to_str().unwrap()));
    (answer.status, headers.collect(), answer.json())
}

/// Sends the same twice and once more to a service that has just started.
async fn is_done_once(scene: &Scene, asked: Keyed<'_>, body: Value) -> Answer {
    let first = asked.send(scene, &body).await;
    assert!((200..300).contains(&first.status), "{first:?}");
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let head = scene.head();
    for scene in [scene, &scene.at(NOW_US + 1)] {
        let again = asked.send(scene, &body).await;
        assert_eq!(
            answer(&again),
            answer(&first),
            "{} {}",
            asked.method,
            asked.path
        );
        assert_eq!(again.header("idempotency-replayed"), "?1");
    }
    assert_eq!(scene.head(), head, "{} {}", asked.method, asked.path);
    first
}

fn post<'a>(path: &'a str, key: &'a str) -> Keyed<'a> {
    Keyed {
        method: "POST",
        path,
        key,
    }
}

fn patch<'a>(path: &'a str, key: &'a str) -> Keyed<'a> {
    Keyed {
        method: "PATCH",
        path,
        key,
    }
}

#[tokio::test]
async fn what_is_asked_under_a_key_is_done_once_whatever_it_is() {
    let scene = Scene::new();
    let ada = json!({"name": "Ada", "email": "ada@example.org"});
    let user = is_done_once(&scene, post("/v1/users", "a"), ada.clone()).await;
    let path = user.header("location").to_owned();
    is_done_once(&scene, patch(&path, "b"), json!({"name": "Grace"})).await;
    let why = json!({"reason": "unpaid"});
    is_done_once(&scene, post(&format!("{path}/suspend"), "c"), why.clone()).await;
    is_done_once(&scene, post(&format!("{path}/reinstate"), "d"), why).await;

    let declared = json!({"tag": "QR-1", "size": "small", "mass_g": 500});
    let package = is_done_once(&scene, post("/v1/packages", "e"), declared).await;
    let package = package.header("location").to_owned();
    is_done_once(&scene, patch(&package, "f"), json!({"mass_g": 501})).await;

    let order = order(&user.text("/id"));
    let booked = is_done_once(&scene, post("/v1/deliveries", "g"), order).await;
    let delivery = booked.header("location").to_owned();
    let later = json!({"deliver_by": "2099-01-01T00:00:00Z"});
    is_done_once(&scene, patch(&delivery, "h"), later).await;
    let cancel = format!("{delivery}/cancel");
    let cancelled = is_done_once(&scene, post(&cancel, "i"), json!({"reason": "mistake"})).await;
    assert_eq!(
        (cancelled.status, cancelled.text("/status")),
        (202, "cancelled".into())
    );

    // What came after changes nothing about what was answered, but for what is
    // counted of the user's deliveries.
    let again = post("/v1/deliveries", "g").send(&scene, &json!({})).await;
    assert_eq!(again.problem(422).0, "idempotency-key-reused");
    let again = post("/v1/users", "a").send(&scene, &ada).await;
    assert_eq!(
        (again.status, again.text("/name"), again.at("/sequence")),
        (201, "Ada".into(), json!(1))
    );
    assert_eq!(scene.get(&path).await.text("/name"), "Grace");
}

#[tokio::test]
async fn a_task_is_seen_to_once_under_a_key() {
    let (scene, _, path) = super::tasks::scene_with_task().await;
    let seen_to = format!("{path}/acknowledge");
    let note = json!({"note": "both are back"});
    is_done_once(&scene, post(&seen_to, "k"), note).await;
    let otherwise = json!({"note": "one is back"});
    let other = post(&seen_to, "k").send(&scene, &otherwise).await;
    assert_eq!(other.problem(422).0, "idempotency-key-reused");
}

#[tokio::test]
async fn an_answer_is_that_of_the_first_time_however_far_things_have_moved_on() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let order = order(&user);
    let asked = post("/v1/deliveries", "k");
    let booked = asked.send(&scene, &order).await;
    let delivery = booked.header("location").to_owned();
    let etag = booked.header("etag").to_owned();
    let later = json!({"deliver_by": "2099-01-01T00:00:00Z"});
    let reschedule = async |scene: &Scene| {
        let headers = [("idempotency-key", "m"), ("if-match", etag.as_str())];
        let body = Some(later.clone());
        scene.call("PATCH", &delivery, &headers, body).await
    };
    let rescheduled = reschedule(&scene).await;
    assert_eq!(rescheduled.status, 200, "{rescheduled:?}");
    let cancelled = scene.call("DELETE", &delivery, &[], None).await;
    assert_eq!(cancelled.text("/status"), "cancelled");

    assert_eq!(answer(&asked.send(&scene, &order).await), answer(&booked));
    // The state that it was based on is gone, which is what it did itself.
    assert_eq!(answer(&reschedule(&scene).await), answer(&rescheduled));
    let minimal = [("idempotency-key", "k"), ("prefer", "return=minimal")];
    let minimal = scene
        .call("POST", "/v1/deliveries", &minimal, Some(order))
        .await;
    assert_eq!((minimal.status, minimal.body.len()), (201, 0));
    assert_eq!(minimal.header("preference-applied"), "return=minimal");
    assert_eq!(minimal.header("location"), delivery);
}

#[tokio::test]
async fn whoever_was_told_of_an_operation_is_told_of_it_again() {
    let scene = Scene::new();
    let order = order(&scene.user("ada@example.org").await);
    let book = async || {
        let headers = [("idempotency-key", "k"), ("prefer", "respond-async")];
        let body = Some(order.clone());
        scene.call("POST", "/v1/deliveries", &headers, body).await
    };
    let first = book().await;
    assert_eq!(first.status, 202, "{first:?}");
    assert!(first.header("location").starts_with("/v1/operations/opn_"));
    let head = scene.head();
    let again = book().await;
    assert_eq!(answer(&again), answer(&first));
    assert_eq!(again.header("idempotency-replayed"), "?1");
    let waiting = [("idempotency-key", "k"), ("prefer", "wait=5")];
    let waited = scene
        .call("POST", "/v1/deliveries", &waiting, Some(order.clone()))
        .await;
    assert_eq!(
        (waited.status, waited.text("/status")),
        (201, "scheduled".into())
    );
    assert_eq!(scene.head(), head);
}

#[tokio::test]
async fn a_key_is_of_one_request_of_one_kind() {
    let scene = Scene::new();
    let ada = json!({"name": "Ada", "email": "ada@example.org"});
    let created = post("/v1/users", "k").send(&scene, &ada).await;
    assert_eq!(created.status, 201);
    let head = scene.head();
    let bob = json!({"name": "Bob", "email": "bob@example.org"});
    let other = post("/v1/users", "k").send(&scene, &bob).await;
    assert_eq!(
        other.problem(422),
        ("idempotency-key-reused".into(), vec![])
    );
    assert_eq!(scene.head(), head);
    // Quotes are not part of it.
    let quoted = post("/v1/users", "\"k\"").send(&scene, &ada).await;
    assert_eq!(answer(&quoted), answer(&created));
    // The same key for something else is another one.
    let declared = json!({"tag": "QR-1", "size": "small", "mass_g": 500});
    let package = post("/v1/packages", "k").send(&scene, &declared).await;
    assert_eq!(package.status, 201);
    let malformed = post("/v1/users", "\"k").send(&scene, &bob).await;
    assert_eq!(malformed.problem(400).0, "malformed-header");
    let replaced = scene
        .call(
            "PUT",
            "/v1/users/usr_1",
            &[("idempotency-key", "\"k")],
            Some(bob),
        )
        .await;
    assert_eq!(
        replaced.problem(404).0,
        "not-found",
        "only POST and PATCH look at it"
    );
}

#[tokio::test]
async fn what_came_to_nothing_is_tried_anew() {
    let scene = Scene::new();
    let path = format!("/v1/users/{}", scene.user("ada@example.org").await);
    let body = json!({"name": "B", "email": "ada@example.org"});
    let refused = post("/v1/users", "k").send(&scene, &body).await;
    assert_eq!(refused.problem(409).0, "email-taken");
    let moved = json!({"email": "ada@example.com"});
    assert_eq!(patch(&path, "m").send(&scene, &moved).await.status, 200);
    let taken = post("/v1/users", "k").send(&scene, &body).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    assert!(!taken.headers.contains_key("idempotency-replayed"));

    // What changed nothing was not kept either.
    let reinstate = format!("{path}/reinstate");
    let why = json!({"reason": "paid"});
    let nothing = post(&reinstate, "n").send(&scene, &why).await;
    assert_eq!(nothing.status, 200);
    let suspended = scene
        .post(&format!("{path}/suspend"), json!({"reason": "unpaid"}))
        .await;
    assert_eq!(suspended.text("/status"), "suspended");
    let done = post(&reinstate, "n").send(&scene, &why).await;
    assert_eq!(done.text("/status"), "active");
}

#[tokio::test]
async fn of_twins_at_the_same_moment_both_get_the_one_answer() {
    let scene = Scene::new();
    let body = json!({"name": "Ada", "email": "ada@example.org"});
    let asked = post("/v1/users", KEY.1);
    let twins = (0..16).map(|_| asked.send(&scene, &body));
    let answers = futures_util::future::join_all(twins).await;
    for twin in &answers {
        assert_eq!(answer(twin), answer(&answers[0]));
        assert_eq!(twin.status, 201);
    }
    // The user, the address and the note of the command.
    assert_eq!(scene.head(), 3);
}
