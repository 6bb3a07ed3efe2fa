//! Making a log of lines.
//!
//! It appends what was recorded elsewhere as it was recorded: nothing is
//! decided here, so it does not go through `transact`.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, Read};

use eventstore::{
    AppendError, Appended, Appending, Budget, Commit, EventStore, Expected, Filter, NamedSchemas,
    Outcome, Part, Position, ReadError, Record, StreamId, StreamVersion,
};
use futures_util::FutureExt as _;

use super::record::{CommitSize, Placed};
use super::{BadLine, Format, LINE_BYTES_MAX, Reader};

/// How many commits are on their way at once: enough to fill blocks, and far
/// below what the store lets wait.
const APPENDING_MAX: usize = 1_024;

/// How much payload is on its way at once, bytes; one commit always may be.
const APPENDING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What an import wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Records that were there already, from an interrupted import, and are equal.
    pub records_there: u64,
    /// Records appended.
    pub records_appended: u64,
    /// The last position.
    pub head: Position,
}

/// Why an import ended. What was appended before stays: once the cause is
/// mended the same import goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line cannot be taken.
    #[error("line {line}: {why}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The file cannot be read.
    #[error("reading line {line} failed: {source}")]
    File {
        /// Its number, from 1.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// What is there cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// There is no room for it on the disk, but for what a journal leaves free.
    #[error("there is no room for position {position} and what follows")]
    Full {
        /// The first position of the commit.
        position: Position,
    },
    /// The store did not take it.
    #[error("appending position {position} failed: {source}")]
    Append {
        /// The first position of the commit.
        position: Position,
        /// Why.
        source: AppendError,
    },
}

/// Appends everything in a file to a log that is empty, or that holds the
/// beginning of the same file, and comes to hold just that: positions, commit
/// ids, versions and times are those in the file.
///
/// It takes no event of a schema that the file's own registry has not named
/// before, and no more than one commit into memory beside what is on its way.
///
/// `progress` is told the bytes read.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    log: &dyn EventStore,
    format: Format,
    from: &mut (dyn BufRead + Send),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Imported, ImportError> {
    let mut lines = Lines {
        from,
        number: 0,
        bytes: 0,
    };
    let bad_header = |why: String| ImportError::Line { line: 1, why };
    let first = lines.next()?;
    let first = first.ok_or_else(|| bad_header("the file is empty".to_owned()))?;
    let header = format.read_header(&first);
    let header = header.map_err(|BadLine(why)| bad_header(why))?;
    if header.after != Position::START {
        let after = header.after;
        let why = format!("the file begins behind position {after}: a log begins with position 1");
        return Err(bad_header(why));
    }
    let mut target = Target::new(log);
    let reader = format.reader(header.identity);
    let taken = take_lines(&mut lines, reader, &mut target, progress).await;
    // Whatever becomes of the lines: what was sent is settled before anybody goes on.
    let settled = target.settle_all().await;
    match (taken, settled) {
        (Ok(()), Ok(())) => target.finish(lines.number),
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(taken), Err(settled)) => Err(earlier(taken, settled)),
    }
}

/// Which of two failures comes first in the file: a commit that was not taken
/// has those behind it refused, and they know nothing of the cause.
fn earlier(taken: ImportError, settled: ImportError) -> ImportError {
    match (taken.position(), settled.position()) {
        (Some(at), Some(settled_at)) if at < settled_at => taken,
        // A line is not looked at before the commits above it are on their way.
        _ => settled,
    }
}

impl ImportError {
    /// Of a commit that was not taken.
    fn append(position: Position, source: AppendError) -> Self {
        if source == AppendError::Full {
            Self::Full { position }
        } else {
            Self::Append { position, source }
        }
    }

    /// The commit that was not taken, if it is that.
    const fn position(&self) -> Option<Position> {
        match self {
            Self::Full { position } | Self::Append { position, .. } => Some(*position),
            Self::Line { .. } | Self::File { .. } | Self::Log(_) => None,
        }
    }
}

async fn take_lines(
    lines: &mut Lines<'_>,
    mut reader: Reader,
    target: &mut Target<'_>,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), ImportError> {
    while let Some(text) = lines.next()? {
        let line = lines.number;
        let bad = |BadLine(why)| ImportError::Line { line, why };
        if let Some(placed) = reader.take(&text).map_err(bad)?
            && let Some(commit) = target.group(placed).map_err(bad)?
        {
            target.put(commit).await?;
        }
        progress(lines.bytes);
    }
    if reader.is_between_records() && target.open.is_empty() {
        return Ok(());
    }
    let line = lines.number;
    let why = "the file ends within a commit: export it again, the export goes on where it ended";
    let why = why.to_owned();
    Err(ImportError::Line { line, why })
}

