//! The script whose every write and sync is a place for a fault: a log is
//! begun, filled over three rolls by one caller and then by several at once,
//! its states are kept, it is backed up, sealed, closed, opened again, written
//! on and backed up again; and a journal is made from the backup.

use std::path::Path;

use eventstore::Journal;
use tests::{Caller, Load};

use crate::random::{at_once, write_on};
use crate::snapshots;
use crate::told::Told;

/// The journal has rolled three times when it has so many segments.
const SEGMENTS: usize = 4;

/// Callers of the group phase, besides the first one, who writes alone.
const CALLERS: u16 = 4;

/// What each of them appends.
const COMMITS: u32 = 3;

/// Plays the script from its beginning, on an empty folder.
pub(crate) fn write(data: &Path, load: Load, told: &Told) -> Result<(), String> {
    let open = || crate::open(data, load).map_err(|error| error.to_string());
    let journal = open()?;
    let mut alone = Caller::new(load, 0);
    while segments(data)? < SEGMENTS {
        append_one(&journal, &mut alone, told)?;
    }
    let group = (1..=CALLERS).map(|caller| {
        let commits = Caller::new(load, caller);
        write_on(&journal, commits, Some(COMMITS), told)
    });
    at_once(group.collect())?;
    snapshots::keep(data, &journal)?;
    back_up(data, told)?;
    journal.close();

    let journal = open()?;
    append_one(&journal, &mut alone, told)?;
    snapshots::keep(data, &journal)?;
    journal.close();
    back_up(data, told)?;
    restore(data, told)?;
    told.say("ended");
    Ok(())
}

/// What is said here must hold after a power cut, as an acknowledgement must.
fn back_up(data: &Path, told: &Told) -> Result<(), String> {
    let (journal, to) = (crate::journal_folder(data), crate::backup_folder(data));
    let done = eventstore::backup(&journal, &to, 0, &mut |_, _| {});
    let head = done.map_err(|error| error.to_string())?.manifest.head;
    told.say(&format!("backup {head}"));
    Ok(())
}

fn restore(data: &Path, told: &Told) -> Result<(), String> {
    let (from, journal) = (crate::backup_folder(data), crate::restored_folder(data));
    let done = eventstore::restore(&from, &journal, None, 0, &mut |_, _| {});
    let head = done.map_err(|error| error.to_string())?.head;
    told.say(&format!("restored {head}"));
    Ok(())
}

fn append_one(journal: &Journal, caller: &mut Caller, told: &Told) -> Result<(), String> {
    let before = caller.clone();
    let _next = caller.next_commit();
    if at_once(vec![write_on(journal, before, Some(1), told)])? {
        Ok(())
    } else {
        Err("an append of the script was refused".to_owned())
    }
}

fn segments(data: &Path) -> Result<usize, String> {
    let folder = crate::journal_folder(data);
    let names = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let is_segment = |name: &std::fs::DirEntry| name.path().extension() == Some("seg".as_ref());
    Ok(names.flatten().filter(is_segment).count())
}
