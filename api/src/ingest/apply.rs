//! What facts whose turn has come do to missions and deliveries.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::decider::{Decider, Occurrence};
use domain::delivery::{Anomaly, Delivery, DeliveryCommand, Report, Reported};
use domain::dispatch::{Dispatch, DispatchEvent};
use domain::drone::{DroneFact, FactKind, Sender};
use domain::id::{DeliveryId, MissionId};
use domain::mission::{Mission, MissionEvent};
use domain::session::{Due, ParkReason, Parked, ReceivedFact, Session, SessionEvent};
use domain::stream::StreamName;
use domain::text::Comment;
use domain::time::Timestamp;
use domain::translation::{Thresholds, translate};

use super::wire;
use crate::application::{Draft, LoadError, Loaded, record_consequences};
use crate::observability::ANOMALIES_UNRECORDED;

/// Most parked facts that one commit releases; see the limit of a chunk.
pub(super) const RETRIES_MAX: usize = 16;

/// What a fact that cannot be applied yet waits for: that its mission is bound, that a delivery
/// exists, a version that understands its kind, or room in a commit behind those before it. Or it
/// waits for nothing, and is given up.
#[derive(Clone, Copy)]
enum Waits {
    Mission,
    Delivery(DeliveryId),
    Understanding,
    Room,
    InVain(ParkReason),
}

/// What happens if the code fails on a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnPanic {
    /// It goes through to whoever applies: nothing is set apart, which costs nothing.
    GoesThrough,
    /// That fact is given up, and the others are applied. For the second try.
    GivesUp,
}

/// One commit's worth of applying: every stream is loaded once and brought
/// along as facts are applied to it.
pub(super) struct Applying<'a, 'd> {
    draft: &'a mut Draft<'d>,
    thresholds: &'a Thresholds,
    sender: Sender,
    session: Loaded<Session>,
    missions: HashMap<MissionId, Loaded<Option<Mission>>>,
    deliveries: HashMap<DeliveryId, Loaded<Option<Delivery>>>,
    /// The bodies of facts that this commit parked, which the store does not have yet.
    parked_now: HashMap<u64, ReceivedFact>,
    /// How many more parked facts this commit may release.
    retries_left: usize,
    on_panic: OnPanic,
    now: Timestamp,
}

impl<'a, 'd> Applying<'a, 'd> {
    pub(super) fn new(
        draft: &'a mut Draft<'d>,
        thresholds: &'a Thresholds,
        (sender, session): (Sender, Loaded<Session>),
        (now, on_panic): (Timestamp, OnPanic),
    ) -> Self {
        let (missions, deliveries, parked_now) = Default::default();
        Self {
            draft,
            thresholds,
            sender,
            session,
            missions,
            deliveries,
            parked_now,
            retries_left: RETRIES_MAX,
            on_panic,
            now,
        }
    }

    /// Appends what a session took in and applies what is due.
    pub(super) fn take(
        &mut self,
        events: Vec<SessionEvent>,
        due: Vec<Due>,
    ) -> Result<(), LoadError> {
        for event in events {
            self.note(event);
        }
        for due in due {
            let waits = if self.has_some_before_it(&due.fact)? {
                Some(Waits::Room)
            } else {
                self.apply_apart(&due)?
            };
            if let Some(waits) = waits {
                self.park(due, waits);
            }
        }
        Ok(())
    }

    /// Whether facts of its mission have to be applied before it that this commit has no room for:
    /// then it waits with them, as it would if they still waited. What is not understood waits for
    /// more than room, and changes nothing that it could overtake.
    fn has_some_before_it(&mut self, fact: &ReceivedFact) -> Result<bool, LoadError> {
        let understood = fact.mission.filter(|_| wire::is_understood(&fact.kind));
        let Some(mission) = understood.filter(|it| self.is_waited_for(*it)) else {
            return Ok(false);
        };
        if self.mission(mission)?.state.is_none() {
            return Ok(false);
        }
        self.retry_parked(Some(mission))
    }

    /// Whether facts of this session wait for a mission.
    fn is_waited_for(&self, mission: MissionId) -> bool {
        let mut parked = self.session.state.backlog().parked();
        parked.any(|(_, parked)| {
            parked.mission == Some(mission) && parked.why != ParkReason::UnknownKind
        })
    }

