//! A log that was restored: what was told and given up since stays told, and what the log has now
//! follows.

use std::ffi::OsStr;

use tests::{NatsClient, NatsServer, Stored};

use super::{STREAM, assert_all_is_out, deliver, feed, make_forgetful, serve, until_out};
use crate::scene::{airpost, scratch_in_memory, settled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restored_log_has_in_place_of_what_it_gave_up_follows_what_was_told() {
    let (data, away) = (scratch_in_memory(), scratch_in_memory());
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    // Ids of events that were given up may be taken again at once.
    make_forgetful(&nats).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 3).await;
    let kept = assert_all_is_out(&server.client(), &nats, &[]).await;
    let backup = away.path().join("backup");
    let command = [
        OsStr::new("backup"),
        OsStr::new("--data"),
        data.path().as_os_str(),
        OsStr::new("--to"),
        backup.as_os_str(),
    ];
    let made = airpost().run(command).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    deliver(&server.client(), 2).await;
    let told = assert_all_is_out(&server.client(), &nats, &kept).await;
    server.stop().await;

    let restored = away.path().join("restored");
    let command = [
        OsStr::new("restore"),
        OsStr::new("--from"),
        backup.as_os_str(),
        OsStr::new("--data"),
        restored.as_os_str(),
    ];
    let made = airpost().run(command).await;
    assert_eq!(made.code, Some(0), "{made:?}");
    let server = serve(&airpost(), &restored, &broker.url(), &[]).await;
    deliver(&server.client(), 2).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, told.len() + events.len() - kept.len()).await;
    let all: Vec<_> = nats
        .messages(STREAM)
        .await
        .iter()
        .map(Stored::json)
        .collect();
    let ids = |events: &[serde_json::Value]| -> Vec<String> {
        events
            .iter()
            .map(|event| super::text(event, "/id").to_owned())
            .collect()
    };
    let (before, after) = all.split_at(told.len());
    assert_eq!(before, told.iter().map(Stored::json).collect::<Vec<_>>());
    assert_eq!(ids(after), ids(&events[kept.len()..]));
    assert_eq!(after, &events[kept.len()..]);
    assert!(
        server.log().contains("cannot be taken back"),
        "{}",
        server.log()
    );
    server.stop().await;
}
