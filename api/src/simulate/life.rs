//! One delivery from its order to its end: what its customer and its drones do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use domain::geo::GeoPoint;
use domain::id::DeliveryId;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;

use super::Speed;
use super::city::{City, on_the_way};
use super::client::{Client, Question};
use super::customer::{Asked, Customer, book};
use super::dice::Dice;
use super::ears::{Ears, Heard, Request};
use super::faults::{Fault, Faults};
use super::fleet::{Accepted, Fleet, Reports};
use super::order::Order;
use super::outlook::Flown;
use super::script::{Change, Errand, Script, Step, Telling, script};
use crate::environment::Environment;

/// How long the service may take for whatever is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// How fast drones fly, metres a second.
const SPEED_MPS: f64 = 15.0;

/// Between two reports of a position: so long in the simulated world, and so long in this one.
const REPORT_EVERY_S: (f64, f64) = (5.0, 0.25);

/// Everything that all lives share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) client: Client,
    /// Names this run: what is asked for in it is not what was asked for in another one.
    pub(super) run: String,
    pub(super) ears: Ears,
    pub(super) fleet: Fleet,
    pub(super) reports: Reports,
    pub(super) seed: u64,
    pub(super) faults: Faults,
    pub(super) speed: Speed,
    pub(super) environment: Environment,
}

impl World {
    /// What a clock shows.
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::from_micros(self.environment.now_us());
        now.expect("the clock of a machine shows a year before 10000")
    }
}

/// What became of a delivery, as its customer and its drones saw it.
#[derive(Clone, Debug)]
pub(super) struct Lived {
    pub(super) order: Order,
    /// If it could be ordered.
    pub(super) delivery: Option<DeliveryId>,
    pub(super) heard: Heard,
    /// What went wrong in its missions.
    pub(super) faults: BTreeSet<Fault>,
    /// Its missions, in order.
    pub(super) flown: Vec<Flown>,
    /// What its customer asked for.
    pub(super) asked: Vec<Asked>,
    /// Why it was not seen to its end.
    pub(super) trouble: Option<String>,
}

/// Orders a delivery and flies its missions until its life is over.
pub(super) async fn live(world: Arc<World>, number: u32, user: String) -> Lived {
    let order = Order::draw(world.seed, number);
    let mut lived = Lived {
        order: order.clone(),
        delivery: None,
        heard: Heard::default(),
        faults: BTreeSet::new(),
        flown: Vec::new(),
        asked: Vec::new(),
        trouble: None,
    };
    if let Err(error) = see_through(&world, &order, &user, &mut lived).await {
        lived.trouble = Some(format!("{error:#}"));
    }
    lived
}

async fn see_through(
    world: &Arc<World>,
    order: &Order,
    user: &str,
    lived: &mut Lived,
) -> anyhow::Result<()> {
    let (delivery, booking) = book(world, order, user).await?;
    lived.delivery = Some(delivery);
    lived.asked.push(booking);
    let mut heard = world.ears.of_delivery(delivery);
    let mut on_their_way_home = JoinSet::new();
    let mut flown = 0;
    let seen = loop {
        let next = wait_for(&mut heard, "an end or another mission", |heard| {
            heard.fold.is_over() || heard.requests.len() > flown
        });
        if let Err(error) = next.await {
            break Err(error);
        }
        let now = heard.borrow().clone();
        let Some(request) = now.requests.get(flown).filter(|_| !now.fold.is_over()) else {
            break Ok(());
        };
        flown += 1;
        let errand = (delivery, order, request);
        let (mut flight, script) = Flight::prepare(world, errand, (flown, heard.clone()))?;
        lived.faults.extend(&script.faults);
        lived.flown.push(Flown {
            course: script.course,
            ask: request.ask,
            leaves: script.leaves.to_vec(),
            anomaly: script.anomaly,
        });
        let mut steps = script.steps.into_iter();
        let flying = flight.fly(&mut steps).await;
        lived.asked.append(&mut flight.asked);
        if flying.is_ok() {
            on_their_way_home.spawn(async move { flight.fly(&mut steps).await });
        }
        if let Err(error) = flying {
            break Err(error);
        }
    };
    for home in on_their_way_home.join_all().await {
        home?;
    }
    if seen.is_ok() {
        // What was said last may have had a consequence that the feed has yet to tell.
        let all = sequence_of(&world.client, delivery).await?;
        wait_for(&mut heard, "the end of the feed", |heard| {
            heard.sequence >= all
        })
        .await?;
    }
    lived.heard = heard.borrow().clone();
    seen
}

