//! What is not flown is not booked, and no booking becomes it by a change.

use std::io::Write as _;

use super::*;

const ANY: [(&str, &str); 1] = [("if-match", "*")];

/// The square around the order's places.
const SQUARE: &str = r#"{"type":"Polygon","coordinates":[[[-79.8,40.4],[-79.7,40.4],[-79.7,40.5],[-79.8,40.5],[-79.8,40.4]]]}"#;

/// A service that flies 1 km with 600 g over the square, booked a day ahead.
fn scene() -> Scene {
    let mut area = tempfile::NamedTempFile::new().unwrap();
    area.write_all(SQUARE.as_bytes()).unwrap();
    Scene::with(|config| {
        let scheduling = &mut config.scheduling;
        scheduling.range_m_max = Some(1_000);
        scheduling.payload_g_max = Some(600);
        scheduling.booking_ahead_s_max = Some(86_400);
        scheduling.service_area = Some(area.path().to_owned());
    })
}

/// What of an order, or of a plan alone, is not flown, and what is said of it.
fn not_flown() -> Vec<(Value, &'static str, &'static str)> {
    let window = |day| {
        let at = |hour| format!("2026-11-{day}T{hour}:00:00Z");
        json!({"not_before": at("10"), "not_after": at("12")})
    };
    vec![
        (
            json!({"dropoff": {"lat": 40.47, "lon": -79.782}}),
            "/dropoff",
            "out-of-range",
        ),
        (
            json!({"dropoff": {"lat": 40.5001, "lon": -79.782}, "pickup": {"lat": 40.4999, "lon": -79.782}}),
            "/dropoff",
            "outside-area",
        ),
        (
            json!({"dropoff": {"lat": 40.4999, "lon": -79.782}, "pickup": {"lat": 40.5001, "lon": -79.782}}),
            "/pickup",
            "outside-area",
        ),
        (
            json!({"pickup_window": window(23)}),
            "/pickup_window/not_before",
            "too-far-ahead",
        ),
        (
            json!({"pickup_window": window(21), "deliver_by": "2026-11-21T09:00:00Z"}),
            "/deliver_by",
            "range",
        ),
    ]
}

#[track_caller]
fn assert_told(refused: &Answer, pointer: &str, code: &str) {
    let (kind, pointers) = refused.problem(422);
    assert_eq!(
        (kind.as_str(), pointers),
        ("invalid-request", vec![pointer.to_owned()])
    );
    assert_eq!(refused.at("/errors/0/code"), code);
}

#[tokio::test]
async fn what_is_not_flown_is_not_booked_and_nothing_is_kept_of_it() {
    let scene = scene();
    let user = scene.user("ada@example.org").await;
    let heavy = json!({"package": {"tag": "QR-1", "size": "small", "mass_g": 601}});
    let heavy = (heavy, "/package/mass_g", "too-heavy");
    for (members, pointer, code) in not_flown().into_iter().chain([heavy]) {
        let mut wanted = order(&user);
        let wanted_members = wanted.as_object_mut().unwrap();
        wanted_members.extend(members.as_object().unwrap().clone());
        let head = scene.head();
        let refused = scene.post("/v1/deliveries", wanted).await;
        assert_told(&refused, pointer, code);
        assert_eq!(scene.head(), head, "{members}");
    }
    scene.delivery(&user).await;
}

#[tokio::test]
async fn no_booking_is_changed_into_what_is_not_flown() {
    let scene = scene();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    for (patch, pointer, code) in not_flown() {
        let refused = scene.call("PATCH", &path, &ANY, Some(patch)).await;
        assert_told(&refused, pointer, code);
    }
    let within = json!({"dropoff": {"lat": 40.462, "lon": -79.779}});
    let moved = scene.call("PATCH", &path, &ANY, Some(within)).await;
    assert_eq!((moved.status, moved.at("/revision")), (200, json!(1)));
}

