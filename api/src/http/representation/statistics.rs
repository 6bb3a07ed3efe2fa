//! How well it went in an hour or a day.

use domain::delivery::{Failure, RejectReason};
use projections::{Spread, Statistics};
use serde_json::{Map, Value, json};

use crate::forms::time;

/// A period. Every reason of refusal and of failure and every stage is always there.
pub(crate) fn statistics(period: &Statistics) -> Value {
    let stages = period.stages.iter();
    let stages = stages.map(|(stage, took)| (stage.word().to_owned(), json!(spread(*took))));
    let mut eta_error = spread(period.eta.error);
    eta_error.insert("early".to_owned(), json!(period.eta.early));
    eta_error.insert("late".to_owned(), json!(period.eta.late));
    json!({
        "from": time(period.from),
        "to": time(period.to),
        "created": period.created,
        "completed": period.completed,
        "late": period.late,
        "cancelled": period.cancelled,
        "rejected": counted(RejectReason::ALL, RejectReason::word, &period.rejected),
        "reopened": period.reopened,
        "returned": period.returned,
        "failed": counted(Failure::ALL, Failure::word, &period.failed),
        "stages": stages.collect::<Map<_, _>>(),
        "eta_error": eta_error,
    })
}

/// How often each reason of a closed set was one.
fn counted<R: Copy + PartialEq>(
    reasons: &[R],
    word: fn(R) -> &'static str,
    counts: &[(R, u64)],
) -> Map<String, Value> {
    let count_of = |reason: R| {
        let mut counts = counts.iter();
        counts.find_map(|(known, count)| (*known == reason).then_some(*count))
    };
    let reasons = reasons.iter().copied();
    reasons
        .map(|reason| {
            let count = count_of(reason).unwrap_or(0);
            (word(reason).to_owned(), json!(count))
        })
        .collect()
}

fn spread(spread: Spread) -> Map<String, Value> {
    let members = [
        ("count", json!(spread.count)),
        ("p50_s", seconds(spread.p50_ms)),
        ("p90_s", seconds(spread.p90_ms)),
    ];
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Seconds with their thousandths, as far as they are known.
fn seconds(ms: Option<u64>) -> Value {
    json!(ms.map(|ms| {
        let ms = u32::try_from(ms).unwrap_or(u32::MAX);
        f64::from(ms) / 1_000.0
    }))
}
