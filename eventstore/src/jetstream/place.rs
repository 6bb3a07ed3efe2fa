//! Where a journal's end lies in the stream.

use super::error::ClusterError;
use super::farewell::Farewell;
use super::heads::Head;
use super::remote::{Remote, lost_by_a_server};
use crate::journal::block::{Block, Chain};
use crate::position::Position;

/// How a journal stands to the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It ends with that message; 0 is before the first.
    At(u64),
    /// The stream ends before it, with that message and head.
    Behind(u64, Head),
    /// There is no block of the stream that ends where it does, or another one.
    Diverged,
}

/// Why it could not be told.
#[derive(Debug)]
pub(super) enum Unplaced {
    /// The log left.
    Left(Farewell),
    /// A message is no block of a log.
    Foreign { sequence: u64, why: String },
    /// No server told.
    Unanswered(String),
}

impl Unplaced {
    /// The same, for the operator.
    pub(super) fn into_error(self, stream: &str) -> ClusterError {
        match self {
            Self::Foreign { sequence, why } => ClusterError::Foreign {
                stream: stream.to_owned(),
                sequence,
                why,
            },
            Self::Left(said) => said.error(stream),
            Self::Unanswered(why) => ClusterError::Unanswered { why },
        }
    }
}

/// What a message says of the log up to it.
struct End {
    first_position: Position,
    head: Head,
    follows_nothing: bool,
}

/// Looks for the journal's end among the messages up to `last`. `before` is
/// the chain before the log's first record.
pub(super) async fn place(
    remote: &Remote,
    journal: Head,
    before: Chain,
    last: u64,
) -> Result<Standing, Unplaced> {
    let nothing = Head {
        position: Position::START,
        chain: before,
    };
    if last == 0 {
        return Ok(if journal.position == Position::START {
            Standing::At(0)
        } else {
            Standing::Behind(0, nothing)
        });
    }
    let first = end_of(remote, (1, last), &before).await?;
    if first.first_position != Position::START.next() || !first.follows_nothing {
        let why = "it is not the first block of this log".to_owned();
        return Err(Unplaced::Foreign { sequence: 1, why });
    }
    let end = end_of(remote, (last, last), &before).await?;
    if last > 1 {
        // Whatever else is in its middle, no node goes on over its end, which nodes find first.
        let before_it = end_of(remote, (last - 1, last), &before).await?;
        if end.first_position != before_it.head.position.next() {
            let why = "it does not follow the block before it".to_owned();
            let sequence = last;
            return Err(Unplaced::Foreign { sequence, why });
        }
    }
    if journal.position == Position::START {
        return Ok(Standing::At(0));
    }
    if end.head.position < journal.position {
        return Ok(Standing::Behind(last, end.head));
    }
    let (mut low, mut high) = (1, last);
    while low < high {
        let middle = low + (high - low) / 2;
        let end = end_of(remote, (middle, last), &before).await?;
        if end.head.position < journal.position {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let found = end_of(remote, (low, last), &before).await?;
    Ok(if found.head == journal {
        Standing::At(low)
    } else {
        Standing::Diverged
    })
}

/// Where the log ends with a message, of a stream that goes on to `last`.
pub(super) async fn head_at(
    remote: &Remote,
    (sequence, last): (u64, u64),
    before: Chain,
) -> Result<Head, Unplaced> {
    let end = end_of(remote, (sequence, last), &before).await?;
    Ok(end.head)
}

/// What a message says, of a stream that goes on to `last`.
async fn end_of(
    remote: &Remote,
    (sequence, last): (u64, u64),
    before: &Chain,
) -> Result<End, Unplaced> {
    let foreign = |why: &str| Unplaced::Foreign {
        sequence,
        why: why.to_owned(),
    };
    let read = remote.read_surely(sequence).await;
    let bytes = read.map_err(|obstacle| Unplaced::Unanswered(obstacle.why))?;
    // It was counted by the leader; another one may lead since, and not have it yet.
    let missing = || Unplaced::Unanswered(lost_by_a_server(sequence, last).why);
    let bytes = bytes.ok_or_else(missing)?;
    let block = Block::parse(&bytes).map_err(foreign)?;
    if block.length != bytes.len() {
        return Err(foreign("more follows than the block"));
    }
    Ok(End {
        first_position: block.first_position,
        head: Head {
            position: block.head(),
            chain: block.chain,
        },
        follows_nothing: block.follows(before),
    })
}
