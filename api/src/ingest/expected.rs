//! When a drone says that it expects to be where, and that has become another time: the only thing
//! of telemetry that a delivery takes note of.

use domain::actor::{Actor, ActorKind};
use domain::decider::Decider as _;
use domain::delivery::{Delivery, DeliveryCommand, Estimate, Phase};
use domain::drone::Telemetry;
use domain::id::DeliveryId;
use domain::mission::Mission;
use domain::stream::StreamName;
use domain::time::{DurationMs, DurationS, Timestamp};

use super::receive::{Ingest, only_failure};
use crate::application::{Failure, Request};

impl Ingest {
    /// Tells the delivery of a drone's mission when the drone now expects to be at its next stop,
    /// if the drone says so and that is news.
    ///
    /// # Errors
    /// A failure of the machine. Nothing is lost by it: the next telemetry says it again.
    pub async fn expect(&self, telemetry: &Telemetry) -> Result<(), Failure> {
        let Some((mission, next)) = telemetry.mission.zip(telemetry.eta_next) else {
            return Ok(());
        };
        let loader = self.application().loader();
        let bound = loader.load::<Option<Mission>>(StreamName::mission(mission))?;
        let Some(bound) = bound.state.filter(|it| it.is_flown_by(&telemetry.sender)) else {
            return Ok(());
        };
        let thresholds = &self.application().thresholds().eta;
        let now = telemetry.received_at;
        let name = StreamName::delivery(bound.delivery());
        let command = |delivery: &Delivery| DeliveryCommand::ReviseEta {
            mission,
            estimate: estimate(delivery, next, now),
            thresholds: *thresholds,
            now,
        };
        // Most telemetry is no news, and needs no turn of its own.
        let known = loader.load::<Option<Delivery>>(name)?.state;
        let news = known
            .as_ref()
            .and_then(|it| it.revise_eta(mission, estimate(it, next, now), thresholds, now));
        if news.is_none() {
            return Ok(());
        }
        let request = self.expecting(bound.delivery(), telemetry);
        let done = self.application().transact(&request, |draft| {
            let mut delivery = draft.load::<Option<Delivery>>(name)?;
            let Some(known) = &delivery.state else {
                return Ok(());
            };
            let owner = known.order().user.uuid();
            let events = Delivery::decide(&command(known), &delivery.state).unwrap_or_default();
            draft.record(&mut delivery, Some(owner), None, &events);
            Ok(())
        });
        done.await.map(drop).map_err(only_failure)
    }

    fn expecting(&self, delivery: DeliveryId, telemetry: &Telemetry) -> Request {
        Request {
            commit_id: self.application().environment().new_id(),
            actor: Actor::named(ActorKind::Drone, &telemetry.sender.drone),
            correlation_id: delivery.uuid(),
            cause: None,
            keyed: None,
        }
    }
}

/// The next stop is the pick-up until the drone has the package, then the drop-off.
fn estimate(delivery: &Delivery, next: DurationS, now: Timestamp) -> Estimate {
    let at = Some(now.plus(DurationMs::from_seconds(next.get())));
    let is_fetching = matches!(delivery.phase(), Phase::Fetching { .. });
    Estimate {
        pickup_at: at.filter(|_| is_fetching),
        dropoff_at: at.filter(|_| !is_fetching),
    }
}
