//! The program `journal-workload` from outside: started, traced, stopped, killed, and understood.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::{Ledger, Load, Sent, Shown, Span, poll_until};

/// How long a workload may take to end, to show or to stop, once it should.
const STEP_TIME_MAX: Duration = Duration::from_mins(1);

/// What the tracer writes for every thread that has stopped.
const STOPPED: &str = "--- stopped by SIGSTOP ---";

/// The program, and how it is started.
#[derive(Debug, Clone)]
pub struct Workloads {
    program: PathBuf,
    load: Load,
}

/// What `strace` does to a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traced {
    /// The calls that are looked at, as `strace -e trace=` takes them.
    pub calls: String,
    /// What is done to them, each as `strace -e inject=` takes it.
    pub injections: Vec<String>,
    /// Only calls on these files; empty for all.
    pub files: Vec<PathBuf>,
}

/// A running workload. Dropped, it is killed.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    said: watch::Receiver<Vec<String>>,
    /// What the tracer noted.
    trace: Option<NamedTempFile>,
    /// So many stops were seen and ended.
    stops_seen: usize,
}

/// A workload that shows what a folder holds, and has it open.
#[derive(Debug)]
pub struct Showing {
    workload: Workload,
    shown: Shown,
    copies: Copies,
}

/// What was made of a log: the last position of each, where there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copies {
    /// Its backup.
    pub backup: Option<u64>,
    /// The journal that was restored from it.
    pub restored: Option<u64>,
}

impl Workloads {
    /// The program whose executable is at `program`, for one load.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, load: Load) -> Self {
        let program = program.into();
        Self { program, load }
    }

    /// The load.
    #[must_use]
    pub fn load(&self) -> Load {
        self.load
    }

    /// Starts callers who write into the folder `data` until they are killed.
    ///
    /// # Panics
    /// When the program, or `strace`, cannot be started.
    #[must_use]
    pub fn random(&self, data: &Path, callers: u16, traced: Option<&Traced>) -> Workload {
        let callers = callers.to_string();
        self.start("random", data, &[&callers], traced)
    }

    /// Starts the script over the empty folder `data`.
    ///
    /// # Panics
    /// When the program, or `strace`, cannot be started.
    #[must_use]
    pub fn script(&self, data: &Path, traced: Option<&Traced>) -> Workload {
        self.start("script", data, &[], traced)
    }

    /// Starts to look into the folder `data`. What it finds comes in its own time.
    ///
    /// # Panics
    /// When the program cannot be started.
    #[must_use]
    pub fn look(&self, data: &Path) -> Workload {
        self.start("show", data, &[], None)
    }

    /// Looks into the folder `data` and waits for what is there. It stays open.
    ///
    /// # Errors
    /// What the program says is wrong with it.
    ///
    /// # Panics
    /// When the program cannot be started or takes a minute.
    pub async fn show(&self, data: &Path) -> Result<Showing, String> {
        let workload = self.look(data);
        let is_told = |said: &Vec<String>| {
            let last = said.last().map(String::as_str).unwrap_or_default();
            last.starts_with("shown ") || last.starts_with("failed ")
        };
        let mut listened = workload.said.clone();
        let told = listened.wait_for(is_told);
        let told = tokio::time::timeout(STEP_TIME_MAX, told).await;
        let told = told.unwrap_or_else(|_| panic!("nothing is shown of {}", data.display()));
        let Some(said) = told.ok().map(|said| said.clone()) else {
            return Err(format!("it ended: {:?}", workload.kill().await));
        };
        let (mut shown, copies) = (Shown::default(), Copies::of(&said));
        for line in &said {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, numbers(rest).as_slice()) {
                ("commit", [caller, number, first, last]) => {
                    let sent = sent(*caller, *number);
                    shown.commits.insert(sent, span(*first, *last));
                }
                ("shown", [head]) => shown.head = *head,
                ("backup" | "restored", [_head]) => {}
                _ => return Err(line.clone()),
            }
        }
        Ok(Showing {
            workload,
            shown,
            copies,
        })
    }

    fn start(&self, mode: &str, data: &Path, last: &[&str], traced: Option<&Traced>) -> Workload {
        let trace = traced.map(|_| NamedTempFile::new().expect("a temporary file can be made"));
        let tracing = traced.zip(trace.as_ref());
        let mut words = tracing.map_or_else(Vec::new, |(traced, trace)| {
            traced.command_line(trace.path())
        });
        words.push(self.program.clone().into());
        let Load {
            seed,
            payload_bytes_max,
        } = self.load;
        words.extend([mode.into(), data.as_os_str().to_owned()]);
        words.extend([
            seed.to_string().into(),
            payload_bytes_max.to_string().into(),
        ]);
        words.extend(last.iter().map(OsString::from));
        let (program, arguments) = words.split_first().expect("there is a program");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("{command:?}: {error}; strace comes with apt-get install strace")
        });
        let stdout = child.stdout.take().expect("the output was asked for");
        let (say, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                say.send_modify(|said| said.push(line));
            }
        });
        Workload {
            child,
            said,
            trace,
            stops_seen: 0,
        }
    }
}

