//! Streams that lost their messages, or are not as they have to be.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tests::{NatsClient, NatsServer, Server, Stored, poll_until};

use super::{
    PATIENCE, STREAM, assert_all_is_out, deliver, feed, last, make_forgetful, serve, until_out,
};
use crate::scene::{airpost, copy_folder, metric, scratch_in_memory, settled};

/// Waits until the service has said that, once.
pub(super) async fn until_said(server: &Server, words: &[&str]) {
    let look = || async {
        let log = server.log();
        let mut lines = log.lines();
        let said = lines.any(|line| words.iter().all(|words| line.contains(words)));
        said.then_some(())
    };
    poll_until(PATIENCE, &words.join(" … "), look).await;
}

/// A stream as it has to be, with some of its settings otherwise.
fn stream_with(members: &Value) -> Value {
    let mut config = json!({
        "name": STREAM, "storage": "file", "retention": "limits", "discard": "old",
        "num_replicas": 1, "max_msgs": -1, "max_bytes": -1, "max_msgs_per_subject": -1,
        "subjects": ["airpost.v1.deliveries.>", "airpost.v1.missions.>", "airpost.v1.users.>"],
    });
    crate::scene::with(&mut config, members);
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_messages_were_removed_is_gone_on_with_behind_the_last_of_them() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let mut out = Vec::new();
    let mut server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    // All of them, all but the last, while it runs and while it is away.
    for (keep, is_away) in [(0, false), (1, false), (0, true), (1, true), (0, true)] {
        deliver(&server.client(), 3).await;
        out = assert_all_is_out(&server.client(), &nats, &out).await;
        // Without the time to say how far it was, where the last message says so.
        match (is_away, keep) {
            (false, _) => {}
            (true, 0) => server.stop_in_place().await,
            (true, _) => server.kill_in_place().await,
        }
        nats.purge(STREAM, keep).await;
        if is_away {
            server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
        }
    }
    deliver(&server.client(), 3).await;
    assert_all_is_out(&server.client(), &nats, &out).await;
    server.stop().await;
}

