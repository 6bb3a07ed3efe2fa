//! The program as a user runs it: commands that end, and servers that are stopped or killed.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::{Client, Traced, poll_until};

/// How long a server may take from its start until it is ready, replay included.
const START_TIME_MAX: Duration = Duration::from_mins(1);

/// How long a server may take to finish what it acknowledged and leave.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a command that ends by itself may take.
const COMMAND_TIME_MAX: Duration = Duration::from_mins(2);

/// The program under test.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    settings: Vec<(String, String)>,
    traced: Option<Traced>,
}

/// What a command that has ended left behind.
#[derive(Debug)]
pub struct Output {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything it printed for whoever reads its result.
    pub stdout: String,
    /// Everything it printed for whoever watches it.
    pub stderr: String,
}

/// A running server. Dropped, it is killed; what it logged is shown if the test is failing.
#[derive(Debug)]
pub struct Server {
    child: Child,
    base: String,
    said: Arc<Mutex<String>>,
    log: File,
    /// What it was started from, and over which data, if that is known.
    over: Option<(Program, PathBuf)>,
}

impl Program {
    /// The program whose executable is at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            settings: Vec::new(),
            traced: None,
        }
    }

    /// The same program with one more variable in its environment.
    #[must_use]
    pub fn with_setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same program, run under a tracer that makes calls fail.
    #[must_use]
    pub fn traced(&self, traced: &Traced) -> Self {
        Self {
            traced: Some(traced.clone()),
            ..self.clone()
        }
    }

    /// Runs the program with `arguments` until it ends.
    ///
    /// # Panics
    /// When it cannot be started or does not end within two minutes.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.run_for(COMMAND_TIME_MAX, arguments).await
    }

    /// The same for a command that may take longer.
    ///
    /// # Panics
    /// As [`Program::run`], after `time_max`.
    pub async fn run_for<S: AsRef<OsStr>>(
        &self,
        time_max: Duration,
        arguments: impl IntoIterator<Item = S>,
    ) -> Output {
        let mut command = self.command();
        command.args(arguments);
        let output = tokio::time::timeout(time_max, command.output()).await;
        let output =
            output.unwrap_or_else(|_| panic!("{command:?} did not end within {time_max:?}"));
        let output =
            output.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Starts a server over the data folder `data` on a free port and waits until it is ready.
    ///
    /// # Panics
    /// When it ends or does not become ready within a minute; its log is in the message.
    pub async fn serve(&self, data: &Path) -> Server {
        self.serve_with(data, &[]).await
    }

    /// The same with further `options`.
    ///
    /// # Panics
    /// As [`Program::serve`].
    pub async fn serve_with(&self, data: &Path, options: &[&str]) -> Server {
        let server = self.serve_at_once(data, options).await;
        server.ready().await;
        server
    }

    /// The same, but only until it listens: its views may still be catching up.
    ///
    /// # Panics
    /// When it ends or does not listen within a minute; its log is in the message.
    pub async fn serve_at_once(&self, data: &Path, options: &[&str]) -> Server {
        let fixed = [OsStr::new("serve"), OsStr::new("--data"), data.as_os_str()];
        let address = ["--listen", "127.0.0.1:0"].map(OsStr::new);
        let mut server = self
            .start(
                fixed
                    .into_iter()
                    .chain(address)
                    .chain(options.iter().map(OsStr::new)),
            )
            .await;
        server.over = Some((self.clone(), data.to_owned()));
        server
    }

    /// Starts the program with `arguments` and waits until it prints the address it listens on.
    ///
    /// # Panics
    /// When it ends or prints no address within a minute; its log is in the message.
    pub async fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Server {
        let log =
            tempfile::tempfile().expect("the system's folder for temporary files can be written");
        let stderr = log
            .try_clone()
            .expect("an open file can be opened once more");
        let mut command = self.command();
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let stdout = child.stdout.take().expect("the output was asked for");
        let said = Arc::new(Mutex::new(String::new()));
        let mut server = Server {
            child,
            base: String::new(),
            said: Arc::clone(&said),
            log,
            over: None,
        };
        let mut lines = BufReader::new(stdout).lines();
        let address = address(&mut lines, &said);
        let Ok(address) = tokio::time::timeout(START_TIME_MAX, address).await else {
            panic!(
                "{command:?} does not listen after {START_TIME_MAX:?}:\n{}",
                server.log()
            );
        };
        let Some(base) = address else {
            panic!("{command:?} ended without listening:\n{}", server.log())
        };
        server.base = base;
        // Whatever it prints later must find a reader, or the pipe fills and it stops.
        tokio::spawn(async move { while next_line(&mut lines, &said).await.is_some() {} });
        server
    }

    /// Another program with the same settings, which is to run this one: `nohup`, say.
    #[must_use]
    pub fn run_by(&self, other: &str) -> (Self, PathBuf) {
        let other = Self {
            path: PathBuf::from(other),
            ..self.clone()
        };
        (other, self.path.clone())
    }

    fn command(&self) -> Command {
        // Nobody reads what the tracer notes.
        let tracer = self
            .traced
            .as_ref()
            .map(|traced| traced.command_line(Path::new("/dev/null")));
        let mut words = tracer.unwrap_or_default();
        words.push(self.path.clone().into());
        let (program, first_arguments) = words.split_first().expect("there is a program");
        let mut command = Command::new(program);
        command.args(first_arguments);
        // Settings of whoever runs the tests must not change what is tested.
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("AIRPOST_")) {
            command.env_remove(name);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.kill_on_drop(true);
        command
    }
}