#[tokio::test]
async fn a_booking_is_changed_where_less_is_served_since_if_the_change_is_not_at_fault() {
    let wide = Scene::new();
    let user = wide.user("ada@example.org").await;
    let mut far = order(&user);
    far["dropoff"] = json!({"lat": 40.5, "lon": -79.779});
    let booked = wide.post("/v1/deliveries", far).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let path = format!("/v1/deliveries/{}", booked.text("/id"));

    let mut narrow = config();
    narrow.scheduling.range_m_max = Some(1_000);
    let narrow = Scene::with_config(Arc::clone(&wide.log), NOW_US, &narrow);
    let later = json!({"deliver_by": "2026-11-21T20:00:00Z"});
    let changed = narrow.call("PATCH", &path, &ANY, Some(later)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let farther = json!({"dropoff": {"lat": 40.6, "lon": -79.779}});
    let refused = narrow.call("PATCH", &path, &ANY, Some(farther)).await;
    assert_told(&refused, "/dropoff", "out-of-range");
}

/// The pointers and the codes of all faults that an answer lists.
fn told(refused: &Answer) -> Vec<(String, String)> {
    let (kind, pointers) = refused.problem(422);
    assert_eq!(kind, "invalid-request");
    let codes = (0..pointers.len()).map(|at| refused.text(&format!("/errors/{at}/code")));
    pointers.iter().cloned().zip(codes).collect()
}

fn pairs(told: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(pointer, code): &(&str, &str)| ((*pointer).to_owned(), (*code).to_owned());
    told.iter().map(owned).collect()
}

#[tokio::test]
async fn what_is_not_flown_is_told_with_all_other_faults_at_once() {
    let scene = scene();
    let user = scene.user("ada@example.org").await;
    let far = json!({"lat": 40.47, "lon": -79.782});
    let past = "2026-11-21T00:00:00Z";
    for (members, faults) in [
        (
            json!({"dropoff": far, "deliver_by": past}),
            pairs(&[("/dropoff", "out-of-range"), ("/deliver_by", "past")]),
        ),
        (
            json!({
                "package": {"tag": "a b", "size": "small", "mass_g": 601},
                "pickup": {"lat": 40.6, "lon": -79.782}, "dropoff": {"lat": 91, "lon": 0},
            }),
            pairs(&[
                ("/pickup", "outside-area"),
                ("/dropoff/lat", "range"),
                ("/package/mass_g", "too-heavy"),
                ("/package/tag", "format"),
            ]),
        ),
        (
            json!({"pickup_window": {"not_before": "2026-11-23T10:00:00Z", "not_after": "2026-11-23T09:00:00Z"}}),
            pairs(&[
                ("/pickup_window/not_after", "range"),
                ("/pickup_window/not_before", "too-far-ahead"),
            ]),
        ),
    ] {
        let mut wanted = order(&user);
        let wanted_members = wanted.as_object_mut().unwrap();
        wanted_members.extend(members.as_object().unwrap().clone());
        let mut found = told(&scene.post("/v1/deliveries", wanted).await);
        let mut expected = faults;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{members}");
    }
}

#[tokio::test]
async fn of_a_package_that_is_named_the_name_is_at_fault() {
    let scene = scene();
    let user = scene.user("ada@example.org").await;
    let heavy = json!({"tag": "QR-1", "size": "small", "mass_g": 601});
    let heavy = scene.post("/v1/packages", heavy).await;
    let mut wanted = order(&user);
    wanted["package"] = json!({"id": heavy.at("/id")});
    let refused = scene.post("/v1/deliveries", wanted).await;
    assert_told(&refused, "/package/id", "too-heavy");
}

#[tokio::test]
async fn what_of_a_change_is_not_flown_is_told_with_all_other_faults_at_once() {
    let scene = scene();
    let user = scene.user("ada@example.org").await;
    let path = format!("/v1/deliveries/{}", scene.delivery(&user).await);
    let past = "2026-11-21T00:00:00Z";
    for (patch, faults) in [
        (
            json!({"dropoff": {"lat": 40.47}, "deliver_by": past}),
            pairs(&[("/dropoff", "out-of-range"), ("/deliver_by", "past")]),
        ),
        (
            json!({"dropoff": {"lat": 40.6}, "pickup": {"lat": "x"}, "colour": "red"}),
            pairs(&[
                ("/dropoff", "outside-area"),
                ("/pickup/lat", "type"),
                ("/colour", "unknown"),
            ]),
        ),
        // Where the pick-up is to be is not known, so nothing is too far from it.
        (
            json!({"dropoff": {"lat": 40.47}, "pickup": 1}),
            pairs(&[("/pickup", "type")]),
        ),
        (
            json!({"pickup_window": {"not_before": "2026-11-23T10:00:00Z"}, "dropoff": {"lat": 40.47}}),
            pairs(&[
                ("/pickup_window/not_before", "too-far-ahead"),
                ("/pickup_window/not_after", "required"),
                ("/dropoff", "out-of-range"),
            ]),
        ),
    ] {
        let refused = scene.call("PATCH", &path, &ANY, Some(patch.clone())).await;
        let mut found = told(&refused);
        let mut expected = faults;
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{patch}");
    }
}

#[tokio::test]
async fn an_order_that_was_taken_is_taken_again_where_less_is_served_since() {
    let wide = Scene::new();
    let user = wide.user("ada@example.org").await;
    let mut far = order(&user);
    far["external_id"] = json!("order-1");
    far["dropoff"] = json!({"lat": 40.5, "lon": -79.779});
    let booked = wide.post("/v1/deliveries", far.clone()).await;
    let mut narrow = config();
    narrow.scheduling.range_m_max = Some(1_000);
    let narrow = Scene::with_config(Arc::clone(&wide.log), NOW_US, &narrow);
    let again = narrow.post("/v1/deliveries", far).await;
    assert_eq!((again.status, &again.body), (200, &booked.body));
}
