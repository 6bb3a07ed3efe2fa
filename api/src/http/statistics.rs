//! `GET /v1/statistics`: how well it goes, hour by hour or day by day.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::time::Timestamp;
use projections::{List, Period, StatisticsQuery};

use super::Api;
use super::answer::degraded;
use super::fields::{Fields, known, parsed, read_query};
use super::listing::{Asked, Listed, Piece};
use super::prefer::Freshness;
use super::problem::Problem;
use super::representation::statistics::statistics as representation;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/v1/statistics", get(list))
}

async fn list(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    freshness: Freshness,
) -> Result<Response, Problem> {
    let span = read_query(&uri, read_span)?;
    let scope = span.scope();
    let query = StatisticsQuery {
        from: span.from,
        to: span.to,
        by: span.by,
        limit: span.piece.limit,
        after: span.piece.after(&api, &scope, place)?,
    };
    let page = freshness
        .ask(&api, List::Statistics, |views| {
            let degraded_since = views.degraded_since(List::Statistics, None);
            Ok((degraded_since, views.statistics(&query)?))
        })
        .await?;
    let asked = Asked {
        method: &method,
        uri: &uri,
        headers: &headers,
    };
    let (degraded_since, found) = &page.content;
    let listed = Listed {
        scope: &scope,
        items: found.items.iter().map(representation).collect(),
        next: found
            .next
            .map(|begin| begin.micros().to_be_bytes().to_vec()),
    };
    let response = asked.answer(&api, page.position, listed)?;
    Ok(degraded(*degraded_since, page.stamp(response)))
}

/// The beginning of the last period of the page before.
fn place(bytes: &[u8]) -> Option<Timestamp> {
    let micros = i64::from_be_bytes(bytes.try_into().ok()?);
    Timestamp::from_micros(micros).ok()
}

/// What a client asks for.
struct Span {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    by: Period,
    piece: Piece,
}

fn read_span(query: &mut Fields<'_>) -> Option<Span> {
    let from = query.optional("from", parsed(str::parse::<Timestamp>));
    let to = query.optional("to", parsed(str::parse::<Timestamp>));
    let by = query.optional("by", known(&[Period::Hour, Period::Day], word));
    let piece = Piece::read(query);
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        return query.fault("to", "value", "to must lie after from");
    }
    Some(Span {
        from,
        to,
        by: by.unwrap_or(Period::Hour),
        piece,
    })
}

impl Span {
    /// What a cursor fits with.
    fn scope(&self) -> String {
        let bound = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        let (from, to, by) = (bound(self.from), bound(self.to), word(self.by));
        format!("statistics by {by}, from {from}, to {to}")
    }
}

const fn word(by: Period) -> &'static str {
    match by {
        Period::Hour => "hour",
        Period::Day => "day",
    }
}
