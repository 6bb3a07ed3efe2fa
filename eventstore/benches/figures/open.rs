//! P8: how long a journal takes to open and what memory it then holds, beside
//! a decode-only scan of the one segment that an opening has to read.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use eventstore::EventStore;

use super::bare;
use super::settings::{Settings, median};
use super::workload::{self, JournalOf};

/// What one opening took.
#[derive(Clone, Copy, Debug)]
struct Opening {
    ms: f64,
    rss_mib: f64,
}

pub(crate) fn figures(settings: &Settings, journal: &JournalOf) {
    let after_abort: Vec<_> = (0..settings.rounds).map(|_| opening(journal)).collect();
    let scans: Vec<_> = (0..settings.rounds)
        .map(|_| scan_of_last(journal))
        .collect();
    workload::open(&journal.folder).close();
    let after_stop: Vec<_> = (0..settings.rounds).map(|_| opening(journal)).collect();
    let first_ms = after_abort.first().map_or(0.0, |opening| opening.ms);
    let (aborted, stopped) = (middle(&after_abort), middle(&after_stop));
    let scan_ms = median(&mut scans.clone());
    println!(
        "open {:>9} events: {:.0} ms after an abort (the first time {first_ms:.0} ms), {:.0} ms after a \
         clean stop; decode-only scan of the last segment {scan_ms:.0} ms: {:.2} × of it; RSS {:.0} MiB",
        journal.events,
        aborted.ms,
        stopped.ms,
        aborted.ms / scan_ms,
        aborted.rss_mib.max(stopped.rss_mib),
    );
}

fn middle(openings: &[Opening]) -> Opening {
    let mut ms: Vec<_> = openings.iter().map(|opening| opening.ms).collect();
    let mut rss_mib: Vec<_> = openings.iter().map(|opening| opening.rss_mib).collect();
    Opening {
        ms: median(&mut ms),
        rss_mib: median(&mut rss_mib),
    }
}

fn scan_of_last(journal: &JournalOf) -> f64 {
    let segments = bare::segments(&journal.folder);
    let begin = Instant::now();
    std::hint::black_box(bare::scan(segments.last().expect("there is a segment")));
    begin.elapsed().as_secs_f64() * 1e3
}

/// Opens it in a process of its own, so that the memory is the opening's alone.
fn opening(journal: &JournalOf) -> Opening {
    let program = std::env::current_exe().expect("a program knows itself");
    let output = Command::new(program)
        .arg("open-once")
        .arg(&journal.folder)
        .output()
        .expect("the program starts once more");
    let said = String::from_utf8_lossy(&output.stdout);
    let mut numbers = said.split_whitespace().map(|number| number.parse().ok());
    let mut number = || numbers.next().flatten().expect("it says two numbers");
    Opening {
        ms: number(),
        rss_mib: number(),
    }
}

/// In that process: opens, says how long it took and the memory in use, and
/// ends without closing, so that the next opening finds what this one found.
pub(crate) fn open_once(folder: &Path) {
    let begin = Instant::now();
    let journal = workload::open(folder);
    let elapsed = begin.elapsed();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss_kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(f64::NAN);
    std::hint::black_box(journal.identity());
    println!("{} {}", elapsed.as_secs_f64() * 1e3, rss_kib / 1024.0);
    std::process::exit(0);
}
