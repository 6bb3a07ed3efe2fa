//! Reading everything in order, beside a scan of the same files that only decodes.

use std::time::{Duration, Instant};

use eventstore::{Budget, EventStore, Filter, Position};

use super::bare;
use super::settings::{Settings, median};
use super::workload::{self, JournalOf};

pub(crate) fn figures(settings: &Settings, journal: &JournalOf) {
    let mut rounds: Vec<_> = (0..settings.rounds).map(|_| round(journal)).collect();
    let mut figure = |of: fn(&(u64, Duration, Duration)) -> f64| {
        let mut values: Vec<f64> = rounds.iter_mut().map(|round| of(round)).collect();
        median(&mut values)
    };
    println!(
        "read {:>9} events: {:.2} M/s, decode-only scan {:.2} M/s, {:.2} of it",
        journal.events,
        figure(|(records, store, _)| *records as f64 / store.as_secs_f64() / 1e6),
        figure(|(records, _, bare)| *records as f64 / bare.as_secs_f64() / 1e6),
        figure(|(_, store, bare)| bare.as_secs_f64() / store.as_secs_f64()),
    );
}

fn round(of: &JournalOf) -> (u64, Duration, Duration) {
    let begin = Instant::now();
    let scanned: u64 = bare::segments(&of.folder)
        .iter()
        .map(|path| bare::scan(path).records)
        .sum();
    let bare = begin.elapsed();
    let journal = workload::open(&of.folder);
    let begin = Instant::now();
    let (mut after, mut records) = (Position::START, 0);
    loop {
        let page = journal
            .read_all(after, &Filter::everything(), Budget::PAGE)
            .expect("the journal can be read");
        records += std::hint::black_box(&page.records).len() as u64;
        after = page.scanned_to;
        if page.scanned_to >= page.head {
            break;
        }
    }
    let store = begin.elapsed();
    assert_eq!(scanned, records);
    journal.close();
    (records, store, bare)
}
