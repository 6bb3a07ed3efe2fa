//! The log as text that other programs read, and logs made from such text.
//!
//! A file has a header and then one line for each record (ndjson) or for each
//! event (cloud events). Both hold everything that a record holds, so that what
//! is imported is equal to what was exported, record by record.

// What a line says, whatever its form.
mod record;
// The forms.
mod ndjson;
pub(crate) mod cloud_events;
// Writing and reading a whole file.
mod export;
mod import;

pub use export::{ExportError, Exported, export, export_to_file};
pub use import::{ImportError, Imported, import};

use clap::ValueEnum;
use eventstore::{LogIdentity, Position};

use record::Placed;

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A record a line, as JSON.
    Ndjson,
    /// An event a line, as the CNCF's cloud events 1.0 in JSON.
    Cloudevents,
}

/// The version of both forms that is written, and the only one that is read.
const VERSION: u32 = 1;

/// The longest line that is read, bytes: a commit has at most 448 KiB, a third
/// more as base64, and up to 1,024 events with their attributes.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the first line of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// The log, and its epoch when the file was begun.
    identity: LogIdentity,
    /// The file holds what follows this position.
    after: Position,
}

/// A line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
struct BadLine(String);

impl Format {
    fn header_line(self, header: &Header) -> String {
        match self {
            Self::Ndjson => ndjson::header_line(header),
            Self::Cloudevents => cloud_events::header_line(header),
        }
    }

    fn read_header(self, line: &str) -> Result<Header, BadLine> {
        match self {
            Self::Ndjson => ndjson::read_header(line),
            Self::Cloudevents => cloud_events::read_header(line),
        }
    }

    /// The lines of a record, without their ends.
    fn lines(self, identity: LogIdentity, placed: &Placed) -> Vec<String> {
        match self {
            Self::Ndjson => vec![ndjson::line(placed)],
            Self::Cloudevents => cloud_events::lines(identity, placed),
        }
    }

    /// The position that a line is of.
    fn position(self, line: &str) -> Result<Position, BadLine> {
        match self {
            Self::Ndjson => ndjson::position(line),
            Self::Cloudevents => cloud_events::position(line),
        }
    }

    fn reader(self, identity: LogIdentity) -> Reader {
        match self {
            Self::Ndjson => Reader::Ndjson,
            Self::Cloudevents => Reader::CloudEvents(Box::new(cloud_events::Joiner::new(identity))),
        }
    }
}

/// Makes records of lines.
#[derive(Debug)]
enum Reader {
    Ndjson,
    CloudEvents(Box<cloud_events::Joiner>),
}

impl Reader {
    /// Takes a line; gives the record that it completes.
    fn take(&mut self, line: &str) -> Result<Option<Placed>, BadLine> {
        match self {
            Self::Ndjson => ndjson::read(line).map(Some),
            Self::CloudEvents(joiner) => joiner.take(line),
        }
    }

    /// Whether no record is incomplete.
    fn is_between_records(&self) -> bool {
        match self {
            Self::Ndjson => true,
            Self::CloudEvents(joiner) => joiner.is_between_records(),
        }
    }
}

#[cfg(test)]
mod tests;
