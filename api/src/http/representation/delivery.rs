//! A delivery, and its small hot part.

use domain::delivery::{Failure, HoldReason, Milestone, Package, RejectReason};
use domain::drone::Telemetry;
use domain::id::{DeliveryId, ExternalId, MissionId, OperationId, PackageId, UserId};
use domain::text::Comment;
use projections::{Cancellation, ConfirmedRow, DeliveryRow, Milestones, MissionRow};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{EtaForm, eta, stage};
use crate::forms::instant::Instant;
use crate::forms::{PlaceForm, WindowForm, time, value_of};
use crate::http::conditional::EntityTag;

/// Grows when the bytes of a delivery change for the same events.
const VERSION: u16 = 1;

/// What the address of a delivery begins with.
const PATH: &str = "/v1/deliveries/";

/// What the address of an operation begins with.
const OPERATIONS: &str = "/v1/operations/";

/// What a delivery's bytes fit into unless its texts are long.
const BYTES_USUAL: usize = 2_048;

/// The address of a delivery.
pub(crate) fn path(id: DeliveryId) -> String {
    format!("{PATH}{id}")
}

/// The tag of a delivery: all of it comes from its own stream.
pub(crate) fn tag(row: &DeliveryRow) -> EntityTag {
    EntityTag::new(row.sequence.get(), VERSION)
}

/// A delivery, to stand in a larger answer.
pub(crate) fn delivery(row: &DeliveryRow) -> Value {
    let texts = Texts::of(row);
    value_of(DeliveryForm::of(row, &texts))
}

/// The same as the bytes of an answer of its own, without a value in between.
pub(crate) fn delivery_bytes(row: &DeliveryRow) -> Vec<u8> {
    let texts = Texts::of(row);
    let mut bytes = Vec::with_capacity(BYTES_USUAL);
    serde_json::to_writer(&mut bytes, &DeliveryForm::of(row, &texts))
        .expect("a form of named fields is written into memory");
    bytes
}

/// What changes often: with the live position, if there is one.
pub(crate) fn status(row: &DeliveryRow, live: Option<&Telemetry>) -> Value {
    json!({
        "id": row.id.to_string(),
        "status": row.status.word(),
        "stage": stage(row.status, row.revision),
        "condition": row.condition.word().word(),
        "hold_reason": row.condition.hold().map(HoldReason::word),
        "action_required": row.action_required,
        "eta": eta(row.eta),
        "position": live_position(live),
        "updated_at": time(row.updated_at),
        "sequence": row.sequence.get(),
    })
}

/// The tag of [`status`]: the position comes from no stream.
pub(crate) fn status_tag(row: &DeliveryRow, live: Option<&Telemetry>) -> EntityTag {
    let position = live_position(live);
    if position.is_null() {
        tag(row)
    } else {
        tag(row).with_derived(position.to_string().as_bytes())
    }
}

/// The mission that the delivery has now, or had when its life ended.
pub(crate) fn current_mission(row: &DeliveryRow) -> Option<&MissionRow> {
    row.mission.as_ref().filter(|mission| !mission.unassigned)
}

fn live_position(live: Option<&Telemetry>) -> Value {
    let Some((telemetry, position)) = live.and_then(|live| Some((live, live.position?))) else {
        return Value::Null;
    };
    json!({
        "lat": position.point.lat_degrees(),
        "lon": position.point.lon_degrees(),
        "observed_at": time(telemetry.event_time),
    })
}

/// The texts that a delivery's form holds more than once.
struct Texts {
    id: String,
    path: String,
    user: String,
    operation: String,
}

impl Texts {
    fn of(row: &DeliveryRow) -> Self {
        let id = id_text(DeliveryId::PREFIX, row.id.uuid());
        Self {
            path: [PATH, &id].concat(),
            user: id_text(UserId::PREFIX, row.order.user.uuid()),
            operation: [OPERATIONS, &OperationId::of_booking(row.id).to_string()].concat(),
            id,
        }
    }
}

