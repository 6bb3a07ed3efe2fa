//! What clients can do about deliveries.

use domain::actor::{Actor, ActorKind};
use domain::claim::{
    ExternalIdBearer, ExternalIdClaim, ExternalIdClaimCommand, ExternalIdClaimRejection,
};
use domain::decider::Decider;
use domain::delivery::{
    CancelReason, Delivery, DeliveryCommand, DeliveryEvent, DeliveryRejection, Order, Phase, Plan,
};
use domain::id::{DeliveryId, ExternalId, OperationId, UserId};
use domain::scheduling::OperationKind;
use domain::serviceability::Unserviceable;
use domain::stream::StreamName;
use domain::text::Comment;

use super::keyed::ClientRequest;
use super::load::{LoadError, Loaded};
use super::packages::{ReservationRefusal, package_of};
use super::scheduling::{Advancing, Claiming, Look, record_consequences};
use super::transact::{Application, Done, Draft, Precondition, Request, TransactError};

pub mod handover;
mod asked;

/// A delivery that was changed, and the operation that says what comes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The delivery.
    pub id: DeliveryId,
    /// The operation; there is none where nothing was to be changed.
    pub operation: Option<OperationId>,
}

/// A booking that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The delivery.
    pub id: DeliveryId,
    /// It was booked before, by the same request under the same external id.
    pub existing: bool,
}

/// Which rule said no to a booking.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookingError {
    /// There is no such user.
    #[error("there is no such user")]
    UnknownUser,
    /// The user may not book.
    #[error("the user is suspended")]
    UserSuspended,
    /// The user has as many deliveries under way as they may.
    #[error("the user has as many deliveries under way as they may")]
    QuotaUsedUp,
    /// Another request was made under this external id.
    #[error("the external id is that of {delivery}")]
    ExternalIdTaken {
        /// The delivery that bears it.
        delivery: DeliveryId,
    },
    /// The package cannot be had.
    #[error(transparent)]
    Package(ReservationRefusal),
    /// It cannot be flown.
    #[error("it cannot be flown")]
    NotServiceable(Vec<Unserviceable>),
    /// The order itself cannot be taken.
    #[error(transparent)]
    Rejected(DeliveryRejection),
}

/// Which rule said no to a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError<E> {
    /// There is no such delivery.
    #[error("there is no such delivery")]
    Unknown,
    /// The delivery changed since the caller saw it.
    #[error("the delivery has changed: it is at sequence {sequence} now")]
    Changed {
        /// The sequence it has.
        sequence: u64,
    },
    /// The change makes no sense for the delivery as it is.
    #[error("the change does not fit")]
    Invalid(E),
    /// It could not be flown then.
    #[error("it cannot be flown")]
    NotServiceable(Vec<Unserviceable>),
    /// The delivery's status or the clock does not allow it.
    #[error(transparent)]
    Rejected(DeliveryRejection),
}

/// A booking that stands is not called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is over; cancel the delivery instead")]
pub struct Stands;

impl Application {
    /// Books a delivery under the id given, and starts the operation that schedules it. In the
    /// same commit goes all of that which needs nothing outside: without a billing service the
    /// booking stands then, and Drone Management is asked where it is time.
    ///
    /// The same request under the same external id is the same delivery, also where by now the
    /// user has as many under way as they may, which the caller knows: `is_quota_used_up`.
    ///
    /// # Errors
    /// [`BookingError`], or a failure of the machine.
    pub async fn book(
        &self,
        request: ClientRequest,
        id: DeliveryId,
        order: Order,
        is_quota_used_up: bool,
    ) -> Result<Done<Booked>, TransactError<BookingError>> {
        let now = self.now()?;
        let order = order.in_stored_order();
        let user = order.user;
        let request = Request::of_client(request, Actor::named(ActorKind::Customer, user));
        let request_hash = asked::request_hash(&order);
        self.transact(&request, |draft| {
            if let Some(external_id) = &order.external_id {
                let command = ExternalIdClaimCommand::Claim {
                    delivery: id,
                    request_hash,
                    now,
                };
                if let Some(id) = claim(draft, user, external_id, &command)? {
                    return Ok(Booked { id, existing: true });
                }
            }
            let mut delivery = draft.load::<Option<Delivery>>(StreamName::delivery(id))?;
            let mut order = Box::new(order.clone());
            // What is only described is registered on the way, under an id that is told.
            order.package.id = Some(package_of(&order.package, id));
            let events = Delivery::decide(&DeliveryCommand::Create { order, now }, &delivery.state)
                .map_err(|no| TransactError::Rejected(BookingError::Rejected(no)))?;
            draft.record(&mut delivery, Some(user.uuid()), None, &events);
            draft.shows(&delivery);
            let look = Look {
                now,
                deadlines_to: now,
                claims: Claiming::Later,
                is_quota_used_up,
            };
            self.start_booking(draft, (id, delivery), look)?;
            Ok(Booked {
                id,
                existing: false,
            })
        })
        .await
    }

