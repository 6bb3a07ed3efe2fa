//! Events of packages.

use domain::delivery::{PackageFlag, Size};
use domain::id::{DeliveryId, Tag};
use domain::package::{Declaration, PackageEvent};
use domain::quantity::{DimensionsMm, MassG};
use uuid::Uuid;

pub(crate) fn samples() -> Vec<(&'static str, u16, PackageEvent)> {
    let full = Declaration {
        tag: Tag::new("QR-1").unwrap(),
        size: Size::Large,
        mass: MassG::new(450).unwrap(),
        dimensions: DimensionsMm::new([300, 200, 100]).ok(),
        flags: vec![PackageFlag::Fragile, PackageFlag::Cold],
    };
    let bare = Declaration {
        tag: Tag::new("1").unwrap(),
        size: Size::Small,
        mass: MassG::new(1).unwrap(),
        dimensions: None,
        flags: vec![],
    };
    let delivery =
        DeliveryId::from_uuid(Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55));
    vec![
        ("full", 1, PackageEvent::PackageRegistered(full.clone())),
        ("bare", 1, PackageEvent::PackageRegistered(bare)),
        ("full", 1, PackageEvent::PackageUpdated(full)),
        ("full", 1, PackageEvent::PackageReserved { delivery }),
        ("full", 1, PackageEvent::PackageReleased { delivery }),
    ]
}
