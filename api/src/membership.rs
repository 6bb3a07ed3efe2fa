//! Whether a data folder is a node's of a cluster, and of which: a file in it names the stream.
//!
//! The journal of a node is a copy of a log that others write too. A service that took it for its
//! own would write another history behind it, which the cluster never takes.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The file with the stream's name.
const NAME: &str = "cluster";

/// The stream that this data folder's journal is a copy of, if it is one.
///
/// # Errors
/// If the file that says so cannot be read.
pub fn stream_of(data: &Path) -> anyhow::Result<Option<String>> {
    let path = path_in(data);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Refuses to have a journal for its own that is a cluster's.
///
/// # Errors
/// If it is, with what can be done.
pub fn refuse_of_a_cluster(data: &Path) -> anyhow::Result<()> {
    let Some(stream) = stream_of(data)? else {
        return Ok(());
    };
    let data = data.display();
    bail!(
        "{data}: its journal is a copy of the log that several nodes write, the stream {stream}: give --nats and \
         --cluster {stream}, or take the whole log off the cluster by airpost cluster leave --data {data}"
    );
}

/// Refuses a folder that is a node's of another cluster.
///
/// # Errors
/// If it is.
pub fn refuse_of_another(data: &Path, stream: &str) -> anyhow::Result<()> {
    match stream_of(data)? {
        Some(other) if other != stream => bail!(
            "{}: its journal is a copy of the stream {other}, not of {stream}: name the right stream, or another folder",
            data.display()
        ),
        Some(_) | None => Ok(()),
    }
}

/// Writes down that the folder's journal is a copy of that stream. It is on disk when this returns.
///
/// # Errors
/// If it cannot be written.
pub fn enter(data: &Path, stream: &str) -> anyhow::Result<()> {
    let path = path_in(data);
    let write = || {
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        writeln!(file, "{stream}")?;
        file.sync_all()?;
        fs::rename(&staged, &path)?;
        File::open(data)?.sync_all()
    };
    if stream_of(data)?.as_deref() == Some(stream) {
        return Ok(());
    }
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes down that the folder's journal is this machine's own. It is on disk when this returns.
///
/// # Errors
/// If it cannot be.
pub fn leave(data: &Path) -> anyhow::Result<()> {
    let path = path_in(data);
    let removed = fs::remove_file(&path).and_then(|()| File::open(data)?.sync_all());
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn path_in(data: &Path) -> PathBuf {
    data.join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_cluster_is_nobody_elses_until_it_leaves() {
        let data = tempfile::tempdir().unwrap();
        refuse_of_a_cluster(data.path()).unwrap();
        refuse_of_another(data.path(), "LOG").unwrap();
        enter(data.path(), "LOG").unwrap();
        enter(data.path(), "LOG").unwrap();
        assert_eq!(stream_of(data.path()).unwrap().as_deref(), Some("LOG"));
        let why = refuse_of_a_cluster(data.path()).unwrap_err().to_string();
        assert!(why.contains("--cluster LOG"), "{why}");
        refuse_of_another(data.path(), "LOG").unwrap();
        let why = refuse_of_another(data.path(), "OTHER").unwrap_err();
        assert!(why.to_string().contains("LOG, not of OTHER"), "{why}");
        leave(data.path()).unwrap();
        leave(data.path()).unwrap();
        refuse_of_a_cluster(data.path()).unwrap();
    }
}
