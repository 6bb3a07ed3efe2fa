//! How well it went in an hour or a day.

use domain::delivery::Failure;
use projections::{Spread, Statistics};
use serde_json::{Map, Value, json};

use super::time;

/// A period. Every reason of failure and every stage is always there.
pub(crate) fn statistics(period: &Statistics) -> Value {
    let counted = |reason: &Failure| {
        let mut failed = period.failed.iter();
        failed.find_map(|(known, count)| (known == reason).then_some(*count))
    };
    let failed = Failure::ALL.iter().map(|reason| {
        let count = counted(reason).unwrap_or(0);
        (reason.word().to_owned(), json!(count))
    });
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
        "rejected": period.rejected,
        "reopened": period.reopened,
        "returned": period.returned,
        "failed": failed.collect::<Map<_, _>>(),
        "stages": stages.collect::<Map<_, _>>(),
        "eta_error": eta_error,
    })
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
