//! A NATS server that is too old to keep what it acknowledges: whoever meets it says so, and
//! nothing is asked of it.

use std::sync::{Arc, Mutex, PoisonError};

use tests::{NatsClient, NatsPlace, NatsServer, Output, poll_until};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::publishing::{PATIENCE, assert_told, deliver, serve};
use crate::scene::{airpost, scratch, scratch_in_memory};

/// How such a server introduces itself.
const INFO: &str = "INFO {\"server_id\":\"OLD\",\"server_name\":\"old\",\"version\":\"2.9.10\",\"proto\":1,\
                    \"host\":\"127.0.0.1\",\"port\":4222,\"headers\":true,\"jetstream\":true,\
                    \"max_payload\":8388608}\r\n";

/// What helps.
const ADVICE: &str = "run 2.14.4 or later";

/// As much of an old server as is needed to meet one. Dropped, it is gone.
struct OldServer {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl OldServer {
    async fn at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("the port is free");
        let address = listener.local_addr().expect("a bound port has an address");
        let heard = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(listen(listener, Arc::clone(&heard)));
        Self {
            port: address.port(),
            heard,
            _serving: serving,
        }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The words that were said to it, without what followed each.
    fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.clone()
    }

    /// Nobody has published, asked for or listened to anything.
    #[track_caller]
    fn assert_nothing_asked(&self) {
        let heard = self.heard();
        let greetings = ["CONNECT", "PING", "PONG"];
        let is_greeting = |word: &String| greetings.contains(&word.as_str());
        assert!(heard.iter().all(is_greeting), "{heard:?}");
    }
}

async fn listen(listener: TcpListener, heard: Arc<Mutex<Vec<String>>>) {
    let mut talks = JoinSet::new();
    while let Ok((connection, _)) = listener.accept().await {
        talks.spawn(talk(connection, Arc::clone(&heard)));
    }
}

/// Until the other side has ended the connection.
async fn talk(connection: TcpStream, heard: Arc<Mutex<Vec<String>>>) {
    let (reads, mut writes) = connection.into_split();
    let mut lines = BufReader::new(reads).lines();
    let mut said = writes.write_all(INFO.as_bytes()).await;
    while let (Ok(()), Ok(Some(line))) = (said, lines.next_line().await) {
        let word = line.split(' ').next().unwrap_or_default().to_owned();
        let answer = if word == "PING" { "PONG\r\n" } else { "" };
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(word);
        said = writes.write_all(answer.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_leaves_it_alone_and_goes_on_once_a_newer_one_is_in_its_place() {
    let data = scratch_in_memory();
    let mut newer = NatsServer::down(|place| {
        let NatsPlace { folder, port, .. } = place;
        let folder = folder.display();
        format!("port: {port}\nhost: 127.0.0.1\njetstream {{ store_dir: \"{folder}\" }}\n")
    });
    let old = OldServer::at(newer.port()).await;
    let server = serve(&airpost(), data.path(), &old.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let is_tried_again = || async {
        let heard = old.heard();
        let tries = heard.iter().filter(|word| *word == "CONNECT").count();
        (tries > 2).then_some(())
    };
    poll_until(PATIENCE, "it to be tried again", is_tried_again).await;
    let log = server.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains(ADVICE)).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told.iter().all(|told| told.contains("2.9.10")), "{told:?}");
    assert!(!log.contains("connected to NATS"), "{log}");
    old.assert_nothing_asked();
    drop(old);
    newer.start().await;
    let nats = NatsClient::connect(&newer.url()).await;
    assert_told(&server.client(), &nats).await;
    server.stop().await;
}

#[track_caller]
fn says_what_to_run(output: &Output, code: i32) {
    let is_said = format!("{}{}", output.stdout, output.stderr).contains(ADVICE);
    assert!(output.code == Some(code) && is_said, "{output:?}");
}

#[tokio::test]
async fn no_log_is_put_on_it_nor_served_from_it() {
    let old = OldServer::at(0).await;
    let data = scratch();
    let data = data
        .path()
        .to_str()
        .expect("a temporary folder has a plain name");
    let url = old.url();
    let log = ["--data", data, "--nats", &url, "--cluster", "LOG"];
    let commands = [
        &["cluster", "status"][..],
        &["cluster", "join", "--new"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    for command in commands {
        let output = airpost().run(command.iter().chain(&log)).await;
        says_what_to_run(&output, 1);
    }
    old.assert_nothing_asked();
}

#[tokio::test]
async fn the_doctor_says_what_to_run_in_its_place() {
    let old = OldServer::at(0).await;
    let output = airpost().run(["doctor", "--nats", &old.url()]).await;
    says_what_to_run(&output, 3);
    old.assert_nothing_asked();
}