impl Traced {
    /// The words that stand before a program so that it runs traced. The
    /// tracer's notes go to the file `trace`.
    #[must_use]
    pub fn command_line(&self, trace: &Path) -> Vec<OsString> {
        // -D makes the program, not the tracer, our child: it is what is killed.
        let mut words: Vec<OsString> = ["strace", "-D", "-f", "-o"].map(OsString::from).into();
        words.push(trace.into());
        words.extend(["-e".into(), format!("trace={}", self.calls).into()]);
        for injection in &self.injections {
            words.extend([
                OsStr::new("-e").into(),
                format!("inject={injection}").into(),
            ]);
        }
        for file in &self.files {
            words.extend([OsStr::new("-P").into(), file.into()]);
        }
        words
    }
}

impl Workload {
    /// Everything it has said so far.
    #[must_use]
    pub fn said(&self) -> Vec<String> {
        self.said.borrow().clone()
    }

    /// Waits until it has said so many lines or has ended, and gives back what it said.
    ///
    /// # Panics
    /// When neither happens within a minute.
    pub async fn said_after(&mut self, lines: usize) -> Vec<String> {
        let enough = self.said.wait_for(|said| said.len() >= lines);
        let enough = tokio::time::timeout(STEP_TIME_MAX, enough).await.is_ok();
        assert!(enough, "it neither says {lines} lines nor ends");
        self.said()
    }

    /// Kills it (SIGKILL) and gives back all that it said.
    ///
    /// # Panics
    /// When it cannot be killed within a minute.
    pub async fn kill(mut self) -> Vec<String> {
        drop(self.child.start_kill());
        self.ended().await
    }

    /// Waits until it ends by itself and gives back all that it said.
    ///
    /// # Panics
    /// When it does not within a minute.
    pub async fn ended(mut self) -> Vec<String> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(STEP_TIME_MAX, self.child.wait()).await;
        let _status = ended.unwrap_or_else(|_| panic!("it does not end: {:?}", self.said()));
        // The pipe ends when the tracer is gone too.
        let silent = async { while self.said.changed().await.is_ok() {} };
        let silent = tokio::time::timeout(STEP_TIME_MAX, silent).await;
        assert!(silent.is_ok(), "somebody still holds its output");
        self.said()
    }

    /// Waits until an injected stop holds every thread, and says whether it
    /// did; not if the workload ended.
    ///
    /// # Panics
    /// When neither happens within a minute, or it is not traced.
    pub async fn stopped(&mut self) -> bool {
        let trace = self.trace.as_ref().expect("only a traced one is stopped");
        let pid = self.child.id();
        let (child, seen) = (&mut self.child, self.stops_seen);
        let look = || {
            let ended = child.try_wait().expect("a child can be asked").is_some();
            let noted = std::fs::read_to_string(trace.path()).unwrap_or_default();
            let stops = noted.matches(STOPPED).count();
            let stands = stops > seen && pid.is_some_and(stands_still);
            let outcome = if ended {
                Some(None)
            } else {
                stands.then_some(Some(stops))
            };
            std::future::ready(outcome)
        };
        let stops = poll_until(STEP_TIME_MAX, "the workload to stop or to end", look).await;
        self.stops_seen = stops.unwrap_or(seen);
        stops.is_some()
    }

    /// Lets a stopped one go on.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub async fn go_on(&mut self) {
        if let Some(pid) = self.child.id() {
            signal(pid, "CONT").await;
        }
    }

    /// Stops every thread where it is; calls under way end first. So nothing
    /// is in flight, and whatever it says until it is killed is said already.
    ///
    /// # Panics
    /// When it is not stopped within a minute.
    pub async fn freeze(&mut self) {
        if let Some(pid) = self.child.id() {
            freeze(pid).await;
        }
    }

    /// Waits for its end and gives back what it said and what the tracer noted.
    ///
    /// # Panics
    /// As [`Workload::ended`], or when it is not traced.
    pub async fn traced_to_its_end(mut self) -> (Vec<String>, String) {
        let trace = self.trace.take().expect("it is traced");
        let said = self.ended().await;
        let noted = std::fs::read_to_string(trace.path()).expect("the tracer's notes can be read");
        (said, noted)
    }
}

