//! Any log that the service could have written: users, deliveries, drone sessions
//! and what people say about tasks, by the domain's own decisions on random commands.

use std::collections::HashMap;

use domain::codec::StoredEvent;
use domain::decider::{Decider, Occurrence};
use domain::delivery::{
    Anomaly, CancelReason, Confirmation, Delivery, DeliveryCommand, DeliveryEvent, Diversion,
    Ending, HoldReason, HubPlace, LoadVerdict, Nearness, ReleaseMethod, Report, Reported,
    ReturnedTo,
};
use domain::drone::Sender;
use domain::id::{DroneId, ExternalId, FactId, FleetId, OperationId, ProofHash, SessionId};
use domain::quantity::DistanceM;
use domain::refusals::{RefusalEvent, Refusals};
use domain::scheduling::{Effect, OperationEvent};
use domain::session::{ParkReason, Parked, ReceivedFact, Session, SessionEvent};
use domain::stream::{Category, StreamName};
use domain::task::{
    Acknowledged, Matter, StandingTasks, Task, TaskCommand, TaskId, TaskRejection, TaskTurn,
};
use domain::text::{Address, Comment, Text};
use domain::time::Timestamp;
use domain::user::{User, UserCommand};
use eventstore::{Budget, EventStore, Filter, Position, Record, StreamVersion};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use crate::test_log::{Appending, TestLog, at, contact, delivery, mission, order, stream_id, user};

mod asked;
mod operations;
mod refusals;

pub(crate) use asked::Asked;
use asked::asked;
pub(crate) use operations::{operation_event, put_off};
use refusals::{HOURS, RefusalStep, refusal_step};
pub(crate) use refusals::{hour_stream, refused};

/// Few of each, so that they meet again and again.
const DELIVERIES: u128 = 6;
const USERS: u128 = 3;
const SESSIONS: u64 = 3;
const OPERATIONS: u128 = 4;

/// Reads everything at once.
const UNLIMITED: Budget = Budget {
    records_max: usize::MAX,
    bytes_max: usize::MAX,
};

/// Something that happens to the service.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A delivery gets a command.
    Delivery(u128, DeliveryStep),
    /// A user gets a command.
    User(u128, UserStep),
    /// A drone session gets facts, or something becomes of one.
    Session(u64, SessionStep),
    /// Somebody says that they have seen to something.
    Seen(Seen),
    /// Something is written down of an operation.
    Operation(u128, OperationEvent),
    /// What an operation does outside is put off so many times.
    PutOff(u128, Effect, u32),
    /// Something becomes of an hour's refused messages.
    Refusal(i64, RefusalStep),
}

/// What somebody has seen to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Of what kind of stream.
    of: Category,
    /// Which one.
    number: u8,
    /// Which of its tasks, or of its events.
    which: u8,
    /// It need not be a task.
    anything: bool,
}

/// A command to a delivery, in a few words.
#[derive(Clone, Debug)]
pub(crate) enum DeliveryStep {
    Create { with_long_texts: bool, named: bool },
    Reschedule { with_long_texts: bool },
    Cancel,
    Report { mission: u128, reported: Reported },
    Ask(Asked),
}

/// A command to a user, in a few words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UserStep {
    Create,
    Rename(u8),
    Suspend,
    Reinstate,
}

/// What becomes of a drone session.
#[derive(Clone, Debug)]
pub(crate) enum SessionStep {
    Facts(Vec<u64>),
    GapPassed(u64),
    Parked(u64, ParkReason, u128),
    Unparked(u64),
    GivenUp(u64, ParkReason),
}

/// Any log of up to that many commits.
pub(crate) fn happenings(most: usize) -> impl Strategy<Value = Vec<Happening>> {
    vec(happening(), 0..most)
}

/// What may happen to one delivery.
pub(crate) fn delivery_life(most: usize) -> impl Strategy<Value = Vec<DeliveryStep>> {
    vec(delivery_step(), 0..most)
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (0..DELIVERIES, delivery_step())
            .prop_map(|(number, step)| Happening::Delivery(number, step)),
        1 => (0..USERS, user_step()).prop_map(|(number, step)| Happening::User(number, step)),
        2 => (0..SESSIONS, session_step())
            .prop_map(|(number, step)| Happening::Session(number, step)),
        1 => (0..HOURS, refusal_step()).prop_map(|(hour, step)| Happening::Refusal(hour, step)),
        1 => seen().prop_map(Happening::Seen),
        1 => (0..OPERATIONS, operation_event())
            .prop_map(|(number, event)| Happening::Operation(number, event)),
        1 => (0..OPERATIONS, select(Effect::ALL), 1..12_u32)
            .prop_map(|(number, effect, times)| Happening::PutOff(number, effect, times)),
    ]
}

