//! The header `Accept` (RFC 9110, section 12.5.1): whether what there is fits.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use super::problem::{Problem, ProblemKind};

/// The offer that the client likes best; of equals, the first.
///
/// A client that says nothing, or nothing that can be read, gets the first.
///
/// # Errors
/// `not-acceptable` (406) if all offers are ruled out.
pub fn choose(headers: &HeaderMap, offers: &[&'static str]) -> Result<&'static str, Problem> {
    let ranges: Vec<Range> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(Range::parse)
        .collect();
    let refused = || {
        Problem::new(
            ProblemKind::NotAcceptable,
            format!(
                "this is available as {} only; name it in Accept or leave Accept out",
                offers.join(", ")
            ),
        )
    };
    if ranges.is_empty() {
        return offers.first().copied().ok_or_else(refused);
    }
    // `max_by_key` would take the last of equals.
    let mut best = (0, None);
    for offer in offers {
        let weight = weight_of(offer, &ranges);
        if weight > best.0 {
            best = (weight, Some(*offer));
        }
    }
    best.1.ok_or_else(refused)
}

/// One element of the header.
struct Range {
    main: String,
    sub: String,
    /// 0 to 1000.
    weight: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(Some(1000), |(_, value)| parse_weight(value.trim()))?;
        Some(Self {
            main: main.trim().to_ascii_lowercase(),
            sub: sub.trim().to_ascii_lowercase(),
            weight,
        })
    }

    /// How exactly it names a type; `None` if it does not.
    fn precision(&self, main: &str, sub: &str) -> Option<u8> {
        match (self.main.as_str(), self.sub.as_str()) {
            ("*", "*") => Some(0),
            (m, "*") if m == main => Some(1),
            (m, s) if m == main && s == sub => Some(2),
            _ => None,
        }
    }
}

/// The most exact range that fits decides.
fn weight_of(offer: &str, ranges: &[Range]) -> u16 {
    let (main, sub) = offer.split_once('/').unwrap_or((offer, ""));
    ranges
        .iter()
        .filter_map(|range| {
            range
                .precision(main, sub)
                .map(|precision| (precision, range.weight))
        })
        .max()
        .map_or(0, |(_, weight)| weight)
}

/// `0` to `1` with at most three decimals, in thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3
        || !decimals.bytes().all(|b| b.is_ascii_digit())
        || !matches!(whole, "0" | "1")
    {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    let weight = if whole == "1" {
        1000 + thousandths
    } else {
        thousandths
    };
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::http::body::JSON;

    fn chosen(accept: &str, offers: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        choose(&headers, offers).ok()
    }

    #[test]
    fn json_fits_unless_it_is_ruled_out() {
        for accept in [
            "*/*",
            "application/json",
            "application/*",
            "text/html, */*;q=0.1",
            "APPLICATION/JSON;q=0.001",
            "",
            "rubbish",
        ] {
            assert_eq!(chosen(accept, &[JSON]), Some(JSON), "{accept:?}");
        }
        for accept in [
            "text/html",
            "application/xml, text/*",
            "application/json;q=0, */*",
            "*/*;q=0",
        ] {
            assert_eq!(chosen(accept, &[JSON]), None, "{accept:?}");
        }
        assert_eq!(choose(&HeaderMap::new(), &[JSON]), Ok(JSON));
    }

    #[test]
    fn the_client_decides_between_offers_and_we_where_it_does_not() {
        let offers = ["text/html", JSON];
        assert_eq!(chosen("*/*", &offers), Some("text/html"));
        assert_eq!(
            chosen("application/json, text/html;q=0.9", &offers),
            Some(JSON)
        );
        assert_eq!(chosen("*/*, text/html;q=0.5", &offers), Some(JSON));
    }

    proptest! {
        #[test]
        fn no_header_makes_reading_panic(accept in "[ -~]{0,60}") {
            let _ = chosen(&accept, &[JSON]);
        }
    }
}
