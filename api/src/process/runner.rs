//! Who looks at operations, and when.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::actor::{Actor, ActorKind};
use domain::codec::StoredEvent as _;
use domain::id::{DeliveryId, MissionId, OperationId};
use domain::mission::MissionEvent;
use domain::scheduling::{Effect, OperationEvent, OperationKind, backoff, hears};
use domain::stream::Category;
use domain::time::{DurationMs, TimeScale, Timestamp};
use eventstore::{Budget, Filter, Page, Position, Record, Subscription};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use projections::{OpenOperation, QueryError, Views};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::billing::{ANSWER_WAIT_S, Answer, Bill, Billing, BillingError};
use super::underway::{self, Underway};
use super::watchers::Watchers;
use crate::application::{Advanced, Application, Claimed, Claims, Failure, Look, SCHEDULING_ACTOR};
use crate::config::Config;
use crate::observability::processes::BILLING_REQUEST_SECONDS;

/// How often it is looked for operations whose time has come, at the scale that time passes at.
const TICK: Duration = Duration::from_millis(250);

/// Operations that are looked at together, so that they share the disk's syncs.
const LOOKS_AT_ONCE: usize = 64;

/// Most operations of one round.
const ROUND_MAX: usize = 500;

/// Most things that are done outside at once.
const EFFECTS_AT_ONCE: usize = 64;

/// How long after a start no deadline is over, so that what was sent meanwhile comes in first.
const SETTLING: DurationMs = DurationMs::from_seconds(30);

/// After how long an effect that nobody spoke of again is another's to try: what
/// an answer may take, and time to write it down.
const CLAIM: DurationMs = DurationMs::from_seconds(ANSWER_WAIT_S + 5);

/// How long an operation waits that could go on outside where too many others are at it.
const CROWDED: DurationMs = DurationMs::from_seconds(1);

/// What the runner works with.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// How fast time passes for whoever waits.
    pub time_scale: TimeScale,
    /// How often it is looked for operations whose time has come.
    pub tick: Duration,
    /// Where payments are authorized, if they are.
    pub billing: Option<Billing>,
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

/// An effect that this runner has claimed.
struct Effective {
    operation: OperationId,
    claimed: Claimed,
    place: OwnedSemaphorePermit,
}

/// What the runner keeps in mind between two rounds. None of it is the truth about anything.
struct Mind {
    tail: Subscription,
    /// From where on the operations that are open are looked at; nothing once all were.
    sweep: Option<Sweep>,
    watchers: Watchers,
    /// All that are not over once the sweep is done, and some of them before.
    underway: Underway,
    failing: bool,
}

#[derive(Clone, Copy)]
struct Sweep {
    after: Option<OperationId>,
}

