//! What a client orders, and how they change it, read from their words.

use domain::delivery::{
    CancelReason, METADATA_ENTRIES_MAX, OnCancelAfterPickup, OnUndeliverable, Order, Package,
    PackageFlag, Place, Plan, Size,
};
use domain::geo::GeoPoint;
use domain::id::{ExternalId, Tag, UserId};
use domain::quantity::{DimensionsMm, MassG};
use domain::text::{Address, Comment, Text};
use domain::time::{Timestamp, Window};

use crate::http::fields::{
    Fields, Member, Patch, boolean, entries, integer, known, list, number, object, parsed, text,
};
use crate::http::problem::{Fault, Faults};

/// How a delivery may be confirmed: the first is what there is, the others
/// are understood and not offered yet, the last three in Fabrikam's words.
const CONFIRMATIONS: [&str; 8] = [
    "none",
    "pin",
    "tag_scan",
    "photo",
    "signature",
    "FingerPrint",
    "Picture",
    "Voice",
];

/// An order.
pub(super) fn read_order(fields: &mut Fields<'_>) -> Option<Order> {
    let external_id = fields.optional("external_id", parsed(str::parse::<ExternalId>));
    let user = fields.required("user_id", parsed(str::parse::<UserId>));
    let pickup = fields.required("pickup", object(read_place));
    let dropoff = fields.required("dropoff", object(read_place));
    let pickup_window = fields.optional("pickup_window", object(read_window));
    let deliver_by = fields.optional("deliver_by", parsed(str::parse::<Timestamp>));
    let package = fields.required("package", object(read_package));
    fields.optional("confirmation", read_confirmation);
    let expedited = fields.optional("expedited", boolean);
    let on_undeliverable = fields.optional(
        "on_undeliverable",
        known(OnUndeliverable::ALL, OnUndeliverable::word),
    );
    let on_cancel_after_pickup = fields.optional(
        "on_cancel_after_pickup",
        known(OnCancelAfterPickup::ALL, OnCancelAfterPickup::word),
    );
    fields.optional("notify", read_notify);
    let metadata = fields.optional(
        "metadata",
        entries(
            METADATA_ENTRIES_MAX,
            str::parse::<Text<40>>,
            parsed(str::parse::<Text<200>>),
        ),
    );
    Some(Order {
        user: user?,
        external_id,
        plan: Plan {
            pickup: pickup?,
            dropoff: dropoff?,
            pickup_window,
            deliver_by,
        },
        package: package?,
        expedited: expedited.unwrap_or(false),
        on_undeliverable: on_undeliverable.unwrap_or(OnUndeliverable::Return),
        on_cancel_after_pickup: on_cancel_after_pickup.unwrap_or(OnCancelAfterPickup::Return),
        metadata: sorted(metadata.unwrap_or_default()),
    })
}

fn sorted(mut metadata: Vec<(Text<40>, Text<200>)>) -> Vec<(Text<40>, Text<200>)> {
    metadata.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    metadata
}

/// Why somebody cancels.
pub(super) fn read_cancellation(
    fields: &mut Fields<'_>,
) -> Option<(CancelReason, Option<Comment>)> {
    let reason = fields.required("reason", known(CancelReason::ALL, CancelReason::word));
    let comment = fields.optional("comment", parsed(str::parse::<Comment>));
    Some((reason?, comment))
}

fn read_place(fields: &mut Fields<'_>) -> Option<Place> {
    let lat = fields.required("lat", number(-90.0..=90.0));
    let lon = fields.required("lon", number(-180.0..=180.0));
    let address = fields.optional("address", parsed(str::parse::<Address>));
    let point = GeoPoint::from_degrees(lat?, lon?).ok()?;
    Some(Place { point, address })
}

fn read_window(fields: &mut Fields<'_>) -> Option<Window> {
    let not_before = fields.required("not_before", parsed(str::parse::<Timestamp>));
    let not_after = fields.required("not_after", parsed(str::parse::<Timestamp>));
    match Window::new(not_before?, not_after?) {
        Ok(window) => Some(window),
        Err(error) => fields.fault("not_after", "range", error.to_string()),
    }
}

fn read_package(fields: &mut Fields<'_>) -> Option<Package> {
    fields.optional("id", |member| {
        member.fault::<()>(
            "unsupported",
            "packages are not registered yet; describe the package by tag, size and mass_g",
        )
    });
    let tag = fields.required("tag", parsed(str::parse::<Tag>));
    let size = fields.required("size", known(Size::ALL, Size::word));
    let mass = fields.required("mass_g", integer(1..=MassG::MAX));
    let dimensions = fields.optional("dimensions_mm", object(read_dimensions));
    let flags = fields.optional(
        "flags",
        list(
            PackageFlag::ALL.len(),
            known(PackageFlag::ALL, PackageFlag::word),
        ),
    );
    let mass = MassG::new(mass?).ok()?;
    Some(Package {
        id: None,
        tag: tag?,
        size: size?,
        mass,
        dimensions,
        flags: flags.unwrap_or_default(),
    })
}

