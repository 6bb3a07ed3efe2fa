//! The feed as it happens.

use std::time::Duration;

use super::*;

const STREAM: (&str, &str) = ("accept", "text/event-stream");

/// How often a silent stream beats.
const BEAT: Duration = Duration::from_secs(15);

/// How exactly that is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A stream that is read as a browser does.
struct Stream {
    body: Body,
    text: String,
    /// The id that a browser would come back with.
    last_id: String,
}

/// What is between two blank lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    id: Option<String>,
    event: Option<String>,
    data: Option<String>,
    text: String,
}

impl Scene {
    async fn response(&self, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().uri(path).header("host", "airpost.test");
        for (name, value) in [STREAM].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.front.clone().oneshot(request).await.unwrap()
    }

    async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let response = self.response(path, headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Stream {
            body: response.into_body(),
            text: String::new(),
            last_id: String::new(),
        };
        let first = stream.next().await.unwrap();
        assert_eq!(first.text, "retry: 3000");
        stream
    }
}

impl Stream {
    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let value = |name: &str| {
                    let mut lines = message.lines();
                    let found = lines.find_map(|line| line.strip_prefix(name));
                    found.map(str::to_owned)
                };
                let message = Message {
                    id: value("id: "),
                    event: value("event: "),
                    data: value("data: "),
                    text: message.to_owned(),
                };
                self.text = rest.to_owned();
                if let Some(id) = &message.id {
                    self.last_id.clone_from(id);
                }
                return Some(message);
            }
            let frame = self.body.frame().await?.unwrap();
            let bytes = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next message, which comes after just so much silence.
    async fn next_after(&mut self, silence: Duration) -> Message {
        let early = tokio::time::timeout(silence.saturating_sub(TICK), self.next()).await;
        assert!(early.is_err(), "{early:?}");
        let due = tokio::time::timeout(2 * TICK, self.next()).await;
        due.expect("it is late").unwrap()
    }

    /// The next event's item.
    async fn item(&mut self) -> Value {
        let message = self.next().await.unwrap();
        let item: Value = serde_json::from_str(&message.data.unwrap()).unwrap();
        assert_eq!(item["cursor"], message.id.unwrap());
        assert_eq!(item["type"], message.event.unwrap());
        item
    }
}

#[tokio::test]
async fn a_stream_tells_what_the_pages_tell_and_goes_on_with_what_happens() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&ada).await;
    let pages = scene.get("/v1/events").await.at("/items");
    let mut stream = scene.stream("/v1/events", &[]).await;
    for item in pages.as_array().unwrap() {
        assert_eq!(stream.item().await, *item);
    }
    let path = format!("/v1/deliveries/{delivery}/events");
    // Of one delivery also where nothing is said of the form.
    let asked = Request::builder().uri(&path).header("host", "airpost.test");
    let unsaid = scene
        .front
        .clone()
        .oneshot(asked.body(Body::empty()).unwrap());
    assert_eq!(unsaid.await.unwrap().headers()["content-type"], STREAM.1);
    let mut alone = scene.stream(&path, &[]).await;
    for name in ["Created", "Scheduled", "MissionRequested"] {
        assert_eq!(alone.item().await["type"], name);
    }
    let bob = scene.user("bob@example.org").await;
    let cancel = format!("/v1/deliveries/{delivery}/cancel");
    let body = json!({"reason": "mistake"});
    assert_eq!(scene.post(&cancel, body).await.status, 202);
    for (name, user) in [
        ("UserCreated", &bob),
        ("CancellationRequested", &ada),
        ("Cancelled", &ada),
    ] {
        let item = stream.item().await;
        assert_eq!(
            (&item["type"], &item["user_id"]),
            (&json!(name), &json!(user))
        );
    }
    assert_eq!(alone.item().await["type"], "CancellationRequested");
    assert_eq!(alone.item().await["sequence"], 4);
}

