//! Real NATS servers on loopback, each with a store and ports of its own, started, killed, paused
//! and wiped by the tests. None outlives the tests.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{freeze, poll_until};

/// What fetches and starts the server.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/nats-server");

/// How long a server may take until it is ready; an election is over in ten seconds.
const READY_TIME_MAX: Duration = Duration::from_secs(40);

/// One server. It may be down. Dropped, it is killed, and its store removed.
#[derive(Debug)]
pub struct NatsServer {
    folder: TempDir,
    port: u16,
    monitor: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    script: Child,
    /// As long as this is open the server is kept.
    tie: Option<ChildStdin>,
    pid: Pid,
}

/// Where a server is to be, for who writes its configuration.
#[derive(Clone, Copy, Debug)]
pub struct NatsPlace<'a> {
    /// A folder of its own.
    pub folder: &'a Path,
    /// The port for clients, on 127.0.0.1.
    pub port: u16,
    /// The port for monitoring, on 127.0.0.1.
    pub monitor: u16,
}

impl NatsServer {
    /// A server by itself, ready, that lets everybody in and syncs whatever it stores.
    ///
    /// # Panics
    /// When it cannot be fetched or does not become ready within 40 seconds.
    pub async fn alone() -> Self {
        Self::configured(|place| usual("alone", place, place.folder)).await
    }

