//! A backlog, which goes out in batches: each as a whole, whoever else publishes and whatever is lost.

use std::collections::BTreeMap;

use serde_json::json;
use tests::{NatsClient, NatsPlace, NatsServer, Proxy, Server, Stored, poll_until};

use super::{
    PATIENCE, STREAM, assert_all_is_out, deliver, feed, last, make_forgetful, register, serve,
    until_out,
};
use crate::scene::{airpost, chance, scratch_in_memory, settled};

/// The least and the most events of a batch.
const BATCH: std::ops::RangeInclusive<u64> = 64..=256;

/// How the batches among messages lie: where each begins, and how many messages it has.
#[track_caller]
fn batches(out: &[Stored]) -> Vec<(u64, u64)> {
    let mut batches: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for message in out {
        let Some(id) = message.header("Nats-Batch-Id") else {
            continue;
        };
        let batch = batches.entry(id).or_insert((message.sequence, 0));
        let number = message.header("Nats-Batch-Sequence");
        let number: u64 = number.and_then(|it| it.parse().ok()).expect("each has one");
        assert_eq!(number, batch.1 + 1, "of batch {id}");
        assert_eq!(message.sequence, batch.0 + batch.1, "of batch {id}");
        batch.1 = number;
    }
    batches.into_values().collect()
}

