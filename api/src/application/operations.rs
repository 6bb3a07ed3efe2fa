//! What goes on after its request was answered, seen from outside of it.

use domain::actor::{Actor, ActorKind};
use domain::delivery::Delivery;
use domain::dispatch::Dispatch;
use domain::id::{DeliveryId, MissionId, OperationId};
use domain::scheduling::{Operation, OperationEvent};
use domain::stream::StreamName;
use eventstore::StreamVersion;

use super::load::LoadError;
use super::scheduling::{Advanced, Advancing, Look};
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

    async fn go_on(
        &self,
        id: OperationId,
        answer: Option<OperationEvent>,
        look: Look,
    ) -> Result<Advanced, Failure> {
        let request_id = self.environment().new_id();
        let request = Request {
            commit_id: request_id,
            actor: Actor::named(ActorKind::Policy, SCHEDULING_ACTOR),
            correlation_id: id.uuid(),
            cause: None,
            keyed: None,
        };
        let done = self.transact(&request, |draft| {
            let advancing = Advancing::resume(draft, self.scheduling(), id, look)?;
            let Some(mut advancing) = advancing else {
                return Ok(Advanced::Waits);
            };
            if let Some(answer) = &answer {
                advancing.note(answer.clone());
            }
            Ok(advancing.advance()?)
        });
        match done.await {
            Ok(done) => Ok(done.value),
            Err(TransactError::Rejected(never)) => {
                let never: std::convert::Infallible = never;
                match never {}
            }
            Err(TransactError::Failed(failure)) => Err(failure),
        }
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
