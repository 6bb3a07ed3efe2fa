//! P9: what an event takes on disk.

use super::bare;
use super::workload::{self, JournalOf};

pub(crate) fn figures(journal: &JournalOf) {
    // A clean stop writes every index there is to write.
    workload::open(&journal.folder).close();
    let scanned = bare::segments(&journal.folder)
        .iter()
        .map(|path| bare::scan(path))
        .fold(bare::Scanned::default(), |all, one| bare::Scanned {
            records: all.records + one.records,
            events: all.events + one.events,
            body_bytes: all.body_bytes + one.body_bytes,
        });
    let bytes_of = |extension: &str| -> u64 {
        let entries = std::fs::read_dir(&journal.folder).expect("the journal can be listed");
        let paths = entries.map(|entry| entry.expect("the journal can be listed").path());
        paths
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .map(|path| path.metadata().map_or(0, |metadata| metadata.len()))
            .sum()
    };
    let (segments, indexes) = (bytes_of("seg"), bytes_of("idx"));
    let each = |bytes: u64| bytes as f64 / scanned.events as f64;
    println!(
        "size {:>9} events: {:.1} B an event, {:.1} B of them index; records alone {:.1} B: {:.3} × of it",
        journal.events,
        each(segments + indexes),
        each(indexes),
        each(scanned.body_bytes),
        (segments + indexes) as f64 / scanned.body_bytes as f64
    );
}