    /// Starts the operation of a booking, as far as it goes. What keeps it from being booked at
    /// once is the caller's to mend, so that nothing is kept of it.
    fn start_booking(
        &self,
        draft: &mut Draft<'_>,
        (id, delivery): (DeliveryId, Loaded<Option<Delivery>>),
        look: Look,
    ) -> Result<(), TransactError<BookingError>> {
        let operation = (OperationId::of_booking(id), OperationKind::Schedule);
        let rules = self.scheduling();
        let mut advancing = Advancing::start(draft, rules, operation, (id, delivery), look)?;
        advancing.advance()?;
        match advancing.refusal() {
            None => Ok(()),
            Some(refusal) => Err(TransactError::Rejected(refusal)),
        }
    }

    /// Changes when or where to what `change` makes of the plan.
    ///
    /// # Errors
    /// [`ChangeError`], what `change` says, or a failure of the machine.
    pub async fn reschedule<E>(
        &self,
        request: ClientRequest,
        id: DeliveryId,
        seen: &Precondition,
        change: impl Fn(&Plan) -> Result<Plan, E>,
    ) -> Result<Done<Changed>, TransactError<ChangeError<E>>> {
        let now = self.now()?;
        self.change(request, (id, OperationKind::Reschedule), seen, |delivery| {
            let before = &delivery.order().plan;
            let plan = change(before).map_err(ChangeError::Invalid)?;
            let service = &self.scheduling().service;
            // What it was booked with is not held against it, also where less is served since.
            let known = service.faults(before, now);
            let mut faults = service.faults(&plan, now);
            faults.retain(|fault| !known.contains(fault));
            if !faults.is_empty() {
                return Err(ChangeError::NotServiceable(faults));
            }
            Ok(DeliveryCommand::Reschedule {
                plan: Box::new(plan),
                now,
            })
        })
        .await
    }

    /// Cancels a delivery: at once, or, while a drone is under way to the
    /// package, once that drone has been stood down.
    ///
    /// # Errors
    /// [`ChangeError`], or a failure of the machine.
    pub async fn cancel(
        &self,
        request: ClientRequest,
        id: DeliveryId,
        seen: &Precondition,
        (reason, comment): (CancelReason, Option<Comment>),
    ) -> Result<Done<Changed>, TransactError<ChangeError<std::convert::Infallible>>> {
        let now = self.now()?;
        self.change(request, (id, OperationKind::Cancel), seen, |_| {
            Ok(DeliveryCommand::Cancel {
                reason,
                comment: comment.clone(),
                now,
            })
        })
        .await
    }

    /// Calls a booking off that does not stand yet.
    ///
    /// # Errors
    /// [`ChangeError`], [`Stands`], or a failure of the machine.
    pub async fn call_off(
        &self,
        request: ClientRequest,
        id: DeliveryId,
    ) -> Result<Done<Changed>, TransactError<ChangeError<Stands>>> {
        let now = self.now()?;
        let what = (id, OperationKind::Cancel);
        self.change(
            request,
            what,
            &Precondition::None,
            |delivery| match delivery.phase() {
                Phase::Pending | Phase::Cancelled | Phase::Rejected(_) => {
                    Ok(DeliveryCommand::Cancel {
                        reason: CancelReason::CustomerRequest,
                        comment: None,
                        now,
                    })
                }
                Phase::Scheduled
                | Phase::Fetching { .. }
                | Phase::Carrying(_)
                | Phase::Released(_)
                | Phase::Returning
                | Phase::AtHub
                | Phase::Cancelling { .. }
                | Phase::Complete
                | Phase::Returned
                | Phase::Failed(_) => Err(ChangeError::Invalid(Stands)),
            },
        )
        .await
    }

