//! What is looked up in the log itself, because a view would lag behind it.

use domain::id::{DeliveryId, MissionId, UserId};
use domain::mission::Mission;
use domain::stream::StreamName;
use domain::text::Email;

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
