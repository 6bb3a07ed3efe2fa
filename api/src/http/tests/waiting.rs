//! Requests that wait, and those that need not.

use futures_util::FutureExt as _;

use super::*;

/// A list as of a position that does not come, waited for.
const NEVER: [(&str, &str); 2] = [("min-position", "999999"), ("prefer", "wait=30")];

#[tokio::test]
async fn those_who_wait_for_the_views_leave_half_of_the_places_to_all_others() {
    let scene = Scene::with(|config| config.http.requests_max = 4);
    let lists = [
        "/v1/deliveries",
        "/v1/statistics",
        "/v1/tasks",
        "/v1/drones",
        "/v1/dead-letters",
    ];
    let mut waiting: Vec<_> = lists
        .iter()
        .map(|list| Box::pin(scene.call("GET", list, &NEVER, None)))
        .collect();
    let mut refused = 0;
    for request in &mut waiting {
        if let Some(answer) = request.as_mut().now_or_never() {
            assert_eq!(answer.problem(503).0, "overloaded");
            assert_eq!(answer.header("retry-after"), "1");
            refused += 1;
        }
    }
    assert_eq!(refused, 3, "two may wait");
    for list in lists {
        let there = [("min-position", "0"), ("prefer", "wait=30")];
        let answer = scene.call("GET", list, &there, None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // A rebuild is begun whoever waits; its end is waited for in a place.
    let rebuild = "/v1/projections/user/rebuild";
    let to_the_end = [("prefer", "wait=30")];
    let answer = scene.call("POST", rebuild, &[], None).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let answer = scene.call("POST", rebuild, &to_the_end, None).await;
    assert_eq!(answer.problem(503).0, "overloaded");
    drop(waiting);
    let answer = scene.call("POST", rebuild, &to_the_end, None).await;
    assert_eq!(
        answer.status, 200,
        "who went away waits no more: {answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_client_asks_to_wait_is_not_taken_from_the_time_for_an_answer() {
    let scene = Scene::with(|config| config.http.request_time_ms = 1_000);
    let answer = scene.call("GET", "/v1/tasks", &NEVER, None).await;
    assert_eq!(answer.problem(503).0, "projection-lagging");
}
