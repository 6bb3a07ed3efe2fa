//! The kinds of facts that deliveries are changed by.

use domain::delivery::{Confirmation, HoldReason, ReleaseEvidence, ReleaseMethod};
use domain::drone::{BatteryLevel, DivertPlace, FactKind, Leg, ReturnPlace, Stop};
use domain::id::{DeliveryId, ProofHash, Tag};
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

/// What a recipient may show to a drone.
const PROOFS: &[Confirmation] = &[
    Confirmation::Pin,
    Confirmation::TagScan,
    Confirmation::Photo,
    Confirmation::Signature,
];

/// What a drone may wait for.
const HOLDS: &[HoldReason] = &[
    HoldReason::Weather,
    HoldReason::Airspace,
    HoldReason::Traffic,
    HoldReason::Operations,
];

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
            | "recipient_verified"
            | "hold_started"
            | "hold_ended"
            | "battery"
            | "diverted"
            | "link_lost"
            | "link_restored"
            | "package_dropped"
            | "emergency_landed"
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
            let tag = data.optional("tag", parsed(str::parse::<Tag>));
            FactKind::Returned { place: place?, tag }
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
        _ => return read_beside_its_course(kind, data),
    };
    Some(Meaning::Known(fact))
}

/// The kinds that tell of the recipient, of what holds a drone up, and of what befalls it.
fn read_beside_its_course(kind: &str, data: &mut Fields<'_>) -> Option<Meaning> {
    let fact = match kind {
        "recipient_verified" => {
            let kind = data.required("kind", known(PROOFS, Confirmation::word));
            let proof = data.required("proof_hash", parsed(str::parse::<ProofHash>));
            FactKind::RecipientVerified {
                kind: kind?,
                proof: proof?,
            }
        }
        "hold_started" => {
            FactKind::HoldStarted(data.required("reason", known(HOLDS, HoldReason::word))?)
        }
        "hold_ended" => FactKind::HoldEnded,
        "battery" => {
            data.optional("endurance_s", integer(0..=u32::MAX));
            let level = known(BatteryLevel::ALL, BatteryLevel::word);
            FactKind::Battery(data.required("level", level)?)
        }
        "diverted" => {
            let to = data.required("to", known(DivertPlace::ALL, DivertPlace::word));
            let detail = data.required("reason", parsed(str::parse::<Comment>));
            FactKind::Diverted {
                to: to?,
                detail: Some(detail?),
            }
        }
        "link_lost" => {
            read_detail(data);
            FactKind::LinkLost
        }
        "link_restored" => {
            read_detail(data);
            FactKind::LinkRestored
        }
        "package_dropped" => {
            read_detail(data);
            FactKind::PackageDropped
        }
        "emergency_landed" => FactKind::EmergencyLanded {
            detail: read_detail(data),
        },
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
