//! A program that does nothing but write a journal and say what was acknowledged,
//! for faults that a whole server would only make slower.
//!
//! ```text
//! journal-workload random FOLDER SEED PAYLOAD_BYTES_MAX CALLERS   writes until it is killed
//! journal-workload script FOLDER SEED PAYLOAD_BYTES_MAX          writes the script, then ends
//! journal-workload show   FOLDER SEED PAYLOAD_BYTES_MAX          says what is there
//! ```
//!
//! It says so on its standard output, a line at a time and each in one piece,
//! so that a pipe holds all that was said when the power is cut.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use eventstore::{Journal, JournalOptions, OpenError};
use tests::Load;
use uuid::Uuid;

// Where it says so.
mod told;
// What it writes.
mod random;
mod script;
mod snapshots;
// What it finds.
mod show;

use told::Told;

/// Small segments, so that a short run rolls often.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// The exit code of a folder that is not in order.
const NOT_IN_ORDER: u8 = 3;

fn main() -> ExitCode {
    let mut told = Told::stdout();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["random", folder, seed, bytes, callers] => load(seed, bytes)
            .zip(callers.parse().ok())
            .map(|(load, callers)| random::write(Path::new(folder), load, callers, &told)),
        ["script", folder, seed, bytes] => {
            load(seed, bytes).map(|load| script::write(Path::new(folder), load, &told))
        }
        ["show", folder, seed, bytes] => {
            load(seed, bytes).map(|load| show::show(Path::new(folder), load, &mut told))
        }
        _ => None,
    };
    match outcome {
        None => {
            told.say("usage: journal-workload random|script|show FOLDER SEED PAYLOAD_BYTES_MAX [CALLERS]");
            ExitCode::from(2)
        }
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(why)) => {
            told.say(&format!("failed {why}"));
            ExitCode::from(NOT_IN_ORDER)
        }
    }
}

fn load(seed: &str, payload_bytes_max: &str) -> Option<Load> {
    Some(Load {
        seed: seed.parse().ok()?,
        payload_bytes_max: payload_bytes_max.parse().ok()?,
    })
}

/// The journal's place in a data folder.
fn journal_folder(data: &Path) -> PathBuf {
    data.join("journal")
}

/// The place of states of its streams.
fn snapshots_folder(data: &Path) -> PathBuf {
    data.join("snapshots")
}

/// The place of a backup of it.
fn backup_folder(data: &Path) -> PathBuf {
    data.join("backup")
}

/// The place of a journal that was made from the backup.
fn restored_folder(data: &Path) -> PathBuf {
    data.join("restored/journal")
}

fn open(data: &Path, load: Load) -> Result<Journal, OpenError> {
    open_at(&journal_folder(data), load)
}

fn open_at(folder: &Path, load: Load) -> Result<Journal, OpenError> {
    let options = JournalOptions {
        segment_bytes: SEGMENT_BYTES,
        disk_free_bytes_min: 0,
        ..JournalOptions::new(Uuid::from_u128(u128::from(load.seed) + 1))
    };
    Journal::open(folder, options)
}
