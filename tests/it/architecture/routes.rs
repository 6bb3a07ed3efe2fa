//! What the service answers, and where people read of it.

use super::source::{Source, Violation};

/// The heading of the README's list of all that can be asked.
const LIST: &str = "\n## What it answers\n";

/// The list of all that can be asked, out of the README.
pub(crate) fn list_in(readme: &str) -> &str {
    let (_, list) = readme
        .split_once(LIST)
        .expect("the README lists what the service answers");
    list.split_once("\n## ").map_or(list, |(list, _)| list)
}

/// Addresses that a file routes and the list does not name, whole or as `…/last`.
pub(crate) fn unnamed(source: &Source, list: &str) -> Vec<Violation> {
    let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
    if is_test || !source.path.starts_with("api/src/http") {
        return Vec::new();
    }
    let list = nameless(list);
    let routed = source.text.match_indices(".route(").filter_map(|(at, _)| {
        let (before, after) = source.text.split_at(at);
        let address = address(after, &source.text)?;
        let is_named = names(&list, &nameless(address))
            || last_word(address).is_some_and(|word| names(&list, &format!("…/{word}")));
        let line = before.lines().count();
        let reason = format!("the README does not list {address} under what the service answers");
        (!is_named).then(|| Violation::new(&source.path, line, reason))
    });
    routed.collect()
}

/// The address in the call that a text begins with, be it written there or a constant of its file.
fn address<'a>(call: &'a str, file: &'a str) -> Option<&'a str> {
    let argument = call.split_once('(')?.1.trim_start();
    let literal = argument.strip_prefix('"').or_else(|| {
        let (constant, _) = argument.split_once(',')?;
        let (_, value) = file.split_once(&format!("const {constant}: &str = \""))?;
        Some(value)
    });
    literal?.split_once('"').map(|(address, _)| address)
}

/// The last part of an address, unless that is a parameter.
fn last_word(address: &str) -> Option<&str> {
    let (before, last) = address.rsplit_once('/')?;
    (!before.is_empty() && !last.starts_with('{')).then_some(last)
}

/// Whether a text names an address, and not only a longer one.
fn names(text: &str, address: &str) -> bool {
    let mut places = text.match_indices(address);
    places.any(|(at, _)| {
        let (_, after) = text.split_at(at + address.len());
        let goes_on = |next: char| next.is_alphanumeric() || matches!(next, '/' | '-' | '_');
        !after.starts_with(goes_on)
    })
}

/// The same without the names of parameters, which are nobody's concern.
fn nameless(text: &str) -> String {
    let mut parts = text.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, part| {
        let after = part.split_once('}').map_or(part, |(_, after)| after);
        format!("{before}{{}}{after}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_route_that_is_not_listed_is_flagged() {
        let readme =
            "# A\n\n## What it answers\n| `GET /v1/kites/{id}` · `POST …/fly` |\n\n## B\n/v1/kites";
        let planted = "Router::new()\n    .route(\"/v1/kites\", get(list))\n    .route(\n        \"/v1/kites/{kite}\",\n        \
                       get(read),\n    )\n    .route(\"/v1/kites/{id}/fly\", post(fly))\n    .route(\"/v1/kites/{id}/land\", post(land))\n    \
                       .route(PATH, get(path))\nconst PATH: &str = \"/v1/strings\";\nrequest.route();\n";
        let lines = |path| {
            let found = unnamed(&Source::new(path, planted), list_in(readme));
            found.into_iter().map(|it| it.line).collect::<Vec<_>>()
        };
        assert_eq!(lines("api/src/http/kites.rs"), [2, 8, 9]);
        assert_eq!(lines("api/src/http/tests/kites.rs"), [0; 0]);
        assert_eq!(lines("api/src/kites.rs"), [0; 0]);
    }
}