/// The events that went out behind a message, each once.
async fn told_behind(nats: &NatsClient, before: u64) -> Vec<Value> {
    let messages = nats.messages(STREAM).await;
    let mut told: Vec<Value> = Vec::new();
    for event in messages
        .iter()
        .filter(|it| it.sequence > before)
        .map(Stored::json)
    {
        if !told.contains(&event) {
            told.push(event);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_somebody_else_that_are_gone_before_they_were_seen_leave_no_event_out() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let mut server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let mut known = 0;
    // While it runs, after it was stopped, and after it was killed.
    for is_killed in [None, Some(false), Some(true)] {
        deliver(&server.client(), 3).await;
        settled(&server.client()).await;
        let events = feed(&server.client()).await;
        let look = || async {
            let told = nats.messages(STREAM).await.last().map(Stored::json);
            (told.as_ref() == events.last()).then_some(())
        };
        poll_until(PATIENCE, "all events to be out", look).await;
        match is_killed {
            None => {}
            Some(false) => server.stop_in_place().await,
            Some(true) => server.kill_in_place().await,
        }
        for _ in 0..10 {
            let stored = nats.store("airpost.v1.users.x.y", &[], *b"{}").await;
            stored.expect("a stranger is not kept out");
        }
        nats.purge(STREAM, 0).await;
        let before = last(&nats, STREAM).await;
        if is_killed.is_some() {
            server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
        }
        known = known.max(events.len());
        deliver(&server.client(), 3).await;
        settled(&server.client()).await;
        let events = feed(&server.client()).await;
        let look = || async {
            let told = told_behind(&nats, before).await;
            let new = events.get(known..)?;
            told.ends_with(new).then_some(told.len())
        };
        let told = poll_until(PATIENCE, "what is new to be out, all of it", look).await;
        assert!(
            is_killed == Some(true) || told == events.len() - known,
            "told twice: {told}"
        );
        known = events.len();
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_removed_is_made_and_gone_on_with_where_the_other_one_ended() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 3).await;
    let before = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    nats.remove_stream(STREAM).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 3).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, events.len() - before.len()).await;
    let after = nats.messages(STREAM).await;
    let told: Vec<_> = before.iter().chain(&after).map(Stored::json).collect();
    assert_eq!(told, events);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_used_before_and_says_nothing_of_the_log_gets_all_of_it() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    nats.make_stream(&stream_with(&json!({}))).await;
    for _ in 0..3 {
        let to = "airpost.v1.deliveries.dlv_x.Created";
        nats.store(to, &[], "{}").await.expect("nobody forbids it");
    }
    nats.purge(STREAM, 0).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, 3 + events.len()).await;
    let told = nats.messages(STREAM).await;
    let told: Vec<_> = told.iter().map(Stored::json).collect();
    assert_eq!(told, events);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_it_was_is_kept_beside_the_stream_before_anything_goes_out() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    let known = out.len();
    server.stop().await;
    nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
    let mut server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    assert_all_is_out(&server.client(), &nats, &out).await;
    let kept = last(&nats, &format!("{STREAM}_CURSOR")).await;
    assert!(kept > 0, "nothing says how far it was");
    server.kill_in_place().await;
    nats.purge(STREAM, 0).await;
    let before = last(&nats, STREAM).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    // What went out since it was kept is told again, and nothing before that.
    let events = feed(&server.client()).await;
    let since = events.get(known..).expect("there are more");
    let look = || async {
        let told = told_behind(&nats, before).await;
        let is_all = told.last() == events.last() && since.ends_with(&told);
        is_all.then_some(())
    };
    poll_until(PATIENCE, "all events since then to be out", look).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_lost_its_end_is_told_again_what_it_lost() {
    let (data, away) = (scratch_in_memory(), scratch_in_memory());
    let mut broker = NatsServer::alone().await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let nats = NatsClient::connect(&broker.url()).await;
    let before = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    broker.kill();
    let (store, copy) = (broker.store_of(STREAM), away.path().join("copy"));
    copy_folder(&store, &copy);
    broker.start().await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 2).await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_all_is_out(&server.client(), &nats, &before).await;
    server.stop().await;

    broker.kill();
    std::fs::remove_dir_all(&store).expect("the server is down");
    copy_folder(&copy, &store);
    broker.start().await;
    let nats = NatsClient::connect(&broker.url()).await;
    assert_eq!(last(&nats, STREAM).await, before.len() as u64);
    // With its last message the stream itself would say where it ends.
    nats.purge(STREAM, 0).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    assert_all_is_out(&server.client(), &nats, &before).await;
    until_said(&server, &["has lost its last messages"]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_loses_or_mixes_events_is_refused_and_left_alone_until_it_is_mended() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 2).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    nats.remove_stream(STREAM).await;
    nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
    let wrong = [
        (json!({"storage": "memory"}), "its storage must be file"),
        (
            json!({"retention": "workqueue"}),
            "its retention must be limits",
        ),
        (json!({"discard": "new"}), "its discard policy must be old"),
        (
            json!({"subjects": ["airpost.v1.>"]}),
            "its subjects must be airpost.v1.deliveries.>",
        ),
        (
            json!({"max_msgs_per_subject": 1}),
            "for a subject must have no limit",
        ),
        (
            json!({"name": "ANOTHER"}),
            "if that one is meant, name it by --nats-delivery-stream",
        ),
        (
            json!({"duplicate_window": 3_600_000_000_000_u64}),
            "its duplicate window must be 120 s at most",
        ),
        (
            json!({"metadata": {"airpost-log": "another"}}),
            "the events of another log",
        ),
    ];
    for (members, words) in &wrong {
        let config = stream_with(members);
        nats.make_stream(&config).await;
        let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
        until_said(&server, &["no delivery events go out", words]).await;
        deliver(&server.client(), 1).await;
        let publishing = metric(&server.client(), "airpost_delivery_events_publishing").await;
        assert_eq!(publishing.as_deref(), Some("0"));
        let name = super::text(&config, "/name");
        assert_eq!(last(&nats, name).await, 0, "{words}");
        let told = server.log().matches("no delivery events go out").count();
        assert_eq!(told, 1, "it is told once");
        // Mended, it is gone on with by itself.
        nats.remove_stream(name).await;
        assert_all_is_out(&server.client(), &nats, &[]).await;
        until_said(&server, &["delivery events go out over NATS again"]).await;
        server.stop().await;
        nats.remove_stream(STREAM).await;
        nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_somebody_else_is_named_and_nothing_follows_it_until_it_is_removed() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let mut server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let mut out = Vec::new();
    for is_away in [false, true] {
        deliver(&server.client(), 2).await;
        settled(&server.client()).await;
        until_out(&nats, feed(&server.client()).await.len() + out.len()).await;
        if is_away {
            server.kill_in_place().await;
        }
        // Nobody's at all, and a copy of what was told long ago.
        let copied = nats.messages(STREAM).await.swap_remove(0);
        let cursor = copied
            .header("Airpost-Cursor")
            .expect("each message has one");
        let (headers, why) = if is_away {
            (
                &[("Airpost-Cursor", cursor)][..],
                "it was not made for this place",
            )
        } else {
            (&[][..], "it has no header Airpost-Cursor")
        };
        let mut foreign = Vec::new();
        for _ in 0..2 {
            let to = "airpost.v1.deliveries.dlv_x.Created";
            let stored = nats.store(to, headers, copied.payload.clone()).await;
            foreign.push(stored.expect("nobody forbids it"));
        }
        if is_away {
            server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
        }
        deliver(&server.client(), 1).await;
        let newest = foreign.last().copied().expect("there are two");
        let first = format!("message {newest} of the stream");
        let words = [first.as_str(), why];
        until_said(&server, &words).await;
        assert_eq!(last(&nats, STREAM).await, newest, "something follows it");
        for sequence in &foreign {
            nats.remove(STREAM, *sequence).await;
        }
        out.extend(foreign);
        // The places of the two stay empty: what follows has later numbers.
        settled(&server.client()).await;
        let events = feed(&server.client()).await;
        until_out(&nats, events.len() + out.len()).await;
        let told: Vec<_> = nats
            .messages(STREAM)
            .await
            .iter()
            .map(Stored::json)
            .collect();
        assert_eq!(told, events);
    }
    server.stop().await;
}

