//! Whether a request that writes is let in: not before it is known that the
//! log holds everything that was ever acknowledged, and not while what can be
//! read falls behind what is written.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use projections::Views;

use super::problem::{Problem, ProblemKind};
use crate::observability::HTTP_OVERLOADED;

/// How long a write waits for the views to be opened before it is refused.
const OPENING_WAIT: Duration = Duration::from_secs(5);

/// How old what the views show may be before writes are refused. Far above
/// what a working disk needs, and soon enough that nobody reads much too old.
const LAG_MAX: Duration = Duration::from_secs(5);

/// A layer that holds writes back while the views are being opened, and refuses
/// them (503) if that takes long: only the views can tell whether the journal
/// has lost its end, and until then nothing may be appended to it. It refuses
/// them too while the views are more than five seconds old.
pub(super) async fn admit_writes(
    State(views): State<Arc<Views>>,
    request: Request,
    next: Next,
) -> Response {
    if !request.method().is_safe() && !views.are_open() {
        // Views that are refused end the service, which says why.
        let _ = tokio::time::timeout(OPENING_WAIT, views.decided()).await;
        if !views.are_open() {
            let why = "the service has just started and is still opening its views; \
                       what is asked for by its id is answered already, writes are taken in a moment";
            return Problem::new(ProblemKind::NotReady, why)
                .with_retry_after_s(1)
                .into_response();
        }
    }
    if !request.method().is_safe() && views.lag().is_some_and(|lag| lag > LAG_MAX) {
        metrics::counter!(HTTP_OVERLOADED).increment(1);
        let why = "what can be read is more than five seconds behind what was written; \
                   writes are taken again when it has caught up";
        return Problem::overloaded(why).into_response();
    }
    next.run(request).await
}
