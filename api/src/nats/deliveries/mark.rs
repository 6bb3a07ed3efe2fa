//! Which record it was that a stream was told up to.
//!
//! A position says how far a log was told, and not what it held there: a log that lost its end and
//! was written on in the same epoch has another record at the same position. So what keeps a place
//! keeps beside it a mark of the record there. The same record has the same mark on every node and
//! in every copy of the log; that two of a log which went two ways have one would take the same
//! command, carried out in the same microsecond and at the same position of both.

use eventstore::{Budget, EventStore, Filter, Position, ReadError, Record};

/// What the mark is derived under, so that no other hash of ours equals one.
const CONTEXT: &str = "airpost 2026-11 mark of a record v1";

/// The hexadecimal digits of a mark: 64 bits tell it from any other that a log could have there.
const DIGITS: usize = 16;

/// A record's mark.
pub(super) fn mark(record: &Record) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher
        .update(record.commit_id.0.as_bytes())
        .update(&record.stream.category.get().to_be_bytes())
        .update(record.stream.key.as_bytes())
        .update(&record.first_version.get().to_be_bytes())
        .update(&record.recorded_at_us.to_be_bytes());
    let mut mark = hasher.finalize().to_hex().to_string();
    mark.truncate(DIGITS);
    mark
}

/// The mark of the record at a position; `None` where the log has none.
///
/// # Errors
/// [`ReadError`].
pub(super) fn mark_at(
    log: &dyn EventStore,
    position: Position,
) -> Result<Option<String>, ReadError> {
    let Some(before) = position.get().checked_sub(1).map(Position::new) else {
        return Ok(None);
    };
    let one = Budget {
        records_max: 1,
        ..Budget::PAGE
    };
    let page = log.read_all(before, &Filter::everything(), one)?;
    let found = page.records.first();
    Ok(found.filter(|it| it.position == position).map(mark))
}