/// Has a message stored whose headers are no text, as no client of ours would send it.
fn store_unreadable(broker: &NatsServer, subject: &str) {
    let headers = b"NATS/1.0\r\nX: \xE4\r\n\r\n";
    let length = headers.len();
    let mut said = b"CONNECT {\"headers\":true,\"verbose\":false}\r\n".to_vec();
    said.extend(format!("HPUB {subject} {length} {length}\r\n").into_bytes());
    said.extend_from_slice(headers);
    said.extend_from_slice(b"\r\nPING\r\n");
    let socket = TcpStream::connect(("127.0.0.1", broker.port()));
    let mut socket = socket.expect("the server listens");
    socket.write_all(&said).expect("the server reads");
    let mut lines = BufReader::new(socket).lines();
    let is_heard = lines.any(|line| line.expect("the server answers") == "PONG");
    assert!(is_heard, "the server ended the connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_headers_that_cannot_be_read_is_named_like_any_other_of_somebody_else() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    store_unreadable(&broker, "airpost.v1.deliveries.dlv_x.Created");
    let foreign = out.len() as u64 + 1;
    let look = || async { (last(&nats, STREAM).await == foreign).then_some(()) };
    poll_until(PATIENCE, "the message to be stored", look).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let named = format!("message {foreign} of the stream");
    until_said(&server, &[&named, "its headers cannot be read"]).await;
    nats.remove(STREAM, foreign).await;
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, events.len() + 1).await;
    let told = nats.messages(STREAM).await;
    let told: Vec<_> = told.iter().map(Stored::json).collect();
    assert_eq!(told, events);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_said_in_place_of_how_far_it_was_is_named_and_then_all_is_told_anew() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    let foreign = nats
        .store(&format!("airpost.cursor.{STREAM}"), &[], "{}")
        .await;
    let foreign = foreign.expect("nobody forbids it");
    nats.purge(STREAM, 0).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let named = format!("message {foreign} of the stream {STREAM}_CURSOR");
    let remedy = format!("nats stream rmm {STREAM}_CURSOR {foreign}");
    let words = [
        named.as_str(),
        "airpost.cursor.*",
        &remedy,
        "everything in the log is told anew",
    ];
    until_said(&server, &words).await;
    // It does what the words say.
    nats.remove(&format!("{STREAM}_CURSOR"), foreign).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, out.len() + events.len()).await;
    let told = nats.messages(STREAM).await;
    let told: Vec<_> = told.iter().map(Stored::json).collect();
    assert_eq!(told, events);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_with_another_logs_events_is_refused() {
    let (data, other) = (scratch_in_memory(), scratch_in_memory());
    let broker = NatsServer::alone().await;
    let nats = NatsClient::connect(&broker.url()).await;
    nats.make_stream(&stream_with(&json!({}))).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 2).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
    let events = last(&nats, STREAM).await;
    let server = serve(&airpost(), other.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 2).await;
    until_said(&server, &["has the events of another log"]).await;
    assert_eq!(last(&nats, STREAM).await, events);
    // What the words say to do helps.
    until_said(
        &server,
        &["remove the streams DELIVERY_EVENTS and DELIVERY_EVENTS_CURSOR"],
    )
    .await;
    nats.remove_stream(STREAM).await;
    nats.remove_stream(&format!("{STREAM}_CURSOR")).await;
    assert_all_is_out(&server.client(), &nats, &[]).await;
    server.stop().await;
}
