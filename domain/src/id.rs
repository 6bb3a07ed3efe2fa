//! Names of things: newtypes over UUIDs, and the names that others give.
//!
//! New UUIDs are made at the edge of the system (version 7); here they are
//! only values. In text each kind has its prefix, so an id of the wrong kind
//! is found where it enters.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A text is not an id of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {prefix} and a UUID in lower case with hyphens")]
pub struct InvalidId {
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What its text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id over this UUID, of whatever version.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID alone.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Takes exactly what `Display` prints, so one id has one text.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_prefixed(text, $prefix).map(Self)
            }
        }
    )*};
}

ids! {
    /// A delivery.
    DeliveryId "dlv_";
    /// A user: whoever books deliveries.
    UserId "usr_";
    /// A registered package.
    PackageId "pkg_";
    /// A mission of Drone Management: one drone's errand for one delivery.
    /// A fleet may choose the UUID itself.
    MissionId "msn_";
    /// A recorded event.
    EventId "evt_";
    /// What goes on after its request was answered.
    OperationId "opn_";
}

fn parse_prefixed(text: &str, prefix: &'static str) -> Result<Uuid, InvalidId> {
    let invalid = InvalidId { prefix };
    let tail = text.strip_prefix(prefix).ok_or(invalid)?;
    let uuid = Uuid::try_parse(tail).map_err(|_| invalid)?;
    // `try_parse` also takes upper case, braces and URNs.
    if uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == tail {
        Ok(uuid)
    } else {
        Err(invalid)
    }
}

/// A name that somebody else gave does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {chars_max} characters of {alphabet}")]
pub struct InvalidName {
    chars_max: usize,
    alphabet: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $max:literal $alphabet:literal $accepts:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The longest it may be, characters.
            pub const CHARS_MAX: usize = $max;

            /// Takes a name of the accepted characters.
            ///
            /// # Errors
            /// [`InvalidName`] says which characters and how many are accepted.
            pub fn new(name: impl Into<String>) -> Result<Self, InvalidName> {
                let name = name.into();
                let accepts: fn(u8) -> bool = $accepts;
                if name.is_empty() || name.len() > $max || !name.bytes().all(accepts) {
                    return Err(InvalidName { chars_max: $max, alphabet: $alphabet });
                }
                Ok(Self(name))
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }
    )*};
}

const URL_SAFE: fn(u8) -> bool =
    |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');

names! {
    /// The caller's own name of a delivery, unique per user; safe in a URL path.
    ExternalId 128 "A-Z a-z 0-9 . _ ~ -" URL_SAFE;
    /// A drone's name within its fleet.
    DroneId 64 "A-Z a-z 0-9 . _ ~ -" URL_SAFE;
    /// A fleet's name.
    FleetId 64 "A-Z a-z 0-9 . _ ~ -" URL_SAFE;
    /// One life of a sender of drone events. Later sessions of a drone sort
    /// after earlier ones, as strings: a boot counter of fixed width, or a version 7 UUID.
    SessionId 64 "A-Z a-z 0-9 . _ ~ -" URL_SAFE;
    /// What a drone event's sender named it; unique per sender.
    FactId 128 "printable ASCII without spaces" |b| b.is_ascii_graphic();
    /// The hash of what shows that the right person took a package, as whoever saw it made it.
    ProofHash 128 "printable ASCII without spaces" |b| b.is_ascii_graphic();
    /// What is printed on a package, so that the right one is taken.
    Tag 64 "printable ASCII without spaces" |b| b.is_ascii_graphic();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_own_text_and_from_no_other() {
        let id = DeliveryId::from_uuid(Uuid::from_u128(0x0192_f2c4_91aa_7c3e_9b7e_6f2d_1c0a_8e55));
        assert_eq!(id.to_string(), "dlv_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "usr_0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55",
            "0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55",
            "dlv_0192F2C4-91AA-7C3E-9B7E-6F2D1C0A8E55",
            "dlv_0192f2c491aa7c3e9b7e6f2d1c0a8e55",
            "dlv_{0192f2c4-91aa-7c3e-9b7e-6f2d1c0a8e55}",
            "dlv_",
            "",
        ] {
            assert!(text.parse::<DeliveryId>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_name_is_bounded_and_of_its_alphabet() {
        assert!(ExternalId::new("order-4711").is_ok());
        assert!(ExternalId::new("x".repeat(128)).is_ok());
        for name in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(ExternalId::new(name).is_err(), "{name:?} was taken");
        }
        assert!(Tag::new("QR-1#7").is_ok());
        assert!(Tag::new("QR 1").is_err());
    }
}