struct Lines<'f> {
    from: &'f mut (dyn BufRead + Send),
    /// Of the last line read.
    number: u64,
    bytes: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<String>, ImportError> {
        let line = self.number + 1;
        let mut bytes = Vec::new();
        let mut rest = Read::by_ref(&mut self.from).take(LINE_BYTES_MAX as u64);
        let read = rest.read_until(b'\n', &mut bytes);
        let read = read.map_err(|source| ImportError::File { line, source })?;
        if read == 0 {
            return Ok(None);
        }
        self.number = line;
        self.bytes += read as u64;
        let bad = |why: &str| ImportError::Line {
            line,
            why: why.to_owned(),
        };
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if read == LINE_BYTES_MAX {
            return Err(bad("it is too long"));
        }
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| bad("it is not UTF-8"))
    }
}

/// The log, as it comes into being.
struct Target<'l> {
    log: &'l dyn EventStore,
    /// How far it came before.
    there: Position,
    /// Records of the log that were read to be compared, oldest first.
    read: VecDeque<Record>,
    /// The position of the last line.
    reached: Position,
    recorded_at_us: i64,
    /// The records of a commit that is not complete.
    open: Vec<Placed>,
    /// Of that commit.
    size: CommitSize,
    /// What the file's own registry of schemas has named.
    named: NamedSchemas,
    appending: VecDeque<OnItsWay>,
    /// Of what is on its way.
    appending_bytes: usize,
    /// The streams' versions after the last line: a commit that the store
    /// refused would let the next one take its position.
    versions: HashMap<StreamId, StreamVersion>,
    records_appended: u64,
}

/// A commit whose answer is awaited.
struct OnItsWay {
    position: Position,
    bytes: usize,
    appending: Appending,
}

impl<'l> Target<'l> {
    fn new(log: &'l dyn EventStore) -> Self {
        Self {
            log,
            there: *log.head().borrow(),
            read: VecDeque::new(),
            reached: Position::START,
            recorded_at_us: i64::MIN,
            open: Vec::new(),
            size: CommitSize::EMPTY,
            named: NamedSchemas::default(),
            appending: VecDeque::new(),
            appending_bytes: 0,
            versions: HashMap::new(),
            records_appended: 0,
        }
    }

    /// Takes the next record; gives the commit that it completes.
    fn group(&mut self, placed: Placed) -> Result<Option<Vec<Record>>, BadLine> {
        let Placed { record, place } = &placed;
        let bad = |why: String| Err(BadLine(why));
        let next = self.reached.next();
        if record.position != next {
            return bad(format!(
                "position {next} was to come, not {}",
                record.position
            ));
        }
        if record.recorded_at_us < self.recorded_at_us {
            return bad("it was recorded before the line above".to_owned());
        }
        if record.events.is_empty() || record.first_version == StreamVersion::EMPTY {
            return bad("it has no event, or no version".to_owned());
        }
        let version = self.versions.entry(record.stream).or_default();
        if version.plus(1) != record.first_version {
            return bad(format!(
                "stream {} is at version {version}, so version {} cannot come",
                record.stream, record.first_version
            ));
        }
        *version = record.last_version();
        if !self.goes_on_with(&placed) {
            return bad("it is not the next record of its commit".to_owned());
        }
        self.size.take(record)?;
        let named = self.named.follow(record);
        named.map_err(|unnamed| BadLine(unnamed.to_string()))?;
        self.reached = next;
        self.recorded_at_us = record.recorded_at_us;
        let is_complete = place.place + 1 == place.records;
        self.open.push(placed);
        if !is_complete {
            return Ok(None);
        }
        self.size = CommitSize::EMPTY;
        Ok(Some(
            self.open.drain(..).map(|placed| placed.record).collect(),
        ))
    }

    /// Whether a record is the next one of the commit that is not complete, or
    /// the first of another.
    fn goes_on_with(&self, Placed { record, place }: &Placed) -> bool {
        match self.open.first() {
            None => place.place == 0 && place.records > 0,
            Some(first) => {
                usize::from(place.place) == self.open.len()
                    && place.records == first.place.records
                    && is_one_commit(record, &first.record)
            }
        }
    }

