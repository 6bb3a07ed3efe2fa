//! A delivery's state as bytes.

use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::diagram::release;
use super::eta::Eta;
use super::event::DeliveryEvent;
use super::phase::{CarryStage, FetchStage, Holder, Phase, Release};
use super::state::{Confirmed, Delivery, Mission, Need, Reached};
use super::vocabulary::{
    ConditionWord, Confirmation, Correction, Failure, HoldReason, Milestone, RejectReason,
    ReleaseEvidence, ReleaseMethod, ReturnReason,
};
use crate::codec::{number_of, word_of};
use crate::id::{FactId, MissionId, ProofHash};
use crate::quantity::DistanceM;
use crate::snapshot::{Keep, Kept, KeptId, uuid};
use crate::text::Comment;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(crate) struct KeptDelivery {
    /// As the event that would order it as it is now.
    order: Kept,
    phase: KeptPhase,
    attempt: u8,
    epoch: u32,
    revision: u32,
    /// As the event that would assign it, whether it counts as an attempt, and whether its drone
    /// ended it with the package.
    mission: Option<(Kept, bool, bool)>,
    returned_for: Option<u8>,
    misloaded: bool,
    kept_at_hub: bool,
    deadline_missed: bool,
    condition: KeptCondition,
    condition_before: KeptCondition,
    condition_beneath: KeptCondition,
    confirmed: Option<(u8, String, i64)>,
    need: KeptNeed,
    eta: Option<KeptEta>,
    release: Option<KeptRelease>,
    reopenings: u8,
    corrections: Vec<(u8, String)>,
    milestones: Vec<KeptMilestone>,
    anomalies: Vec<(String, KeptId)>,
}

/// Which phase, and the numbers of what is in it.
type KeptPhase = (u8, u8, u8);

/// Its word, and the reason of a hold.
type KeptCondition = (u8, Option<u8>);

/// Which need, and since when there is no news, microseconds.
type KeptNeed = (u8, Option<i64>);

/// At the pick-up, at the drop-off, and when it was computed, microseconds.
type KeptEta = (Option<i64>, Option<i64>, i64);

#[derive(Serialize, Deserialize)]
struct KeptRelease {
    method: u8,
    evidence: Option<u8>,
    distance_m: u32,
    at_us: i64,
    told_at_us: i64,
    overdue: bool,
}

#[derive(Serialize, Deserialize)]
struct KeptMilestone {
    milestone: u8,
    mission: KeptId,
    at_us: i64,
    inferred: bool,
}

const FETCH_STAGES: [FetchStage; 3] = [
    FetchStage::Assigned,
    FetchStage::HeadedToPickup,
    FetchStage::AtPickup,
];

const CARRY_STAGES: [CarryStage; 3] = [
    CarryStage::Loaded,
    CarryStage::InTransit,
    CarryStage::AtDropoff,
];

const HOLDERS: [Holder; 2] = [Holder::Sender, Holder::Hub];

impl Keep for Delivery {
    type Kept = KeptDelivery;

    fn kept(&self) -> KeptDelivery {
        let mission = self.mission.as_ref().map(|mission| {
            let assigned = DeliveryEvent::DroneAssigned(mission.assignment.clone());
            let counted = mission.counted;
            (Kept::of(&assigned), counted, mission.ended_with_package)
        });
        KeptDelivery {
            order: Kept::of(&DeliveryEvent::Created(Box::new(self.order.clone()))),
            phase: kept_phase(self.phase),
            attempt: self.attempt,
            epoch: self.epoch,
            revision: self.revision,
            mission,
            returned_for: self
                .returned_for
                .map(|reason| number_of(ReturnReason::ALL, &reason)),
            misloaded: self.misloaded,
            kept_at_hub: self.kept_at_hub,
            deadline_missed: self.deadline_missed,
            condition: kept_condition(self.condition),
            condition_before: kept_condition(self.condition_before),
            condition_beneath: kept_condition(self.condition_beneath),
            confirmed: self.confirmed.as_ref().map(|confirmed| {
                let kind = number_of(Confirmation::ALL, &confirmed.kind);
                (kind, confirmed.proof.to_string(), confirmed.at.micros())
            }),
            need: kept_need(self.need),
            eta: self.eta.map(|eta| {
                let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
                let computed_at = eta.computed_at.micros();
                (micros(eta.pickup_at), micros(eta.dropoff_at), computed_at)
            }),
            release: release(self.phase).map(KeptRelease::of),
            reopenings: self.reopenings,
            corrections: self
                .corrections
                .iter()
                .map(|(what, now)| (number_of(Correction::ALL, what), now.to_string()))
                .collect(),
            milestones: self.milestones.iter().map(KeptMilestone::of).collect(),
            anomalies: self
                .anomalies
                .iter()
                .map(|(fact, mission)| (fact.to_string(), mission.uuid().into_bytes()))
                .collect(),
        }
    }

