//! What is in nobody's way, and not deleted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What is behind a folder's name where it is set aside, before its number.
const ASIDE: &str = ".aside-";

/// Moves a folder to `<its name>.aside-1` beside it, or the next number that is free; nothing if
/// there is none. On disk when this returns.
///
/// # Errors
/// If it cannot be moved; it names it.
pub(crate) fn move_aside(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let moved = moved(folder);
    moved.with_context(|| format!("{} cannot be moved", folder.display()))
}

/// Names what was set aside in a data folder, and is nobody's any more.
pub(crate) fn tell_of_all_in(data: &Path) {
    match found_in(data) {
        Ok(found) if found.is_empty() => {}
        Ok(found) => {
            let found: Vec<_> = found
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            tracing::info!(
                folders = found.join(", "),
                "an airpost cluster resync has set these aside: the service does not use them, and they can be removed \
                 once nobody wants what they alone have"
            );
        }
        Err(error) => {
            tracing::warn!(%error, folder = %data.display(), "what was set aside cannot be told");
        }
    }
}

/// What lies aside in a data folder, by name.
fn found_in(data: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.contains(ASIDE) && path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn moved(folder: &Path) -> io::Result<Option<PathBuf>> {
    if !folder.try_exists()? {
        return Ok(None);
    }
    let name = folder.file_name().unwrap_or_default();
    let mut number = 1_u32;
    let aside = loop {
        let mut aside = name.to_owned();
        aside.push(format!("{ASIDE}{number}"));
        let aside = folder.with_file_name(aside);
        if !aside.try_exists()? {
            break aside;
        }
        number += 1;
    };
    fs::rename(folder, &aside)?;
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_aside_twice_is_kept_twice() {
        let data = tempfile::tempdir().unwrap();
        let views = data.path().join("views");
        assert_eq!(move_aside(&views).unwrap(), None);
        for (content, name) in [("first", "views.aside-1"), ("second", "views.aside-2")] {
            fs::create_dir(&views).unwrap();
            fs::write(views.join("db"), content).unwrap();
            let aside = move_aside(&views).unwrap().unwrap();
            assert_eq!(aside, data.path().join(name));
            assert!(!views.exists());
            assert_eq!(fs::read_to_string(aside.join("db")).unwrap(), content);
        }
        let names = ["views.aside-1", "views.aside-2"].map(|name| data.path().join(name));
        assert_eq!(found_in(data.path()).unwrap(), names);
    }
}
