//! The HTTP interface: axum's home.
//!
//! A handler parses, calls one use case and maps the result; no rule of the
//! business lives here. What holds for every request alike is in [`front`].

use std::ops::Deref;
use std::sync::Arc;

use axum::{Router, middleware};
use eventstore::ClusterFigures;
use projections::{LiveDrones, Views};
use tokio::sync::{Semaphore, watch};
use tower::Layer as _;

use crate::application::Application;
use crate::config::Config;
use crate::environment::Environment;
use crate::ingest::Ingest;
use crate::observability::Metrics;
use admission::{Admission, WaitingPlaces};
use body::BodyReader;
use front::{Front, FrontSettings};

// What is said when something is wrong.
pub mod problem;
// What comes in: JSON as a value, read field by field.
pub mod json;
pub mod fields;
pub mod body;
pub mod conditional;
mod cursor;
pub mod negotiate;
mod path;
mod prefer;
mod listing;
// What goes out.
mod answer;
mod representation;
// What every request meets.
pub mod front;
mod admission;
mod idempotency;
pub mod server;
// The resources.
mod users;
mod packages;
mod deliveries;
mod delivery_filter;
mod user_deliveries;
mod dispatcher;
mod drone_events;
mod drones;
mod statistics;
mod tasks;
mod redrive;
mod feed;
// For whoever runs it.
mod operations;
mod health;
mod problem_pages;

#[cfg(test)]
mod tests;

/// What the interface opens up.
#[derive(Clone, Debug)]
pub struct Services {
    /// The use cases.
    pub application: Application,
    /// The door for drone events.
    pub ingest: Ingest,
    /// The read models.
    pub views: Arc<Views>,
    /// Where the drones are.
    pub live: Arc<LiveDrones>,
    /// The metrics of the process.
    pub metrics: Metrics,
    /// What is counted of the cluster that the log is on, if it is on one.
    pub cluster: Option<Arc<ClusterFigures>>,
}

/// What handlers work with. Cheap to clone: each request has its own.
#[derive(Clone, Debug)]
struct Api(Arc<Parts>);

/// What [`Api`] consists of.
#[derive(Debug)]
struct Parts {
    application: Application,
    ingest: Ingest,
    views: Arc<Views>,
    live: Arc<LiveDrones>,
    metrics: Metrics,
    cluster: Option<Arc<ClusterFigures>>,
    streams: feed::Streams,
    /// For requests that wait for the views.
    waiting: WaitingPlaces,
    rebuilds: operations::Rebuilds,
    /// For bodies of the usual size, and for batches of drone events; both
    /// share one budget of memory.
    bodies: BodyReader,
    batches: BodyReader,
    quota: deliveries::Quota,
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    fn environment(&self) -> &Environment {
        self.application.environment()
    }
}

/// The whole interface over some services, ready for [`server::run`]. Open
/// streams end when `stopping` becomes true, or nobody can say so any more.
#[must_use]
pub fn interface(services: Services, config: &Config, stopping: watch::Receiver<bool>) -> Front {
    let Services {
        application,
        ingest,
        views,
        live,
        metrics,
        cluster,
    } = services;
    let bodies = BodyReader::new(&config.http);
    let streams = feed::Streams::new(application.log(), &config.http, stopping);
    let api = Api(Arc::new(Parts {
        streams,
        waiting: WaitingPlaces::of(config.http.requests_max),
        rebuilds: operations::Rebuilds::default(),
        batches: bodies.with_bytes_max(config.http.batch_bytes_max),
        bodies,
        quota: deliveries::Quota::new(config.scheduling.deliveries_per_user_max),
        ingest,
        views,
        live,
        metrics,
        cluster,
        application: application.clone(),
    }));
    let settings = FrontSettings::new(
        config,
        application.environment().clone(),
        Arc::new(move || application.head().get()),
    );
    let era = conditional::Era::of(api.views.log().identity());
    let front = front::front(routes(api, config), settings);
    // Outermost, so that a problem's tag is marked too.
    Front::new(era.layer(front))
}

fn routes(api: Api, config: &Config) -> Router {
    let requests_max = usize::try_from(config.http.requests_max).unwrap_or(usize::MAX);
    let places = Arc::new(Semaphore::new(requests_max.min(Semaphore::MAX_PERMITS)));
    let admission = Admission::new(
        Arc::clone(&api.views),
        Arc::clone(&places),
        api.waiting.clone(),
    );
    let once = middleware::from_fn_with_state(api.clone(), idempotency::answer_once);
    let seen = middleware::from_fn_with_state(api.clone(), prefer::wait_for_seen);
    let resources = users::routes()
        .merge(packages::routes())
        .merge(deliveries::routes())
        .merge(tasks::routes())
        .merge(redrive::routes())
        // Inside the admission, so that nothing is read for whom there is no place.
        .route_layer(once)
        .merge(user_deliveries::routes())
        .merge(dispatcher::routes())
        .merge(drone_events::routes())
        .merge(drones::routes())
        .merge(statistics::routes())
        .merge(operations::cancelling())
        .route_layer(seen.clone())
        .route_layer(admission.clone())
        .merge(
            operations::routes()
                .route_layer(seen)
                .route_layer(admission.for_no_writes()),
        )
        // What chooses its form by itself.
        .merge(feed::routes().route_layer(middleware::from_fn_with_state(places, front::gate)));
    // How the service is can be asked also when there is no place left.
    resources
        .merge(health::routes())
        .merge(problem_pages::routes())
        .with_state(api)
}
