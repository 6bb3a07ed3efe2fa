//! P1 and P2: durable single-event appends, beside a bare loop of the same writes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eventstore::{Commit, EventStore, Journal};
use tempfile::TempDir;

use super::settings::{Settings, median, quantile};
use super::{bare, workload};

/// How many events are appended in a round: about a second's worth or two.
fn appends(callers: usize) -> u64 {
    match callers {
        0..4 => 2_000 * callers as u64,
        4..32 => 30_000,
        32..128 => 200_000,
        _ => 400_000,
    }
}

/// One round.
struct Round {
    appends: u64,
    groups: usize,
    elapsed: Duration,
    bare: Duration,
    latencies: Vec<Duration>,
    bare_each: Vec<Duration>,
}

pub(crate) fn figures(settings: &Settings) {
    println!("append: durable single-event appends; bare = write + fdatasync of the same groups");
    for &callers in &settings.callers {
        let appends = appends(callers);
        let mut rounds: Vec<_> = (0..settings.rounds)
            .map(|number| round(settings, callers, appends, number % 2 == 0))
            .collect();
        report(callers, &mut rounds);
    }
}

fn round(settings: &Settings, callers: usize, appends: u64, gone_first: bool) -> Round {
    let scratch = TempDir::new_in(&settings.folder).expect("the folder can be written");
    let folder = scratch.path().join("journal");
    // A round before it gives the bare loop its groups when it goes first.
    let (elapsed, latencies) = by_callers(&folder, callers, appends);
    let groups = bare::groups(&folder);
    let (bare, bare_each) = bare::write(&groups, scratch.path());
    let (elapsed, latencies) = if gone_first {
        (elapsed, latencies)
    } else {
        let again = scratch.path().join("again");
        by_callers(&again, callers, appends)
    };
    Round {
        appends,
        groups: groups.iter().map(Vec::len).sum(),
        elapsed,
        bare,
        latencies,
        bare_each,
    }
}

/// Appends from so many tasks, each waiting for its answer before it goes on.
fn by_callers(folder: &std::path::Path, callers: usize, appends: u64) -> (Duration, Vec<Duration>) {
    let journal = Arc::new(workload::open(folder));
    let each = appends / callers as u64;
    let commits: Vec<Vec<Commit>> = (0..callers as u64)
        .map(|caller| workload::first_events(caller * each, each).collect())
        .collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let measured = runtime.block_on(async {
        let begin = Instant::now();
        let tasks: Vec<_> = commits
            .into_iter()
            .map(|commits| tokio::spawn(caller(Arc::<Journal>::clone(&journal), commits)))
            .collect();
        let mut latencies = Vec::with_capacity(tasks.len());
        for task in tasks {
            latencies.extend(task.await.expect("a caller does not panic"));
        }
        (begin.elapsed(), latencies)
    });
    journal.close();
    measured
}

pub(crate) async fn caller(journal: Arc<dyn EventStore>, commits: Vec<Commit>) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(commits.len());
    for commit in commits {
        let begin = Instant::now();
        let _appended = journal.append(commit).await.expect("an append succeeds");
        latencies.push(begin.elapsed());
    }
    latencies
}

fn report(callers: usize, rounds: &mut [Round]) {
    let mut figure = |of: &mut dyn FnMut(&mut Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter_mut().map(of).collect();
        median(&mut values)
    };
    let per_s = |appends: u64, elapsed: Duration| appends as f64 / elapsed.as_secs_f64();
    let rate = figure(&mut |round| per_s(round.appends, round.elapsed));
    let bare_rate = figure(&mut |round| per_s(round.appends, round.bare));
    let ratio = figure(&mut |round| round.bare.as_secs_f64() / round.elapsed.as_secs_f64());
    let group = figure(&mut |round| round.appends as f64 / round.groups as f64);
    let us = |duration: Duration| duration.as_secs_f64() * 1e6;
    let p50 = figure(&mut |round| us(quantile(&mut round.latencies, 500)));
    let p99 = figure(&mut |round| us(quantile(&mut round.latencies, 990)));
    let bare_p50 = figure(&mut |round| us(quantile(&mut round.bare_each, 500)));
    let p50_ratio = figure(&mut |round| {
        us(quantile(&mut round.latencies, 500)) / us(quantile(&mut round.bare_each, 500))
    });
    let p99_ratio = figure(&mut |round| {
        us(quantile(&mut round.latencies, 990)) / us(quantile(&mut round.bare_each, 500))
    });
    println!(
        "append {callers:>3} callers: {rate:>8.0}/s, bare {bare_rate:>8.0}/s, {ratio:.2} of it; \
         {group:.1} a group; p50 {p50:.0} µs, p99 {p99:.0} µs, \
         bare p50 {bare_p50:.0} µs: {p50_ratio:.2} × and {p99_ratio:.2} × of it"
    );
}