const SWEEP: Sweep = Sweep { after: None };

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
            places: Arc::new(Semaphore::new(EFFECTS_AT_ONCE)),
            head: *application.log().head().borrow(),
            application,
            views,
            settings,
        })
    }

    /// Looks at operations until `shutdown` becomes true. A failure is logged once, and all that
    /// is open is looked at again once it is over. What is under way outside is left to the next
    /// run: its claim says so.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(self.settings.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let log = Arc::clone(self.application.log());
        let mut mind = Mind {
            tail: Subscription::new(log, self.head, heard_categories(), Budget::PAGE),
            sweep: Some(SWEEP),
            watchers: Watchers::default(),
            underway: Underway::default(),
            failing: false,
        };
        let runner = Arc::new(self);
        // Tasks of their own, which end with this run: they hold what an operation that is looked
        // at may have to wait for, so they must get on meanwhile.
        let mut effects = JoinSet::new();
        loop {
            let round = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                Some(done) = effects.join_next() => {
                    let done: Result<(), String> = done.unwrap_or_else(|error| Err(error.to_string()));
                    done.map(|()| BTreeSet::new())
                }
                page = mind.tail.next() => match page {
                    Ok(Some(page)) => runner.heard(&page, &mut mind),
                    Ok(None) => return,
                    Err(error) => Err(error.to_string()),
                },
                _ = tick.tick() => runner.due(&mut mind),
            };
            let looked = match round {
                Ok(operations) => runner.look_at(operations).await,
                Err(error) => Err(error),
            };
            match looked {
                Ok(claimed) => {
                    for effective in claimed {
                        effects.spawn(Arc::clone(&runner).carry_out(effective));
                    }
                    if mind.failing && mind.sweep.is_none() {
                        mind.failing = false;
                        tracing::info!("operations go on again");
                    }
                }
                Err(error) => {
                    if !mind.failing {
                        tracing::warn!(
                            error,
                            "operations do not go on; trying again until they do"
                        );
                    }
                    mind.failing = true;
                    mind.sweep = Some(SWEEP);
                    tokio::select! {
                        _ = shutdown.wait_for(|stop| *stop) => return,
                        _ = tick.tick() => {}
                    }
                }
            }
        }
    }

    /// The operations whose time has come, and some more of those that were open at the start.
    fn due(&self, mind: &mut Mind) -> Result<BTreeSet<OperationId>, String> {
        let now = self.now()?;
        let due = match self.views.due_operations(now, ROUND_MAX) {
            // As after a start: the views follow by themselves, and say so if they cannot.
            Err(QueryError::Lagging { .. }) => return Ok(BTreeSet::new()),
            due => due.map_err(|error| error.to_string())?,
        };
        let mut operations: BTreeSet<_> = due.into_iter().collect();
        if let Some(Sweep { after }) = mind.sweep {
            let open = match self.views.open_operations(after, ROUND_MAX) {
                Err(QueryError::Lagging { .. }) => return Ok(operations),
                open => open.map_err(|error| error.to_string())?,
            };
            mind.sweep = open.last().map(|last| Sweep {
                after: Some(last.id),
            });
            if after.is_none() {
                mind.underway = Underway::default();
            }
            for operation in open {
                mind.watchers.watch(operation);
                self.take_in(operation.id, mind)?;
                operations.insert(operation.id);
            }
        }
        if mind.sweep.is_none() {
            mind.underway.show(now);
        }
        Ok(operations)
    }

    /// The operations that may have something to do after what was just written.
    fn heard(&self, page: &Page, mind: &mut Mind) -> Result<BTreeSet<OperationId>, String> {
        let mut operations = BTreeSet::new();
        for record in &page.records {
            let is_own = record.actor.as_str() == own_actor();
            let key = record.stream.key;
            match Category::from_number(record.stream.category.get()) {
                Some(Category::Operation) => {
                    operations.extend((!is_own).then(|| OperationId::from_uuid(key)));
                    self.hear_of(record, mind)?;
                }
                Some(Category::Delivery)
                    if record.events.iter().any(|event| hears(event.event_type.0)) =>
                {
                    let delivery = DeliveryId::from_uuid(key);
                    operations.extend(mind.watchers.of(delivery));
                    // What the process decided itself it went on from in the same commit.
                    operations.extend((!is_own).then(|| OperationId::of_booking(delivery)));
                }
                Some(Category::Mission) if tells_of_link(record) => {
                    let delivery = self
                        .application
                        .delivery_of_mission(MissionId::from_uuid(key));
                    let delivery = delivery.map_err(|error| error.to_string())?;
                    operations.extend(delivery.map(OperationId::of_booking));
                }
                Some(Category::Dispatch) if !is_own => {
                    let delivery = self
                        .application
                        .delivery_of_dispatch(MissionId::from_uuid(key));
                    let delivery = delivery.map_err(|error| error.to_string())?;
                    operations.extend(delivery.map(OperationId::of_booking));
                }
                _ => {}
            }
        }
        Ok(operations)
    }

    /// Takes in what was written down of an operation.
    fn hear_of(&self, record: &Record, mind: &mut Mind) -> Result<(), String> {
        let id = OperationId::from_uuid(record.stream.key);
        let Some(kind) = self.take_in(id, mind)? else {
            return Ok(());
        };
        for event in &record.events {
            let event = OperationEvent::decode(event.event_type.0, event.schema.0, &event.payload);
            let Ok(event) = event else { continue };
            underway::count(kind, &event);
            if let OperationEvent::OperationStarted { kind, delivery, .. } = event {
                mind.watchers.watch(OpenOperation { id, kind, delivery });
            } else if event == OperationEvent::ProcessEnded {
                mind.watchers.forget(id);
            }
        }
        Ok(())
    }

    /// Takes in how an operation is, and says what it is for.
    fn take_in(&self, id: OperationId, mind: &mut Mind) -> Result<Option<OperationKind>, String> {
        let operation = self.application.operation(id);
        let operation = operation.map_err(|error| error.to_string())?;
        Ok(operation.map(|(operation, _)| {
            mind.underway.take_in(id, &operation);
            operation.kind()
        }))
    }

    fn now(&self) -> Result<Timestamp, String> {
        self.application.now().map_err(|error| error.to_string())
    }

    fn look(&self, claims: bool) -> Result<Look, Failure> {
        let now = self.application.now()?;
        let is_settled = now >= self.settled_at;
        Ok(Look {
            now,
            deadlines_to: if is_settled { now } else { Timestamp::MIN },
            claims: claims.then_some(Claims {
                node: self.node,
                limit: CLAIM,
            }),
            is_quota_used_up: false,
        })
    }

    /// Looks at some operations, and gives what they have claimed.
    async fn look_at(&self, operations: BTreeSet<OperationId>) -> Result<Vec<Effective>, String> {
        let mut looks = stream::iter(operations)
            .map(|id| self.look_at_one(id))
            .buffer_unordered(LOOKS_AT_ONCE);
        let (mut claimed, mut failed) = (Vec::new(), None);
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(effective) => claimed.extend(effective),
                Err(error) => failed = Some(error),
            }
        }
        // What was claimed is done whatever became of the others.
        match failed {
            Some(error) if claimed.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(error, "an operation does not go on; it is looked at again");
                Ok(claimed)
            }
            None => Ok(claimed),
        }
    }

    async fn look_at_one(&self, id: OperationId) -> Result<Option<Effective>, String> {
        // What one operation meets must not keep the others waiting.
        let looked = AssertUnwindSafe(self.go_on(id)).catch_unwind().await;
        match looked {
            Ok(looked) => looked.map_err(|error| format!("{id}: {error}")),
            Err(_) => Err(format!("{id}: looking at it panicked")),
        }
    }

    async fn go_on(&self, id: OperationId) -> Result<Option<Effective>, Failure> {
        let place = self.settings.billing.as_ref();
        let place = place.and_then(|_| Arc::clone(&self.places).try_acquire_owned().ok());
        let crowded = self.settings.time_scale.shorten(CROWDED);
        loop {
            let look = self.look(place.is_some())?;
            match self.application.look_at(id, look, crowded).await? {
                Advanced::Again => {}
                Advanced::Waits | Advanced::WouldClaim => return Ok(None),
                Advanced::Claimed(claimed) => {
                    return Ok(place.map(|place| Effective {
                        operation: id,
                        claimed,
                        place,
                    }));
                }
            }
        }
    }

    /// Does outside what was claimed, and goes on until something is waited for.
    async fn carry_out(self: Arc<Self>, effective: Effective) -> Result<(), String> {
        let Effective {
            operation,
            mut claimed,
            place: _place,
        } = effective;
        loop {
            let Some(event) = self.effect(operation, &claimed).await else {
                return Ok(());
            };
            let look = self.look(true).map_err(|error| error.to_string())?;
            let answered = self.application.answer(operation, event, look).await;
            let mut advanced = answered.map_err(|error| format!("{operation}: {error}"))?;
            if advanced == Advanced::Again {
                let look = self.look(true).map_err(|error| error.to_string())?;
                let looked = self.application.look_at(operation, look, CROWDED).await;
                advanced = looked.map_err(|error| format!("{operation}: {error}"))?;
            }
            match advanced {
                Advanced::Claimed(next) => claimed = next,
                Advanced::Waits | Advanced::WouldClaim | Advanced::Again => return Ok(()),
            }
        }
    }

    /// What came of one attempt; nothing without a billing service.
    async fn effect(&self, operation: OperationId, claimed: &Claimed) -> Option<OperationEvent> {
        let billing = self.settings.billing.as_ref()?;
        let Claimed {
            effect, attempt, ..
        } = *claimed;
        let environment = self.application.environment();
        let asked_at = environment.elapsed();
        let answer = match (effect, &claimed.authorization) {
            (Effect::VoidPayment, Some(authorization)) => {
                billing.void(operation, authorization).await
            }
            (Effect::VoidPayment, None) => return None,
            (Effect::AuthorizePayment, _) => {
                let bill = Bill {
                    operation,
                    delivery: claimed.delivery,
                    user: claimed.user,
                };
                billing.authorize(bill).await
            }
        };
        let took = environment.elapsed().saturating_sub(asked_at);
        metrics::histogram!(BILLING_REQUEST_SECONDS, "effect" => effect.word()).record(took);
        let authorization = claimed.authorization.clone();
        let authorization = authorization.and_then(|it| it.parse().ok());
        Some(match (answer, authorization) {
            (Answer::Authorized(authorization), _) => {
                OperationEvent::PaymentAuthorized { authorization }
            }
            (Answer::Denied(reason), _) => OperationEvent::PaymentDenied { reason },
            (Answer::Voided, Some(authorization)) => {
                OperationEvent::PaymentVoided { authorization }
            }
            (Answer::VoidRefused, Some(authorization)) => {
                OperationEvent::VoidRefused { authorization }
            }
            (Answer::Voided | Answer::VoidRefused, None) => return None,
            (Answer::Deferred(why, retry_after), _) => {
                let told = retry_after.and_then(|wait| u32::try_from(wait.as_millis()).ok());
                let wait = told.map(DurationMs::new);
                let scale = self.settings.time_scale;
                let wait = wait.unwrap_or_else(|| scale.shorten(backoff(claimed.deferrals)));
                OperationEvent::EffectDeferred {
                    effect,
                    attempt,
                    why,
                    retry_at: self.application.now().ok()?.plus(wait),
                }
            }
        })
    }
}

/// Whether a drone was lost or heard again: nothing else of a mission is of concern.
fn tells_of_link(record: &Record) -> bool {
    let is_link = |name| matches!(name, "LinkLost" | "LinkRestored");
    let links = MissionEvent::TYPES
        .iter()
        .filter(|known| is_link(known.name));
    let mut links = links.map(|known| known.number);
    links.any(|number| {
        record
            .events
            .iter()
            .any(|event| event.event_type.0 == number)
    })
}

fn own_actor() -> String {
    Actor::named(ActorKind::Policy, SCHEDULING_ACTOR).to_string()
}

fn heard_categories() -> Filter {
    let categories = [
        Category::Operation,
        Category::Delivery,
        Category::Mission,
        Category::Dispatch,
    ];
    Filter {
        categories: categories
            .map(|category| eventstore::Category::new(category.number()))
            .to_vec(),
        ..Filter::everything()
    }
}

#[cfg(test)]
mod tests;
