//! What is counted of operations, and of what they have done elsewhere.

use domain::scheduling::{Effect, OperationKind};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counts operations that were begun, by kind.
pub const OPERATIONS_BEGUN: &str = "airpost_operations_begun_total";
/// Counts operations that are over, by kind and by what came of them: one of [`OUTCOMES`].
pub const OPERATIONS_ENDED: &str = "airpost_operations_ended_total";
/// How many operations are not over, by kind.
pub const OPERATIONS_OPEN: &str = "airpost_operations_open";
/// How long the operation that has not got on for longest is at its step, seconds, by kind.
pub const OPERATIONS_STEP_SECONDS: &str = "airpost_operations_oldest_step_seconds";
/// How many operations may still have something to do, also after their clients' answers: a
/// booking as long as its delivery goes on.
pub const PROCESSES_OPEN: &str = "airpost_processes_open";
/// How many of those do not go on, since what would be next fails.
pub const PROCESSES_FAILING: &str = "airpost_processes_failing";
/// Counts what is done elsewhere, by effect and by how it goes: one of [`EFFECT_OUTCOMES`].
pub const EFFECTS: &str = "airpost_effects_total";
/// How long requests to the billing service took, by effect.
pub const BILLING_REQUEST_SECONDS: &str = "airpost_billing_request_seconds";

/// What comes of operations: as their clients read it in `status`.
pub const OUTCOMES: [&str; 4] = ["succeeded", "failed", "cancelled", "timed_out"];

/// How it goes with what is done elsewhere: each attempt is claimed, and comes to one of the
/// others, or to none where nobody lived to hear of it.
pub const EFFECT_OUTCOMES: [&str; 4] = ["claimed", "done", "deferred", "refused"];

pub(super) fn describe() {
    describe_counter!(OPERATIONS_BEGUN, Unit::Count, "operations begun");
    describe_counter!(OPERATIONS_ENDED, Unit::Count, "operations that are over");
    describe_gauge!(OPERATIONS_OPEN, Unit::Count, "operations that are not over");
    describe_gauge!(
        OPERATIONS_STEP_SECONDS,
        Unit::Seconds,
        "how long the one that has not got on for longest is at its step"
    );
    describe_gauge!(
        PROCESSES_OPEN,
        Unit::Count,
        "operations that may still have something to do"
    );
    describe_gauge!(
        PROCESSES_FAILING,
        Unit::Count,
        "operations that do not go on, since what would be next fails"
    );
    describe_counter!(
        EFFECTS,
        Unit::Count,
        "attempts to have something done elsewhere, and what came of them"
    );
    describe_histogram!(
        BILLING_REQUEST_SECONDS,
        Unit::Seconds,
        "time that requests to the billing service took"
    );
}

pub(super) fn begin_at_zero() {
    for kind in OperationKind::ALL.iter().map(|kind| kind.word()) {
        metrics::counter!(OPERATIONS_BEGUN, "kind" => kind).absolute(0);
        for outcome in OUTCOMES {
            metrics::counter!(OPERATIONS_ENDED, "kind" => kind, "outcome" => outcome).absolute(0);
        }
        metrics::gauge!(OPERATIONS_OPEN, "kind" => kind).set(0.0);
        metrics::gauge!(OPERATIONS_STEP_SECONDS, "kind" => kind).set(0.0);
    }
    metrics::gauge!(PROCESSES_OPEN).set(0.0);
    metrics::gauge!(PROCESSES_FAILING).set(0.0);
    for effect in Effect::ALL.iter().map(|effect| effect.word()) {
        for outcome in EFFECT_OUTCOMES {
            metrics::counter!(EFFECTS, "effect" => effect, "outcome" => outcome).absolute(0);
        }
    }
}
