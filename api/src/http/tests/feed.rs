//! The feed: what it shows, to whom it goes on, and what it refuses.

use super::*;

/// The items of a page.
fn items(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.at("/items").as_array().unwrap().clone()
}

fn names(items: &[Value]) -> Vec<&str> {
    let names = items.iter().map(|item| item["type"].as_str().unwrap());
    names.collect()
}

/// Two users, each with a delivery; the first one is cancelled.
async fn scene() -> (Scene, [String; 2], [String; 2]) {
    let scene = Scene::new();
    let ada = scene.user("ada@example.org").await;
    let first = scene.delivery(&ada).await;
    let bob = scene.user("bob@example.org").await;
    let second = scene.delivery(&bob).await;
    let body = json!({"reason": "mistake"});
    let path = format!("/v1/deliveries/{first}/cancel");
    assert_eq!(scene.post(&path, body).await.status, 202);
    (scene, [ada, bob], [first, second])
}

#[tokio::test]
async fn all_events_come_oldest_first_and_those_of_users_without_contacts() {
    let (scene, [ada, bob], [first, second]) = scene().await;
    let answer = scene.get("/v1/events").await;
    let all = items(&answer);
    assert_eq!(
        names(&all),
        [
            "UserCreated",
            "Created",
            "Scheduled",
            "MissionRequested",
            "UserCreated",
            "Created",
            "Scheduled",
            "MissionRequested",
            "CancellationRequested",
            "Cancelled",
        ]
    );
    assert_eq!(answer.at("/more"), false);
    assert_eq!(answer.header("stream-position"), scene.head().to_string());
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        !text.contains("example.org") && !text.contains("Ada"),
        "{text}"
    );
    let sequences: Vec<_> = all.iter().map(|item| item["sequence"].clone()).collect();
    assert_eq!(sequences, [1, 1, 2, 1, 1, 1, 2, 1, 3, 4]);
    assert_eq!(
        (&all[0]["user_id"], &all[0]["delivery_id"]),
        (&json!(ada), &Value::Null)
    );
    assert_eq!(
        (&all[5]["user_id"], &all[5]["delivery_id"]),
        (&json!(bob), &json!(second))
    );
    // Beside what leads to it, an item is the history's.
    let history = items(&scene.get(&format!("/v1/deliveries/{first}/history")).await);
    let mut shown = all[1].clone();
    for name in ["cursor", "id", "delivery_id", "user_id"] {
        let taken = shown.as_object_mut().unwrap().remove(name);
        assert!(taken.is_some_and(|value| value.is_string()), "{name}");
    }
    assert_eq!(shown, history[0]);
}

#[tokio::test]
async fn what_is_asked_of_drone_management_about_a_delivery_is_among_its_events() {
    let (scene, _, [first, _]) = scene().await;
    let all = items(&scene.get("/v1/events").await);
    let of_first: Vec<_> = all
        .into_iter()
        .filter(|item| item["delivery_id"] == json!(first))
        .collect();
    assert!(names(&of_first).contains(&"MissionRequested"));
    let path = format!("/v1/events?delivery={first}");
    assert_eq!(items(&scene.get(&path).await), of_first);
    // One at a time it is the same, wherever the log is read on from.
    let (mut one_by_one, mut after) = (Vec::new(), String::new());
    loop {
        let page = scene.get(&format!("{path}&limit=1{after}")).await;
        one_by_one.extend(items(&page));
        if page.at("/more") == false {
            break;
        }
        after = format!("&after={}", page.text("/next"));
    }
    assert_eq!(one_by_one, of_first);
    let requests = format!("{path}&types=MissionRequested,StandDownRequested");
    let asked = items(&scene.get(&requests).await);
    assert_eq!(names(&asked), ["MissionRequested"]);
}

