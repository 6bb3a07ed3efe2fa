//! How fresh an answer from a view must be: `Min-Position`, with `Prefer: wait`.
//!
//! Whoever wrote sends the `Stream-Position` of that answer with the next
//! question to a list, and finds there what they wrote. What is asked by its id
//! is current without it.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderValue;
use axum::http::header::{HeaderName, VARY};
use axum::http::request::Parts;
use axum::response::Response;
use eventstore::Position;
use futures_util::FutureExt as _;
use projections::{List, QueryError, Views};

use super::{PREFERENCE_APPLIED, Preferences};
use crate::http::Api;
use crate::http::admission::WaitingPlaces;
use crate::http::answer::{at, unanswered};
use crate::http::problem::{Problem, ProblemKind};

/// The header with the position that a view must have reached.
pub(super) const MIN_POSITION: HeaderName = HeaderName::from_static("min-position");

/// How long a view is waited for where the client does not say.
pub(in crate::http) const WAIT_DEFAULT: Duration = Duration::from_secs(2);

/// What a client says about how fresh the answer must be.
///
/// A handler takes it as an argument, puts its question to [`Freshness::ask`]
/// instead of to the views, and answers with what [`Fresh::stamp`] makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Freshness {
    min_position: Option<Position>,
    wait: Option<Duration>,
}

/// What a view answered, and as of which position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Fresh<T> {
    /// The answer.
    pub(in crate::http) content: T,
    /// The record up to which the answer shows all; it may show more.
    pub(in crate::http) position: Position,
    /// The client's limit of waiting, where there was something to wait for.
    honoured: Option<Duration>,
}

impl<S: Send + Sync> FromRequestParts<S> for Freshness {
    type Rejection = Problem;

    /// # Errors
    /// `malformed-header` (400) for a `Min-Position` that is no position: an
    /// answer without it would not show what the client is looking for.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let min_position = match parts.headers.get(MIN_POSITION) {
            None => None,
            Some(value) => Some(read_position(value).ok_or_else(malformed)?),
        };
        Ok(Self {
            min_position,
            wait: Preferences::of(&parts.headers).wait,
        })
    }
}

impl Freshness {
    /// Asks as soon as the list's views are where the client wants them, and
    /// are not just being built. What becomes of other views does not matter.
    ///
    /// # Errors
    /// `projection-lagging` (503) if that took longer than the client would
    /// wait, `overloaded` (503) if too many wait already; else what the
    /// question meets.
    pub(in crate::http) async fn ask<T>(
        &self,
        api: &Api,
        list: List,
        question: impl Fn(&Views) -> Result<T, QueryError>,
    ) -> Result<Fresh<T>, Problem> {
        self.ask_in(&api.waiting, &api.views, list, question).await
    }

