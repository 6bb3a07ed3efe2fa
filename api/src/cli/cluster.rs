//! `airpost cluster`: how a data folder becomes a node's, and stays one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use eventstore::{
    ClusterError, DataLock, EventStore as _, JetStreamOptions, JournalOptions, Label, Leaver,
    Position, PublishOccasion, PublishedJournal,
};

use super::FINDINGS;
use super::serve::interruptible;
use super::terminal::{Progress, Unit, complain, say};
use crate::config::NatsAccessOptions;
use crate::environment::Environment;
use crate::membership::{self, Membership};
use crate::service::{Folders, open_shared_log};

mod abandon;
mod join;
mod resync;
mod status;

pub(super) use status::tell as tell_status;

/// What is done to a log on a cluster, or to a node's copy of it.
#[derive(Debug, clap::Args)]
pub(super) struct ClusterOptions {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Make a data folder a node's: put its log on the cluster, where there is no such stream yet,
    /// or fetch the log into an empty folder. The service must not be running on the folder
    #[command(after_help = JOIN_HELP)]
    Join(MakingOptions),
    /// Say how the log on the cluster is, how far each running node is, and where a folder's
    /// journal stands. Changes nothing
    #[command(after_help = STATUS_HELP)]
    Status(status::StatusOptions),
    /// Publish again what the cluster lost of the log, from the journal that has it: the longest one
    #[command(after_help = HEAL_HELP)]
    Heal(MakingOptions),
    /// Set a node's journal and views aside, and fetch the log anew
    #[command(after_help = RESYNC_HELP)]
    Resync(NodeOptions),
    /// End the log's life on the cluster: it goes on in this folder alone, in a new epoch. The
    /// stream is sealed, which cannot be taken back
    #[command(after_help = LEAVE_HELP)]
    Leave(LeaveOptions),
    /// Go on in this folder alone, in a new epoch, without the stream: it is gone for good, or
    /// nothing can be written to it any more
    #[command(after_help = abandon::AFTER_HELP)]
    Abandon(abandon::AbandonOptions),
}

impl ClusterCommand {
    /// What is left where it is stopped by a signal.
    const fn left_by_a_signal(&self) -> &'static str {
        match self {
            Self::Join(_) => {
                "stopped by a signal: what was published or fetched stays; run it again, and until then start nothing on \
                 the folder"
            }
            Self::Status(_) => "stopped by a signal: nothing was changed",
            Self::Heal(_) => {
                "stopped by a signal: what was published stays; run it again before the nodes are started"
            }
            Self::Resync(_) => {
                "stopped by a signal: what was moved away and fetched stays; run it again, or start the node, which \
                 fetches the rest"
            }
            Self::Leave(_) => {
                "stopped by a signal: run it again for the same folder; until then the log may be on neither side"
            }
            Self::Abandon(_) => {
                "stopped by a signal: run it again for the same folder, and until then start nothing on it"
            }
        }
    }
}

/// The exit code of what was stopped: it failed.
const INTERRUPTED: i32 = 1;

const JOIN_HELP: &str = "\
An embedded log is put on the cluster once, from its own folder: its positions, cursors and entity tags \
stay what they are. Interrupted, it is run again; until then the folder is not served. A log that begins on \
the cluster is begun once, in an empty folder, with --new. Every further node joins with an empty folder, \
without it.
Afterwards: airpost serve --data DIR --nats URLS --cluster STREAM
Exit codes: 0 it is a node's, 1 it failed.";

const STATUS_HELP: &str = "\
Of room the stream's own limit is seen, and not how full the servers' storage is: a log that takes no block since \
that is used up has all the rest in order. Look at each server with airpost doctor --monitor URL.
Exit codes: 0 all is well, 1 it failed, 3 the stream is not as it must be, has no majority of its servers or no \
room by its own limit, the folder's journal is no copy of it, or the stream has less of the log than a node.";

const HEAL_HELP: &str = "\
When: a node says that the stream ends before what was acknowledged (after a power cut of all servers \
with sync_interval other than always, or a store that was put back).
1. Stop the nodes, and have status say of each folder where its journal ends.
2. Run heal with the folder whose journal is the longest; with --new if the stream is gone.
3. Start the nodes.
Exit codes: 0 the stream has all that the journal has, 1 it failed.";

const RESYNC_HELP: &str = "\
When: a node says that its journal and the stream went different ways, as after a disk that lied, or \
its journal is damaged. Nothing is deleted: journal, views and snapshots are moved to DIR/journal.aside-N \
and so on, until you remove them. What the journal has and the stream has not is lost to the log, and is \
told before: how many records, and their positions. A journal that has all of the stream and more is not \
moved, see heal. Interrupted, it is run again; or the next start fetches what is missing.
If several nodes say that they and the stream went different ways, it is the stream that changed: one that \
lost its end, and was written on by a node that did not know it. Stop all nodes, and have status say of each \
folder what it has. Either resync those that the stream does not agree with; or remove the stream (nats \
stream rm), run heal --new with the journal that is right, and resync the others.
Exit codes: 0 the folder holds the log, 1 it failed.";

