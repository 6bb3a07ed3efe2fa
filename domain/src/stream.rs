//! Which streams there are, and how their keys follow from what they tell about.

use std::fmt;

use uuid::Uuid;

use crate::id::{
    DeliveryId, DroneId, ExternalId, FleetId, MissionId, OperationId, PackageId, SessionId, Tag,
    UserId,
};
use crate::refusals::RefusalHour;
use crate::taken::CommandId;
use crate::task::TaskId;
use crate::text::Email;

/// The kinds of streams. The numbers are stored: they are only ever added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// A delivery's life.
    Delivery,
    /// A user's data.
    User,
    /// Who holds an e-mail address.
    EmailClaim,
    /// Which delivery bears a user's external id.
    ExternalIdClaim,
    /// What one sender of drone events reported in one of its lives.
    DroneSession,
    /// Which delivery a mission is for.
    Mission,
    /// What became of something that a person has to look at.
    Task,
    /// A registered package.
    Package,
    /// Which delivery has a package's tag.
    TagClaim,
    /// What a command did that was taken under a key.
    Command,
    /// What goes on after its request was answered.
    Operation,
    /// What is asked of Drone Management about a mission.
    Dispatch,
    /// The messages of one hour that were refused, and nobody could be told.
    Refusals,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 13] = [
        Self::Delivery,
        Self::User,
        Self::EmailClaim,
        Self::ExternalIdClaim,
        Self::DroneSession,
        Self::Mission,
        Self::Task,
        Self::Package,
        Self::TagClaim,
        Self::Command,
        Self::Operation,
        Self::Dispatch,
        Self::Refusals,
    ];

    /// The number it is stored under.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Delivery => 1,
            Self::User => 2,
            Self::EmailClaim => 3,
            Self::ExternalIdClaim => 4,
            Self::DroneSession => 5,
            Self::Mission => 6,
            Self::Task => 7,
            Self::Package => 8,
            Self::TagClaim => 9,
            Self::Command => 11,
            Self::Operation => 10,
            Self::Dispatch => 12,
            Self::Refusals => 13,
        }
    }

    /// The category stored under a number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|category| category.number() == number)
    }

    /// What its streams' names begin with.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::User => "user",
            Self::EmailClaim => "email_claim",
            Self::ExternalIdClaim => "external_id_claim",
            Self::DroneSession => "drone_session",
            Self::Mission => "mission",
            Self::Task => "task",
            Self::Package => "package",
            Self::TagClaim => "tag_claim",
            Self::Command => "command",
            Self::Operation => "operation",
            Self::Dispatch => "dispatch",
            Self::Refusals => "refusals",
        }
    }
}

/// One stream, printed as `delivery-<uuid>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// What kind of thing.
    pub category: Category,
    /// Which one.
    pub key: Uuid,
}

/// Under which all derived keys of Airpost are made.
const NAMESPACE: Uuid = Uuid::from_u128(0x7e1c_49d5_53ba_5b0e_9a3c_60b2_35f4_9d11);

impl StreamName {
    /// A delivery's stream.
    #[must_use]
    pub const fn delivery(id: DeliveryId) -> Self {
        Self {
            category: Category::Delivery,
            key: id.uuid(),
        }
    }

    /// A user's stream.
    #[must_use]
    pub const fn user(id: UserId) -> Self {
        Self {
            category: Category::User,
            key: id.uuid(),
        }
    }

    /// A mission's stream.
    #[must_use]
    pub const fn mission(id: MissionId) -> Self {
        Self {
            category: Category::Mission,
            key: id.uuid(),
        }
    }

    /// What is asked of Drone Management about a mission.
    #[must_use]
    pub const fn dispatch(id: MissionId) -> Self {
        Self {
            category: Category::Dispatch,
            key: id.uuid(),
        }
    }

    /// The claim on an e-mail address.
    #[must_use]
    pub fn email_claim(email: &Email) -> Self {
        Self {
            category: Category::EmailClaim,
            key: derived(&["email", &email.normalised()]),
        }
    }

    /// The claim of a user's external id.
    #[must_use]
    pub fn external_id_claim(user: UserId, external_id: &ExternalId) -> Self {
        let key = derived(&["external_id", &user.to_string(), external_id.as_str()]);
        Self {
            category: Category::ExternalIdClaim,
            key,
        }
    }

    /// What a drone of a fleet reported in a session.
    #[must_use]
    pub fn drone_session(fleet: &FleetId, drone: &DroneId, session: &SessionId) -> Self {
        let key = derived(&[
            "drone_session",
            fleet.as_str(),
            drone.as_str(),
            session.as_str(),
        ]);
        Self {
            category: Category::DroneSession,
            key,
        }
    }

    /// The messages that were refused in an hour.
    #[must_use]
    pub fn refusals(hour: RefusalHour) -> Self {
        Self {
            category: Category::Refusals,
            key: derived(&["refusals", &hour.number().to_string()]),
        }
    }

    /// A package's stream.
    #[must_use]
    pub const fn package(id: PackageId) -> Self {
        Self {
            category: Category::Package,
            key: id.uuid(),
        }
    }

    /// The claim on a tag.
    #[must_use]
    pub fn tag_claim(tag: &Tag) -> Self {
        Self {
            category: Category::TagClaim,
            key: derived(&["tag", tag.as_str()]),
        }
    }

    /// What a command did.
    #[must_use]
    pub const fn command(id: CommandId) -> Self {
        Self {
            category: Category::Command,
            key: id.uuid(),
        }
    }

    /// An operation's stream.
    #[must_use]
    pub const fn operation(id: OperationId) -> Self {
        Self {
            category: Category::Operation,
            key: id.uuid(),
        }
    }

    /// What became of a task.
    #[must_use]
    pub fn task(id: TaskId) -> Self {
        Self {
            category: Category::Task,
            key: derived(&["task", &id.to_string()]),
        }
    }
}

/// A UUID v5 of some parts. A zero byte, which no part contains, keeps them apart.
pub(crate) fn derived(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\0").as_bytes())
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.category.name(), self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_found_by_its_number_and_no_two_share_one() {
        for category in Category::ALL {
            assert_eq!(Category::from_number(category.number()), Some(category));
        }
        assert_eq!(Category::from_number(0), None);
    }

    #[test]
    fn one_address_has_one_claim_however_it_is_written() {
        let claim = |address| StreamName::email_claim(&Email::new(address).unwrap());
        assert_eq!(claim("Ada@example.org"), claim(" ada@EXAMPLE.org"));
        assert_ne!(claim("ada@example.org"), claim("bob@example.org"));
    }

    #[test]
    fn a_stream_prints_its_kind_and_key() {
        let name = StreamName::delivery(DeliveryId::from_uuid(Uuid::nil()));
        assert_eq!(
            name.to_string(),
            "delivery-00000000-0000-0000-0000-000000000000"
        );
    }
}