    async fn ask_in<T>(
        &self,
        waiting: &WaitingPlaces,
        views: &Views,
        list: List,
        question: impl Fn(&Views) -> Result<T, QueryError>,
    ) -> Result<Fresh<T>, Problem> {
        let looking = async {
            let mut is_waited_for = self.min_position.is_some();
            if let Some(position) = self.min_position {
                views.wait_for_list(list, position).await?;
            }
            loop {
                // Before the rows, so that it promises no more than they show.
                let position = views.reached(list);
                match question(views) {
                    Ok(content) => {
                        let honoured = self.wait.filter(|_| is_waited_for);
                        return Ok(Fresh {
                            content,
                            position,
                            honoured,
                        });
                    }
                    Err(QueryError::Lagging { wanted, .. }) => {
                        is_waited_for = true;
                        views.wait_for_list(list, wanted).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let wait = self.wait.unwrap_or(WAIT_DEFAULT);
        let answer = if wait.is_zero() {
            // Not even for the moment that a timer takes, nor in a place for those who wait.
            looking.now_or_never()
        } else {
            let looking = tokio::time::timeout(wait, looking);
            waiting.wait(looking).await?.ok()
        };
        match answer {
            Some(answer) => answer.map_err(|error| unanswered(&error)),
            None => Err(self.lagging(views, list)),
        }
    }

    fn lagging(&self, views: &Views, list: List) -> Problem {
        let (reached, head) = (views.reached(list), *views.log().head().borrow());
        let detail = match self.min_position {
            Some(wanted) if wanted > head => format!(
                "Min-Position is {wanted}, and the log ends at position {head}: send the Stream-Position of an answer \
                 as it was received, or leave it out if that answer came before the log was restored"
            ),
            Some(wanted) => format!(
                "the list is at position {reached}, and Min-Position is {wanted}: send it again, or let it wait \
                 longer with Prefer: wait=30"
            ),
            None => format!(
                "what the list is read from is being built and is at position {reached} of {head}: send it again"
            ),
        };
        Problem::new(ProblemKind::ProjectionLagging, detail).with_retry_after_s(1)
    }
}

impl<T> Fresh<T> {
    /// Says in the answer which position it shows, what it hangs on, and which
    /// preference was honoured.
    pub(in crate::http) fn stamp(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        headers.insert(
            VARY,
            HeaderValue::from_static("Accept, Prefer, Min-Position"),
        );
        if let Some(wait) = self.honoured {
            let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
            headers.extend(applied.ok().map(|applied| (PREFERENCE_APPLIED, applied)));
        }
        at(self.position, response)
    }
}

/// Digits, as `Stream-Position` has them.
pub(super) fn read_position(value: &HeaderValue) -> Option<Position> {
    let text = value.to_str().ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok().map(Position::new))?
}

fn malformed() -> Problem {
    Problem::new(
        ProblemKind::MalformedHeader,
        "Min-Position is not a position; send the Stream-Position of an answer as it was received",
    )
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use axum::http::Request;
    use axum::response::IntoResponse as _;
    use eventstore::MemoryEventStore;
    use uuid::Uuid;

    use super::*;

    async fn read(headers: &[(&str, &str)]) -> Result<Freshness, Problem> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Freshness::from_request_parts(&mut parts, &()).await
    }

    fn waiting() -> WaitingPlaces {
        WaitingPlaces::of(2)
    }

    fn views() -> Views {
        Views::in_memory(Arc::new(MemoryEventStore::new(Uuid::nil()))).unwrap()
    }

    #[tokio::test]
    async fn what_is_no_position_is_refused_and_not_ignored() {
        for text in ["", "+1", "-1", "1.0", "soon", "18446744073709551616", "1 2"] {
            let problem = read(&[("min-position", text)]).await.unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::MalformedHeader, "{text:?}");
        }
        assert!(read(&[("min-position", "7")]).await.is_ok());
        assert!(read(&[]).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_that_does_not_come_is_waited_for_as_long_as_the_client_would() {
        let (waiting, views) = (waiting(), views());
        for (prefer, seconds) in [
            (None, 2),
            (Some("wait=0"), 0),
            (Some("wait=7"), 7),
            (Some("wait=999"), 30),
        ] {
            let prefer = prefer.map(|prefer| ("prefer", prefer));
            let headers: Vec<_> = [("min-position", "9")].into_iter().chain(prefer).collect();
            let freshness = read(&headers).await.unwrap();
            let mut asked = pin!(freshness.ask_in(&waiting, &views, List::Tasks, |_| Ok(())));
            let instant = Duration::from_millis(1);
            if let Some(almost) = Duration::from_secs(seconds).checked_sub(instant) {
                let early = tokio::time::timeout(almost, asked.as_mut()).await;
                assert!(early.is_err(), "{headers:?}: {early:?}");
            }
            let late = tokio::time::timeout(2 * instant, asked).await;
            let problem = late.expect("it is waited for no longer").unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::ProjectionLagging);
            let detail = problem.detail();
            assert!(detail.contains("ends at position 0"), "{detail}");
        }
    }

    #[tokio::test]
    async fn who_would_not_wait_needs_no_place_to_wait_in() {
        let (waiting, views) = (waiting(), views());
        let _taken = waiting.take().unwrap();
        for (prefer, kind) in [
            ("wait=0", ProblemKind::ProjectionLagging),
            ("wait=1", ProblemKind::Overloaded),
        ] {
            let freshness = read(&[("min-position", "9"), ("prefer", prefer)]).await;
            let freshness = freshness.unwrap();
            let asked = freshness.ask_in(&waiting, &views, List::Tasks, |_| Ok(()));
            assert_eq!(asked.await.unwrap_err().kind(), kind, "{prefer}");
        }
    }

    #[tokio::test]
    async fn only_waiting_that_could_happen_is_said_to_be_honoured() {
        let views = views();
        for (headers, honoured) in [
            (&[("prefer", "wait=7"), ("min-position", "0")][..], true),
            (&[("prefer", "wait=7")], false),
            (&[("min-position", "0")], false),
        ] {
            let fresh = read(headers).await.unwrap();
            let fresh = fresh
                .ask_in(&waiting(), &views, List::Tasks, |_| Ok(()))
                .await;
            let response = fresh.unwrap().stamp(().into_response());
            let headers = response.headers();
            let applied = headers.get("preference-applied");
            assert_eq!(
                applied.map(|applied| applied.to_str().unwrap()),
                honoured.then_some("wait=7")
            );
            assert_eq!(headers["stream-position"], "0");
            assert_eq!(headers["vary"], "Accept, Prefer, Min-Position");
        }
    }

    #[tokio::test]
    async fn a_question_that_cannot_be_answered_is_not_asked_again() {
        let fresh = read(&[]).await.unwrap();
        let asked = fresh
            .ask_in(&waiting(), &views(), List::Tasks, |_| {
                Err::<(), _>(QueryError::Stopped)
            })
            .await;
        assert_eq!(asked.unwrap_err().kind(), ProblemKind::NotReady);
    }
}
