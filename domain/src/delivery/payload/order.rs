//! The stored form of an order: frozen, as all of [`super`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::{InvalidField, at, checked, number_of, word_of};
use crate::delivery::event::{Order, Package, Place, Plan};
use crate::delivery::vocabulary::{
    Confirmation, OnCancelAfterPickup, OnUndeliverable, PackageFlag, Size,
};
use crate::geo::GeoPoint;
use crate::id::{ExternalId, PackageId, Tag, UserId};
use crate::quantity::{DimensionsMm, MassG};
use crate::text::{Address, Text};
use crate::time::{Timestamp, Window};

#[derive(Serialize, Deserialize)]
pub(super) struct CreatedV1 {
    user: [u8; 16],
    external_id: Option<String>,
    plan: PlanV1,
    package: PackageV1,
    confirmation: u8,
    expedited: bool,
    on_undeliverable: u8,
    on_cancel_after_pickup: u8,
    metadata: Vec<MetadataEntryV1>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PlanV1 {
    pickup: PlaceV1,
    dropoff: PlaceV1,
    pickup_window: Option<WindowV1>,
    deliver_by_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PlaceV1 {
    lat_e7: i32,
    lon_e7: i32,
    address: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WindowV1 {
    not_before_us: i64,
    not_after_us: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PackageV1 {
    id: Option<[u8; 16]>,
    tag: String,
    size: u8,
    mass_g: u32,
    dimensions_mm: Option<[u32; 3]>,
    flags: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MetadataEntryV1 {
    key: String,
    value: String,
}

impl CreatedV1 {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            user: order.user.uuid().into_bytes(),
            external_id: order.external_id.as_ref().map(ToString::to_string),
            plan: PlanV1::of(&order.plan),
            package: PackageV1::of(&order.package),
            confirmation: number_of(Confirmation::ALL, &order.confirmation),
            expedited: order.expedited,
            on_undeliverable: number_of(OnUndeliverable::ALL, &order.on_undeliverable),
            on_cancel_after_pickup: number_of(
                OnCancelAfterPickup::ALL,
                &order.on_cancel_after_pickup,
            ),
            metadata: order
                .metadata
                .iter()
                .map(|(key, value)| MetadataEntryV1 {
                    key: key.to_string(),
                    value: value.to_string(),
                })
                .collect(),
        }
    }

    pub(super) fn order(self) -> Result<Order, InvalidField> {
        let metadata = self.metadata.into_iter().map(|entry| {
            let key = checked("metadata.key", Text::new(entry.key))?;
            let value = checked("metadata.value", Text::new(entry.value))?;
            Ok((key, value))
        });
        Ok(Order {
            user: UserId::from_uuid(Uuid::from_bytes(self.user)),
            external_id: checked(
                "external_id",
                self.external_id.map(ExternalId::new).transpose(),
            )?,
            plan: self.plan.plan()?,
            package: self.package.package()?,
            confirmation: word_of("confirmation", Confirmation::ALL, self.confirmation)?,
            expedited: self.expedited,
            on_undeliverable: word_of(
                "on_undeliverable",
                OnUndeliverable::ALL,
                self.on_undeliverable,
            )?,
            on_cancel_after_pickup: word_of(
                "on_cancel_after_pickup",
                OnCancelAfterPickup::ALL,
                self.on_cancel_after_pickup,
            )?,
            metadata: metadata.collect::<Result<_, _>>()?,
        })
    }
}

impl PlanV1 {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            pickup: PlaceV1::of(&plan.pickup),
            dropoff: PlaceV1::of(&plan.dropoff),
            pickup_window: plan.pickup_window.map(|window| WindowV1 {
                not_before_us: window.not_before().micros(),
                not_after_us: window.not_after().micros(),
            }),
            deliver_by_us: plan.deliver_by.map(Timestamp::micros),
        }
    }

    pub(super) fn plan(self) -> Result<Plan, InvalidField> {
        let window = |window: WindowV1| {
            let not_before = at("not_before_us", window.not_before_us)?;
            let not_after = at("not_after_us", window.not_after_us)?;
            checked("pickup_window", Window::new(not_before, not_after))
        };
        Ok(Plan {
            pickup: self.pickup.place()?,
            dropoff: self.dropoff.place()?,
            pickup_window: self.pickup_window.map(window).transpose()?,
            deliver_by: self
                .deliver_by_us
                .map(|micros| at("deliver_by_us", micros))
                .transpose()?,
        })
    }
}

impl PlaceV1 {
    pub(super) fn of(place: &Place) -> Self {
        Self {
            lat_e7: place.point.lat_e7(),
            lon_e7: place.point.lon_e7(),
            address: place.address.as_ref().map(ToString::to_string),
        }
    }

    fn place(self) -> Result<Place, InvalidField> {
        Ok(Place {
            point: checked(
                "lat_e7, lon_e7",
                GeoPoint::from_e7(self.lat_e7, self.lon_e7),
            )?,
            address: checked("address", self.address.map(Address::new).transpose())?,
        })
    }
}

impl PackageV1 {
    pub(super) fn of(package: &Package) -> Self {
        Self {
            id: package.id.map(|id| id.uuid().into_bytes()),
            tag: package.tag.to_string(),
            size: number_of(Size::ALL, &package.size),
            mass_g: package.mass.get(),
            dimensions_mm: package.dimensions.map(DimensionsMm::get),
            flags: package
                .flags
                .iter()
                .map(|flag| number_of(PackageFlag::ALL, flag))
                .collect(),
        }
    }

    fn package(self) -> Result<Package, InvalidField> {
        Ok(Package {
            id: self
                .id
                .map(|bytes| PackageId::from_uuid(Uuid::from_bytes(bytes))),
            tag: checked("tag", Tag::new(self.tag))?,
            size: word_of("size", Size::ALL, self.size)?,
            mass: checked("mass_g", MassG::new(self.mass_g))?,
            dimensions: checked(
                "dimensions_mm",
                self.dimensions_mm.map(DimensionsMm::new).transpose(),
            )?,
            flags: self
                .flags
                .into_iter()
                .map(|number| word_of("flags", PackageFlag::ALL, number))
                .collect::<Result<_, _>>()?,
        })
    }
}
