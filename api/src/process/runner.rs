//! Who looks at operations, and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::codec::StoredEvent as _;
use domain::id::OperationId;
use domain::scheduling::{OperationEvent, OperationKind};
use domain::stream::Category;
use domain::time::{TimeScale, Timestamp};
use eventstore::{Budget, Health, Page, Position, Record, Subscription};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use projections::{DueOperation, QueryError, Views};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::agenda::{Agenda, AgendaLimits, Subject, Sweep};
use super::billing::{Billing, BillingError};
use super::hearing::{self, Hearing};
use super::sharing::Sharing;
use super::underway::{self, Underway};
use crate::application::{Application, Failure};
use crate::config::Config;
use crate::ingest::waiting::SETTLING;

mod looking;

use looking::{Effective, Looked, Missed, unless_it_panics};

/// How often it is looked for operations whose time has come, at the scale that time passes at.
const TICK: Duration = Duration::from_millis(250);

/// Operations that are looked at at once, so that they share the disk's syncs.
const LOOKS_AT_ONCE: usize = 64;

/// Most operations that are named in the log as failing at the same time.
const NAMED_MAX: usize = 16;

/// How much is taken on.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Most operations that are taken from one place at once.
    round: usize,
    /// Most things that are done outside at once.
    effects: usize,
    /// What is kept in mind.
    agenda: AgendaLimits,
}

impl Limits {
    const USUAL: Self = Self {
        round: 500,
        effects: 64,
        agenda: AgendaLimits::USUAL,
    };
}

/// What the runner works with.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// How fast time passes for whoever waits.
    pub time_scale: TimeScale,
    /// How often it is looked for operations whose time has come.
    pub tick: Duration,
    /// Where payments are authorized, if they are.
    pub billing: Option<Billing>,
    limits: Limits,
}

impl RunnerSettings {
    /// As a service is configured.
    ///
    /// # Errors
    /// If no billing service can be asked with these settings.
    pub fn new(config: &Config) -> Result<Self, BillingError> {
        let scheduling = &config.scheduling;
        let billing = scheduling.billing_url.as_deref();
        let authorities = scheduling.billing_ca.as_deref();
        Ok(Self {
            time_scale: config.time_scale,
            tick: config.scaled_tick(TICK),
            billing: billing
                .map(|url| Billing::new(url, authorities))
                .transpose()?,
            limits: Limits::USUAL,
        })
    }
}

/// Looks at operations for as long as it runs.
#[derive(Debug)]
pub struct Runner {
    application: Application,
    views: Arc<Views>,
    settings: RunnerSettings,
    /// Which running service this is.
    node: Uuid,
    places: Arc<Semaphore>,
    /// When deadlines begin to count.
    settled_at: Timestamp,
    /// Where the log ended when nobody had asked for anything yet.
    head: Position,
}

/// What the runner keeps in mind between two rounds. None of it is the truth about anything.
struct Mind {
    tail: Subscription,
    hearing: Hearing,
    agenda: Agenda,
    /// Those that are looked at just now: an append may take as long as a cluster is tried, and
    /// nothing else waits for that.
    looked_at: BTreeSet<OperationId>,
    /// Up to where on those were found whose time has come, if there were more of them.
    due_after: Option<DueOperation>,
    /// All that are not over once the first sweep is done, and some of them before.
    underway: Underway,
    /// Those whose package another delivery has.
    sharing: Sharing,
    /// Those found so far that wait for a billing service, where none is configured.
    unbilled: BTreeSet<OperationId>,
    /// How many of them were told of.
    unbilled_told: usize,
    /// The log could not be read, and was not since.
    is_deaf: bool,
    /// It is not tried again before the next tick.
    rests: bool,
    /// The views could not be asked, and were not since.
    is_blind: bool,
}

impl Runner {
    /// A runner on an application and its views.
    ///
    /// # Errors
    /// If the machine's clock is out of range.
    pub fn new(
        application: Application,
        views: Arc<Views>,
        settings: RunnerSettings,
    ) -> Result<Self, Failure> {
        let settling = settings.time_scale.shorten(SETTLING);
        Ok(Self {
            settled_at: application.now()?.plus(settling),
            node: application.environment().new_id(),
            places: Arc::new(Semaphore::new(settings.limits.effects)),
            head: *application.log().head().borrow(),
            application,
            views,
            settings,
        })
    }