const LEAVE_HELP: &str = "\
Stop the other nodes first: they answer questions until they are stopped, and take no writes. Cursors \
stay valid; entity tags do not, so that a client reads again before it changes something. Of several nodes that leave at once one does. Interrupted, it is run again, \
for the same folder: until then the log is on neither side.
Exit codes: 0 the log is this folder's own, 1 it failed, 3 --accept-sealing is missing.";

/// Where the system tells what it is called.
const MACHINE_NAME: &str = "/proc/sys/kernel/hostname";

/// A node's folder, and that it is meant.
#[derive(Debug, clap::Args)]
struct LeaveOptions {
    #[command(flatten)]
    node: NodeOptions,

    /// Seal the stream for ever.
    #[arg(long)]
    accept_sealing: bool,
}

/// A node's folder, and whether a stream may be made.
#[derive(Debug, clap::Args)]
struct MakingOptions {
    #[command(flatten)]
    node: NodeOptions,

    /// Where there is no such stream, have it made: by join, with an empty folder, for a new log; by
    /// heal for the folder's. Without it a wrong name or address makes nothing.
    #[arg(long)]
    new: bool,
}

/// A data folder and the cluster that it is to be on.
#[derive(Debug, clap::Args)]
struct NodeOptions {
    /// The folder that holds the journal and everything derived from it.
    #[arg(long, env = "AIRPOST_DATA", value_name = "DIR")]
    data: PathBuf,

    #[command(flatten)]
    log: LogOptions,
}

/// A log on a cluster.
#[derive(Debug, clap::Args)]
#[command(mut_arg("nats", |arg| arg.required(true)))]
struct LogOptions {
    #[command(flatten)]
    access: NatsAccessOptions,

    /// The stream that is the log.
    #[arg(long, env = "AIRPOST_CLUSTER", value_name = "STREAM",
          value_parser = crate::config::parse_stream)]
    cluster: String,

    /// Have, or accept, a log of which one server alone has a copy: what that machine loses is lost.
    #[arg(long, env = "AIRPOST_SINGLE_REPLICA")]
    single_replica: bool,
}

impl LogOptions {
    fn log(&self) -> anyhow::Result<JetStreamOptions> {
        let access = self.access.access().context("--nats is missing")?;
        access.client_options()?;
        Ok(JetStreamOptions {
            single_replica: self.single_replica,
            ..JetStreamOptions::new(access, self.cluster.clone())
        })
    }

    /// The same for a shell, without what is secret in the URLs.
    fn shown(&self) -> String {
        let access = &self.access;
        let servers = access.access().map(|access| access.shown());
        let servers = servers.unwrap_or_default().replace(", ", ",");
        let mut options = vec![
            format!("--nats {}", in_a_shell(&servers)),
            format!("--cluster {}", self.cluster),
        ];
        let files = [
            ("creds", &access.nats_creds),
            ("nkey", &access.nats_nkey),
            ("ca", &access.nats_ca),
            ("cert", &access.nats_cert),
            ("key", &access.nats_key),
        ];
        let given = files.iter().filter_map(|(name, file)| {
            let file = in_a_shell(&file.as_ref()?.display().to_string());
            Some(format!("--nats-{name} {file}"))
        });
        options.extend(given);
        if self.single_replica {
            options.push("--single-replica".to_owned());
        }
        options.join(" ")
    }
}

/// Does one of them.
pub(super) fn cluster(options: &ClusterOptions) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let left = (options.command.left_by_a_signal(), INTERRUPTED);
    let done = interruptible(&runtime, left, || carry_out(options));
    runtime.shutdown_background();
    done?
}

fn carry_out(options: &ClusterOptions) -> anyhow::Result<ExitCode> {
    match &options.command {
        ClusterCommand::Join(options) => join::join(options),
        ClusterCommand::Status(options) => status::status(options),
        ClusterCommand::Heal(options) => heal(options),
        ClusterCommand::Resync(node) => resync::resync(node),
        ClusterCommand::Leave(options) => leave(options),
        ClusterCommand::Abandon(options) => abandon::abandon(options),
    }
}

/// What the folder of a running or former node is started with.
fn tell_how_to_start(data: &Path, log: &LogOptions) {
    say(format_args!(
        "start it: airpost serve --data {} {}",
        in_a_shell(&data.display().to_string()),
        log.shown()
    ));
}

