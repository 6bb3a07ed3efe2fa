//! GETs by id, at random, as fast as they go: the service and the bare handler in turn.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tests::{Program, Server};
use tokio::process::Command;

use super::Settings;
use super::lives::delivery_id;
use super::times::median;

/// Connections that ask at the same time.
const CONNECTIONS: &str = "64";

/// Threads of who asks: as many as the processors that it shares with who answers.
const THREADS: &str = "2";

/// Whether there is the program that asks.
pub(crate) fn has_wrk() -> bool {
    // It says its version and ends with 1.
    std::process::Command::new("wrk").arg("-v").output().is_ok()
}

/// What came of a round.
struct Round {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// What one answer took of the processors in the process that gave it.
    cpu_us: f64,
}

/// Who asks for what.
struct Asker {
    script: PathBuf,
    ids: PathBuf,
    seconds: u64,
}

impl Asker {
    fn new(deliveries: u64, seconds: u64, scratch: &Path) -> Self {
        let mut ids = String::new();
        for number in 0..deliveries {
            writeln!(ids, "{}", delivery_id(number)).expect("a text takes more text");
        }
        let asker = Self {
            script: scratch.join("random_ids.lua"),
            ids: scratch.join("ids"),
            seconds,
        };
        let written = std::fs::write(&asker.script, include_str!("random_ids.lua"))
            .and_then(|()| std::fs::write(&asker.ids, ids));
        written.expect("the folder can be written");
        asker
    }

    async fn round(&self, server: &Server) -> Round {
        let mut command = Command::new("wrk");
        command
            .args(["-t", THREADS, "-c", CONNECTIONS, "-d"])
            .arg(format!("{}s", self.seconds))
            .arg("-s")
            .args([
                self.script.as_os_str(),
                server.base().as_ref(),
                self.ids.as_os_str(),
            ]);
        let begin_us = cpu_us(server);
        let output = command.output().await.expect("wrk can be started");
        let used_us = cpu_us(server) - begin_us;
        let said = String::from_utf8_lossy(&output.stdout);
        let figures = said.lines().find_map(|line| line.strip_prefix("figures "));
        let figures = figures.unwrap_or_else(|| panic!("wrk gave no figures: {output:?}"));
        let figures: Vec<f64> = figures
            .split(' ')
            .map(|figure| figure.parse().expect("the script prints numbers"))
            .collect();
        let [requests, duration_us, faults, p50_us, p99_us] = figures.as_slice() else {
            panic!("the script prints five figures, not {figures:?}");
        };
        assert!(*faults == 0.0, "{faults} of {requests} answers are faults");
        Round {
            per_second: requests * 1e6 / duration_us,
            p50_ms: p50_us / 1e3,
            p99_ms: p99_us / 1e3,
            cpu_us: used_us / requests,
        }
    }
}

/// What a process has had of the processors so far: its own time and the system's for it.
fn cpu_us(server: &Server) -> f64 {
    /// The system counts in hundredths of a second.
    const TICK_US: f64 = 1e4;
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid()));
    let stat = stat.expect("the server runs");
    // The name, in parentheses, may hold blanks; the times are the 12th and 13th word behind it.
    let (_, words) = stat.rsplit_once(')').expect("the name is in parentheses");
    let words = words.split_whitespace().skip(11).take(2);
    let ticks = words.map(|word| word.parse::<f64>().expect("times are numbers"));
    ticks.sum::<f64>() * TICK_US
}

pub(crate) async fn measure(settings: &Settings, server: &Server, cache_mib: u64, scratch: &Path) {
    let deliveries = settings.deliveries;
    let path = |number| format!("/v1/deliveries/{}", delivery_id(number));
    // The last one tells whether the log holds them all.
    server.client().read(&path(deliveries - 1)).await;
    let sample = server.client().get(&path(deliveries / 2)).send().await;
    let body = scratch.join("body");
    std::fs::write(&body, sample.expect(200).bytes()).expect("the folder can be written");
    let own = std::env::current_exe().expect("this program has a path");
    let bare = Program::new(own)
        .start([super::bare::ARGUMENT.as_ref(), body.as_os_str()])
        .await;

    let asker = Asker::new(deliveries, settings.seconds, scratch);
    // Not counted: until pages and connections are where they are later.
    for _ in 0..2 {
        asker.round(server).await;
    }
    asker.round(&bare).await;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        ours.push(asker.round(server).await);
        theirs.push(asker.round(&bare).await);
    }
    bare.kill().await;
    let of = |rounds: &[Round], figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
    let per_second = |rounds: &[Round]| of(rounds, |round| round.per_second);
    let ratios = ours.iter().zip(&theirs);
    let ratios = ratios.map(|(ours, theirs)| ours.per_second / theirs.per_second);
    println!(
        "P4 GET /v1/deliveries/{{id}}, {deliveries} deliveries, views cache {cache_mib} MiB: {:.1} k/s, \
         p50 {:.2} ms, p99 {:.2} ms; bare handler {:.1} k/s, p50 {:.2} ms, p99 {:.2} ms; \
         ratio {:.2} (goal 0.7); of the processors {:.1} us for each, bare {:.1} us",
        per_second(&ours) / 1e3,
        of(&ours, |round| round.p50_ms),
        of(&ours, |round| round.p99_ms),
        per_second(&theirs) / 1e3,
        of(&theirs, |round| round.p50_ms),
        of(&theirs, |round| round.p99_ms),
        median(ratios),
        of(&ours, |round| round.cpu_us),
        of(&theirs, |round| round.cpu_us),
    );
}