/// The address in the first line that names one; none when the output ends before.
async fn address(
    lines: &mut Lines<BufReader<ChildStdout>>,
    said: &Mutex<String>,
) -> Option<String> {
    while let Some(line) = next_line(lines, said).await {
        if let Some((_, rest)) = line.split_once("listening on http://") {
            let host = rest
                .split(|c: char| !c.is_ascii_hexdigit() && !".:[]".contains(c))
                .next();
            return host.map(|host| format!("http://{host}"));
        }
    }
    None
}

/// The next line that the program prints, which is also added to what it has said.
async fn next_line(
    lines: &mut Lines<BufReader<ChildStdout>>,
    said: &Mutex<String>,
) -> Option<String> {
    let line = lines.next_line().await.ok().flatten()?;
    let mut said = said.lock().expect("nobody panics while holding it");
    said.push_str(&line);
    said.push('\n');
    Some(line)
}

impl Server {
    /// A client of this server.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// The address, as `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The process's id.
    ///
    /// # Panics
    /// When the server is gone.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Everything the program has printed so far for whoever started it.
    ///
    /// # Panics
    /// Never, unless reading it did before.
    #[must_use]
    pub fn said(&self) -> String {
        self.said
            .lock()
            .expect("nobody panics while holding it")
            .clone()
    }

    /// Everything the server has logged so far.
    ///
    /// # Panics
    /// When the file it logs to cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        let length = self
            .log
            .metadata()
            .expect("an open file has a length")
            .len();
        let length = usize::try_from(length).expect("it fits into memory");
        let mut bytes = vec![0; length];
        // Without moving the file's offset: it is the one at which the server writes, too.
        self.log
            .read_exact_at(&mut bytes, 0)
            .expect("what was written can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until every view has caught up with what the journal held at the start.
    ///
    /// # Panics
    /// When that takes longer than a minute.
    pub async fn ready(&self) {
        let client = self.client();
        let look = || async {
            let answer = client.get("/readyz").try_send().await.ok()?;
            (answer.status() == 200).then_some(())
        };
        poll_until(START_TIME_MAX, "/readyz to answer 200", look).await;
    }

    /// Asks the server to stop (SIGTERM), waits for it, and checks that it left in good order:
    /// that the journal is whole and every view what it says, byte for byte.
    ///
    /// # Panics
    /// When it does not end within 30 seconds, its exit code is not 0, or `airpost verify`
    /// finds something in its data folder.
    pub async fn stop(mut self) {
        let over = self.over.take();
        self.stop_only().await;
        let Some((program, data)) = over else {
            return;
        };
        let untraced = Program {
            traced: None,
            ..program
        };
        let verify = [OsStr::new("verify"), OsStr::new("--data"), data.as_os_str()];
        let verified = untraced.run(verify).await;
        assert!(
            verified.code == Some(0),
            "after a stop the data is not in order: {verified:?}"
        );
    }

    /// The same without a look at the data folder: where that was damaged on purpose, or
    /// is so large that a look takes long.
    ///
    /// # Panics
    /// When it does not end within 30 seconds or its exit code is not 0.
    pub async fn stop_only(mut self) {
        self.stop_in_place().await;
    }

    /// The same; what it said and logged can still be read.
    ///
    /// # Panics
    /// As [`Server::stop_only`].
    pub async fn stop_in_place(&mut self) {
        self.signal("TERM").await;
        self.ended("SIGTERM").await;
    }

    async fn ended(&mut self, signal: &str) {
        let ended = tokio::time::timeout(STOP_TIME_MAX, self.child.wait()).await;
        let status =
            ended.unwrap_or_else(|_| panic!("still running {STOP_TIME_MAX:?} after {signal}"));
        let status = status.expect("a child can be waited for");
        assert!(
            status.code() == Some(0),
            "after {signal} it ended with {status}"
        );
    }

    /// The same by SIGHUP, as where its terminal is closed.
    ///
    /// # Panics
    /// As [`Server::stop_only`].
    pub async fn hang_up(mut self) {
        self.hang_up_on().await;
        self.ended("SIGHUP").await;
    }

    /// Sends SIGHUP and does not wait for what comes of it.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn hang_up_on(&self) {
        self.signal("HUP").await;
    }

    /// Kills the server (SIGKILL), as a crash would, and waits until it is gone.
    ///
    /// # Panics
    /// When it ended by itself before.
    pub async fn kill(mut self) {
        self.kill_in_place().await;
    }

    /// The same; what it said and logged can still be read.
    ///
    /// # Panics
    /// As [`Server::kill`].
    pub async fn kill_in_place(&mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(
            ended.is_none(),
            "it was gone before it was killed: {ended:?}"
        );
        self.child
            .kill()
            .await
            .expect("a running child can be killed");
    }

    /// Stops the server in the midst of whatever it does (SIGSTOP).
    ///
    /// # Panics
    /// When it is gone.
    pub async fn pause(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on after a pause.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn go_on(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        let pid = self.pid();
        // The shell's own `kill`, since the program of that name is missing on a slim system.
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()
            .await;
        assert!(
            sent.is_ok_and(|status| status.success()),
            "SIG{name} cannot be sent to {pid}"
        );
    }
}

impl Drop for Server {
    #[expect(
        clippy::print_stderr,
        reason = "the test runner shows a failing test's output, and only that"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the server at {} ---\n{}", self.base, self.log());
        }
    }
}
