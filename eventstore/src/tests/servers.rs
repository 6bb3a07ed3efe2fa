//! Real NATS servers on loopback, each with a store and ports of its own,
//! started, killed, paused and wiped by the tests. None outlives the tests.

use std::fmt::Debug;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What installs and starts the server.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/nats-server");
/// How long anything here may take; an election is over in ten seconds.
const LIMIT: Duration = Duration::from_secs(40);
/// How long to leave the machine alone between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks again and again until something is found, and gives that back.
pub(crate) fn wait_until<T, E: Debug>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    let (limit, mut pause) = runtime.block_on(async {
        let limit = tokio::time::timeout(LIMIT, std::future::pending::<()>());
        (limit, tokio::time::interval(PAUSE))
    });
    let mut limit = pin!(limit);
    loop {
        // Outside of the runtime, so that whoever looks may have one, too.
        let why = match look() {
            Ok(found) => return found,
            Err(why) => why,
        };
        runtime.block_on(async {
            tokio::select! {
                _ = &mut limit => panic!("waited {LIMIT:?} in vain until {what}: {why:?}"),
                _ = pause.tick() => {}
            }
        });
    }
}

/// A port that nothing listens on, below those that the system gives away.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 150).unwrap() * 64;
    loop {
        let port = 20_000 + own + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The program, installed at the first call.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let said = Command::new("bash")
            .args([SCRIPT, "--path"])
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{SCRIPT} --path: {words}");
        PathBuf::from(String::from_utf8(said.stdout).unwrap().trim())
    })
}

/// One server; it may be down.
#[derive(Debug)]
pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    script: Child,
    /// As long as this is open the server is kept.
    tie: Option<ChildStdin>,
    pid: Pid,
}

impl Server {
    /// A server by itself, up; with more lines for its configuration.
    pub(crate) fn alone(more: &str) -> Self {
        let mut server = Self::new(0, free_port(), more);
        server.start();
        server
    }

    /// One that keeps nothing.
    pub(crate) fn without_jetstream() -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = Self::configured(folder, 0, free_port(), "");
        server.start();
        server
    }

    fn new(number: usize, port: u16, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let store = folder.path().display();
        let more = format!(
            "jetstream {{ store_dir: \"{store}\", sync_interval: always, \
             max_memory_store: 64MB, max_file_store: 1GB }}\n{more}"
        );
        Self::configured(folder, number, port, &more)
    }

    fn configured(folder: TempDir, number: usize, port: u16, more: &str) -> Self {
        let configuration =
            format!("server_name: n{number}\nhost: 127.0.0.1\nport: {port}\n{more}\n");
        fs::write(folder.path().join("server.conf"), configuration).unwrap();
        Self {
            folder,
            port,
            running: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, on what it left behind; returns once it is ready.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    fn wait_ready(&self) {
        wait_until("a server is ready", || {
            self.log()
                .contains("Server is ready")
                .then_some(())
                .ok_or_else(|| self.log())
        });
    }

    fn spawn(&mut self) {
        assert!(self.running.is_none(), "it is up");
        let log = self.folder.path().join("log");
        fs::write(&log, "").unwrap();
        let mut script = Command::new("bash")
            .arg(SCRIPT)
            .env("AIRPOST_NATS_SERVER", program())
            .arg("--tied")
            .arg(self.folder.path())
            .arg("--config")
            .arg(self.folder.path().join("server.conf"))
            .arg("--log")
            .arg(&log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut lines = BufReader::new(script.stdout.take().unwrap());
        lines.read_line(&mut first).unwrap();
        let pid = Pid::from_raw(first.trim().parse().unwrap()).unwrap();
        let tie = script.stdin.take();
        self.running = Some(Running { script, tie, pid });
    }

    /// What it has said since it was started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Kills it, if it is up; what the system has of its files stays.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            kill_process(running.pid, Signal::KILL).ok();
            drop(running.tie.take());
            running.script.wait().unwrap();
        }
    }

    /// Stops it in the midst of whatever it does; returns once all of it
    /// stands still. Until then it may answer.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let pid = self.running.as_ref().unwrap().pid.as_raw_nonzero();
        wait_until("a server stands still", || {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            let states: Vec<_> = threads
                .flatten()
                .map(|thread| state(&thread.path()))
                .collect();
            let stands = states.iter().all(|state| *state == Some('T'));
            if stands { Ok(()) } else { Err(states) }
        });
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().unwrap();
        kill_process(running.pid, signal).unwrap();
    }

    /// Removes everything it stored; it must be down.
    pub(crate) fn wipe(&self) {
        assert!(self.running.is_none(), "it is up");
        fs::remove_dir_all(self.store()).unwrap();
    }

    /// What it stored, as it is now; it must be down.
    pub(crate) fn copy_store(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        copy_folder(&self.store(), &copy.path().join("jetstream"));
        copy
    }

    /// Has it store what it stored earlier, and no more.
    pub(crate) fn put_store(&self, earlier: &TempDir) {
        self.wipe();
        copy_folder(&earlier.path().join("jetstream"), &self.store());
    }

    /// Flips forty bits, spread over the second half of the first of the files in
    /// which it stores a stream; it must be down, and there must be several. (A
    /// server that has lost the first messages of all fetches them by itself.)
    pub(crate) fn damage_store(&self, stream: &str) {
        assert!(self.running.is_none(), "it is up");
        let files = self
            .store()
            .join("$G")
            .join("streams")
            .join(stream)
            .join("msgs");
        assert!(files.join("2.blk").exists(), "{}", files.display());
        let first = files.join("1.blk");
        let mut bytes = fs::read(&first).unwrap();
        let half = bytes.len() / 2;
        let later = bytes.iter_mut().skip(half).step_by(half / 40);
        for (number, byte) in later.enumerate() {
            *byte ^= 1 << (number % 8);
        }
        fs::write(first, bytes).unwrap();
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("jetstream")
    }
}

/// What a thread does, in the system's letter; nothing of one that is gone.
fn state(thread: &Path) -> Option<char> {
    let stat = fs::read_to_string(thread.join("stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(") ")?;
    behind_name.chars().next()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three servers that keep copies of each other's streams.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    pub(crate) fn of_three() -> Self {
        let ports: Vec<_> = (0..3).map(|_| free_port()).collect();
        let routes: Vec<_> = ports
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let routes = routes.join(", ");
        let server = |(number, port)| {
            let more =
                format!("cluster {{ name: c, host: 127.0.0.1, port: {port}, routes: [{routes}] }}");
            Server::new(number, free_port(), &more)
        };
        let mut servers: Vec<_> = ports.into_iter().enumerate().map(server).collect();
        servers.iter_mut().for_each(Server::spawn);
        servers.iter().for_each(Server::wait_ready);
        let cluster = Self { servers };
        wait_until("the cluster has a leader", || {
            let mut servers = cluster.servers.iter();
            servers
                .all(|server| server.log().contains("metadata leader"))
                .then_some(())
                .ok_or("none has said so")
        });
        cluster
    }

    /// All servers' URLs.
    pub(crate) fn urls(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(Server::url).collect();
        urls.join(",")
    }
}

/// A server, and three, for all tests that leave them alone.
pub(crate) fn shared_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::alone(""))
}

pub(crate) fn shared_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::of_three)
}