/// An id as it prints.
fn id_text(prefix: &str, id: Uuid) -> String {
    let mut buffer = Uuid::encode_buffer();
    [prefix, id.hyphenated().encode_lower(&mut buffer)].concat()
}

#[derive(Serialize)]
struct DeliveryForm<'r> {
    id: &'r str,
    external_id: Option<&'r str>,
    user_id: &'r str,
    status: &'static str,
    stage: Option<&'static str>,
    condition: &'static str,
    hold_reason: Option<&'static str>,
    action_required: bool,
    pickup: PlaceForm<'r>,
    dropoff: PlaceForm<'r>,
    pickup_window: Option<WindowForm>,
    deliver_by: Option<Instant>,
    deadline_missed: bool,
    package: PackageForm<'r>,
    confirmation: &'static str,
    confirmed: Option<ConfirmedForm<'r>>,
    expedited: bool,
    on_undeliverable: &'static str,
    on_cancel_after_pickup: &'static str,
    metadata: MetadataForm<'r>,
    drone_id: Option<&'r str>,
    mission_id: Option<String>,
    attempt: u8,
    revision: u32,
    eta: Option<EtaForm>,
    milestones: MilestonesForm<'r>,
    failure: Option<&'static str>,
    rejection: Option<&'static str>,
    cancellation: Option<CancellationForm<'r>>,
    updated_at: Instant,
    sequence: u64,
    links: LinksForm<'r>,
}

impl<'r> DeliveryForm<'r> {
    fn of(row: &'r DeliveryRow, texts: &'r Texts) -> Self {
        let order = &row.order;
        let mission = current_mission(row);
        Self {
            id: &texts.id,
            external_id: order.external_id.as_ref().map(ExternalId::as_str),
            user_id: &texts.user,
            status: row.status.word(),
            stage: stage(row.status, row.revision),
            condition: row.condition.word().word(),
            hold_reason: row.condition.hold().map(HoldReason::word),
            action_required: row.action_required,
            pickup: PlaceForm::of(&order.plan.pickup),
            dropoff: PlaceForm::of(&order.plan.dropoff),
            pickup_window: order.plan.pickup_window.map(WindowForm::of),
            deliver_by: order.plan.deliver_by.map(Instant),
            deadline_missed: row.deadline_missed,
            package: PackageForm::of(&order.package),
            confirmation: order.confirmation.word(),
            confirmed: row.confirmed.as_ref().map(ConfirmedForm::of),
            expedited: order.expedited,
            on_undeliverable: order.on_undeliverable.word(),
            on_cancel_after_pickup: order.on_cancel_after_pickup.word(),
            metadata: MetadataForm(row),
            drone_id: mission.map(|mission| mission.drone.as_str()),
            mission_id: mission.map(|mission| id_text(MissionId::PREFIX, mission.mission.uuid())),
            attempt: row.attempt,
            revision: row.revision,
            eta: row.eta.map(EtaForm::of),
            milestones: MilestonesForm(&row.milestones),
            failure: row.failure.map(Failure::word),
            rejection: row.rejection.map(RejectReason::word),
            cancellation: row.cancellation.as_ref().map(CancellationForm::of),
            updated_at: Instant(row.updated_at),
            sequence: row.sequence.get(),
            links: LinksForm::of(texts),
        }
    }
}

#[derive(Serialize)]
struct PackageForm<'r> {
    id: Option<String>,
    tag: &'r str,
    size: &'static str,
    mass_g: u32,
    dimensions_mm: Option<DimensionsForm>,
    flags: Vec<&'static str>,
}

#[derive(Serialize)]
struct DimensionsForm {
    length: u32,
    width: u32,
    height: u32,
}

