//! How a package's events are stored.
//!
//! **These structs are frozen.** Bytes written with them lie in logs for
//! ever: never change a field, its order or its type. A change is a new struct
//! with the next schema number, an upcast from this one, and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::{Declaration, PackageEvent};
use crate::codec::{InvalidField, checked, first_schema, number_of, stored_events, word_of};
use crate::delivery::{PackageFlag, Size};
use crate::id::{DeliveryId, Tag};
use crate::quantity::{DimensionsMm, MassG};

/// `PackageRegistered` and `PackageUpdated`.
#[derive(Serialize, Deserialize)]
struct PackageDeclaredV1 {
    tag: String,
    size: u8,
    mass_g: u32,
    dimensions_mm: Option<[u32; 3]>,
    flags: Vec<u8>,
}

/// `PackageReserved` and `PackageReleased`.
#[derive(Serialize, Deserialize)]
struct PackageHolderV1 {
    delivery: [u8; 16],
}

first_schema!(PackageDeclaredV1, PackageHolderV1);

stored_events! { PackageEvent {
    701 PackageRegistered PackageDeclaredV1
        { Self::PackageRegistered(declared) => PackageDeclaredV1::of(declared) }
        { p => Self::PackageRegistered(p.declaration()?) }
    702 PackageUpdated PackageDeclaredV1
        { Self::PackageUpdated(declared) => PackageDeclaredV1::of(declared) }
        { p => Self::PackageUpdated(p.declaration()?) }
    703 PackageReserved PackageHolderV1
        { Self::PackageReserved { delivery } => PackageHolderV1::of(*delivery) }
        { p => Self::PackageReserved { delivery: p.delivery() } }
    704 PackageReleased PackageHolderV1
        { Self::PackageReleased { delivery } => PackageHolderV1::of(*delivery) }
        { p => Self::PackageReleased { delivery: p.delivery() } }
} }

impl PackageHolderV1 {
    fn of(delivery: DeliveryId) -> Self {
        Self {
            delivery: delivery.uuid().into_bytes(),
        }
    }

    fn delivery(&self) -> DeliveryId {
        DeliveryId::from_uuid(Uuid::from_bytes(self.delivery))
    }
}

impl PackageDeclaredV1 {
    fn of(declared: &Declaration) -> Self {
        Self {
            tag: declared.tag.to_string(),
            size: number_of(Size::ALL, &declared.size),
            mass_g: declared.mass.get(),
            dimensions_mm: declared.dimensions.map(DimensionsMm::get),
            flags: declared
                .flags
                .iter()
                .map(|flag| number_of(PackageFlag::ALL, flag))
                .collect(),
        }
    }

    fn declaration(self) -> Result<Declaration, InvalidField> {
        let dimensions = self.dimensions_mm.map(DimensionsMm::new).transpose();
        let flags = self.flags.into_iter();
        let flags = flags.map(|number| word_of("flags", PackageFlag::ALL, number));
        Ok(Declaration {
            tag: checked("tag", Tag::new(self.tag))?,
            size: word_of("size", Size::ALL, self.size)?,
            mass: checked("mass_g", MassG::new(self.mass_g))?,
            dimensions: checked("dimensions_mm", dimensions)?,
            flags: flags.collect::<Result<_, _>>()?,
        })
    }
}
