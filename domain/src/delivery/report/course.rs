//! How far a mission is on its course, and what its steps imply.

use super::{Case, Events};
use crate::decider::Occurrence;
use crate::delivery::event::DeliveryEvent;
use crate::delivery::phase::{CarryStage, FetchStage, Phase};
use crate::delivery::state::Reached;
use crate::delivery::vocabulary::{
    Anomaly, CancellationRefusal, Milestone, OnCancelAfterPickup, ReopenCause, ReopenedAs,
    ReturnReason,
};

/// The steps of a delivery that goes well, in their order. A later one implies the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    HeadedToPickup,
    ArrivedAtPickup,
    PickedUp,
    InTransit,
    ArrivedAtDropoff,
    /// Never implied: only a confirmed release completes a delivery.
    Released,
}

impl Step {
    /// The steps that a later one implies.
    const IMPLIED: [Self; 5] = [
        Self::HeadedToPickup,
        Self::ArrivedAtPickup,
        Self::PickedUp,
        Self::InTransit,
        Self::ArrivedAtDropoff,
    ];

    const fn milestone(self) -> Milestone {
        match self {
            Self::HeadedToPickup => Milestone::HeadedToPickup,
            Self::ArrivedAtPickup => Milestone::ArrivedAtPickup,
            Self::PickedUp => Milestone::PickedUp,
            Self::InTransit => Milestone::InTransit,
            Self::ArrivedAtDropoff => Milestone::ArrivedAtDropoff,
            Self::Released => Milestone::Completed,
        }
    }

    /// The last step taken at a stage: none when a drone was only assigned.
    const fn of_fetch(stage: FetchStage) -> Option<Self> {
        match stage {
            FetchStage::Assigned => None,
            FetchStage::HeadedToPickup => Some(Self::HeadedToPickup),
            FetchStage::AtPickup => Some(Self::ArrivedAtPickup),
        }
    }

    const fn of_carry(stage: CarryStage) -> Self {
        match stage {
            CarryStage::Loaded => Self::PickedUp,
            CarryStage::InTransit => Self::InTransit,
            CarryStage::AtDropoff => Self::ArrivedAtDropoff,
        }
    }
}

/// How the reporting mission stands to the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is live and fetches the package, which it does not have.
    Fetches(Option<Step>),
    /// The same, while the delivery is being cancelled.
    FetchesInVain(Option<Step>),
    /// It is live and brings the package.
    Brings(Step),
    /// It is live and brings the package back.
    BringsBack,
    /// It is live and let the package go: whether somebody took it is not confirmed.
    Awaits,
    /// It was the last one, and the delivery waits for another.
    Over,
    /// It was the last one, and the delivery's life is over.
    Finished,
    /// Another one came after it, or it was never taken.
    Foreign,
}