fn delivery_step() -> impl Strategy<Value = DeliveryStep> {
    prop_oneof![
        3 => any::<(bool, bool)>().prop_map(|(with_long_texts, named)| DeliveryStep::Create {
            with_long_texts,
            named
        }),
        1 => any::<bool>().prop_map(|with_long_texts| DeliveryStep::Reschedule { with_long_texts }),
        1 => Just(DeliveryStep::Cancel),
        16 => (0..3_u128, reported())
            .prop_map(|(mission, reported)| DeliveryStep::Report { mission, reported }),
        3 => asked().prop_map(DeliveryStep::Ask),
    ]
}

fn reported() -> impl Strategy<Value = Reported> {
    let distance = DistanceM::new(3);
    let nearness = select(vec![
        Nearness::Inside(distance),
        Nearness::Inside(distance),
        Nearness::Outside(distance),
        Nearness::Unknown,
    ]);
    prop_oneof![
        4 => (
            option::of(0..1_000_i64),
            option::of(0..1_000_i64),
            select(vec!["M100-07", "M100-08", "M100-09"]),
        ).prop_map(|(pickup, dropoff, drone)| {
            Reported::Assigned {
                fleet: FleetId::new("pgh").unwrap(),
                drone: DroneId::new(drone).unwrap(),
                eta_pickup: pickup.map(at),
                eta_dropoff: dropoff.map(at),
            }
        }),
        1 => select(&Ending::ALL[..]).prop_map(|how| Reported::Ended { how, detail: None }),
        2 => Just(Reported::DepartedToPickup),
        2 => Just(Reported::ArrivedAtPickup),
        3 => select(vec![
            LoadVerdict::Matches,
            LoadVerdict::Matches,
            LoadVerdict::WrongPackage,
            LoadVerdict::Overweight,
        ])
        .prop_map(|verdict| Reported::Loaded { verdict, tag: None, mass: None }),
        2 => Just(Reported::DepartedToDropoff),
        2 => nearness.clone().prop_map(Reported::ArrivedAtDropoff),
        1 => (any::<bool>(), nearness).prop_map(|(confirmed, nearness)| Reported::Released {
            method: ReleaseMethod::Winch,
            evidence: None,
            confirmed,
            nearness,
        }),
        1 => Just(Reported::DepartedToReturn),
        1 => select(vec![
            ReturnedTo::Sender,
            ReturnedTo::Hub(HubPlace::Hub),
            ReturnedTo::Hub(HubPlace::Base),
        ])
        .prop_map(Reported::Returned),
        1 => any::<Option<bool>>()
            .prop_map(|payload_on_board| Reported::Completed { payload_on_board }),
        1 => select(vec![
            Anomaly::MissionAlreadyBound,
            Anomaly::ForeignDrone,
            Anomaly::UnknownDelivery,
        ])
        .prop_map(Reported::Misplaced),
        2 => select(vec![
            Reported::Verified {
                kind: Confirmation::Photo,
                proof: ProofHash::new("c0ffee").unwrap(),
            },
            Reported::HoldStarted(HoldReason::Weather),
            Reported::HoldEnded,
            Reported::BatteryCritical,
            Reported::Diverted { to: Diversion::Charge, detail: None },
            Reported::Diverted { to: Diversion::Home, detail: None },
            Reported::LinkLost,
            Reported::LinkRestored,
            Reported::Dropped,
            Reported::EmergencyLanded { detail: None },
        ]),
    ]
}

fn user_step() -> impl Strategy<Value = UserStep> {
    prop_oneof![
        Just(UserStep::Create),
        any::<u8>().prop_map(UserStep::Rename),
        Just(UserStep::Suspend),
        Just(UserStep::Reinstate),
    ]
}

