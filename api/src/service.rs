//! The composition root: opens everything in order, and closes it in the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use eventstore::{
    ClusterError, ClusterFigures, DataLock, EventStore, JetStreamOptions, JetStreamStore, Journal,
    JournalOptions, OnFetch, OpenError, Position, RegisteredStore, SnapshotStore,
};
use projections::{VerifyError, Views, ViewsOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::application::{Application, known_schemas, state_code};
use crate::aside;
use crate::config::Config;
use crate::environment::Environment;
use crate::http::{self, Services};
use crate::ingest::{Ingest, IngestLimits, waiting};
use crate::membership;
use crate::nats;
use crate::observability::Metrics;
use crate::observability::cluster::time_publishing;
use crate::process::{Runner, RunnerSettings};

/// Where things lie in a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The truth.
    pub journal: PathBuf,
    /// What is derived from it.
    pub views: PathBuf,
    /// States of long streams, which can be deleted at any time.
    pub snapshots: PathBuf,
}

impl Folders {
    /// The folders in this data folder, whether they exist or not.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self {
            journal: data.join("journal"),
            views: data.join("views"),
            snapshots: data.join("snapshots"),
        }
    }

    /// The same, if there is a journal.
    ///
    /// # Errors
    /// Says that the folder holds no data.
    pub fn existing(self) -> anyhow::Result<Self> {
        if !self.journal.is_dir() {
            bail!(
                "{}: no journal is there; give the folder that was given to serve",
                self.journal.display()
            );
        }
        Ok(self)
    }
}

/// How long what ends by itself may take for that once no request is answered any more.
const LINGER: Duration = Duration::from_secs(1);

/// What a service has its data folder for.
const WORK: &str = "serve";

/// Whether a data folder is held by a service; also where who holds it could
/// not say, as on a full disk.
pub(crate) fn is_held_by_a_service(error: &OpenError) -> bool {
    let OpenError::Locked { holder, .. } = error else {
        return false;
    };
    holder.as_ref().is_none_or(|holder| holder.work == WORK)
}

/// Opens the journal, and on it the log that everything else reads and appends
/// to: one that holds only what this release can read. Closing the journal
/// closes the log. The data folder's lock is the caller's business.
///
/// # Errors
/// Says what is not in order: of the journal, or which events in it this
/// release cannot read.
pub fn open_log(
    folders: &Folders,
    options: JournalOptions,
) -> anyhow::Result<(Arc<Journal>, Arc<dyn EventStore>)> {
    let journal = Arc::new(Journal::open(&folders.journal, options)?);
    let log = registered(folders, Arc::<Journal>::clone(&journal))?;
    Ok((journal, log))
}

/// A log that several nodes write.
pub(crate) struct SharedLog {
    /// This node's copy.
    pub(crate) journal: Arc<Journal>,
    /// What is counted of the cluster.
    figures: Arc<ClusterFigures>,
    /// What everything else reads and appends to.
    log: Arc<dyn EventStore>,
}

/// The same, where the log is a stream that several nodes write, and the
/// journal this node's copy of it: one that may be empty, and is fetched. The
/// data folder says from then on that it is a node's. How far it is meanwhile
/// is told.
///
/// # Errors
/// As [`open_log`], or what is wrong with the cluster or the stream.
pub(crate) fn open_shared_log(
    data: &Path,
    options: JournalOptions,
    cluster: &JetStreamOptions,
    tell: OnFetch,
) -> anyhow::Result<SharedLog> {
    let (folders, stream) = (Folders::of(data), &cluster.stream);
    membership::refuse_of_another(data, stream)?;
    // What is fetched is a copy from its first record on, also if this is interrupted.
    let is_new = !holds_segments(&folders.journal) && membership::of(data)?.is_none();
    if is_new {
        membership::enter(data, stream)?;
        tracing::info!(
            folder = %data.display(),
            "there is no log here: that of the stream {stream} is fetched, and the folder is a node's of it from here on"
        );
    }
    tracing::info!(
        stream,
        servers = cluster.access.shown(),
        "opening the log on the cluster"
    );
    let opened = JetStreamStore::open_telling(&folders.journal, options, cluster, tell);
    let node = match opened {
        Ok(node) => node,
        Err(error) => {
            // What said before that the folder is a node's goes on saying so.
            if is_new && !holds_segments(&folders.journal) {
                membership::leave(data)?;
            }
            return Err(error.into());
        }
    };
    membership::enter(data, stream)?;
    let (journal, figures) = (Arc::clone(node.journal()), Arc::clone(node.figures()));
    Ok(SharedLog {
        journal,
        figures,
        log: registered(&folders, Arc::new(node))?,
    })
}

/// The log on that store: one that holds only what this release can read.
fn registered(
    folders: &Folders,
    store: Arc<dyn EventStore>,
) -> anyhow::Result<Arc<dyn EventStore>> {
    let log = RegisteredStore::open(store, known_schemas());
    Ok(Arc::new(
        log.with_context(|| folders.journal.display().to_string())?,
    ))
}

