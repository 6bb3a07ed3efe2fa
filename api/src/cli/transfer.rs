//! `airpost export` and `airpost import`.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use eventstore::{DataLock, ImportPlace, Journal, JournalOptions, JournalReader, Position};

use super::derived::{refuse_among_derived, remove_derived};
use super::room::without_room;
use super::terminal::{Progress, Stopwatch, Unit, complain, say};
use crate::environment::Environment;
use crate::membership;
use crate::service::Folders;
use crate::transfer::{
    Format, ImportError, Imported, export as export_log, export_to_file, import as import_log,
};

/// What to export, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct ExportOptions {
    /// The folder that holds the journal; a service may be running on it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    /// The form.
    #[arg(long, value_enum)]
    format: Format,

    /// The file to write; one that an earlier export began is gone on with. If it is left out or
    /// -, the lines go to standard output and the result to standard error.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,

    /// Write only what follows this position. Only an export from the beginning can be imported.
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    after: u64,
}

/// What to import, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct ImportOptions {
    /// The file to read.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    /// The data folder to make; it must hold no journal.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    /// The form.
    #[arg(long, value_enum)]
    format: Format,
}

/// Writes the log as lines.
pub(super) fn export(options: &ExportOptions) -> anyhow::Result<ExitCode> {
    let folders = Folders::of(&options.data).existing()?;
    let watch = Stopwatch::start();
    let log = JournalReader::open(&folders.journal)?;
    let progress = Progress::new("export", Unit::Things("records"));
    let mut tell = |done, all| progress.at(done, all);
    let after = Position::new(options.after);
    let to = options.to.as_ref().filter(|to| to.as_os_str() != "-");
    let exported = match to {
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            export_log(&log, options.format, after, &mut out, &mut tell)
        }
        Some(file) => export_to_file(&log, options.format, after, file, &mut tell),
    };
    progress.end();
    let exported = exported.map_err(|error| {
        let named = match to {
            Some(file) => file.display().to_string(),
            None => "standard output".to_owned(),
        };
        let error = anyhow::Error::new(error).context(named);
        without_room(error, || {
            "what was written stays and is gone on with".to_owned()
        })
    })?;
    let result = format!(
        "exported: {} records up to position {}, {} bytes, {}",
        exported.records,
        exported.last,
        exported.bytes,
        watch.rates(Some(exported.bytes), Some(exported.records)),
    );
    match to {
        Some(_) => say(result),
        // Standard output is the export.
        None => complain(result),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a data folder of lines.
pub(super) fn import(options: &ImportOptions) -> anyhow::Result<ExitCode> {
    let named = || options.from.display().to_string();
    refuse_among_derived(&Folders::of(&options.data), &options.from)?;
    let file = File::open(&options.from).with_context(named)?;
    let bytes = file.metadata().with_context(named)?.len();
    let folders = Folders::of(&options.data);
    // Whoever has a journal there is not asked to stop before it is told.
    let _ = ImportPlace::beside(&folders.journal)?;
    let _lock = DataLock::acquire(&options.data, "import")?;
    let place = ImportPlace::beside(&folders.journal)?;

    let watch = Stopwatch::start();
    let imported = fill(&place, file, bytes, options);
    let imported = imported.map_err(|error| {
        without_room(error, || {
            let free_mib = journal_options().disk_free_bytes_min / (1024 * 1024);
            let place = place.folder().display();
            format!(
                "an import leaves {free_mib} MiB free; what came before is kept in {place} and is gone on with"
            )
        })
    })?;
    remove_derived(&folders)?;
    // What is imported is no node's copy, whatever lay there before.
    membership::leave(&options.data)?;
    place.install()?;
    say(format_args!(
        "imported: {} records up to position {}, {} of them were there already; {}; the log has a new identity, and the next start builds the views",
        imported.records_there + imported.records_appended,
        imported.head,
        imported.records_there,
        watch.rates(Some(bytes), Some(imported.records_appended)),
    ));
    Ok(ExitCode::SUCCESS)
}

fn journal_options() -> JournalOptions {
    JournalOptions::new(Environment::system().new_id())
}

/// Appends what a file of so many bytes holds, and closes the journal, whatever came of it.
fn fill(
    place: &ImportPlace,
    file: File,
    bytes: u64,
    options: &ImportOptions,
) -> anyhow::Result<Imported> {
    let journal = Journal::open(place.folder(), journal_options())?;
    let progress = Progress::new("import", Unit::Bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut lines = BufReader::new(file);
    let mut tell = |done| progress.at(done, bytes);
    let imported = runtime.block_on(import_log(&journal, options.format, &mut lines, &mut tell));
    progress.end();
    journal.close();
    imported.map_err(|error| {
        let from = options.from.display();
        let named = match &error {
            ImportError::Line { .. } => {
                format!("{from} (what came before it is kept: mend it and import again)")
            }
            ImportError::File { .. }
            | ImportError::Log(_)
            | ImportError::Full { .. }
            | ImportError::Append { .. } => from.to_string(),
        };
        anyhow::Error::new(error).context(named)
    })
}
