//! Messages whose bytes no client of NATS would send, and which a server stores all the same.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use tests::{NatsClient, NatsServer, Recording};

use super::{consumer, publish, serve, subject_of, until_taken};
use crate::scene::{FLIGHTS, Order, chance, list, scratch_in_memory, settled, text};

/// Publishes bytes as they are, and returns once the server has them.
fn send_bytes(broker: &NatsServer, messages: &[(&[u8], &[u8], &[u8])]) {
    let mut said = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    for (subject, head, content) in messages {
        let sizes = format!(" {} {}\r\n", head.len(), head.len() + content.len());
        said.extend(
            [
                b"HPUB ",
                *subject,
                sizes.as_bytes(),
                *head,
                *content,
                b"\r\n",
            ]
            .concat(),
        );
    }
    said.extend(b"PING\r\n");
    let mut socket = TcpStream::connect(("127.0.0.1", broker.port())).expect("it listens");
    socket.write_all(&said).expect("the server reads");
    let (mut heard, mut some) = (Vec::new(), [0; 4_096]);
    while !heard.windows(6).any(|words| words == b"PONG\r\n") {
        let count = socket.read(&mut some).expect("the server answers");
        assert!(count > 0, "it hung up: {}", String::from_utf8_lossy(&heard));
        heard.extend(some.iter().take(count));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_no_client_takes_are_read_or_a_dead_letter_and_nothing_waits_for_them() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (mut chance, server) = (chance(), serve(data.path(), &broker.url()).await);
    consumer(&nats).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    let facts = order.facts();
    let (first, second) = (facts[0].to_string(), facts[1].to_string());
    let (subject, next) = (subject_of(&facts[0]), subject_of(&facts[1]));
    let latin = [
        b"drone.v1.caf\xe9",
        subject.trim_start_matches("drone.v1").as_bytes(),
    ]
    .concat();
    send_bytes(
        &broker,
        &[
            // Of no matter to the event, and so it is one.
            (
                subject.as_bytes(),
                b"NATS/1.0\r\nX-By: Andr\xe9\r\n\r\n",
                first.as_bytes(),
            ),
            (
                next.as_bytes(),
                b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
                second.as_bytes(),
            ),
            (subject.as_bytes(), b"NATS/1.0\r\nno colon\r\n\r\n", b"{1"),
            (
                subject.as_bytes(),
                b"NATS/1.0\r\nce-specversion:1.0\r\nce-id:\xe9\r\n\r\n",
                b"{}",
            ),
            (&latin, b"NATS/1.0\r\n\r\n", b"{3"),
        ],
    );
    for fact in facts.iter().skip(2) {
        publish(&nats, fact, false).await;
    }
    until_taken(&nats).await;
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    settled(&client).await;
    let page = client.read("/v1/dead-letters?limit=200").await;
    let mut found: Vec<_> = list(&page, "/items")
        .iter()
        .map(|it| (text(it, "/reason"), text(it, "/message/data_as_sent")))
        .collect();
    found.sort_unstable();
    let expected = [
        ("malformed", "{1"),
        ("malformed", "{3"),
        ("malformed", "{}"),
    ];
    assert_eq!(found, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_looks_like_a_word_of_the_server_is_taken_like_any_other() {
    let (data, broker) = (scratch_in_memory(), NatsServer::alone().await);
    let nats = NatsClient::connect(&broker.url()).await;
    let (mut chance, server) = (chance(), serve(data.path(), &broker.url()).await);
    consumer(&nats).await;
    let client = server.client();
    let order = Order::place(&client, &Recording::load(FLIGHTS[0]), &mut chance).await;
    let facts = order.facts();
    // What a client passes over by itself, and then what it gives up at.
    let passed_over: [&[u8]; 3] = [
        b"100 Idle Heartbeat\r\n",
        b"408 Request Timeout\r\nNats-Pending-Messages: 512\r\n",
        b"423 Nats-Wrong-Pin-Id\r\n",
    ];
    let given_up_at: [&[u8]; 3] = [
        b"404 No Messages\r\n",
        b"409 Consumer Deleted\r\n",
        b"503\r\n",
    ];
    let (first, rest) = facts.split_at(3);
    for (facts, said) in [(first, passed_over), (rest, given_up_at)] {
        for (fact, said) in facts.iter().zip(said.iter().cycle()) {
            let head = [b"NATS/1.0 ", *said, b"\r\n"].concat();
            let (subject, content) = (subject_of(fact), fact.to_string());
            send_bytes(&broker, &[(subject.as_bytes(), &head, content.as_bytes())]);
        }
        until_taken(&nats).await;
    }
    assert_eq!(text(&order.read(&client).await, "/status"), "complete");
    let log = server.log();
    assert!(!log.contains("trying again"), "{log}");
    server.stop().await;
}