#[tokio::test]
async fn a_stream_that_broke_off_goes_on_after_each_event_without_gap_or_duplicate() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    for _ in 0..3 {
        scene.delivery(&ada).await;
    }
    let all = scene.get("/v1/events?limit=200").await.at("/items");
    let all = all.as_array().unwrap();
    for (at, item) in all.iter().enumerate().take(all.len() - 1) {
        let cursor = item["cursor"].as_str().unwrap();
        let mut by_header = scene
            .stream("/v1/events", &[("last-event-id", cursor)])
            .await;
        assert_eq!(by_header.item().await, all[at + 1]);
        let path = format!("/v1/events?after={cursor}");
        let mut by_address = scene.stream(&path, &[]).await;
        assert_eq!(by_address.item().await, all[at + 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_beats_every_15_seconds_and_tells_how_far_it_has_come() {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let mut stream = scene.stream("/v1/events?types=Cancelled", &[]).await;
    let first = stream.next_after(BEAT).await;
    // What is not wanted was passed over.
    let (text, id) = (&first.text, first.id.clone().unwrap());
    assert_eq!(*text, format!(": hb\nid: {id}"));
    assert_eq!(stream.next_after(BEAT).await.text, ": hb");
    let delivery = scene.delivery(&ada).await;
    let path = format!("/v1/events?after={}", stream.last_id);
    let rest = scene.get(&path).await;
    assert_eq!(rest.at("/items").as_array().unwrap().len(), 3);
    let moved = stream.next().await.unwrap().id.unwrap();
    assert_ne!(moved, id);
    let cancel = format!("/v1/deliveries/{delivery}/cancel");
    scene.post(&cancel, json!({"reason": "mistake"})).await;
    assert_eq!(stream.item().await["type"], "Cancelled");
    // What was written beside it is passed over; from there on it is silent anew.
    let passed = stream.next_after(BEAT).await.text;
    assert!(passed.starts_with(": hb\nid: "), "{passed}");
    assert_eq!(stream.next_after(BEAT).await.text, ": hb");
}

#[tokio::test]
async fn every_stream_ends_with_a_word_when_the_service_stops() {
    let scene = Scene::new();
    scene.user("ada@example.org").await;
    let mut streams = Vec::new();
    for path in ["/v1/events", "/v1/events?types=Cancelled"] {
        streams.push(scene.stream(path, &[]).await);
    }
    assert_eq!(streams[0].item().await["type"], "UserCreated");
    scene.stop.send(true).unwrap();
    for mut stream in streams {
        let bye = stream.next().await.unwrap();
        assert_eq!(
            (bye.event.as_deref(), bye.data.as_deref()),
            (Some("bye"), Some("{}"))
        );
        assert_eq!(stream.next().await, None);
        let path = format!("/v1/events?after={}", stream.last_id);
        let again = scene.get(if stream.last_id.is_empty() {
            "/v1/events"
        } else {
            &path
        });
        assert!(again.await.at("/items").as_array().unwrap().len() <= 1);
    }
    let mut late = scene.stream("/v1/events", &[]).await;
    assert_eq!(late.next().await.unwrap().event.as_deref(), Some("bye"));
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_one_ends() {
    let scene = Scene::with(|config| config.http.streams_max = 2);
    let first = scene.stream("/v1/events", &[]).await;
    let _second = scene.stream("/v1/events", &[]).await;
    let refused = scene.response("/v1/events", &[]).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(scene.get("/v1/events").await.status, 200);
    drop(first);
    scene.stream("/v1/events", &[]).await;
    // Without a body there is no stream.
    for _ in 0..3 {
        let head = scene.call("HEAD", "/v1/events", &[STREAM], None).await;
        assert_eq!((head.status, head.header("content-type")), (200, STREAM.1));
    }
}

#[tokio::test]
async fn a_stream_stands_still_loudly_at_what_cannot_be_read() {
    let scene = Scene::new();
    scene.user("ada@example.org").await;
    let mut stream = scene.stream("/v1/events", &[]).await;
    assert_eq!(stream.item().await["type"], "UserCreated");
    let id = "dlv_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55".parse().unwrap();
    scene.damage(StreamName::delivery(id)).await;
    scene.user("bob@example.org").await;
    let halt = stream.next().await.unwrap();
    assert_eq!(halt.event.as_deref(), Some("halt"));
    let problem: Value = serde_json::from_str(&halt.data.unwrap()).unwrap();
    let position = problem["position"].as_u64().unwrap();
    assert_eq!(
        (problem["status"].as_u64(), position),
        (Some(500), scene.head() - 2)
    );
    assert_eq!(stream.next().await, None);
    let last = [("last-event-id", stream.last_id.as_str())];
    let again = scene.response("/v1/events", &last).await;
    assert_eq!(again.status(), 500);
    // Whoever does not want it is not kept by it.
    let mut users = scene.stream("/v1/events?types=UserCreated", &last).await;
    assert_eq!(users.item().await["type"], "UserCreated");
}

#[tokio::test(start_paused = true)]
async fn a_stream_beats_before_its_connection_is_taken_for_dead() {
    let scene = Scene::with(|config| config.http.idle_time_ms = 4_000);
    let mut stream = scene.stream("/v1/events", &[]).await;
    let beat = stream.next_after(Duration::from_secs(2)).await;
    assert_eq!(beat.text, ": hb");
}

#[tokio::test]
async fn a_stream_of_what_is_new_begins_at_the_end() {
    let scene = Scene::new();
    scene.user("old@example.org").await;
    let mut stream = scene.stream("/v1/events?after=latest", &[]).await;
    let user = scene.user("new@example.org").await;
    let first = stream.next().await.unwrap();
    assert!(first.data.unwrap().contains(&user), "the old one was told");
}

#[tokio::test]
async fn a_stream_with_a_limit_is_refused_since_it_would_have_none() {
    let scene = Scene::new();
    let user = scene.user("ada@example.org").await;
    let delivery = scene.delivery(&user).await;
    let watched = format!("/v1/deliveries/{delivery}/events?limit=3");
    for path in ["/v1/events?limit=3", &watched] {
        // Its body, were it a stream, would have no end.
        assert_eq!(scene.response(path, &[]).await.status(), 422, "{path}");
        let refused = scene.call("GET", path, &[STREAM], None).await;
        assert_eq!(refused.problem(422).1, ["/limit"], "{path}");
    }
}
