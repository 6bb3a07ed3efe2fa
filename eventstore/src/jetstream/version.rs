//! Which NATS servers will do.

use std::fmt;

/// A version of a NATS server, shown as `2.14.4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatsVersion {
    /// The first number.
    pub major: i64,
    /// The second one.
    pub minor: i64,
    /// The third one.
    pub patch: i64,
}

impl NatsVersion {
    /// The oldest server that keeps what it acknowledged under every fault tried.
    pub const OLDEST: Self = Self {
        major: 2,
        minor: 14,
        patch: 4,
    };
}

impl fmt::Display for NatsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
