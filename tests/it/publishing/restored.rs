//! A log that was restored: what was told and given up since stays told, and what the log has now
//! follows.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tests::{NatsClient, NatsServer, Stored, poll_until};

use super::{PATIENCE, STREAM, assert_all_is_out, deliver, feed, make_forgetful, serve, until_out};
use crate::scene::{airpost, scratch_in_memory, settled};

/// Takes a backup of a log into a folder; where it is.
pub(super) async fn back_up(data: &Path, folder: &Path) -> PathBuf {
    let backup = folder.join("backup");
    copy("backup", [("--data", data), ("--to", &backup)]).await;
    backup
}

/// Puts a backup back into a folder; where the log is.
pub(super) async fn restore(backup: &Path, folder: &Path) -> PathBuf {
    let restored = folder.join("restored");
    copy("restore", [("--from", backup), ("--data", &restored)]).await;
    restored
}

/// The same, in another epoch than the last time, which is the second of the clock; in which.
async fn restore_later(backup: &Path, folder: &Path, before: &str) -> String {
    let restored = folder.join("restored");
    let look = || async {
        if folder.exists() {
            std::fs::remove_dir_all(folder).expect("nobody has it open");
        }
        std::fs::create_dir(folder).expect("its place is there");
        let said = copy("restore", [("--from", backup), ("--data", &restored)]).await;
        let (_, epoch) = said.split_once("goes on in epoch ").expect("it says so");
        let (epoch, _) = epoch.split_once(',').expect("it says more");
        (epoch != before).then(|| epoch.to_owned())
    };
    poll_until(PATIENCE, "another second", look).await
}

async fn copy(command: &str, paths: [(&str, &Path); 2]) -> String {
    let paths = paths.map(|(name, path)| [OsStr::new(name), path.as_os_str()]);
    let words = [OsStr::new(command)].into_iter();
    let made = airpost()
        .run(words.chain(paths.into_iter().flatten()))
        .await;
    assert_eq!(made.code, Some(0), "{made:?}");
    made.stdout
}

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
    let backup = back_up(data.path(), away.path()).await;
    deliver(&server.client(), 2).await;
    let told = assert_all_is_out(&server.client(), &nats, &kept).await;
    server.stop().await;

    let restored = restore(&backup, away.path()).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_restored_log_has_is_not_taken_for_what_was_told_before_and_is_gone() {
    let (data, away) = (scratch_in_memory(), scratch_in_memory());
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let kept = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    let backup = back_up(data.path(), away.path()).await;
    let note = nats
        .messages(&format!("{STREAM}_CURSOR"))
        .await
        .swap_remove(0);
    let mut server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let told = assert_all_is_out(&server.client(), &nats, &kept).await;
    server.kill_in_place().await;
    // As if it had been killed before it said how far it was.
    let again = nats.store(&note.subject, &[], note.payload).await;
    again.expect("nobody forbids it");
    nats.purge(STREAM, 0).await;

    let restored = restore(&backup, away.path()).await;
    let server = serve(&airpost(), &restored, &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, told.len() + events.len() - kept.len()).await;
    let after = nats.messages(STREAM).await;
    let after: Vec<_> = after.iter().map(Stored::json).collect();
    assert_eq!(after, &events[kept.len()..]);
    server.stop().await;
}

/// Neither of the two has what the other one had in place of what was given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_restored_once_more_follows_what_was_told_of_the_one_restored_before() {
    let (data, away) = (scratch_in_memory(), scratch_in_memory());
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 2).await;
    let kept = assert_all_is_out(&server.client(), &nats, &[]).await;
    let backup = back_up(data.path(), away.path()).await;
    deliver(&server.client(), 2).await;
    assert_all_is_out(&server.client(), &nats, &kept).await;
    server.stop().await;
    let mut before = String::new();
    for (number, deliveries) in [2, 1, 1].into_iter().enumerate() {
        let folder = away.path().join(number.to_string());
        before = restore_later(&backup, &folder, &before).await;
        let told = nats.messages(STREAM).await.len();
        let restored = folder.join("restored");
        let server = serve(&airpost(), &restored, &broker.url(), &[]).await;
        deliver(&server.client(), deliveries).await;
        settled(&server.client()).await;
        let events = feed(&server.client()).await;
        until_out(&nats, told + events.len() - kept.len()).await;
        let after = nats.messages(STREAM).await.split_off(told);
        let after: Vec<_> = after.iter().map(Stored::json).collect();
        assert_eq!(after, &events[kept.len()..]);
        server.stop().await;
    }
}
