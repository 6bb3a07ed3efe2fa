//! What goes on after its request was answered, seen from outside of it.

use std::convert::Infallible;

use domain::actor::{Actor, ActorKind};
use domain::decider::Occurrence;
use domain::delivery::Delivery;
use domain::dispatch::Dispatch;
use domain::id::{DeliveryId, MissionId, OperationId};
use domain::scheduling::{Operation, OperationEvent};
use domain::stream::StreamName;
use eventstore::StreamVersion;

use super::load::LoadError;
use super::scheduling::{Advanced, Advancing, Claims, Look};
use super::transact::{Application, Failure, Request, TransactError};

/// Who acts where the scheduling process does.
pub(crate) const SCHEDULING_ACTOR: &str = "scheduling";

impl Application {
    /// An operation as it is now, and the version of its stream.
    ///
    /// # Errors
    /// A failure to read.
    pub fn operation(
        &self,
        id: OperationId,
    ) -> Result<Option<(Operation, StreamVersion)>, LoadError> {
        let loaded = self
            .loader()
            .load::<Option<Operation>>(StreamName::operation(id))?;
        Ok(loaded.state.map(|operation| (operation, loaded.version)))
    }

    /// The delivery that a mission is for, by what was asked of Drone Management.
    ///
    /// # Errors
    /// A failure to read.
    pub(crate) fn delivery_of_dispatch(
        &self,
        mission: MissionId,
    ) -> Result<Option<DeliveryId>, LoadError> {
        let loaded = self
            .loader()
            .load::<Option<Dispatch>>(StreamName::dispatch(mission))?;
        Ok(loaded.state.map(|dispatch| dispatch.delivery()))
    }

    /// Looks at an operation and does what is next, as far as that needs nothing outside.
    ///
    /// Where something outside would be next that nobody may ever claim, it waits for the deadline
    /// of that, if there is one. Where that may be claimed later, nothing is written for it:
    /// whoever looks has to look again.
    ///
    /// # Errors
    /// A failure of the machine; looking again is safe.
    pub(crate) async fn look_at(&self, id: OperationId, look: Look) -> Result<Advanced, Failure> {
        self.go_on(id, None, look).await
    }

    /// Writes down what came of something outside, and does what is next.
    ///
    /// # Errors
    /// A failure of the machine; saying so again is safe.
    pub(crate) async fn answer(
        &self,
        id: OperationId,
        answer: OperationEvent,
        look: Look,
    ) -> Result<Advanced, Failure> {
        self.go_on(id, Some(answer), look).await
    }

    /// Says of an attempt at something outside that it still goes on, for as long again; nothing
    /// where it is known by now what came of it, or another one was begun.
    ///
    /// # Errors
    /// A failure of the machine; saying so again is safe.
    pub(crate) async fn prolong(
        &self,
        id: OperationId,
        attempt: u32,
        claims: Claims,
    ) -> Result<(), Failure> {
        let request = self.scheduling_request(id);
        let done = self.transact(&request, |draft| {
            // Others may be quicker, and a claim counts from when it is written down.
            let now = draft.now;
            let mut operation = draft.load::<Option<Operation>>(StreamName::operation(id))?;
            let state = operation.state.as_ref();
            let owner = state.map(|operation| operation.user().uuid());
            if let Some((effect, claimed)) = state.and_then(Operation::claimed)
                && claimed == attempt
            {
                let still = OperationEvent::EffectClaimed {
                    effect,
                    attempt,
                    node: claims.node,
                    until: now.plus(claims.limit),
                };
                let still = Occurrence::new(still, now);
                draft.record(&mut operation, owner, None, &[still]);
            }
            Ok(())
        });
        done.await.map(|_| ()).map_err(failure)
    }

    fn scheduling_request(&self, id: OperationId) -> Request {
        Request {
            commit_id: self.environment().new_id(),
            actor: Actor::named(ActorKind::Policy, SCHEDULING_ACTOR),
            correlation_id: id.uuid(),
            cause: None,
            keyed: None,
        }
    }

    async fn go_on(
        &self,
        id: OperationId,
        answer: Option<OperationEvent>,
        look: Look,
    ) -> Result<Advanced, Failure> {
        let request = self.scheduling_request(id);
        let done = self.transact(&request, |draft| {
            // Others may be quicker, and a claim counts from when it is written down.
            let look = Look {
                now: look.now.max(draft.now),
                ..look
            };
            let advancing = Advancing::resume(draft, self.scheduling(), id, look)?;
            let Some(mut advancing) = advancing else {
                return Ok(Advanced::Waits);
            };
            if let Some(answer) = &answer {
                advancing.note(answer.clone());
            }
            Ok(advancing.advance()?)
        });
        done.await.map(|done| done.value).map_err(failure)
    }

    /// A delivery as it is now.
    ///
    /// # Errors
    /// A failure to read.
    pub fn delivery_state(&self, id: DeliveryId) -> Result<Option<Delivery>, LoadError> {
        Ok(self
            .loader()
            .load::<Option<Delivery>>(StreamName::delivery(id))?
            .state)
    }
}

/// No rule says no to what is written down here.
fn failure(error: TransactError<Infallible>) -> Failure {
    match error {
        TransactError::Rejected(never) => match never {},
        TransactError::Failed(failure) => failure,
    }
}