    /// Compares a commit with what is there, or appends it.
    async fn put(&mut self, records: Vec<Record>) -> Result<(), ImportError> {
        let Some(last) = records.last().map(|record| record.position) else {
            return Ok(());
        };
        if last <= self.there {
            return self.compare(&records);
        }
        let events = records.iter().flat_map(|record| &record.events);
        let bytes: usize = events.map(|event| event.payload.len()).sum();
        while self.appending.len() >= APPENDING_MAX
            || (!self.appending.is_empty() && self.appending_bytes + bytes > APPENDING_BYTES_MAX)
        {
            self.answered().await?;
        }
        let position = records.first().map_or(last, |record| record.position);
        self.records_appended += records.len() as u64;
        let Some(commit) = commit_of(records) else {
            return Ok(());
        };
        let mut appending = self.log.append(commit);
        self.appending_bytes += bytes;
        // What is refused at once must be known before the next one is sent.
        match (&mut appending).now_or_never() {
            Some(Err(source)) => Err(ImportError::append(position, source)),
            Some(Ok(appended)) => {
                self.appending_bytes -= bytes;
                settle(position, &appended)
            }
            None => {
                self.appending.push_back(OnItsWay {
                    position,
                    bytes,
                    appending,
                });
                Ok(())
            }
        }
    }

    fn compare(&mut self, records: &[Record]) -> Result<(), ImportError> {
        for record in records {
            if self.read.is_empty() {
                let after = Position::new(record.position.get() - 1);
                let page = self
                    .log
                    .read_all(after, &Filter::everything(), Budget::PAGE)?;
                self.read = page.records.into();
            }
            let there = self.read.pop_front();
            if there.as_ref() != Some(record) {
                return Err(ImportError::Log(ReadError::Unavailable {
                    why: format!(
                        "position {} is there already with other content: another file was imported before; remove what is there to begin again",
                        record.position
                    ),
                }));
            }
        }
        Ok(())
    }

    /// Waits for the oldest answer.
    async fn answered(&mut self) -> Result<(), ImportError> {
        let Some(OnItsWay {
            position,
            bytes,
            appending,
        }) = self.appending.pop_front()
        else {
            return Ok(());
        };
        let appended = appending
            .await
            .map_err(|source| ImportError::append(position, source))?;
        self.appending_bytes -= bytes;
        settle(position, &appended)
    }

    /// Waits for all answers; gives the first error.
    async fn settle_all(&mut self) -> Result<(), ImportError> {
        let mut settled = Ok(());
        while !self.appending.is_empty() {
            let answered = self.answered().await;
            settled = settled.and(answered);
        }
        settled
    }

    fn finish(self, line: u64) -> Result<Imported, ImportError> {
        if self.reached < self.there {
            let why = format!(
                "the file ends at position {}, but position {} is there already: another file was imported before",
                self.reached, self.there
            );
            return Err(ImportError::Line { line, why });
        }
        Ok(Imported {
            records_there: self.there.get(),
            records_appended: self.records_appended,
            head: self.reached,
        })
    }
}

/// Holds an answer against the position that the file gives.
fn settle(position: Position, appended: &Appended) -> Result<(), ImportError> {
    let first = appended.parts.first().map(|part| part.position);
    if appended.outcome == Outcome::Committed && first == Some(position) {
        return Ok(());
    }
    let source = AppendError::Malformed {
        why: "it went to another position, or was there already",
    };
    Err(ImportError::Append { position, source })
}

fn is_one_commit(record: &Record, first: &Record) -> bool {
    let common = |record: &Record| {
        let actor = record.actor.clone();
        (
            record.commit_id,
            record.recorded_at_us,
            actor,
            record.correlation_id,
        )
    };
    common(record) == common(first)
}

/// The commit that was recorded so; `None` without records.
fn commit_of(records: Vec<Record>) -> Option<Commit> {
    let first = records.first()?;
    let (id, clock_us) = (first.commit_id, first.recorded_at_us);
    let (actor, correlation_id) = (first.actor.clone(), first.correlation_id);
    let part = |record: Record| Part {
        stream: record.stream,
        owner: record.owner,
        expected: Expected::from(StreamVersion::new(record.first_version.get() - 1)),
        events: record.events,
    };
    Some(Commit {
        id,
        clock_us,
        actor,
        correlation_id,
        parts: records.into_iter().map(part).collect(),
    })
}
