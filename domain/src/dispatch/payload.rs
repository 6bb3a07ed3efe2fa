//! The frozen payloads of what is asked of Drone Management.
//!
//! FROZEN: these bytes are in logs. Never change a struct here; a change is a
//! new struct with the next schema, an upcast and a golden file.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DispatchEvent, MissionRequest, StandDownReason};
use crate::codec::{InvalidField, at, checked, first_schema, number_of, stored_events, word_of};
use crate::delivery::{Confirmation, Size};
use crate::geo::GeoPoint;
use crate::id::{DeliveryId, Tag};
use crate::quantity::MassG;
use crate::text::Comment;
use crate::time::{Timestamp, Window};

#[derive(Debug, Serialize, Deserialize)]
struct SpotV1 {
    lat_e7: i32,
    lon_e7: i32,
}

#[derive(Debug, Serialize, Deserialize)]
struct SpanV1 {
    not_before_us: i64,
    not_after_us: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct MissionRequestedV1 {
    delivery: [u8; 16],
    epoch: u32,
    ask: u8,
    is_at_hub: bool,
    pickup: SpotV1,
    dropoff: SpotV1,
    tag: String,
    size: u8,
    mass_g: u32,
    window: Option<SpanV1>,
    deliver_by_us: Option<i64>,
    confirmation: u8,
    expedited: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct MissionRefusedV1 {
    detail: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StandDownRequestedV1 {
    delivery: [u8; 16],
    reason: u8,
}

first_schema!(MissionRequestedV1, MissionRefusedV1, StandDownRequestedV1);

impl SpotV1 {
    const fn of(point: GeoPoint) -> Self {
        Self {
            lat_e7: point.lat_e7(),
            lon_e7: point.lon_e7(),
        }
    }

    fn value(&self, field: &'static str) -> Result<GeoPoint, InvalidField> {
        checked(field, GeoPoint::from_e7(self.lat_e7, self.lon_e7))
    }
}

impl MissionRequestedV1 {
    fn of(request: &MissionRequest) -> Self {
        Self {
            delivery: request.delivery.uuid().into_bytes(),
            epoch: request.epoch,
            ask: request.ask,
            is_at_hub: request.is_at_hub,
            pickup: SpotV1::of(request.pickup),
            dropoff: SpotV1::of(request.dropoff),
            tag: request.tag.to_string(),
            size: number_of(Size::ALL, &request.size),
            mass_g: request.mass.get(),
            window: request.window.map(|window| SpanV1 {
                not_before_us: window.not_before().micros(),
                not_after_us: window.not_after().micros(),
            }),
            deliver_by_us: request.deliver_by.map(Timestamp::micros),
            confirmation: number_of(Confirmation::ALL, &request.confirmation),
            expedited: request.expedited,
        }
    }

    fn value(self) -> Result<MissionRequest, InvalidField> {
        let window = self.window.map(|span| {
            let not_before = at("not_before_us", span.not_before_us)?;
            let not_after = at("not_after_us", span.not_after_us)?;
            checked("window", Window::new(not_before, not_after))
        });
        let deliver_by = self.deliver_by_us.map(|us| at("deliver_by_us", us));
        Ok(MissionRequest {
            delivery: delivery(self.delivery),
            epoch: self.epoch,
            ask: self.ask,
            is_at_hub: self.is_at_hub,
            pickup: self.pickup.value("pickup")?,
            dropoff: self.dropoff.value("dropoff")?,
            tag: checked("tag", Tag::new(self.tag))?,
            size: word_of("size", Size::ALL, self.size)?,
            mass: checked("mass_g", MassG::new(self.mass_g))?,
            window: window.transpose()?,
            deliver_by: deliver_by.transpose()?,
            confirmation: word_of("confirmation", Confirmation::ALL, self.confirmation)?,
            expedited: self.expedited,
        })
    }
}

const fn delivery(bytes: [u8; 16]) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_bytes(bytes))
}

stored_events!(DispatchEvent {
    503 MissionRequested MissionRequestedV1
    { Self::MissionRequested(request) => MissionRequestedV1::of(request) }
    { stored => DispatchEvent::MissionRequested(Box::new(stored.value()?)) }

    504 MissionRefused MissionRefusedV1
    { Self::MissionRefused { detail } => MissionRefusedV1 {
        detail: detail.as_ref().map(ToString::to_string),
    } }
    { stored => DispatchEvent::MissionRefused {
        detail: checked("detail", stored.detail.map(Comment::new).transpose())?,
    } }

    505 StandDownRequested StandDownRequestedV1
    { Self::StandDownRequested { delivery, reason } => StandDownRequestedV1 {
        delivery: delivery.uuid().into_bytes(),
        reason: number_of(StandDownReason::ALL, reason),
    } }
    { stored => DispatchEvent::StandDownRequested {
        delivery: delivery(stored.delivery),
        reason: word_of("reason", StandDownReason::ALL, stored.reason)?,
    } }
});
