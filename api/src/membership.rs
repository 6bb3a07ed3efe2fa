//! Whether a data folder is a node's of a cluster, and of which: a file in it names the stream,
//! and the log.
//!
//! The journal of a node is a copy of a log that others write too. A service that took it for its
//! own would write another history behind it, which the cluster never takes. So the file is there
//! before anything of the journal is on the cluster, and says that it is being put there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use eventstore::MissingStream;
use uuid::Uuid;

use crate::service::Folders;

/// The file with the stream's name.
const NAME: &str = "cluster";

/// A further line of it while the folder joins.
const JOINING: &str = "joining";

/// How the line begins that names the log, once there is a journal.
const LOG: &str = "log ";

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
    let text = text_in(data)?;
    Ok(text.map(|text| {
        let mut lines = text.lines().map(str::trim);
        let stream = lines.next().unwrap_or_default().to_owned();
        if lines.any(|line| line == JOINING) {
            Membership::Joining(stream)
        } else {
            Membership::Member(stream)
        }
    }))
}

/// The log that the file names, if it does.
fn log_id_of(data: &Path) -> anyhow::Result<Option<Uuid>> {
    let text = text_in(data)?.unwrap_or_default();
    let mut named = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(LOG));
    let Some(named) = named.next() else {
        return Ok(None);
    };
    let log_id = Uuid::parse_str(named);
    let words = || format!("{}: {named} is no log's id", path_in(data).display());
    Ok(Some(log_id.with_context(words)?))
}

fn text_in(data: &Path) -> anyhow::Result<Option<String>> {
    let path = path_in(data);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Which log the journal is of; nothing if there is none, or it does not say so any more.
fn log_id_of_journal(data: &Path) -> Option<Uuid> {
    eventstore::log_id_in(&Folders::of(data).journal)
        .ok()
        .flatten()
}

/// Refuses to have a journal for its own that is a cluster's, or is becoming that.
///
/// # Errors
/// If it is, with what can be done.
pub fn refuse_of_a_cluster(data: &Path) -> anyhow::Result<()> {
    let (found, path) = (of(data)?, path_in(data));
    match found {
        None => Ok(()),
        Some(Membership::Joining(stream)) => bail!(
            "{}. Only if there never was such a stream can it be taken back: remove the file {}",
            interrupted(data, &stream),
            path.display()
        ),
        Some(Membership::Member(stream)) => bail!(
            "{0}: its journal is a copy of the log that several nodes write, the stream {stream}: give --nats and \
             --cluster {stream}, or take the whole log off the cluster by airpost cluster leave --data {0}",
            data.display()
        ),
    }
}

/// What is said of a folder whose log is not yet all on the cluster.
fn interrupted(data: &Path, stream: &str) -> String {
    format!(
        "{0}: its log is being put on a cluster, the stream {stream}, and that was interrupted: run airpost cluster join \
         --data {0} again, with the same --nats and --cluster {stream}",
        data.display()
    )
}

/// Refuses a folder whose log is being put on a cluster, as somebody began and did not end.
///
/// # Errors
/// If it is, with what ends it.
pub fn refuse_of_a_join(data: &Path) -> anyhow::Result<()> {
    match of(data)? {
        Some(Membership::Joining(stream)) => bail!("{}", interrupted(data, &stream)),
        Some(Membership::Member(_)) | None => Ok(()),
    }
}

/// Refuses a node's folder that holds another log's journal than it had.
///
/// # Errors
/// If it does.
pub fn refuse_another_journal(data: &Path) -> anyhow::Result<()> {
    let journal = Folders::of(data).journal;
    match (log_id_of(data)?, log_id_of_journal(data)) {
        (Some(named), Some(found)) if named != found => bail!(
            "{} is of the log {found}, and {} says that the folder is a node's of the log {named}: put that one's \
             journal back, or move this one and the views away, and it is fetched again",
            journal.display(),
            path_in(data).display()
        ),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Refuses a folder that is a node's of another cluster, or holds another log's journal than it had.
///
/// # Errors
/// If it is, or does.
pub fn refuse_of_another(data: &Path, stream: &str) -> anyhow::Result<()> {
    match of(data)? {
        Some(other) if other.stream() != stream => bail!(
            "{}: its journal is a copy of the stream {}, not of {stream}: name the right stream, or another folder",
            data.display(),
            other.stream()
        ),
        Some(_) | None => refuse_another_journal(data),
    }
}

/// Writes down how the folder belongs to a cluster, and of which log its journal is, if there is
/// one. It is on disk when this returns.
///
/// # Errors
/// If it cannot be written.
pub fn note(data: &Path, membership: &Membership) -> anyhow::Result<()> {
    // One that is damaged, or moved away, is of the log that it was of before.
    let log_id = log_id_of_journal(data).map_or_else(|| log_id_of(data), |found| Ok(Some(found)));
    let text = text_of(membership, log_id?);
    if text_in(data)?.as_ref() == Some(&text) {
        return Ok(());
    }
    let path = path_in(data);
    let write = || {
        let staged = path.with_extension("new");
        let mut file = File::create(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&staged, &path)?;
        File::open(data)?.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// What helps a node whose stream is not where it is looked for.
#[must_use]
pub fn words_without(missing: &MissingStream, data: &Path) -> String {
    format!(
        "{missing}, and {} is a node's of it: see that --nats names the right servers; where the stream is gone, have it \
         made again from the longest journal (airpost cluster heal --new)",
        data.display()
    )
}

fn text_of(membership: &Membership, log_id: Option<Uuid>) -> String {
    let mut lines = vec![membership.stream().to_owned()];
    match membership {
        Membership::Joining(_) => lines.push(JOINING.to_owned()),
        Membership::Member(_) => {}
    }
    lines.extend(log_id.map(|log_id| format!("{LOG}{log_id}")));
    lines.push(String::new());
    lines.join("\n")
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
    use eventstore::{Journal, JournalOptions};

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

    /// Has the folder hold the journal of a log.
    fn hold(data: &Path, log_id: Uuid) {
        let journal = Folders::of(data).journal;
        drop(fs::remove_dir_all(&journal));
        let options = JournalOptions::new(log_id);
        Journal::open(&journal, options).unwrap().close();
    }

    #[test]
    fn a_node_whose_journal_was_put_in_place_of_another_logs_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let [log, other] = [1, 2].map(Uuid::from_u128);
        enter(data.path(), "LOG").unwrap();
        hold(data.path(), log);
        refuse_of_another(data.path(), "LOG").unwrap();
        enter(data.path(), "LOG").unwrap();
        refuse_of_another(data.path(), "LOG").unwrap();
        let why = |found: anyhow::Result<()>| found.unwrap_err().to_string();
        hold(data.path(), other);
        for refused in [
            refuse_of_another(data.path(), "LOG"),
            refuse_another_journal(data.path()),
        ] {
            let why = why(refused);
            assert!(why.contains(&log.to_string()), "{why}");
            assert!(why.contains(&other.to_string()), "{why}");
        }
        // Moved away, it is to be that log's again.
        fs::remove_dir_all(Folders::of(data.path()).journal).unwrap();
        refuse_of_another(data.path(), "LOG").unwrap();
        enter(data.path(), "LOG").unwrap();
        hold(data.path(), other);
        refuse_another_journal(data.path()).unwrap_err();
        hold(data.path(), log);
        refuse_another_journal(data.path()).unwrap();
        assert_eq!(
            of(data.path()).unwrap(),
            Some(Membership::Member("LOG".to_owned()))
        );
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