fn read_dimensions(fields: &mut Fields<'_>) -> Option<DimensionsMm> {
    let sides = ["length", "width", "height"]
        .map(|side| fields.required(side, integer(1..=DimensionsMm::MAX)));
    let [length, width, height] = sides;
    DimensionsMm::new([length?, width?, height?]).ok()
}

fn read_confirmation(member: &Member<'_>) -> Option<()> {
    let word = text(1..=40)(member)?;
    match CONFIRMATIONS.iter().position(|known| *known == word) {
        Some(0) => Some(()),
        Some(_) => member.fault(
            "unsupported",
            "only none is offered yet; leave confirmation out or send none",
        ),
        None => member.fault(
            "value",
            format!("expected one of {}", CONFIRMATIONS.join(", ")),
        ),
    }
}

fn read_notify(member: &Member<'_>) -> Option<()> {
    match member.value().as_array() {
        Some(items) if items.is_empty() => Some(()),
        Some(_) => member.fault(
            "unsupported",
            "notifications are not offered yet; leave notify out",
        ),
        None => member.fault("type", "expected an array"),
    }
}

/// A merge patch of a delivery: what may be changed of its plan.
#[derive(Debug)]
pub(super) struct PlanPatch {
    pickup: Option<PlacePatch>,
    dropoff: Option<PlacePatch>,
    pickup_window: Patch<WindowPatch>,
    deliver_by: Patch<Timestamp>,
}

#[derive(Debug)]
struct PlacePatch {
    lat: Option<f64>,
    lon: Option<f64>,
    address: Patch<Address>,
}

#[derive(Clone, Debug)]
struct WindowPatch {
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

/// A patch, with the members that it may have.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
pub(super) fn read_plan_patch(fields: &mut Fields<'_>) -> Option<PlanPatch> {
    Some(PlanPatch {
        pickup: fields.replaced("pickup", object(read_place_patch)),
        dropoff: fields.replaced("dropoff", object(read_place_patch)),
        pickup_window: fields.patched("pickup_window", object(read_window_patch)),
        deliver_by: fields.patched("deliver_by", parsed(str::parse::<Timestamp>)),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_place_patch(fields: &mut Fields<'_>) -> Option<PlacePatch> {
    Some(PlacePatch {
        lat: fields.replaced("lat", number(-90.0..=90.0)),
        lon: fields.replaced("lon", number(-180.0..=180.0)),
        address: fields.patched("address", parsed(str::parse::<Address>)),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_window_patch(fields: &mut Fields<'_>) -> Option<WindowPatch> {
    Some(WindowPatch {
        not_before: fields.replaced("not_before", parsed(str::parse::<Timestamp>)),
        not_after: fields.replaced("not_after", parsed(str::parse::<Timestamp>)),
    })
}

impl PlanPatch {
    /// What becomes of a plan.
    ///
    /// # Errors
    /// The faults that only show beside the plan as it was.
    pub(super) fn apply(&self, was: &Plan) -> Result<Plan, Faults> {
        Ok(Plan {
            pickup: moved(self.pickup.as_ref(), &was.pickup)?,
            dropoff: moved(self.dropoff.as_ref(), &was.dropoff)?,
            pickup_window: match &self.pickup_window {
                Patch::Keep => was.pickup_window,
                Patch::Clear => None,
                Patch::Set(patch) => Some(patch.apply(was.pickup_window)?),
            },
            deliver_by: self.deliver_by.clone().apply(was.deliver_by),
        })
    }
}

fn moved(patch: Option<&PlacePatch>, was: &Place) -> Result<Place, Faults> {
    let Some(patch) = patch else {
        return Ok(was.clone());
    };
    let lat = patch.lat.unwrap_or_else(|| was.point.lat_degrees());
    let lon = patch.lon.unwrap_or_else(|| was.point.lon_degrees());
    // Both were in range when they were read.
    let point = GeoPoint::from_degrees(lat, lon)
        .map_err(|error| Fault::new("", "range", error.to_string()))?;
    Ok(Place {
        point,
        address: patch.address.clone().apply(was.address.clone()),
    })
}

impl WindowPatch {
    fn apply(&self, was: Option<Window>) -> Result<Window, Faults> {
        let end = |given: Option<Timestamp>, was: Option<Timestamp>, name: &str| {
            given.or(was).ok_or_else(|| {
                let pointer = format!("/pickup_window/{name}");
                Faults::from(Fault::new(
                    pointer,
                    "required",
                    "there is no window yet, so it needs both ends",
                ))
            })
        };
        let not_before = end(self.not_before, was.map(Window::not_before), "not_before")?;
        let not_after = end(self.not_after, was.map(Window::not_after), "not_after")?;
        Window::new(not_before, not_after).map_err(|error| {
            Fault::new("/pickup_window/not_after", "range", error.to_string()).into()
        })
    }
}