/// How many events a delivery has, whatever was heard of them so far.
async fn sequence_of(client: &Client, delivery: DeliveryId) -> anyhow::Result<u64> {
    let question = Question::get(format!("/v1/deliveries/{delivery}"));
    let body = client.ask(&question).await?.success()?;
    body.get("sequence")
        .and_then(Value::as_u64)
        .with_context(|| format!("a delivery without a sequence: {body}"))
}

/// Waits until something was heard.
async fn wait_for(
    heard: &mut watch::Receiver<Heard>,
    what: &str,
    is_so: impl FnMut(&Heard) -> bool,
) -> anyhow::Result<()> {
    match tokio::time::timeout(PATIENCE, heard.wait_for(is_so)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => bail!("nobody listens any more"),
        Err(_) => bail!("stuck: waited {PATIENCE:?} for {what}"),
    }
}

/// A mission under way.
struct Flight {
    world: Arc<World>,
    delivery: DeliveryId,
    accepted: Accepted,
    heard: watch::Receiver<Heard>,
    lost: (Dice, u32),
    /// What the customer asked for meanwhile.
    asked: Vec<Asked>,
    /// Whether it lets itself be called off although its script says nothing of it.
    obeys: bool,
    has_package: bool,
    turn: Option<OwnedSemaphorePermit>,
}

impl Flight {
    fn prepare(
        world: &Arc<World>,
        (delivery, order, request): (DeliveryId, &Order, &Request),
        (attempt, heard): (usize, watch::Receiver<Heard>),
    ) -> anyhow::Result<(Self, Script)> {
        let accepted = world
            .fleet
            .accept((request.mission, delivery), None)
            .context("a fleet without drones flies nothing")?;
        let hub = City::of(world.seed).hub();
        let is_at_hub = request.is_at_hub;
        let errand = Errand {
            order,
            pickup: if is_at_hub { hub } else { request.pickup },
            dropoff: request.dropoff,
            is_at_hub,
            base: accepted.drone.base,
            hub,
        };
        let lot = order.lot(world.seed).of_attempt(u32::try_from(attempt)?);
        let script = script(&lot, &errand, &world.faults);
        let obeys = !script.hears_too_late && !script.steps.contains(&Step::AwaitStandDown);
        let flight = Self {
            world: Arc::clone(world),
            delivery,
            accepted,
            heard,
            lost: (lot.dice("reports"), script.reports_lost_permille),
            asked: Vec::new(),
            obeys,
            has_package: false,
            turn: None,
        };
        Ok((flight, script))
    }

    /// Flies on, until the drone leaves its delivery or the script ends.
    async fn fly(&mut self, steps: &mut (dyn Iterator<Item = Step> + Send)) -> anyhow::Result<()> {
        for step in steps {
            if step == Step::LeaveDelivery {
                // From here on the delivery may be another's, and so may the commands.
                self.obeys = false;
                return Ok(());
            }
            if self.is_called_off() {
                let stood_down = Telling::alone("stood_down", json!({}), self.accepted.drone.base);
                return self.accepted.tell(&self.world.client, &stood_down).await;
            }
            self.take(&step).await?;
        }
        Ok(())
    }

    fn is_called_off(&self) -> bool {
        let mission = &self.accepted.mission;
        self.obeys && !self.has_package && self.heard.borrow().unwanted.contains(mission)
    }

    async fn take(&mut self, step: &Step) -> anyhow::Result<()> {
        match step {
            Step::AwaitTurn => self.turn = self.accepted.turn().await,
            Step::LeaveDelivery => {}
            Step::Fly { from, to } => self.move_to(*from, *to).await,
            Step::Stay { at, s } => self.pass(f64::from(*s), |_| *at).await,
            Step::Tell(telling) => self.tell(telling).await?,
            Step::TellUntilSeen(telling) => self.tell_until_seen(telling).await?,
            Step::TellLate { late, meanwhile } => {
                // It has the package from then on, whenever it gets to say so.
                self.has_package |= late.kind == "package_loaded";
                let kept_back = self.accepted.keep_back(late).await;
                self.tell_until_seen(meanwhile).await?;
                self.world.client.tell([&kept_back]).await?;
            }
            Step::Restart => self.accepted.restart().await,
            Step::Cancel { is_taken } => {
                let asked = self.customer().cancel(*is_taken).await?;
                self.asked.extend(asked);
            }
            Step::Change(change) => self.change(*change).await?,
            Step::AskBack => {
                let asked = self.customer().ask_back().await?;
                self.asked.push(asked);
            }
            Step::AwaitStandDown => {
                let mission = self.accepted.mission;
                self.await_stand_down(mission).await?;
            }
            Step::AwaitCondition(condition) => {
                let what = format!("the condition {condition}");
                let is_so = |heard: &Heard| heard.condition == *condition;
                wait_for(&mut self.heard, &what, is_so).await?;
            }
            Step::SecondDrone => self.send_second_drone().await?,
        }
        Ok(())
    }