/// A word as a shell takes it for one.
fn in_a_shell(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,@%+=".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Brings a folder's journal to the end of the stream.
fn fetch(data: &Path, cluster: &JetStreamOptions) -> anyhow::Result<Position> {
    let options = JournalOptions::new(Environment::system().new_id());
    let progress = Arc::new(Progress::new("fetched", Unit::Things("records")));
    let told = Arc::clone(&progress);
    let tell = move |done: Position, all: Position| told.at(done.get(), all.get());
    let shared = open_shared_log(data, options, cluster, Box::new(tell));
    progress.end();
    let shared = shared?;
    let head = *shared.journal.head().borrow();
    shared.journal.close();
    Ok(head)
}

/// Has the stream made if it is missing, and all in it that the journal has.
fn publish(
    folders: &Folders,
    cluster: &JetStreamOptions,
    occasion: PublishOccasion,
) -> anyhow::Result<PublishedJournal> {
    let stream = &cluster.stream;
    if eventstore::create_stream(&folders.journal, cluster)? {
        complain(format_args!("the stream {stream} is made"));
    }
    let progress = Progress::new("published", Unit::Things("records"));
    let mut tell = |done: Position, all: Position| progress.at(done.get(), all.get());
    let published = eventstore::publish_journal(&folders.journal, cluster, occasion, &mut tell);
    progress.end();
    let published = published?;
    let PublishedJournal {
        before,
        head,
        blocks,
    } = published;
    if blocks > 0 {
        say(format_args!(
            "published {blocks} blocks: the stream {stream} ended at position {before}, and ends at {head}"
        ));
    }
    Ok(published)
}

fn heal(options: &MakingOptions) -> anyhow::Result<ExitCode> {
    let node = &options.node;
    let (data, cluster) = (node.data.as_path(), node.log.log()?);
    let stream = &cluster.stream;
    let _lock = DataLock::acquire(data, "cluster heal")?;
    membership::refuse_of_another(data, stream)?;
    let folders = Folders::of(data).existing()?;
    membership::refuse_of_a_join(data)?;
    let Some(Membership::Member(_)) = membership::of(data)? else {
        bail!(
            "{}: it is no node's folder: have its log put on the cluster by airpost cluster join",
            data.display()
        );
    };
    if !options.new
        && let Err(ClusterError::Missing(missing)) = eventstore::cluster_status(&cluster, None)
    {
        bail!(
            "{missing}: see that --nats names the right servers; where the stream is gone, run this with --new, which \
             has it made again"
        );
    }
    let head = publish(&folders, &cluster, PublishOccasion::Healing)?.head;
    say(format_args!(
        "the stream {stream} has all that the journal of {} has, up to position {head}",
        data.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn leave(options: &LeaveOptions) -> anyhow::Result<ExitCode> {
    let node = &options.node;
    let (data, cluster) = (node.data.as_path(), node.log.log()?);
    let stream = &cluster.stream;
    let _lock = DataLock::acquire(data, "cluster leave")?;
    membership::refuse_of_another(data, stream)?;
    let folders = Folders::of(data).existing()?;
    if !options.accept_sealing {
        say(format_args!(
            "the stream {stream} is sealed, which cannot be taken back: no node writes to it any more, and the log goes \
             on in {} alone, in a new epoch. Stop the other nodes, then run this with --accept-sealing",
            data.display()
        ));
        return Ok(ExitCode::from(FINDINGS));
    }
    let environment = Environment::system();
    let leaver = Leaver {
        id: environment.new_id(),
        by: machine_and_folder(data)?,
        now_us: environment.now_us(),
    };
    let journal = JournalOptions::new(environment.new_id());
    let left = eventstore::leave_cluster(&folders.journal, journal, &cluster, &leaver)?;
    membership::leave(data)?;
    say(format_args!(
        "the log left the stream {stream} at position {}, and goes on in {} as {} (id/epoch); start it without --cluster",
        left.head,
        data.display(),
        left.identity
    ));
    Ok(ExitCode::SUCCESS)
}

/// Where a folder is, for who looks for it from another machine: the machine's name, and as much of
/// the end of the path as a label takes.
fn machine_and_folder(data: &Path) -> anyhow::Result<Label> {
    let machine = std::fs::read_to_string(MACHINE_NAME).unwrap_or_default();
    let folder = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    in_a_label(machine.trim(), &folder.display().to_string())
}

fn in_a_label(machine: &str, folder: &str) -> anyhow::Result<Label> {
    let mut rest = folder;
    loop {
        match Label::new(format!("{machine}:{rest}")) {
            Err(error) if rest.is_empty() => return Err(anyhow::anyhow!("{error}")),
            Err(_) => {
                let mut letters = rest.chars();
                letters.next();
                rest = letters.as_str();
            }
            Ok(label) => return Ok(label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_the_machine_and_the_end_of_a_long_path() {
        let short = in_a_label("node-a", "/srv/airpost").unwrap();
        assert_eq!(short.as_str(), "node-a:/srv/airpost");
        let long = format!("/{}/airpost", "long".repeat(50));
        let cut = in_a_label("node-a", &long).unwrap();
        assert!(cut.as_str().starts_with("node-a:"), "{cut}");
        assert!(cut.as_str().ends_with("/airpost"), "{cut}");
    }

    #[test]
    fn a_folder_is_named_by_machine_and_whole_path() {
        let data = tempfile::tempdir().unwrap();
        let named = machine_and_folder(data.path()).unwrap();
        let (machine, folder) = named.as_str().split_once(':').unwrap();
        assert!(!machine.is_empty(), "{named}");
        assert!(Path::new(folder).is_absolute(), "{named}");
    }
}
