//! When a package changes hands: taken by a drone, or let go.

use super::{Case, Events, Standing, Step};
use crate::decider::Occurrence;
use crate::delivery::command::Nearness;
use crate::delivery::condition::Condition;
use crate::delivery::event::DeliveryEvent;
use crate::delivery::handing_over::completed_by;
use crate::delivery::phase::Phase;
use crate::delivery::state::Reached;
use crate::delivery::vocabulary::{
    Anomaly, AttemptFailure, Confirmation, Failure, HoldReason, Milestone, ReleaseEvidence,
    ReleaseMethod, ReturnReason, UnassignReason,
};
use crate::id::ProofHash;
use crate::quantity::DistanceM;

impl Case<'_> {
    /// The drone took something that it should not bring.
    pub(super) fn misloaded(self, reason: AttemptFailure) -> Events {
        let mission = self.report.mission;
        let attempt_failed = self.reported(DeliveryEvent::AttemptFailed { mission, reason });
        let counted = self.delivery.mission.as_ref().is_some_and(|m| m.counted);
        match self.standing() {
            Standing::FetchesInVain(_) if counted => vec![],
            Standing::Fetches(taken) => {
                let unassigned = self.unassigned(UnassignReason::AttemptFailed, None);
                let mut events: Events = self.between(taken, Step::PickedUp).collect();
                events.extend([attempt_failed, self.reported(unassigned)]);
                events
            }
            // It is cancelled when the drone has been stood down, not because it failed.
            Standing::FetchesInVain(taken) => {
                let mut events: Events = self.between(taken, Step::PickedUp).collect();
                events.push(attempt_failed);
                events
            }
            Standing::Brings(_)
            | Standing::BringsBack
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => match self.reached(Milestone::PickedUp) {
                Some(reached) => self.misloaded_after_all(reached, attempt_failed),
                None if counted && self.standing() != Standing::Foreign => vec![],
                None => self.impossible_custody(),
            },
        }
    }

    /// It was thought to have been loaded well: if that had only been implied, the loading's own
    /// report comes late, and says otherwise.
    fn misloaded_after_all(
        self,
        picked_up: &Reached,
        attempt_failed: Occurrence<DeliveryEvent>,
    ) -> Events {
        let standing = self.standing();
        if self.denies_word(picked_up) {
            return self.anomaly(Anomaly::ContradictsOutcome);
        }
        let Some(corrected) = self.corrected(picked_up) else {
            return match standing {
                Standing::Brings(_) | Standing::Awaits => self.anomaly(Anomaly::WrongStatus),
                Standing::Fetches(_)
                | Standing::FetchesInVain(_)
                | Standing::BringsBack
                | Standing::Over
                | Standing::Finished
                | Standing::Foreign => vec![],
            };
        };
        let mut events = vec![corrected];
        match standing {
            Standing::Brings(_) => {
                // It is asked to turn round, and has to say that it did.
                let turned = self.implied(self.return_started(ReturnReason::MissionAborted));
                events.extend([attempt_failed, turned]);
            }
            Standing::BringsBack => events.push(attempt_failed),
            Standing::Finished => events.extend(self.anomaly(Anomaly::ContradictsOutcome)),
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::Awaits
            | Standing::Over
            | Standing::Foreign => events.extend(self.anomaly(Anomaly::WrongStatus)),
        }
        events
    }

    pub(super) fn released(
        self,
        method: ReleaseMethod,
        evidence: Option<ReleaseEvidence>,
        confirmed: bool,
        nearness: Nearness,
    ) -> Events {
        if !self.is_live() {
            return if confirmed && self.release_contradicts(nearness) {
                self.impossible_custody()
            } else {
                vec![]
            };
        }
        if self.standing() == Standing::Awaits {
            return self.released_again(confirmed, nearness);
        }
        if !confirmed {
            return self.anomaly(Anomaly::ReleaseNotConfirmed);
        }
        match nearness {
            Nearness::Unknown => self.anomaly(Anomaly::ReleaseWithoutPosition),
            Nearness::Inside(distance) => self.released_there(method, evidence, distance),
            // A package is put down elsewhere at the end of every return; where, `returned` tells.
            Nearness::Outside(_) if self.standing() == Standing::BringsBack => {
                self.anomaly(Anomaly::WrongStatus)
            }
            Nearness::Outside(_) => {
                let mut events = self.led_to(Step::InTransit).unwrap_or_default();
                events.push(self.reported(self.failed(Failure::Misdelivered)));
                events
            }
        }
    }

    /// The delivery is complete if it is confirmed as it was asked for; else that is waited for.
    fn released_there(
        self,
        method: ReleaseMethod,
        evidence: Option<ReleaseEvidence>,
        distance: DistanceM,
    ) -> Events {
        let mission = self.report.mission;
        let mut events = self.led_to(Step::Released).unwrap_or_default();
        if self.delivery.is_confirmed() {
            let complete = DeliveryEvent::DeliveryComplete {
                mission,
                method: Some(method),
                evidence,
                distance: Some(distance),
            };
            // As of the later of both, whichever was heard of first.
            let confirmed_at = self.delivery.confirmed().map(|confirmed| confirmed.at);
            let at =
                confirmed_at.map_or(self.report.event_time, |at| at.max(self.report.event_time));
            events.push(Occurrence::new(complete, at));
            return events;
        }
        let condition = Condition::Holding(HoldReason::AwaitingConfirmation);
        events.extend([
            self.reported(DeliveryEvent::Released {
                mission,
                method,
                evidence,
                distance,
            }),
            self.reported(DeliveryEvent::ConditionChanged { mission, condition }),
        ]);
        events
    }

    /// What was let go once is let go; only elsewhere it cannot be.
    fn released_again(self, confirmed: bool, nearness: Nearness) -> Events {
        match nearness {
            Nearness::Outside(_) if confirmed => self.anomaly(Anomaly::WrongStatus),
            Nearness::Outside(_) | Nearness::Inside(_) | Nearness::Unknown => vec![],
        }
    }

    /// The recipient showed the drone who they are: so it is on its way to them at least.
    pub(super) fn verified(self, kind: Confirmation, proof: &ProofHash) -> Events {
        if !self.is_live() || self.delivery.confirmed().is_some() {
            return vec![];
        }
        if kind < self.delivery.order().confirmation {
            return self.anomaly(Anomaly::ConfirmationTooWeak);
        }
        let mut events = self.led_to(Step::ArrivedAtDropoff).unwrap_or_default();
        let proof = proof.clone();
        events.push(self.reported(DeliveryEvent::Confirmed { kind, proof }));
        events.extend(completed_by(self.delivery, self.report.event_time));
        events.extend(self.turned_back(Step::InTransit));
        events
    }

    /// Whether a confirmed release by a mission that is not live contradicts what is known.
    fn release_contradicts(self, nearness: Nearness) -> bool {
        let inside = match nearness {
            Nearness::Inside(_) => Some(true),
            Nearness::Outside(_) => Some(false),
            Nearness::Unknown => None,
        };
        if self.standing() == Standing::Foreign {
            return true;
        }
        match self.delivery.phase {
            Phase::Complete => inside == Some(false),
            // There it was put down, or wherever it was let go: not at the recipient's.
            Phase::AtHub | Phase::Returned | Phase::Failed(Failure::Misdelivered) => {
                inside == Some(true)
            }
            Phase::Failed(
                Failure::DroneLost
                | Failure::PackageLost
                | Failure::Damaged
                | Failure::Undeliverable
                | Failure::NoDrone,
            )
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Pending
            | Phase::Scheduled
            | Phase::Fetching { .. }
            | Phase::Carrying(_)
            | Phase::Released(_)
            | Phase::Returning
            | Phase::Cancelling { .. } => true,
        }
    }
}
