//! Whether a request is let in to the resources: not where there is no place
//! left or its client takes no JSON; and one that writes not before it is known
//! that the log holds everything that was ever acknowledged, nor while what can
//! be read falls behind what is written. What appends nothing is not held, by
//! whatever method it is asked for: a rebuild may be what ends the hold.
//!
//! A service of its own and no middleware function, since every request meets
//! it: one that reads costs it no memory.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::{BoxFuture, Either};
use projections::{Views, WriteHold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service, ServiceExt as _};

use super::body::JSON;
use super::front;
use super::negotiate::choose;
use super::problem::{Problem, ProblemKind};
use crate::observability::HTTP_OVERLOADED;

// Who waits, meanwhile.
mod waiting;

pub(super) use waiting::WaitingPlaces;

/// How long a write waits for the views to be opened before it is refused.
const OPENING_WAIT: Duration = Duration::from_secs(5);

/// The layer. It works on so many requests at once as there are places, and
/// refuses the rest at once (503); it refuses whoever rules JSON out (406); and
/// it holds writes back while the views are being opened, and refuses them
/// (503) if that takes long, since only they can tell whether the journal has
/// lost its end, and until then nothing may be appended to it; and it refuses
/// them as long as the views say so ([`Views::holds_writes`]). Whatever has
/// not a safe method counts as a write, unless nothing behind the layer is one.
#[derive(Clone)]
pub(super) struct Admission {
    holds_writes: bool,
    views: Arc<Views>,
    places: Arc<Semaphore>,
    waiting: WaitingPlaces,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

impl Admission {
    pub(super) fn new(views: Arc<Views>, places: Arc<Semaphore>, waiting: WaitingPlaces) -> Self {
        Self {
            holds_writes: true,
            views,
            places,
            waiting,
        }
    }

    /// The same, with the same places, in front of what appends nothing to the log.
    pub(super) fn for_no_writes(&self) -> Self {
        Self {
            holds_writes: false,
            ..self.clone()
        }
    }
}

impl<S> Layer<S> for Admission {
    type Service = Admitting<S>;

    fn layer(&self, inner: S) -> Admitting<S> {
        Admitting {
            admission: self.clone(),
            inner,
        }
    }
}

/// What is behind the layer.
#[derive(Clone, Debug)]
pub(super) struct Admitting<S> {
    admission: Admission,
    inner: S,
}

type Answered = Result<Response, Infallible>;

impl<S> Service<Request> for Admitting<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Unpin + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future =
        Either<Ready<Answered>, Either<Placed<S::Future>, Placed<BoxFuture<'static, Answered>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Ok(place) = Arc::clone(&self.admission.places).try_acquire_owned() else {
            return Either::Left(ready(Ok(front::no_place().into_response())));
        };
        if let Err(problem) = choose(request.headers(), &[JSON]) {
            return Either::Left(ready(Ok(problem.into_response())));
        }
        let is_write = self.admission.holds_writes && !request.method().is_safe();
        Either::Right(if is_write {
            let (admission, inner) = (self.admission.clone(), self.inner.clone());
            let answer: BoxFuture<'static, Answered> = Box::pin(async move {
                match admission.admit_write().await {
                    Ok(()) => inner.oneshot(request).await,
                    Err(problem) => Ok(problem.into_response()),
                }
            });
            Either::Right(Placed {
                answer,
                _place: place,
            })
        } else {
            let answer = self.inner.call(request);
            Either::Left(Placed {
                answer,
                _place: place,
            })
        })
    }
}

/// An answer in the making, which has a place meanwhile.
#[derive(Debug)]
pub(super) struct Placed<F> {
    answer: F,
    _place: OwnedSemaphorePermit,
}

impl<F: Future + Unpin> Future for Placed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.answer).poll(cx)
    }
}

impl Admission {
    /// Whether something may be written now.
    async fn admit_write(&self) -> Result<(), Problem> {
        if !self.views.are_open() {
            let opening = tokio::time::timeout(OPENING_WAIT, self.views.decided());
            // Views that are refused end the service, which says why.
            let _ = self.waiting.wait(opening).await?;
            if !self.views.are_open() {
                let why = "the service has just started and its views are not open yet; \
                           what is asked for by its id is answered already, writes are taken once they are; \
                           see /readyz if that takes long";
                return Err(Problem::new(ProblemKind::NotReady, why).with_retry_after_s(1));
            }
        }
        self.views
            .holds_writes()
            .map_or(Ok(()), |hold| Err(held(hold)))
    }
}

fn held(hold: WriteHold) -> Problem {
    metrics::counter!(HTTP_OVERLOADED).increment(1);
    Problem::overloaded(match hold {
        WriteHold::Behind => {
            "what can be read is more than five seconds behind what was written; \
             writes are taken again when it has caught up"
        }
        WriteHold::Building => {
            "what can be read is being built anew and does not come nearer to what is written; \
             writes are taken again when it does; see /readyz if that takes long"
        }
    })
}
