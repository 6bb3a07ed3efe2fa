//! How the writer goes on where other nodes write the same log: a block is
//! agreed on first and written here afterwards, and blocks of others that came
//! before are taken into this journal in their order.

use super::block::Chain;
use super::group::{GroupFailure, Waiting};
use super::incoming::{Incoming, NotTaken};
use super::outage::{News, Obstacle, Over};
use super::quorum::{Outage, Proposed};
use super::stage::TakenGroup;
use super::writer::Writer;
use crate::position::Position;
use crate::store::OutageKind;

/// Why the journal did not come to the end of what the others have.
#[derive(Debug)]
enum NotCaughtUp {
    Outage(Outage),
    /// This machine's disk.
    Disk(GroupFailure),
}

impl From<NotCaughtUp> for GroupFailure {
    fn from(error: NotCaughtUp) -> Self {
        match error {
            NotCaughtUp::Outage(outage) => Self::NotWritten(outage.why().to_owned()),
            NotCaughtUp::Disk(failure) => failure,
        }
    }
}

impl Writer {
    /// Has a group agreed on, writes it, shows it, and has it answered. If
    /// others came first its commits are judged again behind theirs.
    pub(super) fn agree_on(&mut self, group: TakenGroup) {
        let TakenGroup {
            mut block,
            staged,
            waiting,
        } = group;
        if block.is_empty() {
            // All of it was answered from groups before it, which are in the log by now.
            self.answer(waiting, self.stage.written(block));
            return;
        }
        if let Err(failure) = self.make_room() {
            self.failed(&failure);
            waiting.fail(&failure);
            return;
        }
        let first_position = self.tip.head.next();
        assert_eq!(
            staged.next_position(),
            first_position.plus(staged.records.len() as u64),
            "a group is staged right behind the one before it"
        );
        let (bytes, chain) = block.seal(first_position, &self.tip.chain);
        let length = bytes.len();
        match self.propose(bytes) {
            Proposed::Accepted => {
                self.agrees();
                if let Err(failure) = self.store(bytes) {
                    // It is in the log all the same, and comes back from there.
                    let failure = self.not_stored(&failure);
                    waiting.fail(&failure);
                    return;
                }
                self.show(&staged.records, staged.recorded_at_us, (chain, length));
                self.report();
                self.answer(waiting, self.stage.written(block));
            }
            Proposed::Overtaken(other) => {
                self.agrees();
                let caught_up = self.take_in(&other).and_then(|()| self.take_in_all());
                self.stage.overtaken(waiting, self.end(), &self.log);
                self.after_catching_up(caught_up);
            }
            Proposed::Unknown(outage) => {
                self.suffers(&outage);
                let failure = GroupFailure::Unknown(outage.why().to_owned());
                self.stage.failed(&failure, self.end(), None);
                waiting.fail(&failure);
            }
            Proposed::Refused(outage) => {
                self.suffers(&outage);
                let failure = GroupFailure::NotWritten(outage.why().to_owned());
                self.stage.failed(&failure, self.end(), None);
                waiting.fail(&failure);
            }
        }
    }

    /// Takes the blocks that others wrote, as far as they can be had.
    pub(super) fn catch_up(&mut self) {
        if self.quorum.is_some() && self.is_writable() {
            let before = self.tip.head;
            let caught_up = self.take_in_all();
            if self.tip.head != before {
                // What was staged meanwhile counted on the head before.
                let nobody = Waiting::default();
                self.stage.overtaken(nobody, self.end(), &self.log);
            }
            self.after_catching_up(caught_up);
        }
    }

    fn after_catching_up(&mut self, caught_up: Result<(), NotCaughtUp>) {
        match caught_up {
            Ok(()) => {
                let quorum = self.quorum.as_ref();
                match quorum.and_then(|quorum| quorum.accepts_nothing()) {
                    None => self.agrees(),
                    Some(outage) => self.suffers(&outage),
                }
            }
            Err(NotCaughtUp::Outage(outage)) => self.suffers(&outage),
            Err(NotCaughtUp::Disk(failure)) => self.failed(&failure),
        }
    }

    fn propose(&mut self, block: &[u8]) -> Proposed {
        match &mut self.quorum {
            Some(quorum) => quorum.propose(block),
            None => Proposed::Accepted,
        }
    }

    /// Room for a block, and a segment to write it to: asked for before it is
    /// agreed on, so that a full disk accepts nothing that it cannot keep.
    fn make_room(&mut self) -> Result<(), GroupFailure> {
        self.roll_if_due()?;
        if self.has_space() {
            Ok(())
        } else {
            Err(GroupFailure::Full)
        }
    }

