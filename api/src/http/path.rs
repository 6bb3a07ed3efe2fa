//! Ids in paths. Whatever is not the id of something there is answered alike:
//! 404, so that nobody learns what exists.

use std::str::FromStr;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::Uri;
use axum::http::request::Parts;
use domain::id::{DeliveryId, ExternalId, UserId};

use super::Api;
use super::answer::failed;
use super::fields::{Fields, parsed, read_query};
use super::problem::Problem;

/// What stands before a caller's own id of a delivery.
const EXTERNAL: &str = "ext:";

/// What an id in a path may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    User,
    Package,
    Delivery,
    Drone,
    Task,
    DeadLetter,
    Operation,
    Projection,
}

impl Thing {
    /// What is not there, and where to look for what is.
    const fn not_there(self) -> &'static str {
        match self {
            Self::User => {
                "there is no such user; ids of users begin with usr_, and GET /v1/users?email= finds one"
            }
            Self::Package => {
                "there is no such package; POST /v1/packages registers one, and an id of your own is pkg_ and a UUID in \
                 lower case with hyphens"
            }
            Self::Delivery => {
                "there is no such delivery; ids of deliveries begin with dlv_, and GET /v1/deliveries lists all"
            }
            Self::Drone => {
                "no drone of this name was ever heard of; GET /v1/drones lists all that were"
            }
            Self::Task => {
                "there is no such task, or its reason is gone; ids of tasks begin with tsk_, and \
                 GET /v1/tasks?status=all lists all"
            }
            Self::DeadLetter => {
                "there is no such dead letter; GET /v1/dead-letters lists all, and each says its address for this in \
                 links.redrive"
            }
            Self::Operation => {
                "there is no such operation; ids of operations begin with opn_, and the answer to what began one \
                 names it in Location"
            }
            Self::Projection => "there is no such view; GET /v1/projections lists all",
        }
    }
}

/// The one parameter of a path, as text.
#[derive(Clone, Debug)]
pub(super) struct PathId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text))
            .map_err(|_| Problem::not_found("the path is not of UTF-8 characters"))
    }
}

impl PathId {
    /// The id, if it is one of this kind.
    pub(super) fn parse<T: FromStr>(&self, what: Thing) -> Result<T, Problem> {
        self.0.parse().map_err(|_| unknown(what))
    }

    /// The delivery that is named by its id, or by `ext:` and its user's own
    /// name of it. Takes the whole query.
    pub(super) fn delivery(&self, api: &Api, uri: &Uri) -> Result<DeliveryId, Problem> {
        let named = self.delivery_and(api, uri, |_| ());
        named.map(|(id, ())| id)
    }

    /// The same, with what else the query says.
    pub(super) fn delivery_and<T>(
        &self,
        api: &Api,
        uri: &Uri,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Result<(DeliveryId, T), Problem> {
        let Some(external_id) = self.0.strip_prefix(EXTERNAL) else {
            let said = read_query(uri, |query| Some(read(query)))?;
            return Ok((self.parse(Thing::Delivery)?, said));
        };
        let (user, said) = read_query(uri, |query| {
            let user = query.optional("user_id", parsed(str::parse::<UserId>));
            Some((user, read(query)))
        })?;
        let Some(user) = user else {
            return Err(Problem::not_found(
                "an external_id is unique per user; say whose it is with ?user_id= and the user's id",
            ));
        };
        let external_id: ExternalId = external_id.parse().map_err(|_| unknown(Thing::Delivery))?;
        let found = api.application.delivery_by_external_id(user, &external_id);
        let id = found.map_err(|error| failed(&error.into()))?;
        Ok((id.ok_or_else(|| unknown(Thing::Delivery))?, said))
    }
}

/// There is no such thing, or it is somebody else's.
pub(super) fn unknown(what: Thing) -> Problem {
    Problem::not_found(what.not_there())
}

/// Refuses every query parameter.
pub(super) fn no_query(uri: &Uri) -> Result<(), Problem> {
    read_query(uri, |_| Some(()))
}