/// Whether there is a journal, were it the beginning of one.
pub(crate) fn holds_segments(journal: &Path) -> bool {
    let is_segment = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|it| it == "seg"))
    };
    let mut entries = std::fs::read_dir(journal).into_iter().flatten();
    entries.any(is_segment)
}

/// Keeps the states of long streams, if that can be done: without it they are
/// folded every time, which is no reason not to start.
fn with_snapshots(application: Application, folders: &Folders) -> anyhow::Result<Application> {
    match SnapshotStore::open(&folders.snapshots, state_code()) {
        Ok(snapshots) => Ok(application.with_snapshots(snapshots)?),
        Err(error) => {
            tracing::warn!(%error, "states of long streams are not kept");
            Ok(application)
        }
    }
}

/// A data folder that has lost its journal is not taken for a new one: the
/// views are the last to know that there was something.
fn refuse_a_missing_journal(folders: &Folders, options: ViewsOptions) -> anyhow::Result<()> {
    if holds_segments(&folders.journal) {
        return Ok(());
    }
    let (journal, views) = (folders.journal.display(), folders.views.display());
    match projections::witnesses(&folders.views, options) {
        Ok(witnesses) => {
            let seen = witnesses.iter().map(|witness| witness.position).max();
            if let Some(seen) = seen.filter(|seen| *seen > Position::START) {
                bail!(
                    "{journal}: the journal is missing, and {views} have seen position {seen} of it: \
                     restore it from a backup, or remove {views} to begin a new log"
                );
            }
        }
        Err(error @ VerifyError::Failed { .. }) => {
            bail!(
                "{journal}: the journal is missing, and what {views} have seen of it cannot be told: {error}; \
                 mend that, or remove {views} to begin a new log"
            );
        }
        Err(VerifyError::Damaged(error)) => {
            tracing::warn!(%error, "what the views have seen cannot be told: a new log is begun");
        }
    }
    Ok(())
}

/// Why the log on a cluster is not opened, and what helps a folder that is a node's already.
fn refusal_of_log(error: anyhow::Error, data: &Path) -> anyhow::Error {
    let is_node = matches!(membership::of(data), Ok(Some(_)));
    if let (Some(ClusterError::Missing(missing)), true) = (error.downcast_ref(), is_node) {
        return anyhow!(membership::words_without(missing, data));
    }
    error
}

/// Why the views are not opened, and what helps: where the log is on a cluster, nothing is given up
/// on one node.
fn refusal_of_views(
    error: projections::OpenError,
    folders: &Folders,
    is_node: bool,
) -> anyhow::Error {
    let views = folders.views.display();
    match error {
        projections::OpenError::Regressed { view, seen, head } if is_node => anyhow!(
            "view {view} has seen position {seen}, but the log on the cluster ends at {head}: acknowledged events are \
             missing; see by airpost cluster status whether a node's journal goes farther, and have that published \
             (airpost cluster heal); if none does, remove {views}, which are then built anew"
        ),
        error @ (projections::OpenError::Regressed { .. }
        | projections::OpenError::NotSetAside { .. }
        | projections::OpenError::Unusable(_)
        | projections::OpenError::NoRoom(_)
        | projections::OpenError::NotStarted(_)) => {
            anyhow::Error::from(error).context(views.to_string())
        }
    }
}

/// An open data folder and the service on it.
#[derive(Debug)]
pub struct Opened {
    services: Services,
    processes: RunnerSettings,
    journal: Arc<Journal>,
    folders: Folders,
    _lock: DataLock,
}

