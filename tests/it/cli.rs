//! The command line: what it tells, what it refuses, and the demonstration.

use std::path::Path;
use std::time::Duration;

use tests::{Output, Recording, poll_until};

use crate::scene::{Order, airpost, chance, list, report, scratch, text, verify};

async fn run(command: &str, data: &Path) -> Output {
    airpost()
        .run([command.as_ref(), "--data".as_ref(), data.as_os_str()])
        .await
}

#[tokio::test]
async fn help_names_every_command_and_every_command_has_help() {
    let help = airpost().run(["--help"]).await;
    assert_eq!(help.code, Some(0));
    for command in [
        "serve",
        "demo",
        "simulate",
        "verify",
        "rebuild",
        "recover",
        "backup",
        "verify-backup",
        "restore",
        "export",
        "import",
    ] {
        assert!(
            help.stdout.contains(command),
            "{command} is missing in:\n{}",
            help.stdout
        );
        let own = airpost().run([command, "--help"]).await;
        assert_eq!(own.code, Some(0), "{command} --help: {}", own.stderr);
        assert!(own.stdout.contains("Usage"), "{}", own.stdout);
    }
}

#[tokio::test]
async fn a_wrong_command_or_flag_is_refused_with_its_name() {
    for arguments in [
        &["fly"][..],
        &["serve", "--colour", "red"],
        &["serve", "--listen", "nowhere"],
        &["verify"],
        &[],
    ] {
        let output = airpost().run(arguments).await;
        assert_eq!(
            output.code,
            Some(2),
            "{arguments:?}: {}{}",
            output.stdout,
            output.stderr
        );
        if let Some(wrong) = arguments
            .iter()
            .find(|argument| ["fly", "--colour", "nowhere"].contains(argument))
        {
            assert!(
                output.stderr.contains(wrong),
                "{arguments:?}: {}",
                output.stderr
            );
        }
    }
}

#[tokio::test]
async fn a_server_without_authentication_refuses_to_listen_beyond_this_machine() {
    let folder = scratch();
    let data = folder
        .path()
        .to_str()
        .expect("a temporary folder has a plain name");
    let output = airpost()
        .run(["serve", "--data", data, "--listen", "0.0.0.0:0"])
        .await;
    assert!(output.code.is_some_and(|code| code != 0), "{output:?}");
    assert!(output.stderr.contains("--insecure"), "{}", output.stderr);
}

#[tokio::test]
async fn whoever_needs_the_data_folder_is_told_that_a_server_holds_it() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let data = folder
        .path()
        .to_str()
        .expect("a temporary folder has a plain name");
    let second = ["serve", "--data", data, "--listen", "127.0.0.1:0"];
    for arguments in [&second[..], &["rebuild", "--data", data]] {
        let output = airpost().run(arguments).await;
        assert!(
            output.code.is_some_and(|code| code != 0),
            "{arguments:?}: {output:?}"
        );
        assert!(
            output.stderr.contains(&server.pid().to_string()),
            "{arguments:?} does not say who:\n{}",
            output.stderr
        );
    }
    assert_eq!(server.client().get("/readyz").send().await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn verify_and_rebuild_find_a_sound_folder_sound() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let order = Order::place(&server.client(), &Recording::load(268), &mut chance).await;
    report(&server.client(), &order.events()).await;
    server.stop().await;
    verify(folder.path()).await;
    let rebuilt = run("rebuild", folder.path()).await;
    assert_eq!(
        rebuilt.code,
        Some(0),
        "{}{}",
        rebuilt.stdout,
        rebuilt.stderr
    );
    verify(folder.path()).await;
}