#[tokio::test]
async fn a_reader_goes_on_from_a_page_from_an_event_and_from_an_empty_end() {
    let (scene, _, _) = scene().await;
    let all = items(&scene.get("/v1/events?limit=200").await);
    let page = scene
        .get("/v1/events?limit=3&types=Created,Scheduled")
        .await;
    assert_eq!(names(&items(&page)), ["Created", "Scheduled", "Created"]);
    let next = page.text("/next");
    assert_eq!(
        page.header("link"),
        format!("</v1/events?limit=3&types=Created,Scheduled&after={next}>; rel=\"next\"")
    );
    assert_eq!(page.at("/more"), true);
    // A cursor fits every filter.
    let rest = scene.get(&format!("/v1/events?after={next}")).await;
    assert_eq!(items(&rest), all[6..]);
    // What a stream had come to is later than what its address says.
    let last = all[7]["cursor"].as_str().unwrap();
    let path = format!("/v1/events?after={next}");
    let last = [("last-event-id", last)];
    let resumed = scene.call("GET", &path, &last, None).await;
    assert_eq!(items(&resumed), all[8..]);
    let end = rest.text("/next");
    let nothing = scene.get(&format!("/v1/events?after={end}")).await;
    assert_eq!(
        (items(&nothing).len(), nothing.text("/next")),
        (0, end.clone())
    );
    scene.user("eve@example.org").await;
    let path = format!("/v1/events?after={end}");
    let new = scene.get(&path).await;
    assert_eq!(names(&items(&new)), ["UserCreated"]);
    let not_modified = [("if-none-match", new.header("etag"))];
    let again = scene.call("GET", &path, &not_modified, None).await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn the_events_of_a_user_and_of_a_delivery_can_be_had_alone() {
    let (scene, [ada, _], [first, second]) = scene().await;
    let of_ada = items(&scene.get(&format!("/v1/events?user={ada}")).await);
    assert_eq!(
        names(&of_ada),
        [
            "UserCreated",
            "Created",
            "Scheduled",
            "MissionRequested",
            "CancellationRequested",
            "Cancelled"
        ]
    );
    let filtered = scene.get(&format!("/v1/events?delivery={second}")).await;
    let page = [("accept", "application/json")];
    let path = scene.get(&format!("/v1/deliveries/{second}")).await;
    let path = path.text("/links/events");
    assert_eq!(path, format!("/v1/deliveries/{second}/events"));
    let alone = scene.call("GET", &path, &page, None).await;
    assert_eq!(items(&filtered), items(&alone));
    assert_eq!(
        names(&items(&alone)),
        ["Created", "Scheduled", "MissionRequested"]
    );
    let path = format!("/v1/deliveries/{first}/events?types=Cancelled");
    let cancelled = scene.call("GET", &path, &page, None).await;
    assert_eq!(names(&items(&cancelled)), ["Cancelled"]);
    // At the end it stands where the log does.
    let end = alone.text("/next");
    let whole = scene.get(&format!("/v1/events?after={end}")).await;
    assert_eq!((items(&whole).len(), whole.text("/next")), (0, end));
    let unknown = "dlv_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55";
    for id in [unknown, &ada, "rubbish"] {
        let answer = scene.get(&format!("/v1/deliveries/{id}/events")).await;
        assert_eq!(answer.problem(404).0, "not-found");
    }
    let nothing = scene.get(&format!("/v1/events?delivery={unknown}")).await;
    assert_eq!(items(&nothing).len(), 0);
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_refused_with_what_is_right() {
    let (scene, _, _) = scene().await;
    let wrong = "/v1/events?types=Created,Landed&user=1&delivery=usr_1&limit=201&to=9";
    let (code, pointers) = scene.get(wrong).await.problem(422);
    assert_eq!(code, "invalid-request");
    assert_eq!(pointers, ["/types", "/user", "/delivery", "/limit", "/to"]);
    let known = scene.get("/v1/events?types=Landed").await;
    assert!(
        known
            .text("/errors/0/detail")
            .contains("DeliveryComplete, "),
        "{known:?}"
    );
    let other = Scene::over(Arc::new(MemoryEventStore::new(Uuid::from_u128(9))), NOW_US);
    let cursor = other.get("/v1/events").await.text("/next");
    for path in [
        "/v1/events?after=x".to_owned(),
        format!("/v1/events?after={cursor}"),
    ] {
        let refused = scene.get(&path).await;
        assert_eq!(refused.problem(400).0, "bad-cursor");
    }
    let last = [("last-event-id", "x")];
    let refused = scene.call("GET", "/v1/events", &last, None).await;
    assert_eq!(refused.problem(400).0, "bad-cursor");
    let html = [("accept", "text/html")];
    let refused = scene.call("GET", "/v1/events", &html, None).await;
    assert_eq!(refused.problem(406).0, "not-acceptable");
}

#[tokio::test]
async fn cloud_events_are_named_as_those_of_an_export_and_carry_the_item() {
    let (scene, _, [first, _]) = scene().await;
    let batch = [("accept", "application/cloudevents-batch+json")];
    let answer = scene.call("GET", "/v1/events?limit=3", &batch, None).await;
    assert_eq!(
        answer.header("content-type"),
        "application/cloudevents-batch+json"
    );
    let plain = scene.get("/v1/events?limit=3").await;
    let all = answer.json().as_array().unwrap().clone();
    assert_eq!(all.len(), 3);
    let item = plain.at("/items/2");
    let bare_id = item["id"]
        .as_str()
        .unwrap()
        .strip_prefix("evt_")
        .unwrap()
        .to_owned();
    let subject = first.replace("dlv_", "delivery-");
    assert_eq!(
        all[2],
        json!({
            "specversion": "1.0", "id": bare_id, "source": format!("urn:uuid:{}", Uuid::nil()),
            "type": "airpost.delivery.scheduled.v1", "subject": subject, "time": item["event_time"],
            "datacontenttype": "application/json", "cursor": item["cursor"], "data": item,
        })
    );
    assert_eq!(answer.header("link"), plain.header("link"));
}

#[tokio::test]
async fn head_answers_as_get_does() {
    let (scene, _, _) = scene().await;
    let get = scene.get("/v1/events").await;
    let head = scene.call("HEAD", "/v1/events", &[], None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["etag", "link", "content-type", "stream-position"] {
        assert_eq!(head.header(name), get.header(name));
    }
}

#[tokio::test]
async fn a_reader_of_what_is_new_begins_at_the_end_and_misses_nothing_after_it() {
    let (scene, _, _) = scene().await;
    let end = scene.get("/v1/events?after=latest").await;
    assert_eq!(
        (end.at("/items"), end.at("/more")),
        (json!([]), json!(false))
    );
    let user = scene.user("new@example.org").await;
    let next = format!("/v1/events?after={}", end.text("/next"));
    let items = scene.get(&next).await.at("/items");
    let users: Vec<_> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["user_id"])
        .collect();
    assert_eq!(users, [&json!(user)]);
}