    /// Whether facts of this session wait for a mission that show that it began.
    fn tells_of_a_flight(&self, mission: MissionId) -> Result<bool, LoadError> {
        if !self.is_waited_for(mission) {
            return Ok(false);
        }
        let mut stored = None;
        for (seq, parked) in self.session.state.backlog().parked() {
            if parked.mission != Some(mission) {
                continue;
            }
            let fact = self.parked_body(seq, &mut stored)?;
            let fact = fact.as_ref().and_then(wire::interpret);
            if fact.is_some_and(|fact| shows_a_flight(&fact.kind)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Applies what is parked and has meanwhile found what it waited for, in order and as
    /// far as one commit goes. Says whether there is more.
    pub(super) fn retry_parked(&mut self, only: Option<MissionId>) -> Result<bool, LoadError> {
        let waiting = self.session.state.backlog().parked();
        let waiting: Vec<_> = waiting
            .filter(|(_, parked)| only.is_none() || parked.mission == only)
            .collect();
        let mut stored = None;
        for (seq, parked) in waiting {
            // Binding one fact's mission releases the others of that mission.
            if !self.session.state.backlog().is_parked(seq) || self.still_waits(&parked)? {
                continue;
            }
            if self.retries_left == 0 {
                return Ok(true);
            }
            let Some(fact) = self.parked_body(seq, &mut stored)? else {
                continue;
            };
            // Taken before, since applying may itself release others.
            self.retries_left -= 1;
            let late = parked.late;
            match self.apply_apart(&Due { fact, late })? {
                None => {
                    self.parked_now.remove(&seq);
                    self.note(SessionEvent::FactUnparked { seq });
                }
                Some(Waits::InVain(why)) => {
                    self.parked_now.remove(&seq);
                    self.note(SessionEvent::DeadLettered { seq, why });
                }
                Some(Waits::Mission | Waits::Delivery(_) | Waits::Understanding | Waits::Room) => {
                    self.retries_left += 1;
                }
            }
        }
        Ok(false)
    }

    /// Whether it is known, without the fact's body, that it has to wait on.
    fn still_waits(&mut self, parked: &Parked) -> Result<bool, LoadError> {
        match (parked.why, parked.mission) {
            (ParkReason::UnknownKind | ParkReason::CodeFailed | ParkReason::Undecodable, _)
            | (ParkReason::UnknownMission, None) => Ok(true),
            (ParkReason::UnknownMission, Some(mission)) => {
                Ok(self.mission(mission)?.state.is_none())
            }
            (ParkReason::Room, _) => Ok(false),
            (ParkReason::UnknownDelivery, _) => match parked.delivery {
                Some(delivery) => Ok(self.delivery(delivery)?.state.is_none()),
                None => Ok(true),
            },
        }
    }

    fn parked_body(
        &self,
        seq: u64,
        stored: &mut Option<HashMap<u64, ReceivedFact>>,
    ) -> Result<Option<ReceivedFact>, LoadError> {
        if let Some(fact) = self.parked_now.get(&seq) {
            return Ok(Some(fact.clone()));
        }
        if stored.is_none() {
            let events = self.draft.events::<SessionEvent>(self.session.name)?;
            let received = events.into_iter().filter_map(|event| match event {
                SessionEvent::FactReceived(fact) => Some((fact.seq, *fact)),
                SessionEvent::SessionOpened(_)
                | SessionEvent::GapPassed { .. }
                | SessionEvent::FactParked { .. }
                | SessionEvent::FactUnparked { .. }
                | SessionEvent::DeadLettered { .. } => None,
            });
            *stored = Some(received.collect());
        }
        Ok(stored.as_ref().and_then(|facts| facts.get(&seq).cloned()))
    }

    /// Lets a fact wait on, or gives it up at once where it would wait in vain or too many do.
    /// That the mission or delivery it waits for is not there is a condition of the commit: so
    /// whatever brings it comes later in the log, and finds the fact waiting. What waits for room
    /// waits for nothing that has to come, and its reason says so.
    fn park(&mut self, Due { fact, late }: Due, waits: Waits) {
        let seq = fact.seq;
        let (why, delivery) = match waits {
            Waits::InVain(why) => return self.note(SessionEvent::DeadLettered { seq, why }),
            Waits::Understanding => {
                let why = ParkReason::UnknownKind;
                if self.session.state.backlog().is_full(why) {
                    return self.note(SessionEvent::DeadLettered { seq, why });
                }
                (why, None)
            }
            Waits::Mission => (ParkReason::UnknownMission, None),
            Waits::Room => (ParkReason::Room, None),
            Waits::Delivery(delivery) => (ParkReason::UnknownDelivery, Some(delivery)),
        };
        let (mission, since) = (fact.mission, fact.received_at);
        let parked = Parked {
            why,
            mission,
            delivery,
            since,
            late,
        };
        self.note(SessionEvent::FactParked { seq, parked });
        self.parked_now.insert(seq, fact);
    }

    fn note(&mut self, event: SessionEvent) {
        let event_time = match &event {
            SessionEvent::FactReceived(fact) => fact.event_time,
            SessionEvent::SessionOpened(_)
            | SessionEvent::GapPassed { .. }
            | SessionEvent::FactParked { .. }
            | SessionEvent::FactUnparked { .. }
            | SessionEvent::DeadLettered { .. } => self.now,
        };
        self.draft.record(
            &mut self.session,
            None,
            None,
            &[Occurrence::new(event, event_time)],
        );
    }

    /// Applies a fact that was given up, once more and as a late one. Says what
    /// it still waits for; then nothing is recorded.
    pub(super) fn redrive(&mut self, fact: ReceivedFact) -> Result<Option<ParkReason>, LoadError> {
        let seq = fact.seq;
        Ok(match self.apply(&Due { fact, late: true })? {
            None => {
                self.note(SessionEvent::FactUnparked { seq });
                None
            }
            Some(Waits::Mission) => Some(ParkReason::UnknownMission),
            Some(Waits::Delivery(_)) => Some(ParkReason::UnknownDelivery),
            Some(Waits::Understanding) => Some(ParkReason::UnknownKind),
            Some(Waits::Room) => Some(ParkReason::Room),
            Some(Waits::InVain(why)) => Some(why),
        })
    }

    /// Applies one fact; one on which the code fails is set apart if that is
    /// asked for, with all that it began undone.
    fn apply_apart(&mut self, due: &Due) -> Result<Option<Waits>, LoadError> {
        if self.on_panic == OnPanic::GoesThrough {
            return self.apply(due);
        }
        let draft = self.draft.clone();
        let session = self.session.clone();
        let (missions, deliveries) = (self.missions.clone(), self.deliveries.clone());
        let (parked_now, retries_left) = (self.parked_now.clone(), self.retries_left);
        // All that it can leave half done is put back below.
        match catch_unwind(AssertUnwindSafe(|| self.apply(due))) {
            Ok(applied) => applied,
            Err(_panic) => {
                let (sender, seq) = (&self.sender, due.fact.seq);
                tracing::error!(drone = %sender.drone, session = %sender.session, seq, "a fact was given up: the code fails on it");
                *self.draft = draft;
                self.session = session;
                (self.missions, self.deliveries) = (missions, deliveries);
                (self.parked_now, self.retries_left) = (parked_now, retries_left);
                Ok(Some(Waits::InVain(ParkReason::CodeFailed)))
            }
        }
    }

    /// Applies one fact, or says what it has to wait for.
    fn apply(&mut self, due: &Due) -> Result<Option<Waits>, LoadError> {
        #[cfg(test)]
        super::tests::panic_where_asked(&due.fact);
        #[cfg(test)]
        let due = &super::tests::as_learnt(due);
        let Some(fact) = wire::interpret(&due.fact) else {
            // What a kind without a mission could mean is not understood either.
            let is_known = due.fact.mission.is_some() && wire::is_understood(&due.fact.kind);
            return Ok(Some(if is_known {
                Waits::InVain(ParkReason::Undecodable)
            } else {
                Waits::Understanding
            }));
        };
        let mission = self.mission(fact.mission)?.clone();
        // What follows hangs on whose it is, and on which session spoke of it last.
        self.draft.guard(&mission);
        match (mission.state, &fact.kind) {
            (None, FactKind::MissionAssigned { delivery, .. }) => {
                self.bind(&fact, due.late, *delivery)
            }
            // A mission that never began: only whoever asked for it needs to know.
            (None, FactKind::MissionRejected { detail } | FactKind::MissionAborted { detail }) => {
                self.refuse(&fact, detail.clone())
            }
            (None, FactKind::StoodDown) => self.refuse(&fact, None),
            (None, _) => Ok(Some(Waits::Mission)),
            (Some(mission), FactKind::MissionAssigned { delivery, .. })
                if *delivery != mission.delivery() =>
            {
                self.report_misplaced(&fact, *delivery, Anomaly::MissionAlreadyBound)
            }
            (Some(mission), _) if !mission.is_flown_by(&self.sender) => {
                self.report_misplaced(&fact, mission.delivery(), Anomaly::ForeignDrone)
            }
            (Some(mission), _) => self.report(&fact, due.late, &mission),
        }
    }

    /// Binds a mission to the delivery it is assigned for, then applies what waited for that.
    fn bind(
        &mut self,
        fact: &DroneFact,
        late: bool,
        id: DeliveryId,
    ) -> Result<Option<Waits>, LoadError> {
        let loaded = self.delivery(id)?.clone();
        // As the how-manieth it is bound hangs on the delivery, also where nothing comes of it there.
        self.draft.guard(&loaded);
        let Some(delivery) = loaded.state else {
            return Ok(Some(Waits::Delivery(id)));
        };
        let dispatch = StreamName::dispatch(fact.mission);
        let dispatch = self.draft.load::<Option<Dispatch>>(dispatch)?;
        self.draft.guard(&dispatch);
        // Whoever ended the mission of the one would end the other's flight.
        let asked = dispatch.state.map(|asked| asked.delivery());
        if asked.is_some_and(|asked| asked != id) {
            return self.report_misplaced(fact, id, Anomaly::MissionAlreadyBound);
        }
        // Its fleet said that it is over, and another one is asked for since.
        let is_refused = dispatch.state.is_some_and(|asked| asked.is_refused());
        if !is_refused {
            let report = translate(fact, false, &self.sender, &delivery, self.thresholds);
            self.decide(id, report)?;
        } else if !late {
            self.report_misplaced(fact, id, Anomaly::WrongStatus)?;
        }
        let taken = self
            .delivery(id)?
            .state
            .as_ref()
            .and_then(Delivery::live_mission);
        let epoch = taken
            .map(|mission| &mission.assignment)
            .filter(|assignment| assignment.mission == fact.mission)
            .map_or(0, |assignment| assignment.epoch);
        let bound = MissionEvent::MissionBound {
            delivery: id,
            epoch,
            sender: self.sender.clone(),
        };
        self.record_mission(fact, bound)?;
        self.retry_parked(Some(fact.mission))?;
        Ok(None)
    }

    /// Notes that a drone is not heard any more, or is again. Since when, our own clock tells:
    /// the delivery says so only once it has lasted.
    fn note_link(&mut self, fact: &DroneFact, mission: &Mission) -> Result<(), LoadError> {
        let event = match (&fact.kind, mission.link_lost()) {
            (FactKind::LinkLost, None) => MissionEvent::LinkLost {
                fact: fact.id.clone(),
            },
            (FactKind::LinkRestored, Some(_)) => MissionEvent::LinkRestored,
            _ => return Ok(()),
        };
        self.mission(fact.mission)?;
        if let Some(loaded) = self.missions.get_mut(&fact.mission) {
            let occurrence = Occurrence::new(event, self.now);
            self.draft
                .record(loaded, None, Some(&fact.id), &[occurrence]);
        }
        Ok(())
    }

    /// Notes that a mission which was asked for will not be flown. One that is said to have been
    /// stood down without being asked to was given to a drone: that is still to come.
    fn refuse(
        &mut self,
        fact: &DroneFact,
        detail: Option<Comment>,
    ) -> Result<Option<Waits>, LoadError> {
        let mut dispatch = self
            .draft
            .load::<Option<Dispatch>>(StreamName::dispatch(fact.mission))?;
        let is_answer = |asked: &Dispatch| {
            asked.stood_down().is_some() || !matches!(fact.kind, FactKind::StoodDown)
        };
        let Some(asked) = dispatch.state.filter(is_answer) else {
            // Nobody asked for that: whose mission it is may be told yet.
            return Ok(Some(Waits::Mission));
        };
        // One that began ends in its turn.
        if self.tells_of_a_flight(fact.mission)? {
            return Ok(Some(Waits::Mission));
        }
        if asked.is_requested() && !asked.is_refused() {
            let refused = DispatchEvent::MissionRefused { detail };
            let occurrence = Occurrence::new(refused, fact.event_time);
            self.draft
                .record(&mut dispatch, None, Some(&fact.id), &[occurrence]);
        }
        Ok(None)
    }

    /// Hands a fact to the delivery of its mission.
    fn report(
        &mut self,
        fact: &DroneFact,
        late: bool,
        mission: &Mission,
    ) -> Result<Option<Waits>, LoadError> {
        if self.sender.session > *mission.session() {
            let session = self.sender.session.clone();
            self.record_mission(fact, MissionEvent::MissionContinued { session })?;
        }
        // What an older session says was overtaken by the newer one.
        let late = late || self.sender.session < *mission.session();
        if !late {
            self.note_link(fact, mission)?;
        }
        let id = mission.delivery();
        if let Some(delivery) = self.delivery(id)?.state.clone() {
            let report = translate(fact, late, &self.sender, &delivery, self.thresholds);
            self.decide(id, report)?;
        }
        Ok(None)
    }

    fn report_misplaced(
        &mut self,
        fact: &DroneFact,
        id: DeliveryId,
        anomaly: Anomaly,
    ) -> Result<Option<Waits>, LoadError> {
        let report = Report {
            fact: fact.id.clone(),
            mission: fact.mission,
            event_time: fact.event_time,
            reported: Reported::Misplaced(anomaly),
        };
        self.decide(id, Some(report))?;
        Ok(None)
    }

    fn decide(&mut self, id: DeliveryId, report: Option<Report>) -> Result<(), LoadError> {
        self.delivery(id)?;
        let (Some(report), Some(loaded)) = (report, self.deliveries.get_mut(&id)) else {
            return Ok(());
        };
        let Some(owner) = loaded.state.as_ref().map(|delivery| delivery.order().user) else {
            return Ok(());
        };
        let (cause, reporting) = (report.fact.clone(), report.mission);
        let unrecorded = loaded.state.as_ref().and_then(|it| it.unrecorded(&report));
        let live = loaded.state.as_ref().and_then(Delivery::live_mission);
        let live = live.map(|mission| mission.assignment.mission);
        let events = match Delivery::decide(&DeliveryCommand::Report(report), &loaded.state) {
            Ok(events) => events,
            Err(rejection) => {
                // A report is never rejected; if a rule ever says otherwise,
                // the fact is still in the log and the stream goes on.
                tracing::error!(delivery = %id, fact = %cause, %rejection, "a report was rejected");
                Vec::new()
            }
        };
        self.draft
            .record(loaded, Some(owner.uuid()), Some(&cause), &events);
        let missions = (live, Some(reporting));
        // What there is no room for in the history is acted on all the same.
        if unrecorded.is_some() {
            metrics::counter!(ANOMALIES_UNRECORDED).increment(1);
        }
        let events: Vec<_> = events.into_iter().chain(unrecorded).collect();
        record_consequences(self.draft, (id, owner), &events, missions, self.now)
    }

    fn record_mission(&mut self, fact: &DroneFact, event: MissionEvent) -> Result<(), LoadError> {
        self.mission(fact.mission)?;
        if let Some(loaded) = self.missions.get_mut(&fact.mission) {
            let occurrence = Occurrence::new(event, fact.event_time);
            self.draft
                .record(loaded, None, Some(&fact.id), &[occurrence]);
        }
        Ok(())
    }

    fn mission(&mut self, id: MissionId) -> Result<&Loaded<Option<Mission>>, LoadError> {
        if !self.missions.contains_key(&id) {
            let loaded = self.draft.load(StreamName::mission(id))?;
            self.missions.insert(id, loaded);
        }
        Ok(self.missions.get(&id).expect("loaded just above"))
    }

    fn delivery(&mut self, id: DeliveryId) -> Result<&Loaded<Option<Delivery>>, LoadError> {
        if !self.deliveries.contains_key(&id) {
            let loaded = self.draft.load(StreamName::delivery(id))?;
            self.deliveries.insert(id, loaded);
        }
        Ok(self.deliveries.get(&id).expect("loaded just above"))
    }
}

/// Whether a mission of which this is told was given to a drone: a fleet may say the others of one
/// that it then refuses.
const fn shows_a_flight(kind: &FactKind) -> bool {
    match kind {
        FactKind::MissionAssigned { .. }
        | FactKind::Departed(_)
        | FactKind::Arrived(_)
        | FactKind::PackageLoaded { .. }
        | FactKind::PackageReleased { .. }
        | FactKind::Returned { .. }
        | FactKind::Crashed { .. }
        | FactKind::Lost { .. }
        | FactKind::RecipientVerified { .. }
        | FactKind::Diverted { .. }
        | FactKind::PackageDropped
        | FactKind::EmergencyLanded { .. }
        | FactKind::MissionCompleted { .. } => true,
        FactKind::MissionRejected { .. }
        | FactKind::MissionAborted { .. }
        | FactKind::StoodDown
        | FactKind::HoldStarted(_)
        | FactKind::HoldEnded
        | FactKind::Battery(_)
        | FactKind::LinkLost
        | FactKind::LinkRestored => false,
    }
}