    fn state(kept: KeptDelivery) -> Option<Self> {
        let DeliveryEvent::Created(order) = kept.order.event()? else {
            return None;
        };
        let mission = match kept.mission {
            None => None,
            Some((assigned, counted, ended_with_package)) => {
                let DeliveryEvent::DroneAssigned(assignment) = assigned.event()? else {
                    return None;
                };
                Some(Mission {
                    assignment,
                    counted,
                    ended_with_package,
                })
            }
        };
        let milestones = kept.milestones.iter().map(KeptMilestone::reached);
        let returned_for = kept
            .returned_for
            .map(|reason| word_of("reason", ReturnReason::ALL, reason));
        let corrections = kept.corrections.into_iter().map(|(what, now)| {
            let what = word_of("what", Correction::ALL, what).ok()?;
            Some((what, Comment::new(now).ok()?))
        });
        let anomalies = kept.anomalies.into_iter().map(|(fact, mission)| {
            let fact = FactId::new(fact).ok()?;
            Some((fact, MissionId::from_uuid(uuid(mission))))
        });
        Some(Self {
            order: *order,
            phase: phase_of(kept.phase, kept.release)?,
            attempt: kept.attempt,
            epoch: kept.epoch,
            revision: kept.revision,
            mission,
            returned_for: returned_for.transpose().ok()?,
            misloaded: kept.misloaded,
            kept_at_hub: kept.kept_at_hub,
            deadline_missed: kept.deadline_missed,
            condition: condition_of(kept.condition)?,
            condition_before: condition_of(kept.condition_before)?,
            condition_beneath: condition_of(kept.condition_beneath)?,
            confirmed: match kept.confirmed {
                None => None,
                Some(confirmed) => Some(confirmed_of(confirmed)?),
            },
            need: need_of(kept.need)?,
            eta: match kept.eta {
                None => None,
                Some(eta) => Some(eta_of(eta)?),
            },
            reopenings: kept.reopenings,
            corrections: corrections.collect::<Option<_>>()?,
            milestones: milestones.collect::<Option<_>>()?,
            anomalies: anomalies.collect::<Option<_>>()?,
        })
    }
}

fn kept_phase(phase: Phase) -> KeptPhase {
    match phase {
        Phase::Pending => (0, 0, 0),
        Phase::Scheduled => (1, 0, 0),
        Phase::Fetching { stage, holder } => {
            let stage = number_of(&FETCH_STAGES, &stage);
            (2, stage, number_of(&HOLDERS, &holder))
        }
        Phase::Carrying(stage) => (3, number_of(&CARRY_STAGES, &stage), 0),
        Phase::Returning => (4, 0, 0),
        Phase::AtHub => (5, 0, 0),
        Phase::Cancelling { stage } => (6, number_of(&FETCH_STAGES, &stage), 0),
        Phase::Complete => (7, 0, 0),
        Phase::Returned => (8, 0, 0),
        Phase::Cancelled => (9, 0, 0),
        Phase::Failed(failure) => (10, number_of(Failure::ALL, &failure), 0),
        Phase::Released(_) => (12, 0, 0),
        Phase::Rejected(reason) => (11, number_of(RejectReason::ALL, &reason), 0),
    }
}

fn kept_condition(condition: Condition) -> KeptCondition {
    let hold = condition.hold();
    (
        number_of(ConditionWord::ALL, &condition.word()),
        hold.map(|hold| number_of(HoldReason::ALL, &hold)),
    )
}

fn condition_of((word, hold): KeptCondition) -> Option<Condition> {
    let word = word_of("condition", ConditionWord::ALL, word).ok()?;
    let hold = hold.map(|hold| word_of("hold", HoldReason::ALL, hold));
    Condition::of(word, hold.transpose().ok()?)
}

