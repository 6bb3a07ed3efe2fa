//! The feed over real sockets: cut at every event and within one, read slowly,
//! ended by a stop and by a kill.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Chance, Client, Recording, Server, poll_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::scene::{
    FLIGHTS, Order, WENT_WELL, airpost, chance, lines, list, metric, new_user, scratch_in_memory,
    settled, text, verify,
};

/// What a delivery's own events are, and what is asked of Drone Management: a mission, and, since
/// these fleets send drones by themselves, to stand that one down.
const EVENTS_OF_ONE: usize = WENT_WELL.len() + REQUESTS.len();

/// What is asked of Drone Management about each.
const REQUESTS: [&str; 2] = ["MissionRequested", "StandDownRequested"];

/// Deliveries of the script: with their user they make a thousand events.
const DELIVERIES: usize = 91;

/// Readers of it at the same time, of whom one reads nothing before all is written.
const READERS: usize = 100;

/// Of these so many are cut off wherever they are, and not after an event.
const TORN_READERS: usize = 20;

/// The most bytes of a stream that such a one gets before it is cut off: some
/// twenty events.
const TORN_BYTES_MAX: u64 = 16 * 1024;

/// Readers of a server that is killed.
const KILLED_READERS: usize = 10;

/// Users that were written when it is killed, while others are.
const USERS_BEFORE_THE_KILL: usize = 100;

/// Deliveries whose events are more than the systems at both ends of a
/// connection take from the one and keep for the other.
const MANY_DELIVERIES: usize = 1_100;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a server takes at most to end all streams and itself.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);

/// What a slow reader's system takes for it, bytes: as little as there is.
const SLOW_BUFFER_BYTES: u32 = 2048;

/// A connection with a stream on it.
struct Stream {
    socket: TcpStream,
    bytes: Vec<u8>,
}

/// An event as it came.
#[derive(Debug)]
struct Message {
    id: String,
    event: String,
    data: Value,
}

impl Stream {
    async fn open(server: &str, path: &str, last_id: Option<&str>) -> Self {
        let socket = TcpSocket::new_v4().expect("sockets can be made");
        Self::over(socket, server, path, last_id).await
    }

    /// One whose client takes next to nothing by itself.
    async fn open_slow(server: &str, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("sockets can be made");
        let set = socket.set_recv_buffer_size(SLOW_BUFFER_BYTES);
        set.expect("a socket's buffer can be set");
        Self::over(socket, server, path, None).await
    }

    async fn over(socket: TcpSocket, server: &str, path: &str, last_id: Option<&str>) -> Self {
        let address = server.trim_start_matches("http://");
        let address = address.parse().expect("a server has an address");
        let mut socket = socket.connect(address).await.expect("the server listens");
        let last = last_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        // A version that knows no chunks: what comes is the stream itself.
        let request = format!("GET {path} HTTP/1.0\r\nAccept: text/event-stream\r\n{last}\r\n");
        let sent = socket.write_all(request.as_bytes()).await;
        sent.expect("a new connection takes a request");
        let mut stream = Self {
            socket,
            bytes: Vec::new(),
        };
        let head = stream.until(b"\r\n\r\n", &mut usize::MAX.clone()).await;
        let head = head.expect("there is an answer");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        stream
    }

    /// What comes before `end`, once so many bytes more have come at most; `None`
    /// where they end, and at the end of the stream.
    async fn until(&mut self, end: &[u8], bytes_left: &mut usize) -> Option<String> {
        loop {
            let found = self.bytes.windows(end.len()).position(|here| here == end);
            if let Some(length) = found {
                let rest = self.bytes.split_off(length + end.len());
                let mut before = std::mem::replace(&mut self.bytes, rest);
                before.truncate(length);
                return Some(String::from_utf8(before).expect("it is UTF-8"));
            }
            let mut buffer = vec![0; (16 * 1024).min(*bytes_left)];
            if buffer.is_empty() {
                return None;
            }
            let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut buffer));
            let read = read.await.expect("a stream stands still");
            let read = read.unwrap_or_default();
            if read == 0 {
                return None;
            }
            *bytes_left -= read;
            self.bytes.extend(buffer.iter().take(read));
        }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Message> {
        self.next_within(&mut usize::MAX.clone()).await
    }

    /// The next event that comes whole with so many bytes more.
    async fn next_within(&mut self, bytes_left: &mut usize) -> Option<Message> {
        loop {
            let message = self.until(b"\n\n", bytes_left).await?;
            let fields: HashMap<&str, &str> = message
                .lines()
                .filter_map(|line| line.split_once(": "))
                .collect();
            if let Some(data) = fields.get("data") {
                let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
                return Some(Message {
                    id: field("id"),
                    event: field("event"),
                    data: serde_json::from_str(data).expect("data is JSON"),
                });
            }
        }
    }
}