fn session_step() -> impl Strategy<Value = SessionStep> {
    prop_oneof![
        4 => vec(1..20_u64, 1..4).prop_map(SessionStep::Facts),
        1 => (1..20_u64).prop_map(SessionStep::GapPassed),
        1 => (1..20_u64, select(ParkReason::ALL), 0..3_u128)
            .prop_map(|(seq, why, mission)| SessionStep::Parked(seq, why, mission)),
        1 => (1..20_u64).prop_map(SessionStep::Unparked),
        1 => (1..20_u64, select(ParkReason::ALL))
            .prop_map(|(seq, why)| SessionStep::GivenUp(seq, why)),
    ]
}

fn seen() -> impl Strategy<Value = Seen> {
    let of = select(vec![
        Category::Delivery,
        Category::DroneSession,
        Category::Operation,
        Category::Refusals,
    ]);
    let parts = (of, any::<u8>(), any::<u8>(), any::<bool>());
    parts.prop_map(|(of, number, which, anything)| Seen {
        of,
        number,
        which,
        anything,
    })
}

/// Decides on what happens and appends what follows.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) log: TestLog,
    deliveries: HashMap<u128, Option<Delivery>>,
    users: HashMap<u128, Option<User>>,
    sessions: HashMap<u64, Session>,
    refusals: HashMap<i64, Refusals>,
    acknowledged: HashMap<TaskId, Option<Acknowledged>>,
    facts: u64,
}

impl Service {
    /// A service to which nothing has happened.
    pub(crate) fn new() -> Self {
        Self {
            log: TestLog::new(),
            deliveries: HashMap::new(),
            users: HashMap::new(),
            sessions: HashMap::new(),
            refusals: HashMap::new(),
            acknowledged: HashMap::new(),
            facts: 0,
        }
    }

