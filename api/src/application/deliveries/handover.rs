//! What people and operators say of a delivery that is on its way, or that ended.

use std::convert::Infallible;

use domain::actor::{Actor, ActorKind};
use domain::decider::Decider as _;
use domain::delivery::{Confirmation, Correct, Correction, Delivery, DeliveryCommand, ReopenedAs};
use domain::id::{DeliveryId, ProofHash};
use domain::stream::StreamName;
use domain::text::Comment;
use domain::time::Timestamp;

use super::{ChangeError, decide_change};
use crate::application::{
    Application, ClientRequest, Done, Failure, Precondition, Request, TransactError,
    record_consequences,
};

/// A delivery that was changed, or why it was not.
type Changed = Result<Done<DeliveryId>, TransactError<ChangeError<Infallible>>>;

/// What shows that the right person took a package.
#[derive(Clone, Debug)]
pub struct Proof {
    /// What kind of proof.
    pub kind: Confirmation,
    /// The proof itself. It is hashed and not kept.
    pub text: String,
}

/// What an operator says of a delivery.
#[derive(Clone, Debug)]
pub enum OperatorsWord {
    /// The recipient has the package.
    Vouch {
        /// How they know.
        reason: Comment,
    },
    /// The sender has the package again.
    HandBack {
        /// How they know.
        reason: Comment,
    },
    /// Nobody comes for the package any more.
    GiveUp {
        /// Why.
        reason: Comment,
    },
    /// The package lies damaged at its hub.
    FindDamaged {
        /// How they know.
        reason: Comment,
    },
    /// Its life goes on after its end.
    Reopen {
        /// Where.
        to: ReopenedAs,
        /// How they know.
        reason: Comment,
    },
    /// What is said of its end is put right.
    Correct {
        /// What is put right.
        what: Correction,
        /// What was said.
        was: Option<Comment>,
        /// What is so.
        now_is: Comment,
        /// How they know.
        reason: Comment,
    },
}

/// What may be said of a delivery, whatever the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saying {
    /// The recipient showed who they are.
    Confirm,
    /// The recipient has the package.
    Vouch,
    /// The sender has it again.
    HandBack,
    /// Nobody comes for it any more.
    GiveUp,
    /// Its life goes on after its end.
    Reopen,
    /// What is said of its end is put right.
    Correct,
}

impl Saying {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Confirm,
        Self::Vouch,
        Self::HandBack,
        Self::GiveUp,
        Self::Reopen,
        Self::Correct,
    ];

    /// The command that says it in the words that are taken if any are.
    fn command(self, now: Timestamp) -> DeliveryCommand {
        let reason = Comment::new("as an example").expect("these words are a comment");
        match self {
            Self::Confirm => DeliveryCommand::Confirm {
                kind: Confirmation::Signature,
                proof: ProofHash::new("0").expect("a digit is the hash of a proof"),
                now,
            },
            Self::Vouch => DeliveryCommand::Vouch { reason, now },
            Self::HandBack => DeliveryCommand::HandBack { reason, now },
            Self::GiveUp => DeliveryCommand::GiveUp {
                reason: Some(reason),
                now,
            },
            Self::Reopen => DeliveryCommand::Reopen {
                to: ReopenedAs::AtHub,
                reason,
                now,
            },
            Self::Correct => DeliveryCommand::Correct(Box::new(Correct {
                what: Correction::Other,
                was: None,
                now_is: reason.clone(),
                reason,
                now,
            })),
        }
    }
}

impl Application {
    /// What of all that may be said is taken of a delivery as it is now, and changes it; nothing
    /// of one that is not there. Some words may be refused all the same, such as a proof of a
    /// kind that is too weak.
    ///
    /// # Errors
    /// A failure of the machine.
    pub fn sayings(&self, id: DeliveryId) -> Result<Vec<Saying>, Failure> {
        let now = self.now()?;
        let delivery = self.delivery_state(id)?;
        let is_taken = |saying: &Saying| {
            let decided = Delivery::decide(&saying.command(now), &delivery);
            decided.is_ok_and(|events| !events.is_empty())
        };
        Ok(Saying::ALL.into_iter().filter(is_taken).collect())
    }

    /// Takes note of a proof: its hash is kept with the delivery, the proof is not.
    ///
    /// # Errors
    /// [`ChangeError`], or a failure of the machine.
    pub async fn confirm(
        &self,
        request: ClientRequest,
        id: DeliveryId,
        seen: &Precondition,
        proof: &Proof,
    ) -> Changed {
        let now = self.now()?;
        let command = DeliveryCommand::Confirm {
            kind: proof.kind,
            proof: proof.hash(id),
            now,
        };
        self.tell(request, (id, seen), None, command).await
    }

    /// Does as an operator says.
    ///
    /// # Errors
    /// [`ChangeError`], or a failure of the machine.
    pub async fn heed(
        &self,
        request: ClientRequest,
        id: DeliveryId,
        seen: &Precondition,
        word: OperatorsWord,
    ) -> Changed {
        let now = self.now()?;
        let command = match word {
            OperatorsWord::Vouch { reason } => DeliveryCommand::Vouch { reason, now },
            OperatorsWord::HandBack { reason } => DeliveryCommand::HandBack { reason, now },
            OperatorsWord::GiveUp { reason } => DeliveryCommand::GiveUp {
                reason: Some(reason),
                now,
            },
            OperatorsWord::FindDamaged { reason } => DeliveryCommand::FindDamaged { reason, now },
            OperatorsWord::Reopen { to, reason } => DeliveryCommand::Reopen { to, reason, now },
            OperatorsWord::Correct {
                what,
                was,
                now_is,
                reason,
            } => DeliveryCommand::Correct(Box::new(Correct {
                what,
                was,
                now_is,
                reason,
                now,
            })),
        };
        let operator = Actor::unnamed(ActorKind::Operator);
        self.tell(request, (id, seen), Some(operator), command)
            .await
    }

    /// Decides on a command by somebody; by the delivery's customer if nobody is named.
    async fn tell(
        &self,
        request: ClientRequest,
        (id, seen): (DeliveryId, &Precondition),
        by: Option<Actor>,
        command: DeliveryCommand,
    ) -> Changed {
        let name = StreamName::delivery(id);
        let Some(delivery) = self.loader().load::<Option<Delivery>>(name)?.state else {
            return Err(TransactError::Rejected(ChangeError::Unknown));
        };
        let owner = delivery.order().user;
        let actor = by.unwrap_or_else(|| Actor::named(ActorKind::Customer, owner));
        let request = Request::of_client(request, actor);
        let now = self.now()?;
        self.transact(&request, |draft| {
            let mut loaded = draft.load::<Option<Delivery>>(name)?;
            let events = decide_change(&loaded, seen, |_| Ok(command.clone()))
                .map_err(TransactError::Rejected)?;
            let live = loaded.state.as_ref().and_then(Delivery::live_mission);
            let live = live.map(|mission| mission.assignment.mission);
            draft.record(&mut loaded, Some(owner.uuid()), None, &events);
            draft.shows(&loaded);
            record_consequences(draft, (id, owner), &events, (live, None), now)?;
            Ok(id)
        })
        .await
    }
}

impl Proof {
    /// The hash of a proof for one delivery: the same proof for another one has another hash.
    fn hash(&self, delivery: DeliveryId) -> ProofHash {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(delivery.uuid().as_bytes())
            .update(self.kind.word().as_bytes())
            .update(&[0])
            .update(self.text.as_bytes());
        ProofHash::new(hasher.finalize().to_hex().to_string())
            .expect("64 hexadecimal digits are the hash of a proof")
    }
}
