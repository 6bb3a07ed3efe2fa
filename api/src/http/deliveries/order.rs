//! What a client orders, and how they change it, read from their words.

use domain::delivery::{
    CancelReason, Confirmation, DeliveryRejection, METADATA_ENTRIES_MAX, OnCancelAfterPickup,
    OnUndeliverable, Order, Package, Place, Plan,
};
use domain::geo::GeoPoint;
use domain::id::{ExternalId, PackageId, UserId};
use domain::package::Declaration;
use domain::quantity::MassG;
use domain::serviceability::{ServiceRules, Wanted};
use domain::text::{Address, Comment, Text};
use domain::time::{InvalidWindow, Timestamp, Window};

use super::serviceability;
use crate::http::fields::{Fields, Member, Patch, boolean, entries, known, number, object, parsed};
use crate::http::packages::{UNKNOWN_PACKAGE, declaration};
use crate::http::problem::{Fault, Faults};

/// Fabrikam's words for what may be asked for as a confirmation, and what they are here.
const FABRIKAMS: [(&str, Confirmation); 3] = [
    ("FingerPrint", Confirmation::Signature),
    ("Picture", Confirmation::Photo),
    ("Voice", Confirmation::Pin),
];

/// What a client hears of a user who is not there.
pub(super) const UNKNOWN_USER: &str = "there is no such user; create the user first";

/// What is known when an order is read, so that all its faults are listed at
/// once. The rules themselves are the use case's, which looks again.
pub(super) struct Known<'a> {
    pub(super) now: Timestamp,
    pub(super) has_user: &'a dyn Fn(UserId) -> bool,
    /// Whether a user has a delivery under this external id.
    pub(super) is_booked: &'a dyn Fn(UserId, &ExternalId) -> bool,
    /// What was declared of a registered package.
    pub(super) package: &'a dyn Fn(PackageId) -> Option<Declaration>,
    /// What can be flown.
    pub(super) service: &'a ServiceRules,
}

/// An order.
pub(super) fn read_order(fields: &mut Fields<'_>, known_now: &Known<'_>) -> Option<Order> {
    let external_id = fields.optional("external_id", parsed(str::parse::<ExternalId>));
    let user = fields.required("user_id", |member| {
        let user = parsed(str::parse::<UserId>)(member)?;
        if (known_now.has_user)(user) {
            return Some(user);
        }
        member.fault("unknown-user", UNKNOWN_USER)
    });
    // An order that was taken is taken again, however late it is repeated.
    let is_repeated = user.is_some_and(|user| {
        let taken = |external_id| (known_now.is_booked)(user, external_id);
        external_id.as_ref().is_some_and(taken)
    });
    let after = (!is_repeated).then_some(known_now.now);
    let pickup = fields.required("pickup", object(read_place));
    let dropoff = fields.required("dropoff", object(read_place));
    let window = fields.optional(
        "pickup_window",
        object(|window| Some(read_window(window, after))),
    );
    let deliver_by = fields.optional("deliver_by", to_come(after, deadline_past));
    let package = fields.required(
        "package",
        object(|package| Some(read_package(package, known_now))),
    );
    let wanted = Wanted {
        pickup: pickup.as_ref().map(|place| place.point),
        dropoff: dropoff.as_ref().map(|place| place.point),
        not_before: window.as_ref().and_then(|window| window.not_before),
        deliver_by,
        mass: package.as_ref().and_then(|package| package.mass),
    };
    if !is_repeated {
        let mass_at = package
            .as_ref()
            .map_or("/package", |package| package.mass_at);
        for fault in known_now.service.faults(wanted, known_now.now) {
            fields.report(serviceability::fault(&fault, mass_at));
        }
    }
    let confirmation = fields.optional("confirmation", read_confirmation);
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
    let metadata = fields.optional("metadata", read_metadata);
    Some(Order {
        user: user?,
        external_id,
        plan: Plan {
            pickup: pickup?,
            dropoff: dropoff?,
            pickup_window: window.and_then(|window| window.whole),
            deliver_by,
        },
        package: package?.whole?,
        confirmation: confirmation.unwrap_or(Confirmation::None),
        expedited: expedited.unwrap_or(false),
        on_undeliverable: on_undeliverable.unwrap_or(OnUndeliverable::Return),
        on_cancel_after_pickup: on_cancel_after_pickup.unwrap_or(OnCancelAfterPickup::Return),
        metadata: metadata.unwrap_or_default(),
    })
}

