//! The server as a client sees it, over real sockets. No test waits for time
//! to pass: limits are set short, and the server's answer is awaited.

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::http::front::{FrontSettings, front};

const LONG: Duration = Duration::from_mins(1);

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

fn settings() -> ServerSettings {
    ServerSettings {
        connections_max: 100,
        headers_time: LONG,
        idle_time: LONG,
        shutdown_grace: LONG,
        environment: Environment::system(),
    }
}

async fn start(settings: ServerSettings) -> Running {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, outside) = (Arc::clone(&entered), Arc::clone(&release));
    let wait = move || async move {
        inside.notify_one();
        outside.notified().await;
        "released"
    };
    let large: &'static [u8] = vec![b'x'; 32 * 1024 * 1024].leak();
    let routes = Router::new()
        .route("/hello", get(async || "hello"))
        .route("/wait", get(wait))
        .route("/large", get(async move || Bytes::from_static(large)))
        .route(
            "/refuse",
            post(async || crate::http::problem::Problem::not_found("no")),
        )
        .route("/echo", post(async |body: Bytes| body));
    let front_settings = FrontSettings {
        public_url: None,
        headers_bytes_max: 16 * 1024,
        request_time: LONG,
        environment: Environment::system(),
        head: Arc::new(|| 0),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let server = tokio::spawn(run(
        listener,
        front(routes, front_settings),
        settings,
        shutdown,
    ));
    Running {
        address,
        stop,
        server,
        entered,
        release,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_all(stream).await
    }
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

const HELLO: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
const HELLO_AND_CLOSE: &[u8] = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn requests_are_answered_one_after_another_on_one_connection() {
    let running = start(settings()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(HELLO).await.unwrap();
        let answer = read_some(&mut stream).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn http_2_is_spoken_without_asking() {
    let running = start(settings()).await;
    let mut stream = running.connect().await;
    // The client's preface and an empty SETTINGS frame (RFC 9113, 3.4).
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the server's first frame is SETTINGS");
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_told_so_and_the_connection_closed() {
    let running = start(ServerSettings {
        headers_time: Duration::from_millis(20),
        ..settings()
    })
    .await;
    for part in [
        &b"G"[..],
        b"PRI * HT",
        b"GET /hello HTTP/1.1\r\nhost: x\r\n",
    ] {
        let answer = running.exchange(part).await;
        assert!(
            answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"request-timeout\""),
            "{answer}"
        );
    }
    assert_eq!(
        running.exchange(b"").await,
        "",
        "who says nothing is told nothing"
    );
}

#[tokio::test]
async fn a_connection_may_be_idle_for_longer_than_a_head_may_take_and_ends_without_a_word() {
    let settings = ServerSettings {
        headers_time: Duration::from_millis(50),
        idle_time: Duration::from_millis(300),
        ..settings()
    };
    let (idle_time, clock) = (settings.idle_time, settings.environment.clone());
    let running = start(settings).await;
    let mut stream = running.connect().await;
    stream.write_all(HELLO).await.unwrap();
    let asked = clock.elapsed();
    assert!(read_some(&mut stream).await.ends_with("hello"));
    assert_eq!(read_all(stream).await, "");
    let idle = clock.elapsed().checked_sub(asked).unwrap();
    assert!(idle >= idle_time, "it was closed after {idle:?}");
}

#[tokio::test]
async fn a_second_head_that_does_not_come_in_time_closes_the_connection() {
    let running = start(ServerSettings {
        headers_time: Duration::from_millis(20),
        ..settings()
    })
    .await;
    let mut stream = running.connect().await;
    stream.write_all(HELLO).await.unwrap();
    read_some(&mut stream).await;
    stream.write_all(b"GET /he").await.unwrap();
    let answer = read_all(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_let_go() {
    let running = start(ServerSettings {
        idle_time: Duration::from_millis(50),
        headers_time: Duration::from_millis(50),
        ..settings()
    })
    .await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // Within the long grace the server ends only because it gave the client up.
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    drop(stream);
}

#[tokio::test]
async fn what_is_no_http_is_a_problem_too() {
    let running = start(settings()).await;
    for (bytes, status, code) in [
        (
            b"GET /a b HTTP/1.1\r\n\r\n".to_vec(),
            "400",
            "malformed-request",
        ),
        (
            b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
            "400",
            "malformed-request",
        ),
        (
            b"GET / HTTP/1.1\r\na\x00b: 1\r\n\r\n".to_vec(),
            "400",
            "malformed-request",
        ),
        (
            format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_bytes(),
            "431",
            "header-fields-too-large",
        ),
        (
            format!(
                "GET / HTTP/1.1\r\nconnection: close\r\nx: {}\r\n\r\n",
                "y".repeat(20_000)
            )
            .into_bytes(),
            "431",
            "header-fields-too-large",
        ),
        (
            format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(70_000)).into_bytes(),
            "4",
            "too",
        ),
    ] {
        let answer = running.exchange(&bytes).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        assert!(
            answer.contains("application/problem+json") && answer.contains(code),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn odd_request_targets_are_answered() {
    let running = start(settings()).await;
    for (line, status) in [
        ("OPTIONS * HTTP/1.1", "404"),
        ("CONNECT x:1 HTTP/1.1", "404"),
        ("GET http://x/hello HTTP/1.1", "200"),
        ("TRACE /hello HTTP/1.1", "405"),
        ("GET /%ff HTTP/1.1", "404"),
        ("HEAD /hello HTTP/1.1", "200"),
    ] {
        let answer = running
            .exchange(format!("{line}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{line}: {answer}"
        );
    }
}

#[tokio::test]
async fn who_sends_a_body_that_nobody_reads_sees_the_answer() {
    let running = start(settings()).await;
    let size = 8 * 1024 * 1024;
    let mut stream = running.connect().await;
    let head = format!("POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; size]).await.unwrap();
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    stream.write_all(HELLO_AND_CLOSE).await.unwrap();
    assert!(
        read_all(stream).await.ends_with("hello"),
        "the connection goes on"
    );
}

#[tokio::test]
async fn who_waits_for_a_word_before_the_body_is_answered_without_it() {
    let running = start(settings()).await;
    let head =
        b"POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\n";
    let mut stream = running.connect().await;
    stream.write_all(head).await.unwrap();
    let answer = read_some(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_request_under_way_finishes_when_the_server_stops() {
    let running = start(settings()).await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let idle = running.connect().await;
    running.entered.notified().await;
    running.stop.send(()).unwrap();
    assert_eq!(
        read_all(idle).await,
        "",
        "a connection without a request is closed at once"
    );
    running.release.notify_one();
    let answer = read_all(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("released"),
        "{answer}"
    );
    running.server.await.unwrap();
    assert!(
        TcpStream::connect(running.address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_request_that_never_finishes_does_not_keep_the_server() {
    let running = start(ServerSettings {
        shutdown_grace: Duration::from_millis(20),
        ..settings()
    })
    .await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    running.entered.notified().await;
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert_eq!(read_all(stream).await, "");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let running = start(ServerSettings {
        connections_max: 1,
        ..settings()
    })
    .await;
    let mut first = running.connect().await;
    first.write_all(HELLO).await.unwrap();
    read_some(&mut first).await;
    let mut second = running.connect().await;
    second.write_all(HELLO_AND_CLOSE).await.unwrap();
    drop(first);
    assert!(read_all(second).await.ends_with("hello"));
}
