//! Where a log that has given up what was told parts from what was told.
//!
//! Up to where an epoch was kept says the log; but not what was told of it. An older copy of a
//! log that was written on before it began the next epoch kept other records than those that
//! the older epoch is known by. So the messages are asked: each has the mark of its record.
//!
//! The epochs of messages never fall. Those of one epoch tell of one log, so the log has the first
//! of them and lacks the others, and halving finds the last that it has. Where messages were told
//! twice in an epoch that may be an earlier one than the last, behind which some are told
//! once more. Where the log has none of them it parts from what was told before the first of
//! them, and the epoch before is asked.

use std::ops::RangeInclusive;

use eventstore::{EventStore, Position, Standing};

use super::ahead::Halted;
use super::mark::mark_at;
use super::stream::Told;
use super::trouble::Trouble;
use crate::public_events::place::Place;

/// Where that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fork {
    /// Behind this event, which both have.
    Behind(Place),
    /// No message is left that the log has.
    Unknown,
}

/// Where a log parts from what some messages of a stream tell; `told_by` gives what one tells,
/// and `None` for one that is gone or not of Airpost.
///
/// # Errors
/// [`Trouble`]: a message or the log could not be read.
pub(super) async fn fork<F, T>(
    log: &dyn EventStore,
    messages: RangeInclusive<u64>,
    told_by: F,
) -> Result<Fork, Trouble>
where
    F: Fn(u64) -> T,
    T: Future<Output = Result<Option<Told>, Trouble>>,
{
    let first = *messages.start();
    let mut end = last_that(messages, &told_by, |_| Ok(true)).await?;
    let mut common_to = *log.head().borrow();
    while let Some((last, told)) = end {
        let epoch = told.issued.identity.epoch;
        let is_earlier = |it: &Told| Ok(it.issued.identity.epoch < epoch);
        let before = last_that(first..=last, &told_by, is_earlier).await?;
        let of_epoch = before.as_ref().map_or(first, |(sequence, _)| sequence + 1)..=last;
        common_to = common_to.min(kept_to(log, &told));
        let has = |it: &Told| has(log, it, common_to);
        if let Some((_, told)) = last_that(of_epoch.clone(), &told_by, has).await? {
            return Ok(Fork::Behind(told.place));
        }
        // What was told in its place of what an earlier epoch told counts, and the log has none of it.
        let replaced_from = first_of(of_epoch, &told_by).await?.unwrap_or(told);
        let before_it = replaced_from.issued.position.get().saturating_sub(1);
        common_to = common_to.min(Position::new(before_it));
        end = before;
    }
    Ok(Fork::Unknown)
}

/// Up to where the log can have what was told in the epoch of a message, and up to it.
fn kept_to(log: &dyn EventStore, told: &Told) -> Position {
    let (issued, head) = (told.issued, *log.head().borrow());
    match log.history().judge(issued.identity, issued.position, head) {
        Standing::Beyond { kept_to } => kept_to,
        Standing::Valid => issued.position,
        Standing::Ahead | Standing::OtherLog => Position::START,
    }
}

/// Whether the log has the record that a message tells of, and that lies in what it can have.
fn has(log: &dyn EventStore, told: &Told, common_to: Position) -> Result<bool, Trouble> {
    let position = told.issued.position;
    let mark = told.record.as_ref().filter(|_| position <= common_to);
    let Some(mark) = mark else {
        return Ok(false);
    };
    let there = mark_at(log, position).map_err(Halted::from)?;
    Ok(there.as_ref() == Some(mark))
}

/// The last message of which something holds that holds of the first ones alone.
async fn last_that<F, T>(
    messages: RangeInclusive<u64>,
    told_by: &F,
    holds: impl Fn(&Told) -> Result<bool, Trouble>,
) -> Result<Option<(u64, Told)>, Trouble>
where
    F: Fn(u64) -> T,
    T: Future<Output = Result<Option<Told>, Trouble>>,
{
    let (mut low, mut high) = messages.into_inner();
    let mut last = None;
    while low <= high {
        let middle = low + (high - low) / 2;
        match last_of(low..=middle, told_by).await? {
            Some((sequence, told)) if !holds(&told)? => high = sequence - 1,
            found => {
                last = found.or(last);
                low = middle + 1;
            }
        }
    }
    Ok(last)
}

/// The last message of Airpost among some.
async fn last_of<F, T>(
    messages: RangeInclusive<u64>,
    told_by: &F,
) -> Result<Option<(u64, Told)>, Trouble>
where
    F: Fn(u64) -> T,
    T: Future<Output = Result<Option<Told>, Trouble>>,
{
    for sequence in messages.rev() {
        if let Some(told) = told_by(sequence).await? {
            return Ok(Some((sequence, told)));
        }
    }
    Ok(None)
}

/// The first one.
async fn first_of<F, T>(messages: RangeInclusive<u64>, told_by: &F) -> Result<Option<Told>, Trouble>
where
    F: Fn(u64) -> T,
    T: Future<Output = Result<Option<Told>, Trouble>>,
{
    for sequence in messages {
        if let Some(told) = told_by(sequence).await? {
            return Ok(Some(told));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use eventstore::LogIdentity;
    use uuid::Uuid;

    use super::*;
    use crate::cursor::Issued;

    /// What tells of the log up to a position, in an epoch.
    fn told(epoch: u32, position: u64) -> Told {
        let (log_id, position) = (Uuid::nil(), Position::new(position));
        let identity = LogIdentity { log_id, epoch };
        Told {
            issued: Issued { identity, position },
            place: Place::behind(position),
            record: None,
        }
    }

    #[tokio::test]
    async fn the_last_message_of_which_something_holds_is_found_wherever_others_are_gone() {
        for messages in 0..7_u64 {
            for there in 0..1_u64 << messages {
                let is_there = |sequence: u64| there >> (sequence - 1) & 1 == 1;
                let told_by = |sequence| {
                    std::future::ready(Ok(is_there(sequence).then(|| told(1, sequence))))
                };
                for limit in 0..=messages {
                    let holds = |it: &Told| Ok(it.issued.position.get() <= limit);
                    let last = last_that(1..=messages, &told_by, holds).await.unwrap();
                    let expected = (1..=limit).rev().find(|sequence| is_there(*sequence));
                    assert_eq!(last.map(|(sequence, _)| sequence), expected);
                }
            }
        }
    }
}
