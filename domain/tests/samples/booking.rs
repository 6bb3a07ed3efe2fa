//! Events of a delivery's booking.

use domain::delivery::{
    CancelReason, CancellationRefusal, Confirmation, DeliveryEvent, OnCancelAfterPickup,
    OnUndeliverable, Order, Package, PackageFlag, Place, Plan, RejectReason, Size,
};
use domain::geo::GeoPoint;
use domain::id::{ExternalId, PackageId, Tag, UserId};
use domain::quantity::{DimensionsMm, MassG};
use domain::time::Window;
use uuid::Uuid;

fn place(lat_e7: i32, lon_e7: i32, address: Option<&str>) -> Place {
    Place {
        point: GeoPoint::from_e7(lat_e7, lon_e7).unwrap(),
        address: address.map(|words| words.parse().unwrap()),
    }
}

fn full_plan() -> Plan {
    let at = |text: &str| text.parse().unwrap();
    Plan {
        pickup: place(
            404_587_000,
            -797_824_000,
            Some("12 Müller Street\nrear door"),
        ),
        dropoff: place(-404_612_000, 1_797_790_000, Some("The green house")),
        pickup_window: Some(
            Window::new(
                at("2026-10-24T15:00:00Z"),
                at("2026-10-24T16:30:00.000001Z"),
            )
            .unwrap(),
        ),
        deliver_by: Some(at("2026-10-24T18:00:00Z")),
    }
}

fn bare_plan() -> Plan {
    Plan {
        pickup: place(0, 0, None),
        dropoff: place(1, -1, None),
        pickup_window: None,
        deliver_by: None,
    }
}

fn full_order() -> Order {
    Order {
        user: UserId::from_uuid(Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55)),
        external_id: Some(ExternalId::new("order-4711").unwrap()),
        plan: full_plan(),
        package: Package {
            id: Some(PackageId::from_uuid(Uuid::from_u128(
                0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e56,
            ))),
            tag: Tag::new("QR-1").unwrap(),
            size: Size::Large,
            mass: MassG::new(450).unwrap(),
            dimensions: Some(DimensionsMm::new([300, 200, 100]).unwrap()),
            flags: PackageFlag::ALL.to_vec(),
        },
        confirmation: Confirmation::Signature,
        expedited: true,
        on_undeliverable: OnUndeliverable::Hold,
        on_cancel_after_pickup: OnCancelAfterPickup::Continue,
        metadata: vec![
            ("cost centre".parse().unwrap(), "42".parse().unwrap()),
            ("shop".parse().unwrap(), "Müller & Söhne".parse().unwrap()),
        ],
    }
}

fn bare_order() -> Order {
    Order {
        user: UserId::from_uuid(Uuid::nil()),
        external_id: None,
        plan: bare_plan(),
        package: Package {
            id: None,
            tag: Tag::new("1").unwrap(),
            size: Size::Small,
            mass: MassG::new(1).unwrap(),
            dimensions: None,
            flags: vec![],
        },
        confirmation: Confirmation::None,
        expedited: false,
        on_undeliverable: OnUndeliverable::Return,
        on_cancel_after_pickup: OnCancelAfterPickup::Return,
        metadata: vec![],
    }
}

pub(crate) fn samples() -> Vec<(&'static str, u16, DeliveryEvent)> {
    vec![
        ("full", 1, DeliveryEvent::Created(Box::new(full_order()))),
        ("minimal", 1, DeliveryEvent::Created(Box::new(bare_order()))),
        ("full", 1, DeliveryEvent::Scheduled),
        ("full", 1, DeliveryEvent::Rescheduled(Box::new(full_plan()))),
        (
            "minimal",
            1,
            DeliveryEvent::Rescheduled(Box::new(bare_plan())),
        ),
        (
            "full",
            1,
            DeliveryEvent::CancellationRequested {
                reason: CancelReason::Other,
                comment: Some("we moved".parse().unwrap()),
            },
        ),
        (
            "minimal",
            1,
            DeliveryEvent::CancellationRequested {
                reason: CancelReason::CustomerRequest,
                comment: None,
            },
        ),
        ("full", 1, DeliveryEvent::Cancelled),
        (
            "full",
            1,
            DeliveryEvent::CancellationRejected {
                why: CancellationRefusal::AlreadyPickedUp,
            },
        ),
        (
            "full",
            1,
            DeliveryEvent::Rejected {
                reason: RejectReason::NoDrone,
            },
        ),
        (
            "full",
            1,
            DeliveryEvent::DeadlineMissed {
                deliver_by: "2026-10-24T18:00:00Z".parse().unwrap(),
            },
        ),
    ]
}
