//! Nodes and commands that are told to stop before they are through.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tests::NatsServer;

use super::commands::says;
use super::{Log, first_node};
use crate::scene::scratch;

/// Starts a program, tells it to stop once it opens the log on the cluster, which takes as long as the
/// other nodes are listened for, and gives its exit code and what it logged.
fn stopped(command: &[&str], data: &Path, log: &Log, signal: Signal) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_airpost-under-test"));
    program.args(command).arg("--data").arg(data);
    program.args(log.options()).env("AIRPOST_LOG", "info");
    program.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("the program is there");
    let mut lines = BufReader::new(child.stderr.take().expect("it was asked for")).lines();
    let mut said = String::new();
    while !said.contains("opening the log on the cluster") {
        let line = lines.next().expect("it opens the log").expect("it is text");
        said.push_str(&line);
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process has a number"), signal).expect("it runs");
    said.extend(lines.map_while(Result::ok));
    let ended = child.wait().expect("a child can be waited for");
    (ended.code(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_to_stop_while_the_log_is_opened_says_what_is_left_and_goes_on_another_time() {
    let nats = NatsServer::alone().await;
    let log = Log::on_one(&nats);
    let data = first_node(&log).await;
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for signal in [Signal::TERM, Signal::INT] {
        let (code, said) = stopped(&serve, data.path(), &log, signal);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("stopped while starting"), "{said}");
    }
    log.serve(data.path()).await.stop().await;

    let other = scratch();
    let (code, said) = stopped(&["cluster", "join"], other.path(), &log, Signal::TERM);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("run it again"), "{said}");
    says(&log.command("join", other.path()).await, 0, "position");
    log.serve(other.path()).await.stop().await;
}
