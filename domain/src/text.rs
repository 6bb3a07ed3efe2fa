//! Free text with a bound, and contact data.

use std::fmt;
use std::str::FromStr;

/// A text of 1 to `CHARS_MAX` characters without control characters (line
/// breaks excepted) that is not blank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text<const CHARS_MAX: usize>(String);

/// A text is blank, too long or has control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {chars_max} characters, not blank, without control characters")]
pub struct InvalidText {
    chars_max: usize,
}

impl<const CHARS_MAX: usize> Text<CHARS_MAX> {
    /// Takes a text as it is.
    ///
    /// # Errors
    /// [`InvalidText`].
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidText> {
        let text = text.into();
        let fits = text.chars().count() <= CHARS_MAX
            && !text.trim().is_empty()
            && !text.chars().any(|c| c.is_control() && c != '\n');
        if fits {
            Ok(Self(text))
        } else {
            Err(InvalidText {
                chars_max: CHARS_MAX,
            })
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const CHARS_MAX: usize> fmt::Display for Text<CHARS_MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const CHARS_MAX: usize> FromStr for Text<CHARS_MAX> {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Self::new(text)
    }
}

/// A person's or shop's name.
pub type Name = Text<100>;
/// A postal address or a description of a place.
pub type Address = Text<300>;
/// Free words that explain something.
pub type Comment = Text<500>;

/// A contact datum is not of the accepted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContact {
    /// An e-mail address.
    #[error("expected an e-mail address such as ada@example.org, at most 254 characters")]
    Email,
    /// A telephone number.
    #[error("expected a telephone number in E.164 form such as +4930123456")]
    Phone,
    /// A language.
    #[error("expected a language tag such as en or de-AT")]
    Locale,
}

/// An e-mail address, trimmed. Two addresses are the same person's if their
/// [`Email::normalised`] forms are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Takes an address of the form that the HTML standard accepts
    /// (<https://html.spec.whatwg.org/#valid-e-mail-address>), at most 254
    /// characters (RFC 5321, 4.5.3.1).
    ///
    /// # Errors
    /// [`InvalidContact::Email`].
    pub fn new(address: &str) -> Result<Self, InvalidContact> {
        let address = address.trim();
        let (local, domain) = address.split_once('@').ok_or(InvalidContact::Email)?;
        let local_fits = !local.is_empty()
            && local.len() <= 64
            && local
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b));
        if address.len() > 254 || !local_fits || !domain.split('.').all(is_host_label) {
            return Err(InvalidContact::Email);
        }
        Ok(Self(address.to_owned()))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In lower case: what uniqueness is judged by.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A telephone number in E.164 form.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

impl Phone {
    /// Takes `+` and 7 to 15 digits, the first not 0 (ITU-T E.164).
    ///
    /// # Errors
    /// [`InvalidContact::Phone`].
    pub fn new(number: &str) -> Result<Self, InvalidContact> {
        let digits = number.strip_prefix('+').ok_or(InvalidContact::Phone)?;
        let fits = (7..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if fits {
            Ok(Self(number.to_owned()))
        } else {
            Err(InvalidContact::Phone)
        }
    }

    /// The number with its `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A language to speak to somebody in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Locale(String);

impl Locale {
    /// Takes a language tag of the shape of BCP 47: subtags of 1 to 8 letters
    /// or digits, the first of 2 or 3 letters, at most 35 characters.
    ///
    /// # Errors
    /// [`InvalidContact::Locale`].
    pub fn new(tag: &str) -> Result<Self, InvalidContact> {
        let mut subtags = tag.split('-');
        let language = subtags.next().unwrap_or_default();
        let fits = tag.len() <= 35
            && (2..=3).contains(&language.len())
            && language.bytes().all(|b| b.is_ascii_alphabetic())
            && subtags.all(|s| {
                (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric())
            });
        if fits {
            Ok(Self(tag.to_owned()))
        } else {
            Err(InvalidContact::Locale)
        }
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Contact data is never printed by accident.
macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

redacted!(Email, Phone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_bounded_in_characters_and_never_blank() {
        assert!(Text::<3>::new("äöü").is_ok());
        for text in ["", "  ", "abcd", "a\u{7}"] {
            assert!(Text::<3>::new(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn an_email_address_is_trimmed_and_compared_in_lower_case() {
        let email = Email::new(" Ada@Example.ORG ").unwrap();
        assert_eq!(email.as_str(), "Ada@Example.ORG");
        assert_eq!(email.normalised(), "ada@example.org");
        for text in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "ada@-x.org",
            "a da@example.org",
            "ada@ex..org",
        ] {
            assert!(Email::new(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn contacts_do_not_show_in_debug_output() {
        let shown = format!(
            "{:?} {:?}",
            Email::new("ada@example.org").unwrap(),
            Phone::new("+4930123456").unwrap()
        );
        assert!(!shown.contains("ada") && !shown.contains("123"), "{shown}");
    }

    #[test]
    fn a_telephone_number_is_international() {
        assert!(Phone::new("+4930123456").is_ok());
        for text in [
            "030123456",
            "+0301234567",
            "+49 30 123456",
            "+123456",
            "+1234567890123456",
        ] {
            assert!(Phone::new(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_locale_has_the_shape_of_a_language_tag() {
        assert!(Locale::new("de-AT").is_ok());
        for text in ["", "d", "german", "de_AT", "de-"] {
            assert!(Locale::new(text).is_err(), "{text:?} was taken");
        }
    }
}