impl<'r> PackageForm<'r> {
    fn of(package: &'r Package) -> Self {
        let dimensions = package.dimensions.map(|dimensions| {
            let [length, width, height] = dimensions.get();
            DimensionsForm {
                length,
                width,
                height,
            }
        });
        Self {
            id: package.id.map(|id| id_text(PackageId::PREFIX, id.uuid())),
            tag: package.tag.as_str(),
            size: package.size.word(),
            mass_g: package.mass.get(),
            dimensions_mm: dimensions,
            flags: package.flags.iter().map(|flag| flag.word()).collect(),
        }
    }
}

/// The client's own notes, as an object.
struct MetadataForm<'r>(&'r DeliveryRow);

impl Serialize for MetadataForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.order.metadata.iter();
        serializer.collect_map(entries.map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

/// What showed that the right person took it; never the proof itself.
#[derive(Serialize)]
struct ConfirmedForm<'r> {
    kind: &'static str,
    proof_hash: &'r str,
    at: Instant,
}

impl<'r> ConfirmedForm<'r> {
    fn of(confirmed: &'r ConfirmedRow) -> Self {
        Self {
            kind: confirmed.kind.word(),
            proof_hash: confirmed.proof.as_str(),
            at: Instant(confirmed.at),
        }
    }
}

#[derive(Serialize)]
struct CancellationForm<'r> {
    reason: &'static str,
    comment: Option<&'r str>,
}

impl<'r> CancellationForm<'r> {
    fn of(cancellation: &'r Cancellation) -> Self {
        Self {
            reason: cancellation.reason.word(),
            comment: cancellation.comment.as_ref().map(Comment::as_str),
        }
    }
}

struct MilestonesForm<'r>(&'r Milestones);

impl Serialize for MilestonesForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reached = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("created_at", &Instant(reached.created_at))?;
        map.serialize_entry("scheduled_at", &reached.scheduled_at.map(Instant))?;
        for milestone in Milestone::ALL {
            map.serialize_entry(moment_of(*milestone), &reached.at(*milestone).map(Instant))?;
        }
        map.serialize_entry("cancelled_at", &reached.cancelled_at.map(Instant))?;
        map.serialize_entry("failed_at", &reached.failed_at.map(Instant))?;
        map.serialize_entry("rejected_at", &reached.rejected_at.map(Instant))?;
        map.end()
    }
}

/// The field with the time of a step: its word and `_at`.
const fn moment_of(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::Assigned => "assigned_at",
        Milestone::HeadedToPickup => "headed_to_pickup_at",
        Milestone::ArrivedAtPickup => "arrived_at_pickup_at",
        Milestone::PickedUp => "picked_up_at",
        Milestone::InTransit => "in_transit_at",
        Milestone::ArrivedAtDropoff => "arrived_at_dropoff_at",
        Milestone::Completed => "completed_at",
        Milestone::ReturnStarted => "return_started_at",
        Milestone::ArrivedAtHub => "arrived_at_hub_at",
        Milestone::Returned => "returned_at",
    }
}

/// Where what belongs to it is found.
#[derive(Serialize)]
struct LinksForm<'r> {
    #[serde(rename = "self")]
    own: &'r str,
    status: String,
    history: String,
    user: String,
    events: String,
    /// The one that booked it.
    operation: &'r str,
}

impl<'r> LinksForm<'r> {
    fn of(texts: &'r Texts) -> Self {
        let own = texts.path.as_str();
        Self {
            own,
            status: [own, "/status"].concat(),
            history: [own, "/history"].concat(),
            user: [super::user::PATH, &texts.user].concat(),
            events: [own, "/events"].concat(),
            operation: &texts.operation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_of_every_step_is_its_word_and_at() {
        for milestone in Milestone::ALL {
            assert_eq!(moment_of(*milestone), format!("{}_at", milestone.word()));
        }
    }

    #[test]
    fn an_id_is_written_as_it_prints() {
        let id = DeliveryId::from_uuid(Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55));
        assert_eq!(id_text(DeliveryId::PREFIX, id.uuid()), id.to_string());
    }
}