    /// A server by itself, ready, with this configuration. It must listen at the place's ports on
    /// 127.0.0.1, keep its store in its folder, and not log elsewhere.
    ///
    /// # Panics
    /// As [`NatsServer::alone`].
    pub async fn configured(configuration: impl FnOnce(NatsPlace<'_>) -> String) -> Self {
        let mut server = Self::down(configuration);
        server.start().await;
        server
    }

    /// The same, not started yet.
    ///
    /// # Panics
    /// When its folder cannot be made.
    pub fn down(configuration: impl FnOnce(NatsPlace<'_>) -> String) -> Self {
        let folder = TempDir::new().expect("the system's folder for temporary files is there");
        let (port, monitor) = (free_port(), free_port());
        let configuration = configuration(NatsPlace {
            folder: folder.path(),
            port,
            monitor,
        });
        fs::write(folder.path().join("server.conf"), configuration)
            .expect("a temporary folder can be written");
        Self {
            folder,
            port,
            monitor,
            running: None,
        }
    }

    /// Where it is reached: `nats://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port for clients.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it tells of itself: `http://127.0.0.1:<port>`, if its configuration says so.
    #[must_use]
    pub fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    /// Its folder, which goes away with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it was started and not killed since.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Starts it, on what it left behind; returns once it is ready.
    ///
    /// # Panics
    /// When it is up, or does not become ready within 40 seconds.
    pub async fn start(&mut self) {
        self.spawn();
        self.ready().await;
    }

    /// Starts it, and does not wait until it is ready.
    ///
    /// # Panics
    /// When it is up, or cannot be started.
    pub fn spawn(&mut self) {
        assert!(self.running.is_none(), "the server is up");
        fs::write(self.log_file(), "").expect("a temporary folder can be written");
        let mut script = Command::new("bash")
            .arg(SCRIPT)
            .env("AIRPOST_NATS_SERVER", program())
            .arg("--tied")
            .arg(self.folder.path())
            .arg("--config")
            .arg(self.folder.path().join("server.conf"))
            .arg("--log")
            .arg(self.log_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let stdout = script.stdout.take().expect("the output was asked for");
        let mut first = String::new();
        let read = BufReader::new(stdout).read_line(&mut first);
        read.expect("the script's output can be read");
        let pid = first.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.unwrap_or_else(|| panic!("{SCRIPT} said {first:?} in place of a process id"));
        let tie = script.stdin.take();
        self.running = Some(Running { script, tie, pid });
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// After 40 seconds.
    pub async fn ready(&self) {
        let look = || async {
            let is_ready = self.log().contains("Server is ready");
            is_ready.then_some(())
        };
        poll_until(READY_TIME_MAX, "a NATS server to be ready", look).await;
    }

    /// What it has logged since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Kills it (SIGKILL), if it is up; what the system has of its files stays.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // It may be gone by itself.
            let _ = kill_process(running.pid, Signal::KILL);
            drop(running.tie.take());
            running.script.wait().expect("a child can be waited for");
        }
    }

    /// Stops it in the midst of whatever it does (SIGSTOP).
    ///
    /// # Panics
    /// When it is down.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Stops it where every call under way has ended, so that nothing is in flight.
    ///
    /// # Panics
    /// When it is down, or not stopped within a minute.
    pub async fn freeze(&self) {
        let running = self.running.as_ref().expect("the server is up");
        freeze(running.pid.as_raw_nonzero().get().unsigned_abs()).await;
    }

    /// Lets it go on after a pause.
    ///
    /// # Panics
    /// When it is down.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Has it take its configuration anew (SIGHUP).
    ///
    /// # Panics
    /// When it is down.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("the server is up");
        kill_process(running.pid, signal).expect("a running server can be signalled");
    }

    /// Where it keeps a stream of the account that everybody is in who is nobody in particular.
    #[must_use]
    pub fn store_of(&self, stream: &str) -> PathBuf {
        let streams = store_in(self.folder.path()).join("$G").join("streams");
        streams.join(stream)
    }

    /// Removes everything it stored; it must be down.
    ///
    /// # Panics
    /// When it is up.
    pub fn wipe(&self) {
        assert!(self.running.is_none(), "the server is up");
        fs::remove_dir_all(store_in(self.folder.path())).expect("its store can be removed");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three servers that keep copies of each other's streams.
#[derive(Debug)]
pub struct NatsCluster {
    /// The servers; each may be killed and started again by itself.
    pub servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Three servers, ready, with a leader. They do not tell clients of each other, so that a
    /// client speaks to those alone that it was given.
    ///
    /// # Panics
    /// As [`NatsServer::alone`].
    pub async fn of_three() -> Self {
        Self::storing_in(&[]).await
    }

    /// The same; each keeps its store in one of these folders, if there is one for it.
    ///
    /// # Panics
    /// As [`NatsServer::alone`].
    pub async fn storing_in(stores: &[PathBuf]) -> Self {
        let ports = [free_port(), free_port(), free_port()];
        let routes = ports.map(|port| format!("nats://127.0.0.1:{port}"));
        let routes = routes.join(", ");
        let mut servers = Vec::with_capacity(ports.len());
        for (number, port) in ports.into_iter().enumerate() {
            servers.push(NatsServer::down(|place| {
                let store = stores.get(number).map_or(place.folder, PathBuf::as_path);
                let usual = usual(&format!("n{number}"), place, store);
                format!(
                    "{usual}cluster {{ name: c, host: 127.0.0.1, port: {port}, no_advertise: true, routes: [{routes}] }}\n"
                )
            }));
        }
        servers.iter_mut().for_each(NatsServer::spawn);
        let cluster = Self { servers };
        cluster.ready().await;
        cluster
    }

    /// Waits until all that are up are ready and know a leader.
    ///
    /// # Panics
    /// After 40 seconds.
    pub async fn ready(&self) {
        for server in self.servers.iter().filter(|server| server.is_up()) {
            server.ready().await;
            let look = || async {
                let has_leader = server.log().contains("metadata leader");
                has_leader.then_some(())
            };
            poll_until(READY_TIME_MAX, "the NATS servers to elect a leader", look).await;
        }
    }

    /// All servers' addresses, with commas between them.
    #[must_use]
    pub fn urls(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(NatsServer::url).collect();
        urls.join(",")
    }
}

/// A server that lets everybody in and syncs whatever it stores.
fn usual(name: &str, place: NatsPlace<'_>, store: &Path) -> String {
    let NatsPlace { port, monitor, .. } = place;
    let store = store.display();
    format!(
        "server_name: {name}\nhost: 127.0.0.1\nport: {port}\nhttp: \"127.0.0.1:{monitor}\"\n\
         jetstream {{ store_dir: \"{store}\", sync_interval: always, max_memory_store: 64MB, max_file_store: 16GB }}\n"
    )
}

/// Where a server with that folder as its `store_dir` keeps its streams.
fn store_in(folder: &Path) -> PathBuf {
    folder.join("jetstream")
}

/// A port that nothing listens on, below those that the system gives away.
///
/// # Panics
/// Never.
#[must_use]
pub fn free_port() -> u16 {
    /// So many ports are for one process before those of another are tried.
    const OWN: u16 = 64;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let owns = u16::try_from(std::process::id() % 150).expect("a remainder is small");
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % (150 * OWN);
        let port = 20_000 + (owns * OWN + next) % (150 * OWN);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The program, fetched at the first call.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let said = Command::new("bash").args([SCRIPT, "--path"]).output();
        let said = said.expect("bash is there");
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{SCRIPT} --path: {words}");
        PathBuf::from(String::from_utf8_lossy(&said.stdout).trim())
    })
}