fn confirmed_of((kind, proof, at_us): (u8, String, i64)) -> Option<Confirmed> {
    Some(Confirmed {
        kind: word_of("kind", Confirmation::ALL, kind).ok()?,
        proof: ProofHash::new(proof).ok()?,
        at: Timestamp::from_micros(at_us).ok()?,
    })
}

fn eta_of((pickup_at, dropoff_at, computed_at): KeptEta) -> Option<Eta> {
    let at = |micros: Option<i64>| micros.map(Timestamp::from_micros).transpose().ok();
    Some(Eta {
        pickup_at: at(pickup_at)?,
        dropoff_at: at(dropoff_at)?,
        computed_at: Timestamp::from_micros(computed_at).ok()?,
    })
}

impl KeptRelease {
    fn of(release: Release) -> Self {
        Self {
            method: number_of(ReleaseMethod::ALL, &release.method),
            evidence: release
                .evidence
                .map(|evidence| number_of(ReleaseEvidence::ALL, &evidence)),
            distance_m: release.distance.get(),
            at_us: release.at.micros(),
            told_at_us: release.told_at.micros(),
            overdue: release.overdue,
        }
    }

    fn release(&self) -> Option<Release> {
        let evidence = self
            .evidence
            .map(|evidence| word_of("evidence", ReleaseEvidence::ALL, evidence));
        Some(Release {
            method: word_of("method", ReleaseMethod::ALL, self.method).ok()?,
            evidence: evidence.transpose().ok()?,
            distance: DistanceM::new(self.distance_m),
            at: Timestamp::from_micros(self.at_us).ok()?,
            told_at: Timestamp::from_micros(self.told_at_us).ok()?,
            overdue: self.overdue,
        })
    }
}

fn phase_of(kept: KeptPhase, release: Option<KeptRelease>) -> Option<Phase> {
    if let Some(release) = release {
        return (kept == (12, 0, 0))
            .then(|| release.release())?
            .map(Phase::Released);
    }
    let phase = match kept {
        (0, 0, 0) => Phase::Pending,
        (1, 0, 0) => Phase::Scheduled,
        (2, stage, holder) => Phase::Fetching {
            stage: word_of("stage", &FETCH_STAGES, stage).ok()?,
            holder: word_of("holder", &HOLDERS, holder).ok()?,
        },
        (3, stage, 0) => Phase::Carrying(word_of("stage", &CARRY_STAGES, stage).ok()?),
        (4, 0, 0) => Phase::Returning,
        (5, 0, 0) => Phase::AtHub,
        (6, stage, 0) => Phase::Cancelling {
            stage: word_of("stage", &FETCH_STAGES, stage).ok()?,
        },
        (7, 0, 0) => Phase::Complete,
        (8, 0, 0) => Phase::Returned,
        (9, 0, 0) => Phase::Cancelled,
        (10, failure, 0) => Phase::Failed(word_of("failure", Failure::ALL, failure).ok()?),
        (11, reason, 0) => Phase::Rejected(word_of("reason", RejectReason::ALL, reason).ok()?),
        _ => return None,
    };
    Some(phase)
}

const fn kept_need(need: Need) -> KeptNeed {
    match need {
        Need::Nobody => (0, None),
        Need::News(since) => (1, Some(since.micros())),
        Need::Somebody => (2, None),
        Need::SomebodyAtHub => (3, None),
        Need::SomebodyForDrone => (4, None),
    }
}

fn need_of(kept: KeptNeed) -> Option<Need> {
    match kept {
        (0, None) => Some(Need::Nobody),
        (1, Some(since)) => Timestamp::from_micros(since).ok().map(Need::News),
        (2, None) => Some(Need::Somebody),
        (3, None) => Some(Need::SomebodyAtHub),
        (4, None) => Some(Need::SomebodyForDrone),
        _ => None,
    }
}

impl KeptMilestone {
    fn of(reached: &Reached) -> Self {
        Self {
            milestone: number_of(Milestone::ALL, &reached.milestone),
            mission: reached.mission.uuid().into_bytes(),
            at_us: reached.at.micros(),
            inferred: reached.inferred,
        }
    }

    fn reached(&self) -> Option<Reached> {
        Some(Reached {
            milestone: word_of("milestone", Milestone::ALL, self.milestone).ok()?,
            mission: MissionId::from_uuid(uuid(self.mission)),
            at: Timestamp::from_micros(self.at_us).ok()?,
            inferred: self.inferred,
        })
    }
}
