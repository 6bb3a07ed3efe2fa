//! The kinds of facts that deliveries are changed by.

use domain::delivery::{ReleaseEvidence, ReleaseMethod};
use domain::drone::{FactKind, Leg, ReturnPlace, Stop};
use domain::id::{DeliveryId, Tag};
use domain::quantity::MassG;
use domain::text::Comment;
use domain::time::Timestamp;

use crate::http::fields::{Fields, boolean, integer, known, parsed};

/// Why a fleet does not fly a mission.
const REFUSALS: &[&str] = &[
    "no_drone",
    "weather",
    "airspace",
    "range",
    "payload",
    "operations",
    "other",
];

/// How a mission may end.
const OUTCOMES: &[&str] = &["landed_home", "landed_elsewhere", "lost"];

/// Whether a kind is understood.
pub(super) fn is_known(kind: &str) -> bool {
    matches!(
        kind,
        "mission_assigned"
            | "mission_rejected"
            | "mission_aborted"
            | "departed"
            | "arrived"
            | "package_loaded"
            | "package_released"
            | "returned"
            | "stood_down"
            | "crashed"
            | "lost"
            | "mission_completed"
    )
}

/// What a fact's kind and its own fields say.
pub(super) enum Meaning {
    /// This.
    Known(FactKind),
    /// Nothing that is understood here.
    Unknown,
}

/// Reads what a kind has of its own; `None` for a fault.
pub(super) fn read_kind(kind: &str, data: &mut Fields<'_>) -> Option<Meaning> {
    let fact = match kind {
        "mission_assigned" => read_assigned(data)?,
        "mission_rejected" => FactKind::MissionRejected {
            detail: Some(read_refusal(data)?),
        },
        "mission_aborted" => FactKind::MissionAborted {
            detail: Some(read_refusal(data)?),
        },
        "departed" => FactKind::Departed(data.required("leg", known(Leg::ALL, Leg::word))?),
        "arrived" => FactKind::Arrived(data.required("at", known(Stop::ALL, Stop::word))?),
        "package_loaded" => {
            let tag = data.optional("tag", parsed(str::parse::<Tag>));
            let grams = data.optional("mass_g", integer(1..=MassG::MAX));
            FactKind::PackageLoaded {
                tag,
                mass: grams.and_then(|grams| MassG::new(grams).ok()),
            }
        }
        "package_released" => read_released(data)?,
        "returned" => {
            let place = data.required("to", known(ReturnPlace::ALL, ReturnPlace::word));
            data.optional("tag", parsed(str::parse::<Tag>));
            FactKind::Returned(place?)
        }
        "stood_down" => {
            read_detail(data);
            FactKind::StoodDown
        }
        "crashed" => FactKind::Crashed {
            detail: read_detail(data),
        },
        "lost" => FactKind::Lost {
            detail: read_detail(data),
        },
        "mission_completed" => {
            let outcome = data.required("outcome", parsed(one_of(OUTCOMES)));
            let payload_on_board = data.optional("payload_on_board", boolean);
            outcome?;
            FactKind::MissionCompleted { payload_on_board }
        }
        _ => return Some(Meaning::Unknown),
    };
    Some(Meaning::Known(fact))
}

fn read_assigned(data: &mut Fields<'_>) -> Option<FactKind> {
    let delivery = data.required("delivery_id", parsed(str::parse::<DeliveryId>));
    let eta_pickup = data.optional("eta_pickup", parsed(str::parse::<Timestamp>));
    let eta_dropoff = data.optional("eta_dropoff", parsed(str::parse::<Timestamp>));
    Some(FactKind::MissionAssigned {
        delivery: delivery?,
        eta_pickup,
        eta_dropoff,
    })
}

/// The reason is told to people in the fleet's own words, or else as the word it is.
fn read_refusal(data: &mut Fields<'_>) -> Option<Comment> {
    data.optional("delivery_id", parsed(str::parse::<DeliveryId>));
    let reason = data.required("reason", parsed(one_of(REFUSALS)));
    let detail = read_detail(data);
    let reason = reason?;
    match detail {
        Some(detail) => Some(Comment::new(format!("{reason}: {detail}")).unwrap_or(detail)),
        None => Comment::new(reason).ok(),
    }
}

fn read_released(data: &mut Fields<'_>) -> Option<FactKind> {
    let method = data.required("method", known(ReleaseMethod::ALL, ReleaseMethod::word));
    let confirmed = data.required("confirmed", boolean);
    let evidence = data.optional(
        "evidence",
        known(ReleaseEvidence::ALL, ReleaseEvidence::word),
    );
    Some(FactKind::PackageReleased {
        method: method?,
        confirmed: confirmed?,
        evidence,
    })
}

fn read_detail(data: &mut Fields<'_>) -> Option<Comment> {
    data.optional("detail", parsed(str::parse::<Comment>))
}

fn one_of(words: &'static [&'static str]) -> impl Fn(&str) -> Result<&'static str, String> {
    move |text| {
        let found = words.iter().copied().find(|word| *word == text);
        found.ok_or_else(|| format!("expected one of {}", words.join(", ")))
    }
}