impl Copies {
    /// Those that a workload's lines tell of.
    #[must_use]
    pub fn of(said: &[String]) -> Self {
        let last = |word: &str| {
            let lines = said.iter().rev();
            let mut heads = lines.filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
            heads.next()
        };
        Self {
            backup: last("backup "),
            restored: last("restored "),
        }
    }
}

impl Showing {
    /// The copies that are there too; they are sound.
    #[must_use]
    pub fn copies(&self) -> Copies {
        self.copies
    }

    /// What is there.
    #[must_use]
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Closes the folder in good order and has it verified once more.
    ///
    /// # Errors
    /// What was found.
    ///
    /// # Panics
    /// When that takes a minute.
    pub async fn close(self) -> Result<Shown, String> {
        let said = self.workload.ended().await;
        match said.last().map(String::as_str) {
            Some("closed") => Ok(self.shown),
            Some(other) => Err(other.to_owned()),
            None => Err("it said nothing".to_owned()),
        }
    }

    /// Kills it with the folder open.
    ///
    /// # Panics
    /// As [`Workload::kill`].
    pub async fn kill(self) -> Shown {
        drop(self.workload.kill().await);
        self.shown
    }
}

/// Notes in `ledger` what a workload said: its acknowledgements, in order.
/// Only those among the first `sound` lines can be relied on.
///
/// # Errors
/// The first that contradicts what is known, and a failure that it named itself.
pub fn note(said: &[String], sound: usize, ledger: &mut Ledger) -> Result<(), String> {
    ledger.begin_life();
    for (at, line) in said.iter().enumerate() {
        let is_new = line.ends_with(" committed");
        match (line.split(' ').next(), numbers(line).as_slice()) {
            (Some("ack"), [caller, number, first, last]) => {
                let (sent, span) = (sent(*caller, *number), span(*first, *last));
                if at < sound {
                    ledger.acknowledge(sent, span, is_new)?;
                } else {
                    ledger.claim(sent, span);
                }
            }
            (Some("ack"), _) => return Err(format!("half an acknowledgement: {line}")),
            _ => {}
        }
    }
    Ok(())
}

fn span(first: u64, last: u64) -> Span {
    Span { first, last }
}

fn sent(caller: u64, number: u64) -> Sent {
    Sent {
        caller: u16::try_from(caller).expect("there are few callers"),
        number: u32::try_from(number).expect("a run is short"),
    }
}

/// The numbers among the words of a line.
fn numbers(line: &str) -> Vec<u64> {
    line.split(' ')
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// Stops a process and waits until every thread of it stands still: calls
/// under way end first.
///
/// # Panics
/// When that takes longer than a minute.
pub async fn freeze(pid: u32) {
    signal(pid, "STOP").await;
    let look = || std::future::ready(stands_still(pid).then_some(()));
    poll_until(STEP_TIME_MAX, "all threads to stand still", look).await;
}

async fn signal(pid: u32, name: &str) {
    let kill = format!("kill -{name} {pid}");
    let sent = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(sent.is_ok_and(|status| status.success()), "{kill}");
}

/// Whether every thread of a process is stopped.
fn stands_still(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold any sign.
        let state = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next());
        matches!(state, Some('t' | 'T'))
    })
}