    /// A service to which all of this has happened.
    pub(crate) fn after<'h>(happenings: impl IntoIterator<Item = &'h Happening>) -> Self {
        let mut service = Self::new();
        for happening in happenings {
            service.happen(happening);
        }
        service
    }

    /// The domain's own view of a delivery.
    pub(crate) fn delivery(&self, number: u128) -> Option<&Delivery> {
        self.deliveries.get(&number)?.as_ref()
    }

    /// Every task that stands by the domain's own fold of its stream, and
    /// whether somebody has seen to it.
    pub(crate) fn standing_tasks(&self) -> Vec<(TaskId, Matter, bool)> {
        let streams = subjects().flat_map(|subject| {
            let standing = self.standing(subject);
            let tasks = standing.iter().map(|(version, matter)| {
                let id = TaskId::new(subject, version).unwrap();
                let is_seen_to = self.acknowledged.get(&id).is_some_and(Option::is_some);
                (id, matter.clone(), is_seen_to)
            });
            tasks.collect::<Vec<_>>()
        });
        streams.collect()
    }

    fn standing(&self, subject: StreamName) -> StandingTasks {
        let page = self
            .log
            .store
            .read_stream(stream_id(subject), StreamVersion::EMPTY, UNLIMITED);
        let records = page.unwrap().records;
        let events = records.iter().flat_map(Record::versioned);
        events.fold(StandingTasks::default(), |standing, (version, event)| {
            let (kind, schema) = (event.event_type.0, event.schema.0);
            let turn = if subject.category == Category::Delivery {
                let event = DeliveryEvent::decode(kind, schema, &event.payload).unwrap();
                TaskTurn::of_delivery(&event)
            } else if subject.category == Category::Operation {
                let event = OperationEvent::decode(kind, schema, &event.payload).unwrap();
                TaskTurn::of_operation(&event)
            } else if subject.category == Category::Refusals {
                let event = RefusalEvent::decode(kind, schema, &event.payload).unwrap();
                TaskTurn::of_refusals(&event)
            } else {
                let event = SessionEvent::decode(kind, schema, &event.payload).unwrap();
                TaskTurn::of_session(&event)
            };
            match turn {
                Some(turn) => standing.evolve(version.get(), turn),
                None => standing,
            }
        })
    }

    /// All that has happened to a delivery, as the log has it.
    pub(crate) fn occurrences(&self, number: u128) -> Vec<Occurrence<DeliveryEvent>> {
        let all = Filter::everything();
        let page = self
            .log
            .store
            .read_all(Position::START, &all, UNLIMITED)
            .unwrap();
        let stream = stream_id(StreamName::delivery(delivery(number)));
        let records = page.records.iter().filter(|record| record.stream == stream);
        let events = records.flat_map(|record| {
            let events = record.events.iter();
            events.map(|event| (event, record.recorded_at_us))
        });
        let decoded = events.map(|(event, recorded_at_us)| Occurrence {
            event: DeliveryEvent::decode(event.event_type.0, event.schema.0, &event.payload)
                .unwrap(),
            event_time: Timestamp::from_micros(event.event_time_us).unwrap(),
            recorded_at: Timestamp::from_micros(recorded_at_us).unwrap(),
            inferred: event.inferred,
        });
        decoded.collect()
    }

    /// The domain's own view of a drone session, and its stream.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (StreamName, &Session)> {
        let sessions = self.sessions.iter();
        sessions.map(|(number, session)| (session_stream(*number), session))
    }

    /// One more thing happens.
    pub(crate) fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Delivery(number, step) => self.step_delivery(*number, step),
            Happening::User(number, step) => self.step_user(*number, *step),
            Happening::Session(number, step) => self.step_session(*number, step),
            Happening::Seen(seen) => self.acknowledge(*seen),
            Happening::Refusal(hour, step) => self.step_refusals(*hour, *step),
            Happening::Operation(number, event) => self.operate(*number, vec![event.clone()]),
            Happening::PutOff(number, effect, times) => {
                self.operate(*number, put_off(*effect, *times));
            }
        }
    }

    fn step_delivery(&mut self, number: u128, step: &DeliveryStep) {
        let owner = user(number % USERS);
        let now = self.log.clock();
        self.facts += 1;
        let mut commands = vec![match step {
            DeliveryStep::Create {
                with_long_texts,
                named,
            } => {
                let mut order = order(owner);
                if *with_long_texts {
                    order.plan.dropoff.address = Some(Address::new("✈".repeat(300)).unwrap());
                    let entry = (Text::new("✈".repeat(40)), Text::new("✈".repeat(200)));
                    order.metadata = vec![(entry.0.unwrap(), entry.1.unwrap()); 10];
                }
                if *named {
                    order.confirmation = Confirmation::Pin;
                    let name = format!("order-{number}");
                    order.external_id = Some(ExternalId::new(name).unwrap());
                }
                let order = Box::new(order);
                DeliveryCommand::Create { order, now }
            }
            DeliveryStep::Reschedule { with_long_texts } => {
                let mut plan = order(owner).plan;
                plan.deliver_by = Some(Timestamp::MAX);
                if *with_long_texts {
                    plan.pickup.address = Some(Address::new("✈".repeat(300)).unwrap());
                }
                let plan = Box::new(plan);
                DeliveryCommand::Reschedule { plan, now }
            }
            DeliveryStep::Cancel => DeliveryCommand::Cancel {
                reason: CancelReason::Mistake,
                comment: Some(Comment::new("ordered twice").unwrap()),
                now,
            },
            DeliveryStep::Report {
                mission: n,
                reported,
            } => DeliveryCommand::Report(Report {
                fact: FactId::new(format!("fact-{}", self.facts)).unwrap(),
                mission: mission(number * 10 + n),
                event_time: now,
                reported: reported.clone(),
            }),
            DeliveryStep::Ask(asked) => asked.command(mission(number * 10), now),
        }];
        if let DeliveryStep::Create { .. } = step {
            commands.push(DeliveryCommand::Schedule { now });
        }
        let state = self.deliveries.entry(number).or_default();
        let mut occurrences = Vec::new();
        for command in commands {
            let decided = Delivery::decide(&command, state).unwrap_or_default();
            let decided = decided.into_iter().map(|it| it.as_recorded(now));
            let decided: Vec<_> = decided.collect();
            *state = Delivery::fold_from(state.take(), &decided);
            occurrences.extend(decided);
        }
        let stream = StreamName::delivery(delivery(number));
        let part = Appending::new(stream, Some(owner), occurrences);
        self.log.append(vec![part]);
    }

    fn step_user(&mut self, number: u128, step: UserStep) {
        let now = self.log.clock();
        let reason = Comment::new("said so").unwrap();
        let command = match step {
            UserStep::Create => UserCommand::Create {
                contact: contact("ada"),
                now,
            },
            UserStep::Rename(n) => {
                let contact = contact(&format!("ada{n}"));
                UserCommand::Update { contact, now }
            }
            UserStep::Suspend => UserCommand::Suspend { reason, now },
            UserStep::Reinstate => UserCommand::Reinstate { reason, now },
        };
        let state = self.users.entry(number).or_default();
        let decided = User::decide(&command, state).unwrap_or_default();
        *state = User::fold_from(state.take(), &decided);
        let stream = StreamName::user(user(number));
        let part = Appending::new(stream, Some(user(number)), decided);
        self.log.append(vec![part]);
    }

    fn step_session(&mut self, number: u64, step: &SessionStep) {
        let now = self.log.clock();
        let session = self.sessions.entry(number).or_default();
        let events = match step {
            SessionStep::Facts(numbers) => {
                let facts = numbers.iter().map(|seq| fact(*seq, now));
                session.receive(&sender(number), facts, 64).1.events
            }
            SessionStep::GapPassed(up_to) => vec![SessionEvent::GapPassed { up_to: *up_to }],
            SessionStep::Parked(seq, why, of) => {
                let parked = Parked {
                    why: *why,
                    mission: Some(mission(*of)),
                    delivery: None,
                    since: now,
                    late: false,
                };
                vec![SessionEvent::FactParked { seq: *seq, parked }]
            }
            SessionStep::Unparked(seq) => vec![SessionEvent::FactUnparked { seq: *seq }],
            SessionStep::GivenUp(seq, why) => vec![SessionEvent::DeadLettered {
                seq: *seq,
                why: *why,
            }],
        };
        for event in &events {
            *session = std::mem::take(session).evolve(event);
        }
        let occurrences = events.into_iter().map(|event| Occurrence::new(event, now));
        let part = Appending::new(session_stream(number), None, occurrences);
        self.log.append(vec![part]);
    }

    /// Also what is no task, or no longer: a projection is total.
    fn acknowledge(&mut self, seen: Seen) {
        let number = seen.number;
        let subject = if seen.of == Category::DroneSession {
            session_stream(u64::from(number) % SESSIONS)
        } else if seen.of == Category::Refusals {
            hour_stream(i64::from(number) % HOURS)
        } else if seen.of == Category::Operation {
            operation_stream(u128::from(number) % OPERATIONS)
        } else {
            StreamName::delivery(delivery(u128::from(number) % DELIVERIES))
        };
        let standing = self.standing(subject);
        let standing: Vec<u64> = standing.iter().map(|(version, _)| version).collect();
        let which = usize::from(seen.which);
        let version = match standing.get(which % standing.len().max(1)) {
            Some(version) if !seen.anything => *version,
            _ => u64::from(seen.which) % 40 + 1,
        };
        let task = TaskId::new(subject, version).unwrap();
        let command = TaskCommand::Acknowledge {
            task,
            stands: true,
            note: Comment::new(format!("seen to by {which}")).ok(),
            now: self.log.clock(),
        };
        let state = self.acknowledged.entry(task).or_default();
        let decided = match Task::decide(&command, state) {
            Ok(decided) => decided,
            // What somebody else has said of it stands.
            Err(TaskRejection::NoteStands) => Vec::new(),
            Err(rejection @ TaskRejection::NoSuchTask) => panic!("{rejection}"),
        };
        *state = Task::fold_from(state.take(), &decided);
        let part = Appending::new(StreamName::task(task), None, decided);
        self.log.append(vec![part]);
    }
}

