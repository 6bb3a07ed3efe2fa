//! The last message of a log that left its cluster. Like every block it has
//! one place in the stream, so that of several nodes one leaves; and what a
//! node finds behind it is not in the log.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::ClusterError;
use crate::history::LogHistory;
use crate::position::LogIdentity;

/// What it begins with; no block does, it would be far longer than any may be.
const MAGIC: &[u8; 8] = b"AIRPOSTL";

/// Who left, and how the log goes on there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Farewell {
    pub(super) log_id: Uuid,
    /// The epoch in which the log goes on, behind the last block.
    pub(super) epoch: u32,
    /// Whose it is; noted in the journal that leaves before it is sent.
    pub(super) id: Uuid,
    /// Where that journal is, the machine and the folder, in words.
    pub(super) by: String,
}

impl Farewell {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let text = serde_json::to_vec(self).expect("numbers and texts can always be written");
        bytes.extend_from_slice(&text);
        bytes
    }

    /// `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes.strip_prefix(MAGIC)?).ok()
    }

    /// The log as it goes on.
    pub(super) fn identity(&self) -> LogIdentity {
        LogIdentity {
            log_id: self.log_id,
            epoch: self.epoch,
        }
    }

    /// Whether a log with that history can go on like this.
    pub(super) fn is_behind(&self, history: &LogHistory) -> bool {
        let LogIdentity { log_id, epoch } = history.identity();
        self.log_id == log_id && self.epoch > epoch
    }

    pub(super) fn error(self, stream: &str) -> ClusterError {
        ClusterError::Sealed {
            stream: stream.to_owned(),
            by: self.by,
            epoch: self.epoch,
        }
    }
}
