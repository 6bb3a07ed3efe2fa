//! Writing the log as lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use eventstore::{JournalReader, Position, ReadError, Standing};

use super::record::Placed;
use super::{Format, Header, LINE_BYTES_MAX};

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Records written, in whole or from where the file ended.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// The last position in the file now.
    pub last: Position,
}

/// Why an export ended. What was written before stays, and can be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log cannot be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Whoever reads what is written has gone, or the disk is full.
    #[error("writing the export failed: {0}")]
    Write(#[from] io::Error),
    /// The position to begin behind lies beyond the log.
    #[error(
        "the log ends at position {head}, so nothing follows position {after}: begin behind {head} or before"
    )]
    BeyondHead {
        /// Where it was to begin.
        after: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The file is no export of this log, or one of another form or beginning.
    #[error("{why}; export into another file")]
    OtherFile {
        /// What does not fit.
        why: String,
    },
}

fn other(why: impl Into<String>) -> ExportError {
    ExportError::OtherFile { why: why.into() }
}

/// What was to follow a position that is not there yet could never be told
/// from what follows the same position of another log.
fn refuse_beyond_head(log: &JournalReader, after: Position) -> Result<(), ExportError> {
    let head = log.head();
    if after > head {
        return Err(ExportError::BeyondHead { after, head });
    }
    Ok(())
}

/// Writes what follows a position, with a header before it.
/// `progress` is told the position reached and the last one.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    log: &JournalReader,
    format: Format,
    after: Position,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    refuse_beyond_head(log, after)?;
    let header = format.header_line(&Header {
        identity: log.history().identity(),
        after,
    });
    let mut exported = Exported {
        last: after,
        ..Exported::default()
    };
    write_line(out, &header, &mut exported)?;
    let begin = Begin { after, line: None };
    go_on(log, format, begin, (out, &mut exported), progress)?;
    out.flush()?;
    Ok(exported)
}

/// The same into a file, durably. A file that an earlier export of the same
/// log began is gone on with after its last whole line.
///
/// # Errors
/// [`ExportError`].
pub fn export_to_file(
    log: &JournalReader,
    format: Format,
    after: Position,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Exported, ExportError> {
    refuse_beyond_head(log, after)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    let Some(begin) = resume(log, format, after, &mut file)? else {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        let mut out = BufWriter::new(&file);
        let exported = export(log, format, after, &mut out, progress)?;
        drop(out);
        file.sync_all()?;
        return Ok(exported);
    };
    let mut exported = Exported {
        last: begin.after,
        ..Exported::default()
    };
    let mut out = BufWriter::new(&file);
    go_on(log, format, begin, (&mut out, &mut exported), progress)?;
    out.flush()?;
    drop(out);
    file.sync_all()?;
    Ok(exported)
}

/// Where writing begins.
struct Begin {
    /// Behind this position, or behind this line of the record after it.
    after: Position,
    line: Option<String>,
}

fn go_on(
    log: &JournalReader,
    format: Format,
    begin: Begin,
    (out, exported): (&mut dyn Write, &mut Exported),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ExportError> {
    let head = log.head().get();
    let identity = log.history().identity();
    let Begin { after, mut line } = begin;
    let mut failed = None;
    log.walk(after, &mut |record, place| {
        let position = record.position;
        let lines = format.lines(identity, &Placed { record, place });
        let written = (|| {
            let known = match line.take() {
                None => 0,
                Some(last) => {
                    let at = lines.iter().position(|line| *line == last);
                    let why = "its last line is not what the log holds there";
                    at.ok_or_else(|| other(why))? + 1
                }
            };
            for line in lines.iter().skip(known) {
                write_line(out, line, exported)?;
            }
            exported.records += u64::from(known < lines.len());
            exported.last = position;
            Ok::<_, ExportError>(())
        })();
        progress(position.get(), head);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match (failed, line) {
        (Some(error), _) => Err(error),
        (None, Some(_)) => Err(other("the file goes farther than the log")),
        (None, None) => Ok(()),
    }
}

fn write_line(out: &mut dyn Write, line: &str, exported: &mut Exported) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    exported.bytes += line.len() as u64 + 1;
    Ok(())
}

/// Where a file is to be gone on with; `None` if it has no header yet. Leaves
/// the file cut, and standing, behind its last whole line.
fn resume(
    log: &JournalReader,
    format: Format,
    after: Position,
    file: &mut File,
) -> Result<Option<Begin>, ExportError> {
    let end = last_line_end(file)?;
    if end == 0 {
        let identity = log.history().identity();
        let header = format.header_line(&Header { identity, after });
        refuse_other_beginning(file, &header)?;
        return Ok(None);
    }
    let first = line_at(file, 0)?;
    let header = format
        .read_header(&first)
        .map_err(|why| other(format!("its first line is no header of this format: {why}")))?;
    if header.after != after {
        let begun = header.after;
        return Err(other(format!("it begins behind position {begun}")));
    }
    let last = last_line(file, end)?;
    let position = if last == first && end == first.len() as u64 + 1 {
        None
    } else {
        let position = format.position(&last);
        Some(
            position
                .map_err(|why| other(format!("its last line is none of this format: {why}")))?,
        )
    };
    let reached = position.unwrap_or(after);
    match log.history().judge(header.identity, reached, log.head()) {
        Standing::Valid => {}
        Standing::OtherLog => return Err(other("it is an export of another log")),
        Standing::Beyond { kept_to } => {
            return Err(other(format!(
                "it holds position {reached} of an epoch that was kept to {kept_to}"
            )));
        }
        Standing::Ahead => return Err(other("it goes farther than the log")),
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    Ok(Some(match position {
        None => Begin { after, line: None },
        Some(position) => Begin {
            after: Position::new(position.get().saturating_sub(1)),
            line: Some(last),
        },
    }))
}

/// A file without a whole line is written anew only if it is empty or the
/// beginning of the header that would be written: anything else is somebody's.
fn refuse_other_beginning(file: &mut File, header: &str) -> Result<(), ExportError> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    // One more, so that a file that goes on behind the header is no part of it.
    Read::by_ref(file)
        .take(header.len() as u64 + 1)
        .read_to_end(&mut bytes)?;
    if header.as_bytes().starts_with(&bytes) {
        Ok(())
    } else {
        Err(other("it is not empty, and no export was begun in it"))
    }
}

/// Where the last whole line ends; 0 if there is none.
fn last_line_end(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    newline_before(file, length).map(|at| at.map_or(0, |at| at + 1))
}

/// The last line end before an offset, looked for as far back as a line is long.
fn newline_before(file: &mut File, offset: u64) -> io::Result<Option<u64>> {
    let begin = offset.saturating_sub(LINE_BYTES_MAX as u64);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    Read::by_ref(file)
        .take(offset - begin)
        .read_to_end(&mut bytes)?;
    let at = bytes.iter().rposition(|byte| *byte == b'\n');
    Ok(at.map(|at| begin + at as u64))
}

/// The line that ends at an offset.
fn last_line(file: &mut File, end: u64) -> Result<String, ExportError> {
    let begin = newline_before(file, end - 1)?.map_or(0, |at| at + 1);
    line_at(file, begin)
}

/// The line that begins at an offset, without its end.
fn line_at(file: &mut File, begin: u64) -> Result<String, ExportError> {
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    let mut rest = io::BufReader::new(Read::by_ref(file).take(LINE_BYTES_MAX as u64));
    io::BufRead::read_until(&mut rest, b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(other("a line of it is too long"));
    }
    String::from_utf8(bytes).map_err(|_| other("it is no text"))
}