    async fn tell(&mut self, telling: &Telling) -> anyhow::Result<()> {
        self.has_package |= telling.has("package_loaded");
        self.accepted.tell(&self.world.client, telling).await
    }

    async fn tell_until_seen(&mut self, telling: &Telling) -> anyhow::Result<()> {
        let before = sequence_of(&self.world.client, self.delivery).await?;
        self.tell(telling).await?;
        self.await_more_than(before).await
    }

    /// Waits until the delivery has more events.
    async fn await_more_than(&mut self, before: u64) -> anyhow::Result<()> {
        let what = "an effect of what was told";
        wait_for(&mut self.heard, what, |heard| heard.sequence > before).await
    }

    async fn change(&mut self, change: Change) -> anyhow::Result<()> {
        let missed = |heard: &Heard| heard.times("DeadlineMissed");
        let before = missed(&self.heard.borrow());
        let asked = self.customer().change(change).await?;
        self.asked.push(asked);
        if change == Change::Deadline {
            let what = "the deadline to be missed";
            wait_for(&mut self.heard, what, |heard| missed(heard) > before).await?;
        }
        Ok(())
    }

    fn customer(&self) -> Customer<'_> {
        Customer {
            world: &self.world,
            delivery: self.delivery,
            key: format!("{}-{}", self.world.run, self.accepted.mission),
        }
    }

    async fn await_stand_down(&mut self, mission: domain::id::MissionId) -> anyhow::Result<()> {
        wait_for(&mut self.heard, "being stood down", |heard| {
            heard.unwanted.contains(&mission)
        })
        .await
    }

    /// The fleet gives the delivery to another drone too, on its own account.
    async fn send_second_drone(&mut self) -> anyhow::Result<()> {
        let mission = uuid::Uuid::new_v5(&self.accepted.mission.uuid(), b"second drone");
        let mission = domain::id::MissionId::from_uuid(mission);
        let (fleet, asked) = (&self.world.fleet, (mission, self.delivery));
        let other = fleet.accept(asked, Some(&*self.accepted.drone));
        // In a fleet of one it is told to do both.
        let second = other.or_else(|| fleet.accept(asked, None));
        let second = second.context("a fleet without drones flies nothing")?;
        let base = second.drone.base;
        let before = sequence_of(&self.world.client, self.delivery).await?;
        let assigned = Telling::alone("mission_assigned", json!({}), base);
        second.tell(&self.world.client, &assigned).await?;
        // It may wait for what that drone said before.
        self.await_more_than(before).await?;
        self.await_stand_down(mission).await?;
        let stood_down = Telling::alone("stood_down", json!({}), base);
        second.tell(&self.world.client, &stood_down).await
    }

    async fn move_to(&mut self, from: GeoPoint, to: GeoPoint) {
        let seconds = f64::from(from.distance_to(to).get()) / SPEED_MPS;
        self.pass(seconds, |permille| on_the_way(from, to, permille))
            .await;
    }

    /// Lets time pass and says where the drone is, some times.
    async fn pass(&mut self, seconds: f64, place: impl Fn(u32) -> GeoPoint) {
        let Speed(speed) = self.world.speed;
        let (simulated, real) = REPORT_EVERY_S;
        let reports = (1..=1_000_u32)
            .find(|reports| seconds / f64::from(*reports) <= simulated.max(real * speed))
            .unwrap_or(1_000);
        for report in 1..=reports {
            let part = Duration::try_from_secs_f64(seconds / f64::from(reports));
            tokio::time::sleep(self.world.speed.wait(part.unwrap_or_default())).await;
            let (dice, lost_permille) = &mut self.lost;
            if !dice.happens(*lost_permille) {
                let at = place(report * 1_000 / reports);
                self.accepted
                    .report(&self.world.reports, at, "in_flight")
                    .await;
            }
        }
    }
}
