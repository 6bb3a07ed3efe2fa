//! What is in nobody's way, and not deleted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::service::Folders;

/// Moves everything that hangs on the journal into a new folder in the data folder, the journal
/// last: interrupted, the rest is moved by the next run. On disk when this returns.
///
/// # Errors
/// If something cannot be moved; it names what.
pub(super) fn set_aside(data: &Path, folders: &Folders) -> anyhow::Result<PathBuf> {
    let aside = new_folder(data).with_context(|| data.display().to_string())?;
    for folder in [&folders.views, &folders.snapshots, &folders.journal] {
        let Some(name) = folder.file_name() else {
            continue;
        };
        match fs::rename(folder, aside.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            moved => moved.with_context(|| format!("{} cannot be moved", folder.display()))?,
        }
    }
    for folder in [aside.as_path(), data] {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.with_context(|| folder.display().to_string())?;
    }
    Ok(aside)
}

fn new_folder(data: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let aside = data.join(format!("set-aside-{number}"));
        match fs::create_dir(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| aside),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_twice_is_kept_twice() {
        let data = tempfile::tempdir().unwrap();
        let folders = Folders::of(data.path());
        for content in ["first", "second"] {
            fs::create_dir(&folders.journal).unwrap();
            fs::write(folders.journal.join("1.seg"), content).unwrap();
            let aside = set_aside(data.path(), &folders).unwrap();
            assert!(!folders.journal.exists());
            assert_eq!(
                fs::read_to_string(aside.join("journal/1.seg")).unwrap(),
                content
            );
        }
        assert!(data.path().join("set-aside-2").is_dir());
    }
}