impl Opened {
    /// Opens a data folder, which is made if it is missing.
    ///
    /// # Errors
    /// Says what is not in order, and what can be done about it.
    pub fn open(
        config: &Config,
        environment: &Environment,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        // Before anything is made on disk: what is wrong with a setting can be said at once.
        let processes = RunnerSettings::new(config)?;
        let rules = config.scheduling.rules(config.time_scale)?;
        if let Some(access) = config.nats.access.access() {
            access.client_options()?;
        }
        let folders = Folders::of(&config.data);
        let lock = DataLock::acquire(&config.data, WORK)?;
        aside::tell_of_all_in(&config.data);
        let options = JournalOptions {
            segment_bytes: config.segment_bytes(),
            ..JournalOptions::new(environment.new_id())
        };
        let views_options = ViewsOptions {
            cache_bytes: config.views_cache_bytes(),
            // The end of an id is drawn by chance.
            audit_from: environment.new_id().as_u64_pair().1,
            ..ViewsOptions::default()
        };
        let (journal, log, cluster) = if let Some(cluster) = config.nats.log() {
            membership::refuse_of_a_join(&config.data)?;
            let shared = open_shared_log(&config.data, options, &cluster, Box::new(|_, _| ()));
            let shared = shared.map_err(|error| refusal_of_log(error, &config.data))?;
            time_publishing(&shared.figures, environment.clone());
            let clock = environment.clone();
            shared.journal.time_outages(move || clock.elapsed());
            (shared.journal, shared.log, Some(shared.figures))
        } else {
            membership::refuse_of_a_cluster(&config.data)?;
            refuse_a_missing_journal(&folders, views_options)?;
            let (journal, log) = open_log(&folders, options)?;
            (journal, log, None)
        };
        let views = Views::open(&folders.views, Arc::clone(&log), views_options);
        let views = views.map_err(|error| refusal_of_views(error, &folders, cluster.is_some()))?;

        let thresholds = config.ingest.thresholds(config.time_scale);
        let application = Application::new(log, environment.clone(), thresholds);
        let application = application.with_scheduling(rules);
        let application = with_snapshots(application, &folders)?;
        let limits = IngestLimits {
            gap_wait: config.scaled(config.ingest.gap_wait()),
            park_wait: config.scaled(config.ingest.park_wait()),
            tick: config.scaled_tick(waiting::TICK),
            settling: config.scaled(waiting::SETTLING),
            held_facts_max: usize::try_from(config.ingest.held_facts_max)?,
            skew_max: config.ingest.clock_skew(),
        };
        let ingest = Ingest::new(application.clone(), limits);
        let (views, live) = (Arc::new(views), Arc::default());
        let services = Services {
            application,
            ingest,
            views,
            live,
            metrics,
            cluster,
        };
        Ok(Self {
            services,
            processes,
            journal,
            folders,
            _lock: lock,
        })
    }

    /// Serves until `shutdown` becomes true; then ends what is under way, within its limits.
    ///
    /// # Errors
    /// If the views turn out to have seen more than the log holds, or cannot be
    /// opened at all; or if a task of the service panicked.
    pub async fn run(
        &self,
        listener: TcpListener,
        config: &Config,
        shutdown: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let services = &self.services;
        let (end, ending) = watch::channel(false);
        let ended = tokio::spawn(end_with(end, shutdown, Arc::clone(&services.views)));
        let waiting = tokio::spawn(
            services
                .ingest
                .clone()
                .run_waiting(Arc::clone(&services.views), ending.clone()),
        );
        let runner = Runner::new(
            services.application.clone(),
            Arc::clone(&services.views),
            self.processes.clone(),
        )?;
        let processes = tokio::spawn(runner.run(ending.clone()));
        let nats = nats::run(services.clone(), config.nats.clone(), ending.clone());
        let nats = tokio::spawn(nats);
        let upkeep = tokio::spawn(services.metrics.clone().run_upkeep(until(ending.clone())));
        let environment = services.application.environment().clone();
        let interface = http::interface(services.clone(), config, ending.clone());
        let settings = http::server::ServerSettings::new(config, environment);
        http::server::run(listener, interface, settings, until(ending)).await;
        // All end by themselves at the same signal; a panic of theirs shows here.
        let ending = async {
            for task in [waiting, processes, nats, upkeep] {
                task.await.context("a task of the service panicked")?;
            }
            anyhow::Ok(())
        };
        self.closing_if_slow(ending).await?;
        match ended.await.context("a task of the service panicked")? {
            Some(refusal) => {
                let is_node = self.services.cluster.is_some();
                Err(refusal_of_views(refusal, &self.folders, is_node))
            }
            None => Ok(()),
        }
    }

    /// Waits for what ends by itself. The grace is over by now: whoever waits for an append still,
    /// as with a cluster that is away, is answered by closing the log.
    async fn closing_if_slow<T>(&self, ending: impl Future<Output = T>) -> T {
        let mut ending = std::pin::pin!(ending);
        if let Ok(ended) = tokio::time::timeout(LINGER, &mut ending).await {
            return ended;
        }
        let journal = Arc::clone(&self.journal);
        let closed = tokio::task::spawn_blocking(move || journal.close());
        let (ended, _) = tokio::join!(ending, closed);
        ended
    }

    /// Closes everything: what was accepted is on disk, and the views are in good order.
    pub fn close(self) {
        self.services.views.stop();
        self.journal.close();
    }
}

/// Gives the signal to end: when it is asked for, or when views that were still
/// being opened must not be; then says why.
async fn end_with(
    end: watch::Sender<bool>,
    shutdown: watch::Receiver<bool>,
    views: Arc<Views>,
) -> Option<projections::OpenError> {
    let refused = async {
        match views.opened().await {
            Ok(()) => std::future::pending().await,
            Err(refusal) => refusal,
        }
    };
    let refusal = tokio::select! {
        () = until(shutdown) => None,
        refusal = refused => Some(refusal),
    };
    end.send_replace(true);
    // Who waits for a position is answered before the grace runs out.
    views.end_waits();
    refusal
}

async fn until(mut shutdown: watch::Receiver<bool>) {
    // An error means that nobody can give the signal any more, which is one too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
