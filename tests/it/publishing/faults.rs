//! Services that are killed while they publish, and two that publish at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tests::{NatsClient, NatsServer, Server, poll_until, tally};
use tokio::sync::Semaphore;

use super::{
    PATIENCE, STREAM, assert_all_is_out, deliver, feed, last, make_forgetful, register, serve,
};
use crate::answers::Answers;
use crate::scene::{airpost, copy_folder, number_from, scratch_in_memory, seeded, settled};
use crate::story::Crowd;

/// Kills of a usual run.
const KILLS: u64 = 24;

/// How many customers write at once.
const CUSTOMERS: usize = 6;

/// The most answers that a service gives before it is killed.
const ANSWERS_MAX: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_at_any_moment_leaves_no_gap_and_no_double_behind() {
    let (seed, mut chance) = seeded();
    let kills = number_from("AIRPOST_PUBLISHER_KILLS").unwrap_or(KILLS);
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let mut crowd = Crowd::noting(CUSTOMERS, &Answers::default());
    let mut amid = 0;
    for _ in 0..kills {
        let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
        crowd.check_what_is_new(&server.client()).await;
        let acknowledged = Arc::new(Semaphore::new(0));
        let writing = crowd.write(&server.client(), &mut chance, &acknowledged);
        let most = u32::try_from(1 + chance.below(ANSWERS_MAX)).expect("a small number");
        let after = Duration::from_millis(30 + chance.below(220));
        let _whichever_is_first =
            tokio::time::timeout(after, acknowledged.acquire_many(most)).await;
        server.kill().await;
        crowd = Crowd::rest(writing).await;
        amid += u64::from(last(&nats, STREAM).await > 0);
    }
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    crowd.finish(&server.client(), &mut chance).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    assert!(amid > kills / 2, "hardly a kill came amid publishing");
    tally(&format!(
        "kills of a publishing service: {kills}; {} events out, 0 missing, 0 doubled, all in order; AIRPOST_SEED={seed}",
        out.len()
    ));
}

async fn publish_copy(data: &Path, broker: &NatsServer) -> Server {
    // What the log waits for does not come about meanwhile: the copies stay the same.
    serve(
        &airpost(),
        data,
        &broker.url(),
        &["--mission-answer-s", "86400"],
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_that_publish_one_log_at_once_publish_each_event_once() {
    let (seed, mut chance) = seeded();
    let (data, other) = (scratch_in_memory(), scratch_in_memory());
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let server = airpost().serve(data.path()).await;
    register(&server.client(), 2_000).await;
    deliver(&server.client(), 20).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await.len() as u64;
    server.stop().await;
    copy_folder(data.path(), other.path());

    let (mut before, mut kills) = (0, 0);
    while before < events * 3 / 4 {
        let (one, two) = tokio::join!(
            publish_copy(data.path(), &broker),
            publish_copy(other.path(), &broker)
        );
        let look = || async { Some(last(&nats, STREAM).await).filter(|now| *now > before) };
        poll_until(PATIENCE, "more events to be out", look).await;
        let (first, second) = if chance.happens(500) {
            (one, two)
        } else {
            (two, one)
        };
        first.kill().await;
        second.kill().await;
        (before, kills) = (last(&nats, STREAM).await, kills + 2);
    }
    let (one, two) = tokio::join!(
        publish_copy(data.path(), &broker),
        publish_copy(other.path(), &broker)
    );
    assert_all_is_out(&one.client(), &nats, &[]).await;
    one.stop().await;
    // The other one goes on alone with what is written from now on.
    deliver(&two.client(), 3).await;
    assert_all_is_out(&two.client(), &nats, &[]).await;
    two.stop().await;
    tally(&format!(
        "two services that publish one log, killed {kills} times: {events} events once each; AIRPOST_SEED={seed}"
    ));
}
