//! The script whose every write and sync is a place for a fault: a log is
//! begun, filled over three rolls by one caller and then by several at once,
//! sealed, closed, opened again and written on.

use std::path::Path;

use eventstore::Journal;
use tests::{Caller, Load};

use crate::random::{at_once, write_on};
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
    journal.close();

    let journal = open()?;
    append_one(&journal, &mut alone, told)?;
    journal.close();
    told.say("ended");
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
