//! What a client asked for, in a form by which the same request is known again.
//!
//! The hash of it stays in the log beside the external id, so the form must not change from one
//! release to another: not with how an order is stored, and not with what else may be said in one.
//! What is new in an order is written down only where it is said, so that what was asked for
//! before keeps its hash.

use std::fmt::Display;

use domain::delivery::{Order, Package, Place, Plan};
use domain::time::Timestamp;

/// The hash of what was asked for: the same for every request that says the same, in whatever
/// words and whatever order.
///
/// A package that was named counts by its id alone: what is declared of it may change, and the
/// request that names it stays the same. So the order must still be without the id that is given
/// to a package which was only described.
pub(super) fn request_hash(order: &Order) -> [u8; 32] {
    let order = order.in_stored_order();
    let mut asked = Asked(blake3::Hasher::new());
    asked.says("user_id", order.user);
    asked.may_say("external_id", order.external_id.as_ref());
    asked.says_plan(&order.plan);
    asked.says_package(&order.package);
    asked.says("confirmation", order.confirmation.word());
    asked.says("expedited", order.expedited);
    asked.says("on_undeliverable", order.on_undeliverable.word());
    asked.says(
        "on_cancel_after_pickup",
        order.on_cancel_after_pickup.word(),
    );
    for (key, value) in &order.metadata {
        asked.says("metadata", key);
        asked.says("metadata.value", value);
    }
    *asked.0.finalize().as_bytes()
}

struct Asked(blake3::Hasher);

impl Asked {
    /// Takes in what is said under a name. Each bears its length, so that where one ends is never
    /// a matter of what is in it.
    fn says(&mut self, name: &str, value: impl Display) {
        for text in [name, &value.to_string()] {
            self.0.update(&(text.len() as u64).to_le_bytes());
            self.0.update(text.as_bytes());
        }
    }

    fn may_say(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.says(name, value);
        }
    }

    fn says_plan(&mut self, plan: &Plan) {
        self.says_place("pickup", &plan.pickup);
        self.says_place("dropoff", &plan.dropoff);
        if let Some(window) = plan.pickup_window {
            self.says("pickup_window.not_before", window.not_before().micros());
            self.says("pickup_window.not_after", window.not_after().micros());
        }
        self.may_say("deliver_by", plan.deliver_by.map(Timestamp::micros));
    }

    fn says_place(&mut self, name: &str, place: &Place) {
        self.says(name, place.point.lat_e7());
        self.says("lon", place.point.lon_e7());
        self.may_say("address", place.address.as_ref());
    }

    fn says_package(&mut self, package: &Package) {
        if let Some(id) = package.id {
            self.says("package.id", id);
            return;
        }
        self.says("package.tag", &package.tag);
        self.says("package.size", package.size.word());
        self.says("package.mass_g", package.mass.get());
        for side in package.dimensions.iter().flat_map(|sides| sides.get()) {
            self.says("package.dimensions_mm", side);
        }
        for flag in &package.flags {
            self.says("package.flags", flag.word());
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::delivery::{Confirmation, OnCancelAfterPickup, OnUndeliverable, PackageFlag, Size};
    use domain::geo::GeoPoint;
    use domain::id::{PackageId, UserId};
    use domain::quantity::{DimensionsMm, MassG};
    use domain::time::Window;
    use uuid::Uuid;

    use super::*;

    fn place(lat_e7: i32) -> Place {
        Place {
            point: GeoPoint::from_e7(lat_e7, -797_824_000).unwrap(),
            address: "1 Main St".parse().ok(),
        }
    }

    /// An order that says everything that can be said in one.
    fn order() -> Order {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000).unwrap();
        Order {
            user: UserId::from_uuid(Uuid::from_u128(1)),
            external_id: "order-1".parse().ok(),
            plan: Plan {
                pickup: place(404_587_000),
                dropoff: place(404_612_000),
                pickup_window: Window::new(at(100), at(200)).ok(),
                deliver_by: Some(at(300)),
            },
            package: Package {
                id: None,
                tag: "QR-1".parse().unwrap(),
                size: Size::Small,
                mass: MassG::new(450).unwrap(),
                dimensions: DimensionsMm::new([300, 200, 100]).ok(),
                flags: vec![PackageFlag::Fragile, PackageFlag::Cold],
            },
            confirmation: Confirmation::Pin,
            expedited: true,
            on_undeliverable: OnUndeliverable::Hold,
            on_cancel_after_pickup: OnCancelAfterPickup::Continue,
            metadata: vec![("k".parse().unwrap(), "v".parse().unwrap())],
        }
    }

    fn named() -> Order {
        let mut named = order();
        named.package.id = Some(PackageId::from_uuid(Uuid::from_u128(2)));
        named
    }

    fn hex(order: &Order) -> String {
        blake3::Hash::from_bytes(request_hash(order)).to_string()
    }

    #[test]
    fn what_stays_in_logs_is_the_same_in_every_release() {
        assert_eq!(
            [hex(&order()), hex(&named())],
            [
                "577a4ecec3e9a444ae988b29a223cba4ec48604132afe7e5acc6f5ad301cbff9",
                "f03ca906303921e8e7ffc9f194a2d6a4bb6620fb2f53b0262a33b3177f44ab8b",
            ]
        );
    }

    #[test]
    fn a_package_that_is_named_is_the_same_whatever_is_declared_of_it() {
        let mut heavier = named();
        heavier.package.mass = MassG::new(451).unwrap();
        heavier.package.flags.clear();
        assert_eq!(hex(&heavier), hex(&named()));
        assert_ne!(hex(&named()), hex(&order()));
    }

    #[test]
    fn whatever_else_is_said_makes_it_another_request() {
        let changes: [fn(&mut Order); 17] = [
            |it| it.user = UserId::from_uuid(Uuid::from_u128(3)),
            |it| it.external_id = None,
            |it| it.plan.pickup = place(404_587_001),
            |it| it.plan.pickup.address = None,
            |it| it.plan.dropoff = place(404_612_001),
            |it| it.plan.pickup_window = None,
            |it| it.plan.deliver_by = None,
            |it| it.package.tag = "QR-2".parse().unwrap(),
            |it| it.package.size = Size::Medium,
            |it| it.package.mass = MassG::new(451).unwrap(),
            |it| it.package.dimensions = None,
            |it| it.package.flags.clear(),
            |it| it.confirmation = Confirmation::None,
            |it| it.expedited = false,
            |it| it.on_undeliverable = OnUndeliverable::Return,
            |it| it.on_cancel_after_pickup = OnCancelAfterPickup::Return,
            |it| it.metadata.clear(),
        ];
        let others = changes.map(|change| {
            let mut other = order();
            change(&mut other);
            hex(&other)
        });
        let different: std::collections::HashSet<_> = others.iter().collect();
        assert_eq!(different.len(), changes.len());
        assert!(!different.contains(&hex(&order())));
    }
}
