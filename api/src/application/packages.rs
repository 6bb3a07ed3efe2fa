//! What can be done about packages: registering them and declaring them anew;
//! and keeping one for a delivery, in the commit of whoever has the delivery.

use domain::actor::{Actor, ActorKind};
use domain::claim::{TagClaim, TagClaimCommand, TagClaimRejection};
use domain::decider::{Decider, Occurrence};
use domain::delivery::Package as OrderedPackage;
use domain::id::{DeliveryId, PackageId, Tag};
use domain::package::{Declaration, Package, PackageCommand, PackageEvent, PackageRejection};
use domain::stream::StreamName;
use domain::time::Timestamp;
use eventstore::StreamVersion;

use super::keyed::ClientRequest;
use super::load::{LoadError, Loaded};
use super::transact::{Application, Done, Draft, Precondition, Request, TransactError};

#[cfg(test)]
mod tests;

/// A registered package as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredPackage {
    /// Which one.
    pub id: PackageId,
    /// What is known of it.
    pub package: Package,
    /// How many events it has.
    pub sequence: StreamVersion,
}

/// Which rule said no to a registration or a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackageError<E> {
    /// There is no such package.
    #[error("there is no such package")]
    Unknown,
    /// The package is not as the caller said it must be.
    #[error("the package has changed: it is at sequence {sequence} now")]
    Changed {
        /// The sequence it has.
        sequence: u64,
    },
    /// A delivery that is not over has it.
    #[error("{by} has the package: wait until that delivery is over")]
    Reserved {
        /// That delivery.
        by: DeliveryId,
    },
    /// The change makes no sense for the package as it is.
    #[error("the change does not fit")]
    Invalid(E),
}

impl Application {
    /// Registers a package under the id given.
    ///
    /// # Errors
    /// `Changed` if another one has the id, or a failure of the machine.
    pub async fn register_package(
        &self,
        request: ClientRequest,
        id: PackageId,
        declared: Declaration,
    ) -> Result<Done<PackageId>, TransactError<PackageError<std::convert::Infallible>>> {
        let now = self.now()?;
        self.transact(&of_customer(request), |draft| {
            let mut package = draft.load::<Option<Package>>(StreamName::package(id))?;
            let declared = declared.clone();
            record(
                draft,
                &mut package,
                &PackageCommand::Register { declared, now },
            )?;
            Ok(id)
        })
        .await
    }

    /// Declares a package anew as what `change` makes of what was declared.
    ///
    /// # Errors
    /// `Unknown`, `Changed`, `Reserved`, what `change` says, or a failure of the machine.
    pub async fn update_package<E>(
        &self,
        request: ClientRequest,
        id: PackageId,
        seen: &Precondition,
        change: impl Fn(&Declaration) -> Result<Declaration, E>,
    ) -> Result<Done<PackageId>, TransactError<PackageError<E>>> {
        let now = self.now()?;
        self.transact(&of_customer(request), |draft| {
            let mut package = draft.load::<Option<Package>>(StreamName::package(id))?;
            let was = package
                .state
                .as_ref()
                .ok_or(TransactError::Rejected(PackageError::Unknown))?;
            if !seen.accepts(package.version) {
                return Err(changed(&package));
            }
            let declared = change(was.declared())
                .map_err(|error| TransactError::Rejected(PackageError::Invalid(error)))?;
            record(
                draft,
                &mut package,
                &PackageCommand::Update { declared, now },
            )?;
            Ok(id)
        })
        .await
    }

    /// A registered package as it is now, if it is one.
    ///
    /// # Errors
    /// A failure to read.
    pub fn package(&self, id: PackageId) -> Result<Option<RegisteredPackage>, LoadError> {
        let name = StreamName::package(id);
        let loaded = self.loader().load::<Option<Package>>(name)?;
        let sequence = loaded.version;
        Ok(loaded.state.map(|package| RegisteredPackage {
            id,
            package,
            sequence,
        }))
    }
}

/// Who registers packages is told apart by nothing yet.
fn of_customer(request: ClientRequest) -> Request {
    Request::of_client(request, Actor::unnamed(ActorKind::Customer))
}

fn record<E>(
    draft: &mut Draft<'_>,
    package: &mut Loaded<Option<Package>>,
    command: &PackageCommand,
) -> Result<(), TransactError<PackageError<E>>> {
    let events = Package::decide(command, &package.state).map_err(|rejection| match rejection {
        PackageRejection::Unknown => TransactError::Rejected(PackageError::Unknown),
        PackageRejection::AlreadyExists | PackageRejection::DeclaredOtherwise => changed(package),
        PackageRejection::Reserved { delivery } => {
            TransactError::Rejected(PackageError::Reserved { by: delivery })
        }
    })?;
    draft.record(package, None, None, &events);
    draft.shows(package);
    Ok(())
}

fn changed<E>(package: &Loaded<Option<Package>>) -> TransactError<PackageError<E>> {
    TransactError::Rejected(PackageError::Changed {
        sequence: package.version.get(),
    })
}

/// Which rule keeps a delivery from having a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReservationRefusal {
    /// There is no such package.
    #[error("there is no such package: register it first")]
    Unknown,
    /// Something else was declared of it since it was ordered.
    #[error("something else was declared of the package meanwhile: look at it, then order again")]
    DeclaredOtherwise,
    /// Another delivery that is not over has it.
    #[error("{by} has the package: wait until that delivery is over")]
    PackageReserved {
        /// That delivery.
        by: DeliveryId,
    },
    /// Another delivery that is not over has a package with this tag.
    #[error("{by} has a package with this tag: wait until that delivery is over")]
    TagInUse {
        /// That delivery.
        by: DeliveryId,
    },
}

