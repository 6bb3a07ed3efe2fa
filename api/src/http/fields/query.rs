//! The parameters of a query, read like the fields of a body.

use std::cell::RefCell;

use axum::extract::Query;
use axum::http::Uri;
use serde_json::{Map, Value};

use super::{At, Fault, Faults, Fields, Problem, Source, conclude};
use crate::http::problem::{ProblemKind, escape};

/// Reads the query of a request. Each value is text; pointers are `/` and the
/// parameter's name.
///
/// # Errors
/// `invalid-request` (422) with every fault: of the parameters, ones that are
/// missing, unknown or come twice. `malformed-request` (400) if it is no query.
pub fn read_query<T>(
    uri: &Uri,
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> Result<T, Problem> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| {
        Problem::new(
            ProblemKind::MalformedRequest,
            "the query is not of the form name=value&…",
        )
    })?;
    let mut members = Map::new();
    let mut faults = Faults::default();
    for (name, value) in pairs {
        if members.contains_key(&name) {
            let pointer = format!("/{}", escape(&name));
            faults.add(Fault::new(
                pointer,
                "repeated",
                "this query parameter comes more than once; send it once",
            ));
        }
        members.insert(name, Value::String(value));
    }
    let faults = RefCell::new(faults);
    let mut fields = Fields::of(&members, At::Root, Source::Query, &faults);
    let content = read(&mut fields);
    fields.finish();
    conclude(content, faults.into_inner(), &Value::Object(members))
}