/// The streams that tasks are about.
fn subjects() -> impl Iterator<Item = StreamName> {
    let deliveries = (0..DELIVERIES).map(|number| StreamName::delivery(delivery(number)));
    deliveries
        .chain((0..SESSIONS).map(session_stream))
        .chain((0..OPERATIONS).map(operation_stream))
        .chain((0..HOURS).map(hour_stream))
}

fn operation_stream(number: u128) -> StreamName {
    StreamName::operation(OperationId::from_uuid(Uuid::from_u128(number)))
}

fn sender(number: u64) -> Sender {
    Sender {
        fleet: FleetId::new("pgh").unwrap(),
        drone: DroneId::new("M100-07").unwrap(),
        session: SessionId::new(format!("boot-{number}")).unwrap(),
    }
}

fn session_stream(number: u64) -> StreamName {
    let sender = sender(number);
    StreamName::drone_session(&sender.fleet, &sender.drone, &sender.session)
}

fn fact(seq: u64, now: Timestamp) -> ReceivedFact {
    ReceivedFact {
        seq,
        id: FactId::new(format!("fact-{seq}")).unwrap(),
        hash: [0; 16],
        kind: "departed".to_owned(),
        mission: Some(mission(1)),
        event_time: now,
        received_at: now,
        skewed_time: None,
        data: b"{}".to_vec(),
    }
}