/// The package of a delivery's order: the one that is named, or the one that is
/// registered on the way.
pub(crate) fn package_of(package: &OrderedPackage, delivery: DeliveryId) -> PackageId {
    package
        .id
        .unwrap_or_else(|| Package::described_in(delivery))
}

/// Keeps the package of an order for its delivery, and the tag on it, within
/// another use case's draft. A package that the order only describes is
/// registered on the way. Saying so again adds nothing.
///
/// A refusal adds nothing to the draft, so something else may be recorded in it.
///
/// # Errors
/// [`ReservationRefusal`], or a failure to read.
pub(crate) fn reserve(
    draft: &mut Draft<'_>,
    package: &OrderedPackage,
    delivery: DeliveryId,
    now: Timestamp,
) -> Result<(), TransactError<ReservationRefusal>> {
    let id = package_of(package, delivery);
    let declared = Declaration::of_order(package);
    let registered = draft.load::<Option<Package>>(StreamName::package(id))?;
    let mut events = Vec::new();
    if id == Package::described_in(delivery) && registered.state.is_none() {
        let declared = declared.clone();
        let register = PackageCommand::Register { declared, now };
        events = Package::decide(&register, &registered.state).map_err(refused)?;
    }
    keep(
        draft,
        &package.tag,
        (registered, events),
        &PackageCommand::Reserve {
            delivery,
            declared,
            now,
        },
        TagClaimCommand::Claim { delivery, now },
    )
}

/// Keeps the package of a delivery whose life goes on after it was let go, as [`reserve`] does,
/// but whatever was declared of it meanwhile: the package is on its way as it is.
///
/// # Errors
/// [`ReservationRefusal`] if another delivery has it or the tag by now, or a failure to read.
pub(crate) fn reserve_again(
    draft: &mut Draft<'_>,
    package: &OrderedPackage,
    delivery: DeliveryId,
    now: Timestamp,
) -> Result<(), TransactError<ReservationRefusal>> {
    let name = StreamName::package(package_of(package, delivery));
    let registered = draft.load::<Option<Package>>(name)?;
    let declared = registered.state.as_ref().map(Package::declared).cloned();
    keep(
        draft,
        &package.tag,
        (registered, Vec::new()),
        &PackageCommand::Reserve {
            delivery,
            declared: declared.unwrap_or_else(|| Declaration::of_order(package)),
            now,
        },
        TagClaimCommand::Claim { delivery, now },
    )
}

/// The other delivery that has the package of a delivery, or one with the tag on it, if one has.
///
/// # Errors
/// A failure to read.
pub(crate) fn other_holder(
    draft: &mut Draft<'_>,
    package: &OrderedPackage,
    delivery: DeliveryId,
) -> Result<Option<DeliveryId>, LoadError> {
    let name = StreamName::package(package_of(package, delivery));
    let registered = draft.load::<Option<Package>>(name)?;
    let holder = draft.load::<Option<DeliveryId>>(StreamName::tag_claim(&package.tag))?;
    // It must still be so when what follows from it is appended.
    draft.guard(&registered);
    draft.guard(&holder);
    let reserved_for = registered.state.and_then(|package| package.reserved_for());
    let mut holders = [reserved_for, holder.state].into_iter().flatten();
    Ok(holders.find(|by| *by != delivery))
}

/// Records that a delivery has a package and its tag, or nothing.
fn keep(
    draft: &mut Draft<'_>,
    tag: &Tag,
    (mut registered, mut events): (Loaded<Option<Package>>, Vec<Occurrence<PackageEvent>>),
    reserve: &PackageCommand,
    claim: TagClaimCommand,
) -> Result<(), TransactError<ReservationRefusal>> {
    let mut holder = draft.load::<Option<DeliveryId>>(StreamName::tag_claim(tag))?;
    let known = Package::fold_from(registered.state.clone(), &events);
    events.extend(Package::decide(reserve, &known).map_err(refused)?);
    let claimed = TagClaim::decide(&claim, &holder.state).map_err(|rejection| {
        let TagClaimRejection::Taken { by } = rejection;
        TransactError::Rejected(ReservationRefusal::TagInUse { by })
    })?;
    draft.record(&mut registered, None, None, &events);
    draft.record(&mut holder, None, None, &claimed);
    Ok(())
}

/// Lets the package of a delivery go, and the tag on it, within another use
/// case's draft. Of what the delivery does not have nothing is let go, so saying
/// so again adds nothing.
///
/// # Errors
/// A failure to read.
pub(crate) fn release(
    draft: &mut Draft<'_>,
    package: &OrderedPackage,
    delivery: DeliveryId,
    now: Timestamp,
) -> Result<(), LoadError> {
    let name = StreamName::package(package_of(package, delivery));
    let mut registered = draft.load::<Option<Package>>(name)?;
    let release = PackageCommand::Release { delivery, now };
    // A package that was never registered was never kept either.
    let released = Package::decide(&release, &registered.state).unwrap_or_default();
    draft.record(&mut registered, None, None, &released);
    let mut holder = draft.load::<Option<DeliveryId>>(StreamName::tag_claim(&package.tag))?;
    let release = TagClaimCommand::Release { delivery, now };
    let released = TagClaim::decide(&release, &holder.state)
        .expect("a claim that is given up is refused by nobody");
    draft.record(&mut holder, None, None, &released);
    Ok(())
}

fn refused(rejection: PackageRejection) -> TransactError<ReservationRefusal> {
    TransactError::Rejected(match rejection {
        PackageRejection::Unknown => ReservationRefusal::Unknown,
        PackageRejection::AlreadyExists | PackageRejection::DeclaredOtherwise => {
            ReservationRefusal::DeclaredOtherwise
        }
        PackageRejection::Reserved { delivery } => {
            ReservationRefusal::PackageReserved { by: delivery }
        }
    })
}
