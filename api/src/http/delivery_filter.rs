//! What lists of deliveries have in common: which deliveries are wanted, and
//! how those of a page are shown.

use std::fmt;

use domain::delivery::Status;
use domain::id::DeliveryId;
use domain::time::Timestamp;
use serde_json::Value;

use super::Api;
use super::answer::unanswered;
use super::fields::{Fields, parsed};
use super::listing::read_statuses;
use super::problem::Problem;
use super::representation::delivery as representation;

/// Which deliveries a client wants to see. As a text it is what a cursor fits with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeliveryFilter {
    /// In one of these; in any if there is none.
    pub(super) statuses: Vec<Status>,
    /// Only those created later.
    pub(super) created_after: Option<Timestamp>,
    /// Only those created earlier.
    pub(super) created_before: Option<Timestamp>,
}

impl DeliveryFilter {
    /// Reads `status`, `created_after` and `created_before`.
    pub(super) fn read(query: &mut Fields<'_>) -> Self {
        Self {
            statuses: query
                .optional("status", parsed(read_statuses))
                .unwrap_or_default(),
            created_after: query.optional("created_after", parsed(str::parse::<Timestamp>)),
            created_before: query.optional("created_before", parsed(str::parse::<Timestamp>)),
        }
    }

    /// The deliveries of a page as they are now; what has left the filter
    /// meanwhile is left out.
    pub(super) fn items(
        &self,
        api: &Api,
        ids: impl IntoIterator<Item = DeliveryId>,
    ) -> Result<Vec<Value>, Problem> {
        let mut items = Vec::new();
        for id in ids {
            let row = api.views.delivery(id);
            let row = row.map_err(|error| unanswered(&error))?;
            let is_wanted =
                |status: &Status| self.statuses.is_empty() || self.statuses.contains(status);
            let row = row.filter(|row| is_wanted(&row.status));
            items.extend(row.as_ref().map(representation::delivery));
        }
        Ok(items)
    }
}

impl fmt::Display for DeliveryFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.word()).collect();
        let bound = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        write!(
            f,
            "status {}, after {}, before {}",
            statuses.join(","),
            bound(self.created_after),
            bound(self.created_before),
        )
    }
}
