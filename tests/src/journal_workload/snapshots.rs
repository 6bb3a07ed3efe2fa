//! States of streams, which may be lost at any moment and must never be wrong.
//!
//! The state here is the id of the last commit: it shows whether a state is
//! of the record that it is given out for.

use std::collections::BTreeMap;
use std::path::Path;

use eventstore::{
    CodeFingerprint, EventStore, Journal, Record, Snapshot, SnapshotLookup, SnapshotStore, StreamId,
};

use crate::random::everything;

/// The code that these states are of never changes.
const CODE: CodeFingerprint = CodeFingerprint([7; 16]);

/// Keeps the state of every stream as it is now.
pub(crate) fn keep(data: &Path, journal: &Journal) -> Result<(), String> {
    let store = open(data)?;
    let records = everything(journal)?;
    let last: BTreeMap<StreamId, &Record> = records
        .iter()
        .map(|record| (record.stream, record))
        .collect();
    for record in last.values() {
        let snapshot = Snapshot::after(record, journal.identity(), state(record));
        store.put(&snapshot).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Asks for every state there may be: it is that of a record of the log, or none is given.
pub(crate) fn check(data: &Path, journal: &Journal, records: &[Record]) -> Result<(), String> {
    if !crate::snapshots_folder(data).exists() {
        return Ok(());
    }
    let store = open(data)?;
    for stream in records.iter().map(|record| record.stream) {
        let found = store
            .get(journal, stream)
            .map_err(|error| error.to_string())?;
        let SnapshotLookup::Found(snapshot) = found else {
            continue;
        };
        let mut own = records.iter().filter(|record| record.stream == stream);
        let record = own.find(|record| record.last_version() == snapshot.version);
        if record.map(state) != Some(snapshot.state) {
            return Err(format!("a wrong state of {stream} was given"));
        }
    }
    Ok(())
}

fn open(data: &Path) -> Result<SnapshotStore, String> {
    let store = SnapshotStore::open(&crate::snapshots_folder(data), CODE);
    store.map_err(|error| error.to_string())
}

fn state(record: &Record) -> Vec<u8> {
    record.commit_id.0.as_bytes().to_vec()
}
