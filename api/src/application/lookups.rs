//! What is looked up in the log itself, because a view would lag behind it.

use domain::id::{DeliveryId, MissionId, UserId};
use domain::mission::Mission;
use domain::stream::StreamName;
use domain::text::Email;
use domain::user::{User, UserStatus};

use super::load::LoadError;
use super::transact::Application;

impl Application {
    /// The user who has an e-mail address now.
    ///
    /// # Errors
    /// A failure to read.
    pub fn user_by_email(&self, email: &Email) -> Result<Option<UserId>, LoadError> {
        Ok(self
            .loader()
            .load::<Option<UserId>>(StreamName::email_claim(email))?
            .state)
    }

    /// Whether a user may book, if there is such a user.
    ///
    /// # Errors
    /// A failure to read.
    pub fn user_status(&self, id: UserId) -> Result<Option<UserStatus>, LoadError> {
        let user = self.loader().load::<Option<User>>(StreamName::user(id))?;
        Ok(user.state.as_ref().map(User::status))
    }

    /// The delivery that a mission is for.
    ///
    /// # Errors
    /// A failure to read.
    pub fn delivery_of_mission(&self, mission: MissionId) -> Result<Option<DeliveryId>, LoadError> {
        let mission = self
            .loader()
            .load::<Option<Mission>>(StreamName::mission(mission))?;
        Ok(mission.state.map(|mission| mission.delivery()))
    }
}