/// A client's own notes, sorted by key.
fn read_metadata(member: &Member<'_>) -> Option<Vec<(Text<40>, Text<200>)>> {
    let value = parsed(str::parse::<Text<200>>);
    let read = entries(METADATA_ENTRIES_MAX, str::parse::<Text<40>>, value);
    let mut metadata = read(member)?;
    metadata.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    Some(metadata)
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

/// A time that lies after `now`, where that is asked for.
fn to_come(
    now: Option<Timestamp>,
    rejection: fn(Timestamp) -> DeliveryRejection,
) -> impl Fn(&Member<'_>) -> Option<Timestamp> {
    move |member| {
        let time = parsed(str::parse::<Timestamp>)(member)?;
        if now.is_some_and(|now| time <= now) {
            return member.fault("past", past(&rejection(time)));
        }
        Some(time)
    }
}

/// What a client hears of a time that has passed.
pub(super) fn past(rejection: &DeliveryRejection) -> String {
    format!("{rejection}; take a time that is still to come")
}

fn window_past(not_after: Timestamp) -> DeliveryRejection {
    DeliveryRejection::WindowInPast { not_after }
}

fn deadline_past(deliver_by: Timestamp) -> DeliveryRejection {
    DeliveryRejection::DeadlineInPast { deliver_by }
}

/// A window as far as it could be read.
struct WindowRead {
    whole: Option<Window>,
    not_before: Option<Timestamp>,
}

fn read_window(fields: &mut Fields<'_>, now: Option<Timestamp>) -> WindowRead {
    let not_before = fields.required("not_before", parsed(str::parse::<Timestamp>));
    let not_after = fields.required("not_after", to_come(now, window_past));
    let whole = not_before.zip(not_after);
    let whole = whole.and_then(|(from, to)| match Window::new(from, to) {
        Ok(window) => Some(window),
        Err(error) => fields.fault("not_after", "range", error.to_string()),
    });
    WindowRead { whole, not_before }
}

/// A package as far as it could be read.
struct PackageRead {
    whole: Option<Package>,
    mass: Option<MassG>,
    /// What of the order says how much that is.
    mass_at: &'static str,
}

/// A registered package by its id alone, or what is said of one.
fn read_package(fields: &mut Fields<'_>, known_now: &Known<'_>) -> PackageRead {
    let mut is_named = false;
    let named = fields.optional("id", |member| {
        is_named = true;
        let id = parsed(str::parse::<PackageId>)(member)?;
        match (known_now.package)(id) {
            Some(declared) => Some(declared.to_order(Some(id))),
            None => member.fault("unknown-package", UNKNOWN_PACKAGE),
        }
    });
    let mass_at = serviceability::mass_at(is_named);
    if !is_named {
        let (declared, mass) = declaration::read_and_weigh(fields);
        return PackageRead {
            whole: declared.map(|declared| declared.to_order(None)),
            mass,
            mass_at,
        };
    }
    for name in declaration::NAMES {
        fields.optional(name, |member| {
            let detail = "the package that id names says this itself; leave one of both out";
            member.fault::<()>("conflict", detail)
        });
    }
    PackageRead {
        mass: named.as_ref().map(|package| package.mass),
        whole: named,
        mass_at,
    }
}

fn read_confirmation(member: &Member<'_>) -> Option<Confirmation> {
    let theirs = member.value().as_str().and_then(|word| {
        let same = FABRIKAMS.iter().find(|(theirs, _)| *theirs == word);
        same.map(|(_, ours)| *ours)
    });
    theirs.or_else(|| known(Confirmation::ALL, Confirmation::word)(member))
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
    /// Where it is could be read, as far as it is said.
    is_read: bool,
}

#[derive(Clone, Debug)]
struct WindowPatch {
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    /// The beginning could be read, if it is said.
    is_begin_read: bool,
}

/// A patch, with the members that it may have, read beside the plan as it was
/// seen. Times that stay as they are may have passed: what is sent may be the
/// plan as it is, which changes nothing. Nor is what it cannot be flown for
/// held against it.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
pub(super) fn read_plan_patch(
    fields: &mut Fields<'_>,
    was: &Plan,
    service: &ServiceRules,
    now: Timestamp,
) -> Option<PlanPatch> {
    let window = was.pickup_window;
    let patch = PlanPatch {
        pickup: fields.replaced("pickup", object(read_place_patch)),
        dropoff: fields.replaced("dropoff", object(read_place_patch)),
        pickup_window: fields.patched(
            "pickup_window",
            object(|patch| read_window_patch(patch, window, now)),
        ),
        deliver_by: fields.patched("deliver_by", changed(was.deliver_by, now, deadline_past)),
    };
    let known = service.faults(was, now);
    for fault in service.faults(patch.wanted(fields, was), now) {
        if !known.contains(&fault) {
            fields.report(serviceability::fault(
                &fault,
                serviceability::mass_at(false),
            ));
        }
    }
    Some(patch)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_place_patch(fields: &mut Fields<'_>) -> Option<PlacePatch> {
    let lat = fields.replaced("lat", number(-90.0..=90.0));
    let lon = fields.replaced("lon", number(-180.0..=180.0));
    let is_unread = |name, degrees: Option<f64>| degrees.is_none() && fields.has(name);
    let is_read = !is_unread("lat", lat) && !is_unread("lon", lon);
    Some(PlacePatch {
        lat,
        lon,
        address: fields.patched("address", parsed(str::parse::<Address>)),
        is_read,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every reader")]
fn read_window_patch(
    fields: &mut Fields<'_>,
    was: Option<Window>,
    now: Timestamp,
) -> Option<WindowPatch> {
    let end_was = was.map(Window::not_after);
    let not_before = fields.replaced("not_before", parsed(str::parse::<Timestamp>));
    let not_after = fields.replaced("not_after", changed(end_was, now, window_past));
    let is_unread = |name, end: Option<Timestamp>| end.is_none() && fields.has(name);
    let is_begin_read = !is_unread("not_before", not_before);
    let has_unread = !is_begin_read || is_unread("not_after", not_after);
    let patch = WindowPatch {
        not_before,
        not_after,
        is_begin_read,
    };
    // An end that is at fault itself was told so already, and says nothing of the order of both.
    for misfit in patch.misfits(was) {
        match misfit {
            Misfit::Missing(name) if !fields.has(name) => misfit.fault(fields),
            Misfit::Reversed(_) if !has_unread => misfit.fault(fields),
            Misfit::Missing(_) | Misfit::Reversed(_) => {}
        }
    }
    Some(patch)
}

/// A time that lies after `now`, or is what it was.
fn changed(
    was: Option<Timestamp>,
    now: Timestamp,
    rejection: fn(Timestamp) -> DeliveryRejection,
) -> impl Fn(&Member<'_>) -> Option<Timestamp> {
    move |member| {
        let time = parsed(str::parse::<Timestamp>)(member)?;
        if was == Some(time) {
            return Some(time);
        }
        to_come(Some(now), rejection)(member)
    }
}

impl PlanPatch {
    /// What is wanted by it, as far as that could be read: of a member that is at fault itself
    /// nothing is known.
    fn wanted(&self, fields: &Fields<'_>, was: &Plan) -> Wanted {
        let place = |name, patch: Option<&PlacePatch>, was: &Place| match patch {
            Some(patch) if patch.is_read => moved(Some(patch), was).ok().map(|it| it.point),
            Some(_) => None,
            None => (!fields.has(name)).then_some(was.point),
        };
        Wanted {
            pickup: place("pickup", self.pickup.as_ref(), &was.pickup),
            dropoff: place("dropoff", self.dropoff.as_ref(), &was.dropoff),
            not_before: match &self.pickup_window {
                Patch::Keep if !fields.has("pickup_window") => {
                    was.pickup_window.map(Window::not_before)
                }
                Patch::Set(patch) if patch.is_begin_read => patch.ends(was.pickup_window).0,
                Patch::Keep | Patch::Clear | Patch::Set(_) => None,
            },
            deliver_by: match self.deliver_by {
                Patch::Keep if !fields.has("deliver_by") => was.deliver_by,
                Patch::Set(at) => Some(at),
                Patch::Keep | Patch::Clear => None,
            },
            mass: None,
        }
    }

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
    /// Both ends as they become.
    fn ends(&self, was: Option<Window>) -> (Option<Timestamp>, Option<Timestamp>) {
        (
            self.not_before.or(was.map(Window::not_before)),
            self.not_after.or(was.map(Window::not_after)),
        )
    }

    /// What does not fit beside the window as it was.
    fn misfits(&self, was: Option<Window>) -> Vec<Misfit> {
        match self.ends(was) {
            (Some(not_before), Some(not_after)) => {
                let error = Window::new(not_before, not_after).err();
                error.map(Misfit::Reversed).into_iter().collect()
            }
            (not_before, not_after) => [("not_before", not_before), ("not_after", not_after)]
                .into_iter()
                .filter(|(_, end)| end.is_none())
                .map(|(name, _)| Misfit::Missing(name))
                .collect(),
        }
    }

    fn apply(&self, was: Option<Window>) -> Result<Window, Faults> {
        let window = match self.ends(was) {
            (Some(not_before), Some(not_after)) => Window::new(not_before, not_after).ok(),
            _ => None,
        };
        window.ok_or_else(|| {
            let misfits = self.misfits(was);
            misfits
                .iter()
                .map(|misfit| {
                    let (name, code, detail) = misfit.words();
                    Fault::new(format!("/pickup_window/{name}"), code, detail)
                })
                .collect()
        })
    }
}

/// Why a window's patch makes no window.
#[derive(Debug)]
enum Misfit {
    /// An end that nobody ever gave.
    Missing(&'static str),
    /// It would end before it begins.
    Reversed(InvalidWindow),
}

impl Misfit {
    /// At which end, the code and what a client hears.
    fn words(&self) -> (&'static str, &'static str, String) {
        match self {
            Self::Missing(name) => (
                name,
                "required",
                "there is no window yet, so it needs both ends".to_owned(),
            ),
            Self::Reversed(error) => ("not_after", "range", error.to_string()),
        }
    }

    fn fault(&self, window: &Fields<'_>) {
        let (name, code, detail) = self.words();
        window.fault::<()>(name, code, detail);
    }
}
