//! What happens to a package.

use crate::delivery::{Package as OrderedPackage, PackageFlag, Size};
use crate::id::{DeliveryId, PackageId, Tag};
use crate::quantity::{DimensionsMm, MassG};

/// An event in a package's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageEvent {
    /// It is known from now on.
    PackageRegistered(Declaration),
    /// Something else was declared of it; all of it as it is now.
    PackageUpdated(Declaration),
    /// A delivery has it from now on.
    PackageReserved {
        /// The delivery.
        delivery: DeliveryId,
    },
    /// The delivery that had it needs it no longer.
    PackageReleased {
        /// The delivery.
        delivery: DeliveryId,
    },
}

/// What its owner says of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// What is printed on it.
    pub tag: Tag,
    /// Its size class.
    pub size: Size,
    /// Its mass.
    pub mass: MassG,
    /// Its dimensions.
    pub dimensions: Option<DimensionsMm>,
    /// What to mind, without repetition.
    pub flags: Vec<PackageFlag>,
}

impl Declaration {
    /// What an order says of its package.
    #[must_use]
    pub fn of_order(package: &OrderedPackage) -> Self {
        Self {
            tag: package.tag.clone(),
            size: package.size,
            mass: package.mass,
            dimensions: package.dimensions,
            flags: package.flags.clone(),
        }
        .in_stored_order()
    }

    /// What an order says that names the registered package, or that only describes one.
    #[must_use]
    pub fn to_order(&self, id: Option<PackageId>) -> OrderedPackage {
        OrderedPackage {
            id,
            tag: self.tag.clone(),
            size: self.size,
            mass: self.mass,
            dimensions: self.dimensions,
            flags: self.flags.clone(),
        }
    }

    /// The same in the form it is stored in, so that what says the same is
    /// equal: flags in one order, once each.
    #[must_use]
    pub fn in_stored_order(mut self) -> Self {
        self.flags.sort_unstable();
        self.flags.dedup();
        self
    }
}