impl Case<'_> {
    pub(super) fn standing(self) -> Standing {
        if !self.delivery.is_newest(self.report.mission) {
            return Standing::Foreign;
        }
        match self.delivery.phase {
            Phase::Fetching { stage, holder: _ } => Standing::Fetches(Step::of_fetch(stage)),
            Phase::Cancelling { stage } => Standing::FetchesInVain(Step::of_fetch(stage)),
            Phase::Carrying(stage) => Standing::Brings(Step::of_carry(stage)),
            Phase::Returning => Standing::BringsBack,
            Phase::Released(_) => Standing::Awaits,
            Phase::Pending | Phase::Scheduled | Phase::AtHub => Standing::Over,
            Phase::Complete
            | Phase::Returned
            | Phase::Cancelled
            | Phase::Rejected(_)
            | Phase::Failed(_) => Standing::Finished,
        }
    }

    pub(super) fn is_live(self) -> bool {
        match self.standing() {
            Standing::Fetches(_)
            | Standing::FetchesInVain(_)
            | Standing::Brings(_)
            | Standing::BringsBack
            | Standing::Awaits => true,
            Standing::Over | Standing::Finished | Standing::Foreign => false,
        }
    }

    /// The newest mission's own word about a step that was only implied. Its time counts even if
    /// it lies after that of the fact that implied it: what the facts tell must come out the
    /// same whichever of them came first.
    pub(super) fn corrected(self, reached: &Reached) -> Option<Occurrence<DeliveryEvent>> {
        let corrects = reached.inferred && self.delivery.is_newest(reached.mission);
        corrects.then(|| {
            self.reported(DeliveryEvent::MilestoneTimeCorrected {
                milestone: reached.milestone,
                was: reached.at,
                now: self.report.event_time,
            })
        })
    }

    /// Whether it took the package only after somebody said where that is, which ended the
    /// delivery: then that was another one, or they were wrong.
    pub(super) fn denies_word(self, reached: &Reached) -> bool {
        let is_of_word = self.delivery.is_taken_by_word(reached);
        is_of_word && self.report.event_time > reached.at
    }

    /// What must have happened before a step; nothing if the mission is not on its way out, or
    /// is already as far.
    pub(super) fn led_to(self, step: Step) -> Option<Events> {
        let (taken, in_vain) = match self.standing() {
            Standing::Fetches(taken) => (taken, false),
            Standing::FetchesInVain(taken) => (taken, true),
            Standing::Brings(taken) => (Some(taken), false),
            Standing::BringsBack
            | Standing::Awaits
            | Standing::Over
            | Standing::Finished
            | Standing::Foreign => return None,
        };
        if taken >= Some(step) {
            return None;
        }
        let mut events = vec![];
        if in_vain && step >= Step::PickedUp {
            let why = CancellationRefusal::AlreadyPickedUp;
            events.push(self.reported(DeliveryEvent::CancellationRejected { why }));
        }
        events.extend(self.between(taken, step));
        Some(events)
    }

    pub(super) fn between(
        self,
        taken: Option<Step>,
        step: Step,
    ) -> impl Iterator<Item = Occurrence<DeliveryEvent>> {
        Step::IMPLIED
            .into_iter()
            .filter(move |missing| Some(*missing) > taken && *missing < step)
            .map(move |missing| self.implied(self.bare(missing)))
    }

    /// The event of a step of which nothing but its having happened is known.
    pub(super) fn bare(self, step: Step) -> DeliveryEvent {
        let mission = self.report.mission;
        match step {
            Step::HeadedToPickup => DeliveryEvent::HeadedToPickup { mission },
            Step::ArrivedAtPickup => DeliveryEvent::ArrivedAtPickup { mission },
            Step::PickedUp => DeliveryEvent::PickedUp {
                mission,
                tag: None,
                mass: None,
            },
            Step::InTransit => DeliveryEvent::InTransit { mission },
            Step::ArrivedAtDropoff | Step::Released => DeliveryEvent::ArrivedAtDropoff {
                mission,
                distance: None,
            },
        }
    }

    pub(super) fn stepped(self, step: Step, event: DeliveryEvent) -> Events {
        if let Some(reached) = self.reached(step.milestone()) {
            if self.denies_word(reached) {
                return self.anomaly(Anomaly::ContradictsOutcome);
            }
            return self.corrected(reached).into_iter().collect();
        }
        if let Some(mut events) = self.led_to(step) {
            events.push(self.reported(event));
            events.extend(self.turned_back(step));
            return events;
        }
        let never_had_it = self.reached(Milestone::PickedUp).is_none();
        let is_taken_after_all = step == Step::PickedUp
            && self.standing() == Standing::Finished
            && self.delivery.phase == Phase::Cancelled;
        let reopened = || self.reopened(ReopenCause::PickedUp, ReopenedAs::InTransit);
        if is_taken_after_all && let Some(reopened) = reopened() {
            // It was cancelled: nobody waits for it at the drop-off.
            return vec![reopened, self.asked_back()];
        }
        if step >= Step::PickedUp && never_had_it && !self.is_live() {
            return self.impossible_custody();
        }
        vec![]
    }

    /// What the customer wants done with a package that was picked up in spite of a cancellation.
    pub(super) fn turned_back(self, step: Step) -> Option<Occurrence<DeliveryEvent>> {
        let Standing::FetchesInVain(_) = self.standing() else {
            return None;
        };
        let wants_it_back =
            self.delivery.order.on_cancel_after_pickup == OnCancelAfterPickup::Return;
        (step >= Step::PickedUp && wants_it_back).then(|| self.asked_back())
    }

    /// It is to bring a package back that it took in spite of a cancellation. That it does so, and
    /// since when, it has to say.
    fn asked_back(self) -> Occurrence<DeliveryEvent> {
        self.implied(self.return_started(ReturnReason::Cancelled))
    }
}
