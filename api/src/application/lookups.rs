//! What is looked up in the log itself, because a view would lag behind it.

use domain::id::{DeliveryId, MissionId, PackageId, UserId};
use domain::mission::Mission;
use domain::package::Package;
use domain::stream::StreamName;
use domain::text::Email;
use domain::time::Timestamp;
use domain::user::{User, UserStatus};
use eventstore::StreamVersion;

use super::load::LoadError;
use super::packages::RegisteredPackage;
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

    /// A user as they were at a version, and when that was recorded.
    ///
    /// # Errors
    /// A failure to read.
    pub fn user_at(
        &self,
        id: UserId,
        version: StreamVersion,
    ) -> Result<Option<(User, Timestamp)>, LoadError> {
        let found = self
            .loader()
            .at::<Option<User>>(StreamName::user(id), version)?;
        Ok(found.and_then(|(user, recorded_at)| Some((user?, recorded_at))))
    }

    /// A package as it was at a version.
    ///
    /// # Errors
    /// A failure to read.
    pub fn package_at(
        &self,
        id: PackageId,
        version: StreamVersion,
    ) -> Result<Option<RegisteredPackage>, LoadError> {
        let name = StreamName::package(id);
        let found = self.loader().at::<Option<Package>>(name, version)?;
        Ok(found.and_then(|(package, _)| {
            Some(RegisteredPackage {
                id,
                package: package?,
                sequence: version,
            })
        }))
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