    /// A block that was agreed on could not be written here.
    fn not_stored(&mut self, failure: &GroupFailure) -> GroupFailure {
        let why = match failure {
            GroupFailure::Full => "the disk is full, and the log went on elsewhere".to_owned(),
            GroupFailure::NotWritten(why) | GroupFailure::Unknown(why) => why.clone(),
        };
        self.failed(failure);
        GroupFailure::Unknown(why)
    }

    fn take_in_all(&mut self) -> Result<(), NotCaughtUp> {
        loop {
            let Some(quorum) = &mut self.quorum else {
                return Ok(());
            };
            let blocks = quorum.behind().map_err(NotCaughtUp::Outage)?;
            if blocks.is_empty() {
                return Ok(());
            }
            for block in blocks {
                self.take_in(&block)?;
            }
        }
    }

    /// Takes the next block, which is in the log, into this journal.
    fn take_in(&mut self, block: &[u8]) -> Result<(), NotCaughtUp> {
        let incoming = Incoming::check(block, &self.tip, &self.log).map_err(|error| {
            let next = self.tip.head.next();
            NotCaughtUp::Outage(match error {
                NotTaken::Wrong(why) => Outage::Lasting(format!(
                    "the log and this journal went different ways at position {next} ({why}): \
                     if another program wrote there nothing can follow that, see airpost cluster \
                     abandon --help; else have this journal and the views moved away, and \
                     fetched anew (airpost cluster resync)"
                )),
                NotTaken::Unread(error) => {
                    Outage::Passing(Obstacle::new(OutageKind::Unreadable, error.to_string()))
                }
            })
        })?;
        self.make_room().map_err(NotCaughtUp::Disk)?;
        self.store(block).map_err(NotCaughtUp::Disk)?;
        let (recorded_at_us, chain) = (incoming.recorded_at_us, incoming.chain);
        self.show(&incoming.records, recorded_at_us, (chain, block.len()));
        self.report();
        self.begin_epoch_if_due().map_err(NotCaughtUp::Disk)
    }

    fn report(&mut self) {
        let tip = self.tip;
        if let Some(quorum) = &mut self.quorum {
            quorum.taken(tip.head, tip.chain);
        }
    }

    fn agrees(&self) {
        match self.outage.over() {
            Some(Over {
                lasted: Some(lasted),
            }) => {
                let lasted_s = lasted.as_secs();
                tracing::info!(lasted_s, "the log goes on");
            }
            Some(Over { lasted: None }) => {
                tracing::info!("the log goes on");
            }
            None => {}
        }
    }

    fn suffers(&self, outage: &Outage) {
        match outage {
            Outage::Passing(obstacle) => {
                let why = &obstacle.why;
                match self.outage.met(obstacle.clone()) {
                    Some(News::Begins) => {
                        tracing::error!(why, "the log does not go on, and is tried again");
                    }
                    Some(News::Another) => {
                        tracing::error!(why, "something else keeps the log from going on");
                    }
                    Some(News::Lasts(lasts)) => {
                        let lasts_s = lasts.as_secs();
                        tracing::warn!(why, lasts_s, "the log still does not go on");
                    }
                    None => {}
                }
            }
            Outage::Lasting(why) => self.read_only(why),
        }
    }

    /// Comes to the end of what the others have, before this thread does
    /// anything else.
    pub(super) fn begin(&mut self) -> Result<(), GroupFailure> {
        // It may have been stopped between an epoch's last record and the next epoch.
        self.begin_epoch_if_due()?;
        let caught_up = self.take_in_all();
        self.stage
            .overtaken(Waiting::default(), self.end(), &self.log);
        Ok(caught_up?)
    }

    /// Has something accepted behind the log's last block that is no block.
    /// Blocks that come before it are taken first. Gives where the journal
    /// ends, which is noted.
    pub(super) fn end_with(&mut self, last: &[u8]) -> Result<(Position, Chain), GroupFailure> {
        loop {
            self.take_in_all()?;
            match self.propose(last) {
                Proposed::Accepted => break,
                Proposed::Overtaken(block) => self.take_in(&block)?,
                Proposed::Unknown(outage) | Proposed::Refused(outage) => {
                    return Err(NotCaughtUp::Outage(outage).into());
                }
            }
        }
        self.write_head();
        Ok((self.tip.head, self.tip.chain))
    }
}
