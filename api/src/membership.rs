//! Whether a data folder is a node's of a cluster, and of which: a file in it names the stream.
//!
//! The journal of a node is a copy of a log that others write too. A service that took it for its
//! own would write another history behind it, which the cluster never takes. So the file is there
//! before anything of the journal is on the cluster, and says that it is being put there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The file with the stream's name.
const NAME: &str = "cluster";

/// The second line of it while the folder joins.
const JOINING: &str = "joining";

/// How a data folder belongs to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Its journal is being put on this stream: some of it may be there.
    Joining(String),
    /// Its journal is a copy of this stream.
    Member(String),
}

impl Membership {
    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &str {
        match self {
            Self::Joining(stream) | Self::Member(stream) => stream,
        }
    }
}

/// How this data folder belongs to a cluster, if it does.
///
/// # Errors
/// If the file that says so cannot be read.
pub fn of(data: &Path) -> anyhow::Result<Option<Membership>> {
    let path = path_in(data);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
    };
    let mut lines = text.lines().map(str::trim);
    let stream = lines.next().unwrap_or_default().to_owned();
    Ok(Some(if lines.next() == Some(JOINING) {
        Membership::Joining(stream)
    } else {
        Membership::Member(stream)
    }))
}

/// Refuses to have a journal for its own that is a cluster's, or is becoming that.
///
/// # Errors
/// If it is, with what can be done.
pub fn refuse_of_a_cluster(data: &Path) -> anyhow::Result<()> {
    let (found, path, data) = (of(data)?, path_in(data), data.display());
    match found {
        None => Ok(()),
        Some(Membership::Joining(stream)) => bail!(
            "{data}: its log is being put on a cluster, the stream {stream}, and that was interrupted: run airpost \
             cluster join --data {data} again, with the same --nats and --cluster {stream}. Only if there never was \
             such a stream can it be taken back: remove the file {}",
            path.display()
        ),
        Some(Membership::Member(stream)) => bail!(
            "{data}: its journal is a copy of the log that several nodes write, the stream {stream}: give --nats and \
             --cluster {stream}, or take the whole log off the cluster by airpost cluster leave --data {data}"
        ),
    }
}

/// Refuses a folder that is a node's of another cluster.
///
/// # Errors
/// If it is.
pub fn refuse_of_another(data: &Path, stream: &str) -> anyhow::Result<()> {
    match of(data)? {
        Some(other) if other.stream() != stream => bail!(
            "{}: its journal is a copy of the stream {}, not of {stream}: name the right stream, or another folder",
            data.display(),
            other.stream()
        ),
        Some(_) | None => Ok(()),
    }
}

/// Writes down how the folder belongs to a cluster. It is on disk when this returns.
///
/// # Errors
/// If it cannot be written.
pub fn note(data: &Path, membership: &Membership) -> anyhow::Result<()> {
    if of(data)?.as_ref() == Some(membership) {
        return Ok(());
    }
    let path = path_in(data);
    let write = || {
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        match membership {
            Membership::Joining(stream) => writeln!(file, "{stream}\n{JOINING}")?,
            Membership::Member(stream) => writeln!(file, "{stream}")?,
        }
        file.sync_all()?;
        fs::rename(&staged, &path)?;
        File::open(data)?.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes down that the folder's journal is a copy of that stream. It is on disk when this returns.
///
/// # Errors
/// If it cannot be written.
pub fn enter(data: &Path, stream: &str) -> anyhow::Result<()> {
    note(data, &Membership::Member(stream.to_owned()))
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
        let member = Membership::Member("LOG".to_owned());
        assert_eq!(of(data.path()).unwrap(), Some(member));
        let why = refuse_of_a_cluster(data.path()).unwrap_err().to_string();
        assert!(why.contains("--cluster LOG"), "{why}");
        refuse_of_another(data.path(), "LOG").unwrap();
        let why = refuse_of_another(data.path(), "OTHER").unwrap_err();
        assert!(why.to_string().contains("LOG, not of OTHER"), "{why}");
        leave(data.path()).unwrap();
        leave(data.path()).unwrap();
        refuse_of_a_cluster(data.path()).unwrap();
    }

    #[test]
    fn a_folder_that_joins_is_served_by_nobody_until_it_has_joined() {
        let data = tempfile::tempdir().unwrap();
        note(data.path(), &Membership::Joining("LOG".to_owned())).unwrap();
        let why = refuse_of_a_cluster(data.path()).unwrap_err().to_string();
        assert!(why.contains("airpost cluster join"), "{why}");
        refuse_of_another(data.path(), "LOG").unwrap();
        refuse_of_another(data.path(), "OTHER").unwrap_err();
        enter(data.path(), "LOG").unwrap();
        let why = refuse_of_a_cluster(data.path()).unwrap_err().to_string();
        assert!(why.contains("--cluster LOG"), "{why}");
    }
}