#[tokio::test]
async fn a_start_that_has_views_to_build_does_not_warn_of_sessions() {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let order = Order::place(&server.client(), &Recording::load(268), &mut chance).await;
    report(&server.client(), &order.events()).await;
    server.stop().await;
    for _ in 0..3 {
        std::fs::remove_dir_all(folder.path().join("views")).expect("they can be removed");
        let server = airpost().serve(folder.path()).await;
        let log = server.log();
        assert!(!log.contains("drone sessions do not move on"), "{log}");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_demonstration_flies_a_delivery_to_its_end_and_prints_what_to_try() {
    let demo = airpost()
        .start(["demo", "--listen", "127.0.0.1:0", "--speed", "100"])
        .await;
    let what = "the demonstration to print what to try";
    let look = || std::future::ready(first_to_try(&demo.said()));
    let address = poll_until(Duration::from_mins(1), what, look).await;

    let path = address.strip_prefix(demo.base()).expect("it names itself");
    assert_eq!(text(&demo.client().read(path).await, "/status"), "complete");
    demo.stop().await;
}

/// The address in the first line of `said` that can be copied and tried.
fn first_to_try(said: &str) -> Option<String> {
    let line = said
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("curl "))?;
    line.split_whitespace()
        .find(|word| word.starts_with("http://"))
        .map(str::to_owned)
}

#[tokio::test]
async fn the_demonstration_can_end_with_its_flight() {
    let arguments = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--speed",
        "max",
        "--exit",
    ];
    let output = airpost().run(arguments).await;
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    for told in ["listening on", "a city of", "delivery is complete"] {
        assert!(output.stdout.contains(told), "{told}:\n{}", output.stdout);
    }
    // Nobody answers any more who could be asked.
    assert!(!output.stdout.contains("curl"), "{}", output.stdout);
}

#[tokio::test]
async fn the_simulator_flies_recorded_flights_through_the_public_door() {
    let folder = scratch();
    let server = airpost().serve(folder.path()).await;
    let flights = concat!(env!("CARGO_MANIFEST_DIR"), "/flights");
    let arguments = [
        "simulate",
        "--recorded",
        flights,
        "--url",
        server.base(),
        "--speed",
        "max",
    ];

    let output = airpost().run(arguments).await;

    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    let drones = server.client().read("/v1/drones").await;
    assert!(!list(&drones, "/items").is_empty(), "{drones}");
    server.stop().await;
}

#[tokio::test]
async fn a_simulation_that_a_service_has_already_is_wrong_use_and_no_finding() {
    let folder = scratch();
    let hurried = airpost().with_setting("AIRPOST_TIME_SCALE", "60");
    let server = hurried.serve(folder.path()).await;
    let arguments = [
        "simulate",
        "--url",
        server.base(),
        "--speed",
        "max",
        "--drones",
        "2",
        "--deliveries",
        "2",
    ];
    let first = airpost().run(arguments).await;
    assert_eq!(first.code, Some(0), "{}{}", first.stdout, first.stderr);
    let second = airpost().run(arguments).await;
    assert_eq!(second.code, Some(1), "{}{}", second.stdout, second.stderr);
    assert!(second.stderr.contains("--seed"), "{}", second.stderr);
    server.stop().await;
}

#[tokio::test]
async fn whoever_asks_the_simulator_for_help_learns_what_may_go_wrong_and_how_it_ends() {
    let help = airpost().run(["simulate", "--help"]).await.stdout;
    for told in ["nobody takes the package", "Exit codes", "--speed max"] {
        assert!(help.contains(told), "{told} is missing in:\n{help}");
    }
    let bare = airpost()
        .run(["simulate", "--url", "localhost:18080"])
        .await;
    assert_eq!(bare.code, Some(1));
    assert!(
        bare.stderr.contains("write http://localhost:18080"),
        "{}",
        bare.stderr
    );
}

#[tokio::test]
async fn an_export_to_a_dash_is_one_to_standard_output() {
    let folder = scratch();
    airpost().serve(folder.path()).await.stop().await;
    let data = folder.path().to_string_lossy().into_owned();
    let left_out = ["export", "--format", "ndjson", "--data", &data];
    let dash = ["export", "--format", "ndjson", "--data", &data, "--to", "-"];
    let (dash, left_out) = (airpost().run(dash).await, airpost().run(left_out).await);
    assert_eq!(
        (dash.code, left_out.code),
        (Some(0), Some(0)),
        "{}",
        dash.stderr
    );
    assert_eq!(dash.stdout, left_out.stdout);
    assert!(!Path::new("-").exists());
}