/// Reads so many events, and cuts the connection after each `between` of them.
async fn read_cut(server: String, between: usize, events: usize) -> Vec<String> {
    let (mut ids, mut last) = (Vec::new(), None::<String>);
    while ids.len() < events {
        let mut stream = Stream::open(&server, "/v1/events", last.as_deref()).await;
        for _ in 0..between.min(events - ids.len()) {
            let message = stream.next().await.expect("the stream is open");
            ids.push(text(&message.data, "/id").to_owned());
            last = Some(message.id);
        }
    }
    ids
}

/// Reads so many events, and cuts the connection wherever it happens to be.
/// Says how often that was within an event.
async fn read_torn(server: String, mut chance: Chance, events: usize) -> (Vec<String>, u64) {
    let (mut ids, mut last, mut torn) = (Vec::new(), None::<String>, 0);
    while ids.len() < events {
        let mut stream = Stream::open(&server, "/v1/events", last.as_deref()).await;
        let bytes = usize::try_from(1 + chance.below(TORN_BYTES_MAX)).expect("a few");
        let mut bytes_left = bytes.saturating_sub(stream.bytes.len());
        stream.bytes.truncate(bytes);
        while ids.len() < events
            && let Some(message) = stream.next_within(&mut bytes_left).await
        {
            ids.push(text(&message.data, "/id").to_owned());
            last = Some(message.id);
        }
        torn += u64::from(!stream.bytes.is_empty());
    }
    (ids, torn)
}

/// Reads up to an event that is told later, at whatever address the server has
/// at the time. Says how often that was killed.
async fn read_on(
    mut server: watch::Receiver<String>,
    mut end: watch::Receiver<Option<String>>,
) -> (Vec<String>, u64) {
    let (mut ids, mut last, mut kills) = (Vec::<String>::new(), None::<String>, 0);
    loop {
        let base = server.borrow_and_update().clone();
        let mut stream = Stream::open(&base, "/v1/events", last.as_deref()).await;
        loop {
            let is_end = |end: &Option<String>| end.is_some() && end.as_ref() == ids.last();
            let next = tokio::select! {
                next = stream.next() => next,
                _told = end.wait_for(is_end) => return (ids, kills),
            };
            let Some(message) = next else { break };
            ids.push(text(&message.data, "/id").to_owned());
            last = Some(message.id);
        }
        kills += 1;
        let elsewhere = server.wait_for(|now| *now != base).await;
        drop(elsewhere.expect("the server comes back"));
    }
}

/// Writes users until the server is gone.
async fn write_users(client: Client, mut chance: Chance, written: watch::Sender<usize>) {
    loop {
        let name = format!("user-{:016x}", chance.bits());
        let body = json!({"name": name, "email": format!("{name}@example.org")});
        let Ok(answer) = client.post("/v1/users").json(&body).try_send().await else {
            return;
        };
        let _whole = answer.expect(201);
        written.send_modify(|written| *written += 1);
    }
}

/// The ids of all events, page by page.
async fn log(client: &Client) -> Vec<String> {
    let (mut ids, mut path) = (Vec::new(), "/v1/events?limit=200".to_owned());
    loop {
        let page = client.read(&path).await;
        ids.extend(
            list(&page, "/items")
                .iter()
                .map(|item| text(item, "/id").to_owned()),
        );
        if page.pointer("/more") == Some(&Value::Bool(false)) {
            return ids;
        }
        path = format!("/v1/events?limit=200&after={}", text(&page, "/next"));
    }
}

/// Deliveries of one user from the order to the door: an event, and so many for each.
async fn script(client: &Client, deliveries: usize) -> Vec<Order> {
    let mut chance = chance();
    let flights = FLIGHTS.map(Recording::load);
    let user = new_user(client, &mut chance).await;
    let mut orders = Vec::new();
    for flight in flights.iter().cycle().take(deliveries) {
        orders.push(Order::place_for(client, &user, flight, &mut chance).await);
    }
    for some in orders.chunks(10) {
        let facts: Vec<Value> = some.iter().flat_map(Order::facts).collect();
        let request = client
            .post("/v1/drone-events")
            .body("application/x-ndjson", lines(&facts));
        let taken = request.send().await.expect(200).json();
        assert_eq!(list(&taken, "/rejected"), [] as [Value; 0]);
    }
    settled(client).await;
    orders
}

