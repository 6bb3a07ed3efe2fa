//! What Airpost asks of Drone Management, as it is told.

use domain::dispatch::{DispatchEvent, MissionRequest};
use domain::id::MissionId;
use serde_json::{Value, json};

use crate::forms::{point, time, time_or_null};

/// What a request carries.
pub(crate) fn asked(mission: MissionId, event: &DispatchEvent) -> Value {
    match event {
        DispatchEvent::MissionRequested(request) => requested(mission, request),
        DispatchEvent::StandDownRequested { delivery, reason } => json!({
            "delivery_id": delivery.to_string(),
            "mission_id": mission.to_string(),
            "reason": reason.word(),
        }),
        // Only the feed's readers are told what is asked; the answer came from one of them.
        DispatchEvent::MissionRefused { detail: _ } => {
            json!({ "mission_id": mission.to_string() })
        }
    }
}

fn requested(mission: MissionId, request: &MissionRequest) -> Value {
    json!({
        "delivery_id": request.delivery.to_string(),
        "mission_id": mission.to_string(),
        "epoch": request.epoch,
        "ask": request.ask,
        "from": if request.is_at_hub { "hub" } else { "sender" },
        "pickup": point(request.pickup),
        "dropoff": point(request.dropoff),
        "package": {
            "tag": request.tag.to_string(),
            "size": request.size.word(),
            "mass_g": request.mass.get(),
        },
        "window": request.window.map(|window| json!({
            "not_before": time(window.not_before()),
            "not_after": time(window.not_after()),
        })),
        "deliver_by": time_or_null(request.deliver_by),
        "confirmation": request.confirmation.word(),
        "expedited": request.expedited,
    })
}
