//! The server is asked to stop under load: it leaves in good order and loses nothing.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::scene::{airpost, chance, scratch, verify};
use crate::story::Crowd;

/// How many times it is asked.
const STOPS: usize = 5;

/// Answers that the load gets before the server is asked to stop.
const ANSWERS: u32 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_stopped_under_load_has_every_acknowledged_write_exactly_once() {
    let (folder, mut chance) = (scratch(), chance());
    let mut crowd = Crowd::new(6);
    for _ in 0..STOPS {
        let server = airpost().serve(folder.path()).await;
        let acknowledged = Arc::new(Semaphore::new(0));
        let writing = crowd.write(&server.client(), &mut chance, &acknowledged);
        let reached =
            tokio::time::timeout(Duration::from_mins(1), acknowledged.acquire_many(ANSWERS)).await;
        assert!(reached.is_ok(), "the load did not get its answers");

        server.stop().await;

        crowd = Crowd::rest(writing).await;
        verify(folder.path()).await;
        assert!(
            folder.path().join("journal/head").is_file(),
            "a clean stop records the head"
        );
        let server = airpost().serve(folder.path()).await;
        crowd.check(&server.client()).await;
        server.stop().await;
    }
}

#[tokio::test]
async fn an_idle_server_stops_at_once_and_starts_again_with_the_same_head() {
    let folder = scratch();
    airpost().serve(folder.path()).await.stop().await;
    let head =
        std::fs::read(folder.path().join("journal/head")).expect("a clean stop records the head");
    airpost().serve(folder.path()).await.stop().await;
    let again =
        std::fs::read(folder.path().join("journal/head")).expect("a clean stop records the head");
    assert_eq!(head, again);
    verify(folder.path()).await;
}

#[tokio::test]
async fn a_server_whose_terminal_is_closed_stops_in_good_order_unless_it_runs_under_nohup() {
    let folder = scratch();
    let words = ["serve", "--listen", "127.0.0.1:0", "--data"].map(OsStr::new);
    let words = || words.into_iter().chain([folder.path().as_os_str()]);
    // Whoever runs the tests may run under `nohup` themselves.
    let (env, program) = airpost().run_by("env");
    let hears = [OsStr::new("--default-signal=HUP"), program.as_os_str()];
    let server = env.start(hears.into_iter().chain(words())).await;
    server.ready().await;
    server.hang_up().await;
    assert!(
        folder.path().join("journal/head").is_file(),
        "a clean stop records the head"
    );
    verify(folder.path()).await;

    let (nohup, program) = airpost().run_by("nohup");
    let deaf = [program.as_os_str()];
    let server = nohup.start(deaf.into_iter().chain(words())).await;
    server.ready().await;
    server.hang_up_on().await;
    // Whatever a signal does is done before the next one is heard.
    let _ = server.client().get("/livez").send().await.expect(200);
    assert!(!server.log().contains("stopping"), "{}", server.log());
    server.stop_only().await;
    verify(folder.path()).await;
}