/// Waits until the server has noticed that its clients are gone.
async fn no_stream_is_open(server: &Server) {
    let client = server.client();
    let look = || async {
        let open = metric(&client, "airpost_feed_streams").await?;
        (open == "0").then_some(())
    };
    poll_until(PATIENCE, "every stream to be closed", look).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_reach_a_hundred_readers_whose_connections_are_cut_at_every_event() {
    let folder = scratch_in_memory();
    let server = airpost().serve(folder.path()).await;
    let events = 1 + DELIVERIES * EVENTS_OF_ONE;
    assert!(events > 1_000);
    let mut slow = Stream::open_slow(server.base(), "/v1/events").await;
    let mut readers = JoinSet::new();
    let mut torn_readers = JoinSet::new();
    for between in 1..READERS - TORN_READERS {
        // The first one is cut after every event.
        readers.spawn(read_cut(server.base().to_owned(), between, events));
    }
    let mut chance = chance();
    for _ in 0..TORN_READERS {
        let chance = Chance::new(chance.bits());
        torn_readers.spawn(read_torn(server.base().to_owned(), chance, events));
    }
    let client = server.client();
    let orders = script(&client, DELIVERIES).await;

    let expected = log(&client).await;
    assert_eq!(expected.len(), events);
    for ids in readers.join_all().await {
        assert_eq!(ids, expected);
    }
    let mut torn = 0;
    for (ids, within) in torn_readers.join_all().await {
        assert_eq!(ids, expected);
        torn += within;
    }
    assert!(torn > 0, "no connection was cut within an event");
    for id in &expected {
        let message = slow.next().await.expect("the stream is open");
        assert_eq!(text(&message.data, "/id"), id);
    }
    for order in orders.iter().take(3) {
        let path = format!("{}/events", order.path());
        let mut alone = Stream::open(server.base(), &path, None).await;
        let mut names = Vec::new();
        for _ in 0..EVENTS_OF_ONE {
            names.push(alone.next().await.expect("the stream is open").event);
        }
        names.retain(|name| !REQUESTS.contains(&name.as_str()));
        assert_eq!(names, WENT_WELL);
    }
    drop(slow);
    no_stream_is_open(&server).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_buffers_are_full_goes_on_from_the_log_and_misses_nothing() {
    let folder = scratch_in_memory();
    let options = ["--streams-memory-kib", "64"];
    let server = airpost().serve_with(folder.path(), &options).await;
    let client = server.client();
    let mut slow = Stream::open_slow(server.base(), "/v1/events").await;
    // Another one is always at the head, so that what is kept in memory moves on.
    let events = 1 + MANY_DELIVERIES * EVENTS_OF_ONE;
    let quick = tokio::spawn(read_cut(server.base().to_owned(), events, events));
    script(&client, MANY_DELIVERIES).await;
    let expected = log(&client).await;
    let ids = quick.await.expect("the quick reader reads to the end");
    assert_eq!(ids, expected);
    for id in &expected {
        let message = slow.next().await.expect("the stream is open");
        assert_eq!(text(&message.data, "/id"), id);
    }
    let fell_behind = metric(&client, "airpost_feed_slow_total").await;
    assert_eq!(fell_behind.as_deref(), Some("1"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_every_stream_with_a_word_and_also_those_that_nobody_reads() {
    let folder = scratch_in_memory();
    let server = airpost().serve(folder.path()).await;
    let client = server.client();
    let _unread = Stream::open_slow(server.base(), "/v1/events").await;
    script(&client, MANY_DELIVERIES).await;
    let expected = log(&client).await;
    let mut streams = Vec::new();
    for path in ["/v1/events", "/v1/events?types=Failed"] {
        for _ in 0..10 {
            streams.push(Stream::open(server.base(), path, None).await);
        }
    }
    for stream in streams.iter_mut().take(10) {
        for id in &expected {
            let message = stream.next().await.expect("the stream is open");
            assert_eq!(text(&message.data, "/id"), id);
        }
    }
    // By the defaults, which are promised.
    let stopped = tokio::time::timeout(STOP_TIME_MAX, server.stop_only());
    stopped.await.expect("it is gone within ten seconds");
    for mut stream in streams {
        let bye = stream.next().await.expect("a last word");
        assert_eq!(bye.event, "bye");
        assert!(
            stream.next().await.is_none(),
            "something follows the last word"
        );
    }
    verify(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_server_that_is_killed_amid_writes_go_on_at_the_next_and_have_the_log() {
    let (folder, mut chance) = (scratch_in_memory(), chance());
    let server = airpost().serve(folder.path()).await;
    let (address, now_at) = watch::channel(server.base().to_owned());
    let (told, end) = watch::channel(None);
    let mut readers = JoinSet::new();
    for _ in 0..KILLED_READERS {
        readers.spawn(read_on(now_at.clone(), end.clone()));
    }
    script(&server.client(), DELIVERIES / 2).await;
    let (written, mut writing) = watch::channel(0);
    let users = write_users(server.client(), Chance::new(chance.bits()), written);
    let users = tokio::spawn(users);
    let enough = writing.wait_for(|written| *written >= USERS_BEFORE_THE_KILL);
    drop(enough.await.expect("somebody writes"));
    server.kill().await;
    users.await.expect("nothing but the kill ends the writing");

    let server = airpost().serve(folder.path()).await;
    address.send_replace(server.base().to_owned());
    let client = server.client();
    script(&client, DELIVERIES / 2).await;
    let expected = log(&client).await;
    let written = 2 + DELIVERIES / 2 * 2 * EVENTS_OF_ONE + USERS_BEFORE_THE_KILL;
    assert!(expected.len() >= written, "{} events", expected.len());
    told.send_replace(expected.last().cloned());
    for (ids, kills) in readers.join_all().await {
        assert_eq!(ids, expected);
        assert_eq!(kills, 1, "the kill came amid every stream");
    }
    server.stop().await;
}
