//! What `JetStream` means by an error, and what helps.

/// What is behind an error that `JetStream` answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsTrouble {
    /// Too few of its servers are there to decide anything, or they are just electing a leader.
    Leaderless,
    /// The server or the account has none.
    NotEnabled,
    /// What it may store is used up.
    NoStorage,
    /// There are not as many servers as there are to be copies.
    TooFewServers,
}

impl NatsTrouble {
    /// What an error's number says (`err_code` in an answer, nats-server's
    /// `errors.json`); `None` where it is about the request rather than the servers.
    #[must_use]
    pub const fn of_code(code: u64) -> Option<Self> {
        match code {
            // Incomplete results, not active, not assigned, temporarily unavailable, not leader,
            // a server that is no member, Raft, and what is offline.
            10_004 | 10_006..=10_009 | 10_041 | 10_044 | 10_118 | 10_119 | 10_194 | 10_195 => {
                Some(Self::Leaderless)
            }
            // Of the account, of the server.
            10_039 | 10_076 => Some(Self::NotEnabled),
            // Of the account, insufficient, memory, storage, of a stream.
            10_002 | 10_023 | 10_028 | 10_047 | 10_122 => Some(Self::NoStorage),
            // No suitable peers, several copies on a server by itself.
            10_005 | 10_074 => Some(Self::TooFewServers),
            _ => None,
        }
    }

    /// What an operator can do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Leaderless => {
                "too few of its servers are up for one of them to lead, or they are just electing one: wait some \
                 seconds, and start those that are down"
            }
            Self::NotEnabled => {
                "enable JetStream for the server and the account; a server that had it may have switched it off at an \
                 error of its disk, which its log tells"
            }
            Self::NoStorage => {
                "the storage is used up that the servers, the account or the stream may have: make room, or allow more"
            }
            Self::TooFewServers => {
                "fewer servers are up, or have the storage left, than it is to have copies: start those that are down, \
                 make room on them, or ask for fewer copies"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_cannot_decide_now_are_not_taken_for_such_that_never_could() {
        for code in [10_008, 10_009] {
            let trouble = NatsTrouble::of_code(code).unwrap();
            assert_eq!(trouble, NatsTrouble::Leaderless);
            assert!(trouble.advice().contains("wait some seconds"));
            assert!(!trouble.advice().contains("enable"));
        }
        assert_eq!(NatsTrouble::of_code(10_039), Some(NatsTrouble::NotEnabled));
        assert_eq!(NatsTrouble::of_code(10_023), Some(NatsTrouble::NoStorage));
        assert_eq!(NatsTrouble::of_code(10_028), Some(NatsTrouble::NoStorage));
        let few = NatsTrouble::of_code(10_074);
        assert_eq!(few, Some(NatsTrouble::TooFewServers));
        assert_eq!(NatsTrouble::of_code(10_059), None, "no such stream");
    }
}
