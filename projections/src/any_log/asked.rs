//! What is asked of a delivery beside booking, changing and cancelling it.

use domain::delivery::{
    Confirmation, Correct, Correction, DeliveryCommand, Estimate, EtaThresholds, RejectReason,
    ReopenedAs,
};
use domain::id::{MissionId, ProofHash};
use domain::text::Comment;
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use crate::test_log::at;

/// What is asked of a delivery beside booking and cancelling it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    Confirm,
    NoteOverdue,
    NoteStranded,
    Vouch,
    HandBack,
    Reopen(ReopenedAs),
    Correct(Correction),
    RequestReturn,
    ReviseEta(i64),
    GiveUp,
    FindDamaged,
    Reject,
    MissDeadline,
}

impl Asked {
    /// The command, where it is about a mission about this one.
    pub(super) fn command(self, mission: MissionId, now: Timestamp) -> DeliveryCommand {
        let reason = Comment::new("said so").unwrap();
        match self {
            Self::Confirm => DeliveryCommand::Confirm {
                kind: Confirmation::Signature,
                proof: ProofHash::new("c0ffee").unwrap(),
                now,
            },
            Self::NoteOverdue => DeliveryCommand::OverdueConfirmation { now },
            Self::NoteStranded => DeliveryCommand::NoteStranded { now },
            Self::Vouch => DeliveryCommand::Vouch { reason, now },
            Self::HandBack => DeliveryCommand::HandBack { reason, now },
            Self::Reopen(to) => DeliveryCommand::Reopen { to, reason, now },
            Self::Correct(what) => DeliveryCommand::Correct(Box::new(Correct {
                what,
                was: None,
                now_is: reason.clone(),
                reason,
                now,
            })),
            Self::RequestReturn => DeliveryCommand::RequestReturn { now },
            Self::ReviseEta(second) => DeliveryCommand::ReviseEta {
                mission,
                estimate: Estimate {
                    pickup_at: Some(at(second)),
                    dropoff_at: Some(at(second + 60)),
                },
                thresholds: EtaThresholds::default(),
                now,
            },
            Self::GiveUp => DeliveryCommand::GiveUp {
                reason: Some(reason),
                now,
            },
            Self::FindDamaged => DeliveryCommand::FindDamaged { reason, now },
            Self::Reject => DeliveryCommand::Reject {
                reason: RejectReason::NoDrone,
                now,
            },
            Self::MissDeadline => DeliveryCommand::MissDeadline {
                now: Timestamp::MAX,
            },
        }
    }
}

/// Any of it.
pub(super) fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        3 => Just(Asked::Confirm),
        2 => Just(Asked::NoteOverdue),
        2 => Just(Asked::NoteStranded),
        1 => select(vec![Asked::Vouch, Asked::HandBack]),
        2 => select(ReopenedAs::ALL).prop_map(Asked::Reopen),
        1 => select(Correction::ALL).prop_map(Asked::Correct),
        1 => Just(Asked::RequestReturn),
        2 => (0..1_000_i64).prop_map(Asked::ReviseEta),
        1 => select(vec![Asked::GiveUp, Asked::FindDamaged, Asked::Reject]),
        1 => Just(Asked::MissDeadline),
    ]
}
