//! Commands under a key of their client's own: carried out once, however often they are sent.

use domain::decider::Decider as _;
use domain::stream::StreamName;
use domain::taken::{CommandId, TakenCommand, TakenCommandCommand};
use eventstore::{Position, StreamVersion};
use uuid::Uuid;

use super::load::{LoadError, Loaded};
use super::transact::{Application, Draft, Failure};

/// A client's request, as its effects are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRequest {
    /// An id that no other request has.
    pub id: Uuid,
    /// What makes it one request with its repetitions.
    pub keyed: Option<KeyedCommand>,
}

/// A command under a key of its client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedCommand {
    /// The same for every repetition.
    pub id: CommandId,
    /// The hash of the whole request, which differs where the key was used for something else.
    pub request_hash: [u8; 32],
}

impl From<Uuid> for ClientRequest {
    fn from(id: Uuid) -> Self {
        Self { id, keyed: None }
    }
}

impl ClientRequest {
    /// The id of the commit that carries it out.
    pub(super) fn commit_id(&self) -> Uuid {
        self.keyed.map_or(self.id, |keyed| keyed.id.commit_id())
    }
}

impl Application {
    /// The id of the one thing that a request creates: the same for its repetitions.
    #[must_use]
    pub fn created_id(&self, request: ClientRequest) -> Uuid {
        request.keyed.map_or_else(
            || self.environment().new_id(),
            |keyed| keyed.id.created_id(),
        )
    }

    /// What a command did, if it was taken, and the position it was written at.
    ///
    /// # Errors
    /// A failure to read.
    pub fn taken(&self, id: CommandId) -> Result<Option<(TakenCommand, Position)>, LoadError> {
        let mut taken = None;
        let last = self.loader().read(
            StreamName::command(id),
            StreamVersion::EMPTY,
            |_, occurrence| {
                taken = TakenCommand::evolve(taken, &occurrence);
            },
        )?;
        Ok(taken.zip(last.map(|record| record.position)))
    }
}

impl Draft<'_> {
    /// Says which stream the answer to the client shows. A use case that writes
    /// anything for a client says so, since a repetition gets the same answer.
    pub(crate) fn shows<S>(&mut self, loaded: &Loaded<S>) {
        self.shown = Some((loaded.name, loaded.version));
    }

    /// Refuses a command that was taken before.
    pub(super) fn refuse_taken(&self, keyed: Option<KeyedCommand>) -> Result<(), Failure> {
        let Some(keyed) = keyed else { return Ok(()) };
        let name = StreamName::command(keyed.id);
        let before = self.load::<Option<TakenCommand>>(name)?;
        match before.state {
            None => Ok(()),
            Some(_) => Err(Failure::Repeated),
        }
    }

    /// Notes a command in the commit of what it did. Of one that did nothing
    /// nothing is kept.
    pub(super) fn take(&mut self, keyed: Option<KeyedCommand>) -> Result<(), Failure> {
        let Some(keyed) = keyed.filter(|_| self.writes()) else {
            return Ok(());
        };
        let (shown, version) = self
            .shown
            .expect("a use case for clients says what its answer shows");
        let taken = TakenCommand {
            request_hash: keyed.request_hash,
            shown,
            version: version.plus(self.appended_to(shown)).get(),
        };
        let mut command = self.load::<Option<TakenCommand>>(StreamName::command(keyed.id))?;
        let now = self.now;
        let events =
            TakenCommand::decide(&TakenCommandCommand::Take { taken, now }, &command.state)
                .map_err(|_taken_before| Failure::Repeated)?;
        self.record(&mut command, None, None, &events);
        Ok(())
    }
}