    /// Has the drone bring a package back that it has.
    ///
    /// # Errors
    /// [`ChangeError`], or a failure of the machine.
    pub async fn request_return(
        &self,
        request: ClientRequest,
        id: DeliveryId,
        seen: &Precondition,
    ) -> Result<Done<Changed>, TransactError<ChangeError<std::convert::Infallible>>> {
        let now = self.now()?;
        self.change(request, (id, OperationKind::Return), seen, |_| {
            Ok(DeliveryCommand::RequestReturn { now })
        })
        .await
    }

    /// The delivery that bears a user's external id.
    ///
    /// # Errors
    /// A failure to read.
    pub fn delivery_by_external_id(
        &self,
        user: UserId,
        external_id: &ExternalId,
    ) -> Result<Option<DeliveryId>, LoadError> {
        let name = StreamName::external_id_claim(user, external_id);
        let bearer = self.loader().load::<Option<ExternalIdBearer>>(name)?;
        Ok(bearer.state.map(|bearer| bearer.delivery))
    }

    async fn change<E>(
        &self,
        request: ClientRequest,
        (id, kind): (DeliveryId, OperationKind),
        seen: &Precondition,
        command: impl Fn(&Delivery) -> Result<DeliveryCommand, ChangeError<E>>,
    ) -> Result<Done<Changed>, TransactError<ChangeError<E>>> {
        let name = StreamName::delivery(id);
        let Some(owner) = self.loader().load::<Option<Delivery>>(name)?.state else {
            return Err(TransactError::Rejected(ChangeError::Unknown));
        };
        let owner = owner.order().user;
        let request = Request::of_client(request, Actor::named(ActorKind::Customer, owner));
        let now = self.now()?;
        self.transact(&request, |draft| {
            let mut loaded = draft.load::<Option<Delivery>>(name)?;
            let events = decide_change(&loaded, seen, &command).map_err(TransactError::Rejected)?;
            let live = loaded.state.as_ref().and_then(Delivery::live_mission);
            let live = live.map(|mission| mission.assignment.mission);
            draft.record(&mut loaded, Some(owner.uuid()), None, &events);
            draft.shows(&loaded);
            let revision = loaded.state.as_ref().map_or(0, Delivery::revision);
            record_consequences(draft, (id, owner), &events, (live, None), now)?;
            let operation = match kind {
                OperationKind::Schedule | OperationKind::Cancel | OperationKind::Return => {
                    OperationId::of(kind, id, 0)
                }
                OperationKind::Reschedule => OperationId::of(kind, id, revision),
            };
            if events.is_empty() {
                let is_known = self.operation(operation)?.is_some();
                let operation = is_known.then_some(operation);
                return Ok(Changed { id, operation });
            }
            let look = Look {
                now,
                deadlines_to: now,
                claims: Claiming::Later,
                is_quota_used_up: false,
            };
            let rules = self.scheduling();
            Advancing::start(draft, rules, (operation, kind), (id, loaded), look)?.advance()?;
            let operation = Some(operation);
            Ok(Changed { id, operation })
        })
        .await
    }
}

fn decide_change<E>(
    loaded: &Loaded<Option<Delivery>>,
    seen: &Precondition,
    command: impl Fn(&Delivery) -> Result<DeliveryCommand, ChangeError<E>>,
) -> Result<Vec<domain::decider::Occurrence<DeliveryEvent>>, ChangeError<E>> {
    let delivery = loaded.state.as_ref().ok_or(ChangeError::Unknown)?;
    if !seen.accepts(loaded.version) {
        return Err(ChangeError::Changed {
            sequence: loaded.version.get(),
        });
    }
    Delivery::decide(&command(delivery)?, &loaded.state).map_err(ChangeError::Rejected)
}

/// Takes the external id for a delivery, or finds the delivery that the same
/// request made before.
fn claim(
    draft: &mut Draft<'_>,
    user: UserId,
    external_id: &ExternalId,
    command: &ExternalIdClaimCommand,
) -> Result<Option<DeliveryId>, TransactError<BookingError>> {
    let name = StreamName::external_id_claim(user, external_id);
    let mut claim = draft.load::<Option<ExternalIdBearer>>(name)?;
    match ExternalIdClaim::decide(command, &claim.state) {
        Ok(events) => {
            draft.record(&mut claim, None, None, &events);
            Ok(None)
        }
        Err(ExternalIdClaimRejection::Taken {
            delivery,
            same_request: true,
        }) => Ok(Some(delivery)),
        Err(ExternalIdClaimRejection::Taken {
            delivery,
            same_request: false,
        }) => Err(TransactError::Rejected(BookingError::ExternalIdTaken {
            delivery,
        })),
    }
}
