//! What of log lines and metrics is checked without a service.

use super::*;

/// Set in a process of its own that panics.
const PANICS: &str = "AIRPOST_TEST_PANICS";

/// Where a panic is told is a matter of the whole process: so this test runs
/// itself once more.
#[test]
fn a_panic_is_one_line_of_the_log() {
    if std::env::var_os(PANICS).is_some() {
        start_logging(LogFormat::Text, None).unwrap();
        log_panics();
        let panicked = std::panic::catch_unwind(|| panic!("one line\nand {}", "another"));
        assert!(panicked.is_err());
        return;
    }
    let name = "observability::tests::a_panic_is_one_line_of_the_log";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(PANICS, "1")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    for part in [
        " ERROR ",
        "a panic",
        r"one line\nand another",
        "observability/tests.rs:",
        "backtrace=",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn a_filter_that_cannot_be_read_names_the_variable() {
    let error = start_logging(LogFormat::Text, Some("info,=,[")).unwrap_err();
    assert!(error.to_string().contains(LOG_VARIABLE), "{error}");
}

#[test]
fn the_client_of_nats_logs_nothing_unless_it_is_named() {
    assert_eq!(
        in_our_words("info,api=debug"),
        "async_nats=off,info,api=debug"
    );
    let named = "info,async_nats=debug";
    assert_eq!(in_our_words(named), named);
}

#[test]
fn a_latency_is_rendered_in_buckets_of_seconds() {
    let recorder = builder().unwrap().build_recorder();
    let metrics = Metrics {
        handle: recorder.handle(),
    };
    metrics::with_local_recorder(&recorder, || {
        describe();
        metrics::histogram!(HTTP_REQUEST_SECONDS, "route" => "/v1/users").record(0.003);
    });
    let text = metrics.render();
    assert!(
        text.contains("airpost_http_request_seconds_bucket{route=\"/v1/users\",le=\"0.005\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE airpost_http_request_seconds histogram"),
        "{text}"
    );
}

#[test]
fn every_counter_but_those_of_requests_is_there_from_the_start() {
    let recorder = builder().unwrap().build_recorder();
    let metrics = Metrics {
        handle: recorder.handle(),
    };
    let text = metrics::with_local_recorder(&recorder, || {
        describe();
        begin_at_zero();
        metrics.render()
    });
    let sources = [
        include_str!("../observability.rs"),
        include_str!("drone_messages.rs"),
        include_str!("processes.rs"),
        include_str!("publishing.rs"),
    ];
    let names: Vec<_> = sources
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.split_once("= \"")?.1.strip_suffix("\";"))
        .filter(|name| name.ends_with("_total") && *name != HTTP_REQUESTS)
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let mut series = text.lines().filter(|line| line.starts_with(name));
        let first = series
            .next()
            .unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(first.ends_with(" 0"), "{first}");
    }
}

#[test]
fn what_a_service_measures_of_nats_is_there_from_the_start() {
    let recorder = builder().unwrap().build_recorder();
    let metrics = Metrics {
        handle: recorder.handle(),
    };
    let text = metrics::with_local_recorder(&recorder, || {
        describe();
        drone_messages::begin(true);
        publishing::begin();
        metrics.render()
    });
    for series in [
        drone_messages::DRONE_MESSAGES_FLOWING,
        drone_messages::DRONE_POSITIONS_FLOWING,
        drone_messages::DRONE_POSITIONS_PENDING,
        "airpost_drone_messages_batch_seconds_count",
        publishing::PUBLISHING,
        publishing::LAG_POSITIONS,
        publishing::LAG_SECONDS,
        "airpost_delivery_events_publish_seconds_count",
    ] {
        let line = format!("{series} 0\n");
        assert!(text.contains(&line), "no {series} in {text}");
    }
}

#[tokio::test]
async fn upkeep_ends_with_the_service() {
    Metrics::detached()
        .unwrap()
        .run_upkeep(std::future::ready(()))
        .await;
}
