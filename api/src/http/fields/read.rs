//! Readers of one value each. Every one reports its own fault and gives
//! `None`, so that reading goes on with the next field.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::Value;

use super::{At, Fields, Member, Source, quote};

/// A string of so many characters, without control characters but line breaks and tabs.
pub fn text(chars: RangeInclusive<usize>) -> impl Fn(&Member<'_>) -> Option<String> {
    move |member| {
        let text = string(member)?;
        let count = text.chars().count();
        if count > *chars.end() {
            let detail = format!("expected at most {} characters, found {count}", chars.end());
            return member.over_limit("length", detail, *chars.end());
        }
        if count < *chars.start() {
            let detail = format!(
                "expected at least {} characters, found {count}",
                chars.start()
            );
            return member.over_limit("length", detail, *chars.start());
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return member.fault("format", "control characters are not taken; remove them");
        }
        Some(text.to_owned())
    }
}

/// A string that `parse` makes a value of; its error tells the client what is expected.
pub fn parsed<T, E: fmt::Display>(
    parse: impl Fn(&str) -> Result<T, E>,
) -> impl Fn(&Member<'_>) -> Option<T> {
    move |member| match parse(string(member)?) {
        Ok(value) => Some(value),
        Err(error) => member.fault("format", error.to_string()),
    }
}

/// An integer in a range. `5.0` is 5, as JSON does not tell them apart.
pub fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&Member<'_>) -> Option<T>
where
    T: Copy + PartialOrd + fmt::Display + Into<Value> + TryFrom<i128> + Into<i128>,
{
    move |member| {
        let Value::Number(number) = member.value else {
            return member.wrong_type("an integer");
        };
        let whole = number.as_i128().or_else(|| number.as_f64().and_then(whole));
        let Some(whole) = whole else {
            return member.fault("type", "expected an integer, found a fraction");
        };
        in_range(
            member,
            T::try_from(whole).ok(),
            whole < (*range.start()).into(),
            &range,
        )
    }
}

/// An integer in a range, as text: for a query parameter.
pub fn decimal<T>(range: RangeInclusive<T>) -> impl Fn(&Member<'_>) -> Option<T>
where
    T: Copy + PartialOrd + fmt::Display + Into<Value> + FromStr,
{
    move |member| {
        let text = string(member)?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return member.fault(
                "type",
                format!("expected an integer, found {}", quote(text)),
            );
        }
        let found = text.parse().ok();
        let is_low = found.map_or(text != digits, |found| found < *range.start());
        in_range(member, found, is_low, &range)
    }
}

/// A number in a range, such as degrees.
pub fn number(range: RangeInclusive<f64>) -> impl Fn(&Member<'_>) -> Option<f64> {
    move |member| {
        let Some(found) = member.value.as_f64() else {
            return member.wrong_type("a number");
        };
        in_range(member, Some(found), found < *range.start(), &range)
    }
}

/// `true` or `false`.
///
/// A query parameter is text, so there it is the words.
#[must_use]
pub fn boolean(member: &Member<'_>) -> Option<bool> {
    match (member.value, member.source) {
        (Value::Bool(value), _) => Some(*value),
        (Value::String(text), Source::Query) if text == "true" => Some(true),
        (Value::String(text), Source::Query) if text == "false" => Some(false),
        _ => member.wrong_type("true or false"),
    }
}

/// One of a closed set: the value whose word it is.
pub fn known<T: Copy>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl Fn(&Member<'_>) -> Option<T> {
    move |member| {
        let text = string(member)?;
        let found = all.iter().copied().find(|value| word(*value) == text);
        found.or_else(|| {
            let words: Vec<_> = all.iter().map(|value| word(*value)).collect();
            let (words, text) = (words.join(", "), quote(text));
            member.fault("value", format!("expected one of {words}, found {text}"))
        })
    }
}

/// An object, read field by field.
pub fn object<T>(
    read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
) -> impl FnOnce(&Member<'_>) -> Option<T> {
    move |member| {
        let Value::Object(members) = member.value else {
            return member.wrong_type("an object");
        };
        let mut fields = Fields::of(members, member.at, member.source, member.faults);
        let content = read(&mut fields);
        fields.finish();
        content
    }
}

/// An object of at most so many members whose names are free, each name read
/// by `name` and each value by `read`.
pub fn entries<N, E: fmt::Display, T>(
    members_max: usize,
    name: impl Fn(&str) -> Result<N, E>,
    read: impl Fn(&Member<'_>) -> Option<T>,
) -> impl Fn(&Member<'_>) -> Option<Vec<(N, T)>> {
    move |member| {
        let Value::Object(members) = member.value else {
            return member.wrong_type("an object");
        };
        if members.len() > members_max {
            let detail = format!(
                "expected at most {members_max} members, found {}",
                members.len()
            );
            return member.over_limit("length", detail, members_max);
        }
        let pairs: Vec<Option<(N, T)>> = members
            .iter()
            .map(|(key, value)| {
                let entry = Member {
                    value,
                    at: At::Name(&member.at, key),
                    ..*member
                };
                match name(key) {
                    Ok(name) => read(&entry).map(|value| (name, value)),
                    Err(error) => entry.fault("name", format!("this name is not taken: {error}")),
                }
            })
            .collect();
        pairs.into_iter().collect()
    }
}

/// An array of at most so many items.
pub fn list<T>(
    items_max: usize,
    read: impl Fn(&Member<'_>) -> Option<T>,
) -> impl Fn(&Member<'_>) -> Option<Vec<T>> {
    move |member| {
        let Value::Array(items) = member.value else {
            return member.wrong_type("an array");
        };
        if items.len() > items_max {
            let detail = format!("expected at most {items_max} items, found {}", items.len());
            return member.over_limit("length", detail, items_max);
        }
        // Every item is read, so that the faults of all of them are found.
        let read_items: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, value)| {
                read(&Member {
                    value,
                    at: At::Index(&member.at, index),
                    ..*member
                })
            })
            .collect();
        read_items.into_iter().collect()
    }
}

fn string<'m>(member: &Member<'m>) -> Option<&'m str> {
    member
        .value
        .as_str()
        .or_else(|| member.wrong_type("a string"))
}

/// `found` is absent where the type of the range cannot even hold it.
fn in_range<T>(
    member: &Member<'_>,
    found: Option<T>,
    is_low: bool,
    range: &RangeInclusive<T>,
) -> Option<T>
where
    T: Copy + PartialOrd + fmt::Display + Into<Value>,
{
    match found {
        Some(found) if range.contains(&found) => Some(found),
        Some(_) | None => {
            let limit = if is_low { *range.start() } else { *range.end() };
            member.over_limit(
                "range",
                format!("expected {} to {}", range.start(), range.end()),
                limit,
            )
        }
    }
}

/// The integer that a number is exactly, up to where such numbers are exact.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is whole and below 2^53"
)]
fn whole(number: f64) -> Option<i128> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i128)
}