    /// Looks at operations until `shutdown` becomes true. What fails is logged when it begins
    /// and tried again until it does not; an operation that fails hinders no other. What is under
    /// way is left to the next run: what was appended of it is in the log, its claim as well.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.settings.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let log = Arc::clone(self.application.log());
        let mut mind = Mind {
            tail: Subscription::new(log, self.head, hearing::heard(), Budget::PAGE),
            hearing: Hearing::new(),
            agenda: Agenda::new(self.settings.time_scale, self.settings.limits.agenda),
            looked_at: BTreeSet::new(),
            due_after: None,
            underway: Underway::default(),
            sharing: Sharing::default(),
            unbilled: BTreeSet::new(),
            unbilled_told: 0,
            is_deaf: false,
            rests: false,
            is_blind: false,
        };
        let runner = Arc::new(self);
        // Tasks of their own, which end with this run: they hold what an operation that is looked
        // at may have to wait for, so they must get on meanwhile.
        let mut effects = JoinSet::new();
        let mut looks = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                Some(done) = effects.join_next() => runner.carried_out(done, &mut mind),
                Some((id, looked)) = looks.next() => {
                    if let Some(effective) = runner.looked_at(id, looked, &mut mind) {
                        effects.spawn(Arc::clone(&runner).carry_out(effective));
                    }
                }
                page = mind.tail.next(), if !mind.rests => match page {
                    Ok(Some(page)) => runner.hear(&page, &mut mind),
                    Ok(None) => break,
                    Err(error) => {
                        mind.rests = true;
                        if !std::mem::replace(&mut mind.is_deaf, true) {
                            tracing::warn!(%error, "operations do not hear what happens; trying again until they do");
                        }
                    }
                },
                _ = tick.tick() => {
                    mind.rests = false;
                    runner.find(&mut mind);
                }
            }
            for id in runner.to_look_at(&mut mind) {
                let place = Arc::clone(&runner.places).try_acquire_owned().ok();
                looks.push(runner.look_at(id, place));
            }
        }
        // What they append would otherwise be written behind the last that the views have seen.
        while looks.next().await.is_some() {}
    }

    /// Takes in how something outside ended.
    fn carried_out(
        &self,
        done: Result<(OperationId, Result<(), Missed>), JoinError>,
        mind: &mut Mind,
    ) {
        match done {
            Ok((_, Ok(()))) => {}
            Ok((id, Err(missed))) => self.missed(Subject::Operation(id), &missed, mind),
            // It catches its own panics, and nobody ends it before this run. Its claim would
            // bring the operation back.
            Err(error) => tracing::error!(%error, "a task of an operation broke off"),
        }
    }

    /// Finds the operations whose time has come, some more of those that are open, and all that
    /// were put off once the log takes appends again.
    fn find(&self, mind: &mut Mind) {
        match self.application.log_health() {
            Health::Outage { .. } => {}
            Health::Writable | Health::Full | Health::ReadOnly { .. } | Health::Closed => {
                mind.agenda.take_up();
            }
        }
        let found = self.find_due(mind);
        match found.and_then(|()| self.find_open(mind)) {
            Ok(()) => {
                if std::mem::take(&mut mind.is_blind) {
                    tracing::info!("operations whose time has come are found again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut mind.is_blind, true) {
                    tracing::warn!(
                        error,
                        "operations whose time has come are not found; trying again until they are"
                    );
                }
            }
        }
    }

    fn find_due(&self, mind: &mut Mind) -> Result<(), String> {
        let now = self.application.now().map_err(|error| error.to_string())?;
        if mind.agenda.has_swept() {
            mind.underway.show(now, mind.agenda.failing());
        }
        let limit = self.settings.limits.round;
        let due = self.views.due_operations(mind.due_after, now, limit);
        let Some(due) = unless_they_follow(due)? else {
            return Ok(());
        };
        // Those that stay here although they are looked at must not hide the later ones.
        let is_full = due.len() >= limit;
        mind.due_after = due.last().copied().filter(|_| is_full);
        for due in due {
            mind.agenda.found(due.id);
        }
        Ok(())
    }

    fn find_open(&self, mind: &mut Mind) -> Result<(), String> {
        let after = match mind.agenda.sweep(self.elapsed()) {
            Sweep::Rests => {
                tell_of_unbilled(mind);
                return Ok(());
            }
            Sweep::Begins => None,
            Sweep::After(last) => Some(last),
        };
        let open = self
            .views
            .open_operations(after, self.settings.limits.round);
        let Some(open) = unless_they_follow(open)? else {
            return Ok(());
        };
        for operation in &open {
            mind.agenda.found(operation.id);
            self.take_in(operation.id, mind);
        }
        mind.agenda.swept(open.last().map(|last| last.id));
        Ok(())
    }

    /// Takes in what was just written.
    fn hear(&self, page: &Page, mind: &mut Mind) {
        if std::mem::take(&mut mind.is_deaf) {
            tracing::info!("operations hear again what happens");
        }
        for record in &page.records {
            for subject in mind.hearing.subjects(record) {
                mind.agenda.note(subject);
            }
            if Category::from_number(record.stream.category.get()) == Some(Category::Operation) {
                if hearing::frees_package(record) {
                    let holder = OperationId::from_uuid(record.stream.key);
                    for waiting in mind.sharing.waiting_for(holder) {
                        mind.agenda.note(Subject::Operation(waiting));
                    }
                }
                self.count(record, mind);
            }
        }
    }

    /// Takes in for whoever watches what was written down of an operation.
    fn count(&self, record: &Record, mind: &mut Mind) {
        let id = OperationId::from_uuid(record.stream.key);
        let Some(kind) = self.take_in(id, mind) else {
            return;
        };
        for event in &record.events {
            let event = OperationEvent::decode(event.event_type.0, event.schema.0, &event.payload);
            // What cannot be decoded fails where the operation is looked at.
            if let Ok(event) = event
                && mind.underway.is_new(id, &event)
            {
                underway::count(kind, &event);
            }
        }
    }

    /// Takes in how an operation is, and says what it is for. One that cannot be read is tried
    /// again as any other that fails.
    fn take_in(&self, id: OperationId, mind: &mut Mind) -> Option<OperationKind> {
        match unless_it_panics(|| self.application.operation(id)) {
            Ok(operation) => operation.map(|(operation, _)| {
                mind.underway.take_in(id, &operation);
                mind.sharing.take_in(id, &operation);
                operation.kind()
            }),
            Err(error) => {
                self.failed(Subject::Operation(id), &error, mind);
                None
            }
        }
    }

    /// Those whose turn it is to be looked at, which nobody is at.
    fn to_look_at(&self, mind: &mut Mind) -> Vec<OperationId> {
        let places = self.places.available_permits();
        let limit = self.settings.limits.round.min(LOOKS_AT_ONCE);
        let limit = limit.saturating_sub(mind.looked_at.len());
        let subjects = mind
            .agenda
            .take(self.elapsed(), places, limit, &mind.looked_at);
        let mut operations = Vec::new();
        for subject in subjects {
            match self.operation_of(subject) {
                Ok(operation) => {
                    if operation.map(Subject::Operation) != Some(subject) {
                        mind.agenda.looked_at(subject);
                    }
                    let Some(id) = operation else { continue };
                    if mind.looked_at.insert(id) {
                        operations.push(id);
                    } else {
                        // Once more: who is at it may not have seen what happened.
                        mind.agenda.note(Subject::Operation(id));
                    }
                }
                Err(error) => self.failed(subject, &error, mind),
            }
        }
        operations
    }

    /// Takes in what came of looking at an operation; gives what it has claimed.
    fn looked_at(
        &self,
        id: OperationId,
        looked: Result<Looked, Missed>,
        mind: &mut Mind,
    ) -> Option<Effective> {
        let subject = Subject::Operation(id);
        mind.looked_at.remove(&id);
        let mut claimed = None;
        let recovered = match looked {
            Ok(Looked::Crowded) => mind.agenda.crowded(id, self.elapsed()),
            Ok(Looked::Waits) => mind.agenda.looked_at(subject),
            Ok(Looked::Unbilled) => {
                mind.unbilled.insert(id);
                mind.agenda.looked_at(subject)
            }
            Ok(Looked::Claimed(effective)) => {
                claimed = Some(effective);
                mind.agenda.looked_at(subject)
            }
            Err(missed) => {
                self.missed(subject, &missed, mind);
                None
            }
        };
        if let Some(failing) = recovered {
            if failing <= NAMED_MAX {
                tracing::info!(operation = %id, "an operation goes on again");
            }
            self.take_in(id, mind);
        }
        claimed
    }

    /// Has what could not be looked at tried again: once the cluster is back, or later.
    fn missed(&self, subject: Subject, missed: &Missed, mind: &mut Mind) {
        match missed {
            Missed::Outage => mind.agenda.put_off(subject, self.elapsed()),
            Missed::Failed(error) => self.failed(subject, error, mind),
        }
    }

    /// Has what failed tried again later, and says so if it begins to fail.
    fn failed(&self, subject: Subject, error: &str, mind: &mut Mind) {
        let failing = mind.agenda.failed(subject, self.elapsed());
        let Some(failing) = failing.filter(|failing| *failing <= NAMED_MAX) else {
            return;
        };
        tracing::warn!(
            %subject,
            error,
            failing,
            "an operation does not go on; trying again until it does"
        );
        if failing == NAMED_MAX {
            tracing::warn!("further operations that do not go on are not named until fewer do not");
        }
    }

    fn elapsed(&self) -> Duration {
        self.application.environment().elapsed()
    }
}

/// What the views say; nothing while they follow, as after a start: they do so by themselves, and
/// say so if they cannot.
fn unless_they_follow<T>(said: Result<T, QueryError>) -> Result<Option<T>, String> {
    match said {
        Err(QueryError::Lagging { .. }) => Ok(None),
        said => said.map(Some).map_err(|error| error.to_string()),
    }
}

/// Says how many wait for a billing service that is not configured, if they are more than were told
/// of.
fn tell_of_unbilled(mind: &mut Mind) {
    let waiting = mind.unbilled.len();
    if waiting <= mind.unbilled_told {
        return;
    }
    mind.unbilled_told = waiting;
    tracing::warn!(
        operations = waiting,
        "a payment was asked for or has to be taken back, and no billing service is configured: these operations \
         wait until the service is started with --billing-url again, or until the time for the answer is over"
    );
}

#[cfg(test)]
mod tests;