/// A log with so many users' events and some of deliveries, that nobody has told of yet.
async fn backlog(data: &std::path::Path, users: usize) -> usize {
    let server = airpost().serve(data).await;
    register(&server.client(), users).await;
    deliver(&server.client(), 3).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await.len();
    server.stop().await;
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_goes_out_in_batches_and_what_happens_then_event_by_event() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let events = backlog(data.path(), 700).await;
    let nats = NatsClient::connect(&broker.url()).await;
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    let batches = batches(&out);
    let (sizes, first) = (batches.iter().map(|batch| batch.1), batches.first());
    assert!(
        sizes.clone().all(|size| BATCH.contains(&size)),
        "{batches:?}"
    );
    assert!(
        sizes.sum::<u64>() + BATCH.start() > events as u64,
        "{batches:?}"
    );
    assert_eq!(first.map(|batch| batch.0), Some(1));
    deliver(&server.client(), 1).await;
    let out = assert_all_is_out(&server.client(), &nats, &out).await;
    let later = out.get(events..).unwrap_or_default();
    assert!(later.iter().all(|it| it.header("Nats-Batch-Id").is_none()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_goes_out_one_by_one_where_no_such_batches_are_taken() {
    let data = scratch_in_memory();
    let events = backlog(data.path(), 200).await;
    // By a stream that somebody made without them, and by a server that takes few at a time.
    let few = NatsServer::configured(|place| {
        let NatsPlace { folder, port, .. } = place;
        let folder = folder.display();
        format!(
            "port: {port}\nhost: 127.0.0.1\n\
             jetstream {{ store_dir: \"{folder}\", limits {{ batch {{ max_msgs: 10 }} }} }}\n"
        )
    });
    for (broker, is_made) in [(NatsServer::alone().await, true), (few.await, false)] {
        let nats = NatsClient::connect(&broker.url()).await;
        if is_made {
            let stream = json!({
                "name": STREAM, "storage": "file", "num_replicas": 1,
                "subjects": ["airpost.v1.deliveries.>", "airpost.v1.missions.>", "airpost.v1.users.>"],
            });
            nats.make_stream(&stream).await;
        }
        let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
        let out = assert_all_is_out(&server.client(), &nats, &[]).await;
        assert!(out.len() >= events);
        assert_eq!(batches(&out), []);
        assert!(
            !server.log().contains("no delivery events go out"),
            "{}",
            server.log()
        );
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_who_publishes_right_before_and_amid_a_backlog_pushes_no_event_out_of_it() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    backlog(data.path(), 3_000).await;
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let store = || nats.store("airpost.v1.deliveries.dlv_x.Created", &[], "{}");
    let mut foreign = vec![store().await.expect("nobody forbids it")];
    let server = serve(&airpost(), data.path(), &broker.url(), &[]).await;
    let events = feed(&server.client()).await.len();
    let mut removed = 0;
    loop {
        for sequence in foreign.iter().skip(removed) {
            nats.remove(STREAM, *sequence).await;
        }
        removed = foreign.len();
        let before = last(&nats, STREAM).await;
        let told = before - foreign.len() as u64;
        if told >= events as u64 {
            break;
        }
        let look = || async { (last(&nats, STREAM).await > before).then_some(()) };
        poll_until(PATIENCE, "it to go on", look).await;
        // While batches are on their way: before, between and behind them.
        for _ in 0..5 {
            foreign.push(store().await.expect("nobody forbids it"));
        }
    }
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    until_out(&nats, events.len() + foreign.len()).await;
    let out = nats.messages(STREAM).await;
    let told: Vec<_> = out.iter().map(Stored::json).collect();
    assert_eq!(told.len(), events.len());
    assert_eq!(told, events);
    let amid = |sequence: &&u64| {
        out.iter().any(|it| it.sequence < **sequence)
            && out.iter().any(|it| it.sequence > **sequence)
    };
    assert!(
        foreign.iter().filter(amid).count() > 0,
        "nobody published amid the events"
    );
    assert!(!batches(&out).is_empty());
    server.stop().await;
}

/// A service that speaks with the server over a line that can be cut.
async fn serve_over(line: &Proxy, data: &std::path::Path) -> Server {
    serve(&airpost(), data, &format!("nats://{}", line.address()), &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_that_are_lost_or_whose_answers_are_lost_leave_no_gap_and_no_double() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let events = backlog(data.path(), 4_000).await;
    let nats = NatsClient::connect(&broker.url()).await;
    make_forgetful(&nats).await;
    let (line, mut chance) = (Proxy::to(broker.port()).await, chance());
    let mut server = serve_over(&line, data.path()).await;
    let (mut faults, mut before) = (0, 0);
    while before < events as u64 * 3 / 4 {
        let look = || async { Some(last(&nats, STREAM).await).filter(|now| *now > before) };
        before = poll_until(PATIENCE, "some events to be out", look).await;
        faults += u64::from(before < events as u64);
        if chance.happens(300) {
            // The service itself is gone, and what it was about to send.
            line.hold();
            server.kill().await;
            line.cut();
            line.open();
            server = serve_over(&line, data.path()).await;
        } else {
            // What was sent or answered and has not come through is lost.
            if chance.happens(500) {
                line.hold();
                nats.ask("$JS.API.INFO", &json!({}))
                    .await
                    .expect("the server is there");
            }
            line.cut();
            line.open();
        }
    }
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    assert!(faults > 0, "all was out before the first fault");
    assert!(!batches(&out).is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_servers_that_keep_copies_get_a_backlog_in_batches_while_their_leader_is_killed() {
    let data = scratch_in_memory();
    let events = backlog(data.path(), 6_000).await;
    let mut cluster = tests::NatsCluster::of_three().await;
    let mut lines = Vec::new();
    for broker in &cluster.servers {
        lines.push(Proxy::to(broker.port()).await);
        lines.iter().for_each(Proxy::hold);
    }
    let urls: Vec<_> = lines
        .iter()
        .map(|line| format!("nats://{}", line.address()))
        .collect();
    let copies = ["--nats-copies", "3"];
    let server = serve(&airpost(), data.path(), &urls.join(","), &copies).await;
    for _ in 0..3 {
        let nats = NatsClient::connect(&cluster.urls()).await;
        let mut told = nats.subscribe("airpost.v1.>").await;
        // Answered behind that, so that the server knows who listens.
        let look = || async { nats.ask("$JS.API.INFO", &json!({})).await.ok() };
        poll_until(PATIENCE, "the servers to keep streams", look).await;
        lines.iter().for_each(Proxy::open);
        told.next().await;
        lines.iter().for_each(Proxy::hold);
        let look = || async {
            let told = nats.stream(STREAM).await?;
            let leader = told.pointer("/cluster/leader")?.as_str()?;
            let leader = leader.strip_prefix('n')?;
            let out = told.pointer("/state/last_seq")?.as_u64()?;
            Some((leader.parse::<usize>().ok()?, out))
        };
        let (leader, out) = poll_until(PATIENCE, "one of them to lead", look).await;
        assert!(out < events as u64, "all is out before it is killed");
        let leader = cluster.servers.get_mut(leader);
        let leader = leader.expect("it is one of them");
        leader.kill();
        leader.start().await;
        cluster.ready().await;
    }
    lines.iter().for_each(Proxy::open);
    let nats = NatsClient::connect(&cluster.urls()).await;
    until_out(&nats, events).await;
    let out = assert_all_is_out(&server.client(), &nats, &[]).await;
    assert!(!batches(&out).is_empty());
    server.stop().await;
}
