//! What is wrong with NATS servers, found out one thing after the other.
//!
//! Nothing is written to any stream and nothing is made: what would be needed is asked for so that
//! it comes to nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer;
use async_nats::jetstream::stream::Info;
use async_nats::{Client, Event, HeaderMap, Request, RequestErrorKind, ServerAddr, ServerError};
use domain::time::Timestamp;
use eventstore::{JetStreamOptions, NatsAccess, NatsTrouble, NatsVersion};
use futures_util::StreamExt as _;
use serde_json::Value;

use super::connection::{advice, is_too_old};
use super::{deliveries, drones};
use crate::config::NatsOptions;
use crate::environment::Environment;

mod monitor;

pub use monitor::examine_monitor;

/// How long one answer is waited for.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// By how much a server's clock may be off before it is told, milliseconds: deadlines are judged
/// by the clocks of several machines.
const SKEW_MS_MAX: u64 = 1_000;

/// How slow a round trip may be before it is told, milliseconds: every write waits for some.
const ROUND_TRIP_MS_MAX: u128 = 50;

/// How a server begins to say what a user must not do, in small letters.
const DENIAL: &str = "permissions violation";

/// How many such words are told, at the most.
const DENIALS_MAX: usize = 16;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub what: String,
    /// What was found.
    pub found: Found,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is as it should be.
    Fine(String),
    /// It works, and could be better.
    Poor(String),
    /// It does not work; and what to change.
    Wrong(String),
    /// It cannot be seen from here; and how to see it.
    Unseen(String),
}

impl Check {
    pub(super) fn of(what: impl Into<String>, found: Found) -> Self {
        let what = what.into();
        Self { what, found }
    }
}

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The servers.
    pub access: NatsAccess,
    /// What is spoken over, beside the log.
    pub options: NatsOptions,
    /// The log, if it is to be there.
    pub log: Option<JetStreamOptions>,
}

/// Looks at each server, then at what they are together. Gives every finding to `tell`, as soon as
/// it is there.
pub async fn examine(
    examination: &Examination,
    environment: &Environment,
    tell: &mut (impl FnMut(Check) + Send),
) {
    let addresses = match examination.access.addresses() {
        Ok(addresses) => addresses,
        Err(error) => return tell(Check::of("--nats", Found::Wrong(error.to_string()))),
    };
    let (mut reached, denied) = (None, Denied::default());
    for address in addresses {
        let server = (&address, denied.clone());
        let client = examine_server(&examination.access, server, environment, tell).await;
        reached = reached.or(client);
    }
    if let Some(client) = reached {
        examine_together(&client, examination, environment, tell).await;
    }
    for words in denied.said() {
        let why = format!(
            "{words}: permit the user that subject, as api/nats/airpost.conf does with all that a node needs, or name the \
             node's own user, nkey or credentials"
        );
        tell(Check::of("permissions", Found::Wrong(why)));
    }
}

/// What the servers that can be reached are together.
async fn examine_together(
    client: &Client,
    examination: &Examination,
    environment: &Environment,
    tell: &mut (impl FnMut(Check) + Send),
) {
    tell(examine_jetstream(client).await);
    tell(examine_inbox(client).await);
    try_rights(client, examination).await;
    let options = &examination.options;
    tell(examine_drones(client, options).await);
    if let Some(consumer) = &options.nats_drone_consumer {
        tell(examine_consumer(client, &options.nats_drone_stream, consumer).await);
    }
    tell(examine_deliveries(client, options).await);
    tell(examine_note(client, options).await);
    if let Some(log) = &examination.log {
        tell(examine_clock(client, &log.stream, environment).await);
        tell(may_write(client, log).await);
        tell(may_anybody_write(client, log));
        tell(examine_heads(client, &log.stream).await);
    }
}

/// Asks, without wanting an answer, for what is else seen only when a node does not get it: an empty
/// request comes to nothing, and servers say at once that it is not permitted.
async fn try_rights(client: &Client, examination: &Examination) {
    let options = &examination.options;
    let (stream, named) = (&options.nats_drone_stream, &options.nats_drone_consumer);
    let consumer = named.as_deref().unwrap_or("airpost-doctor");
    let mut subjects = vec![
        format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{consumer}"),
        format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
        format!("$JS.ACK.{stream}.{consumer}.doctor"),
    ];
    if let Some(JetStreamOptions { stream: log, .. }) = &examination.log {
        subjects.extend([
            format!("$JS.API.DIRECT.GET.{log}"),
            format!("$JS.API.DIRECT.GET.{log}.airpost.log.{log}"),
            format!("$JS.API.STREAM.MSG.GET.{log}"),
            format!("$JS.API.CONSUMER.CREATE.{stream}.airpost-doctor"),
        ]);
    }
    for subject in subjects {
        // That the connection is lost is seen by what is asked next.
        drop(client.publish(subject, "".into()).await);
    }
    drop(tokio::time::timeout(ANSWER_WAIT, client.flush()).await);
}

/// What the servers said that the user must not do: what needs it is not answered, and they say so
/// beside it. Cheap to clone.
#[derive(Clone, Debug, Default)]
struct Denied(Arc<Mutex<BTreeSet<String>>>);

impl Denied {
    fn note(&self, event: &Event) {
        if let Event::ServerError(ServerError::Other(words)) = event
            && words.to_lowercase().starts_with(DENIAL)
        {
            let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < DENIALS_MAX {
                said.insert(words.clone());
            }
        }
    }

    fn said(&self) -> BTreeSet<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }
}

/// One server by itself, as it would be met by who is sent there.
async fn examine_server(
    access: &NatsAccess,
    (address, denied): (&ServerAddr, Denied),
    environment: &Environment,
    tell: &mut (impl FnMut(Check) + Send),
) -> Option<Client> {
    let what = format!("server {}:{}", address.host(), address.port());
    let options = match access.client_options() {
        Ok(options) => options.name("airpost doctor").event_callback(move |event| {
            denied.note(&event);
            std::future::ready(())
        }),
        Err(error) => {
            tell(Check::of(what, Found::Wrong(error.to_string())));
            return None;
        }
    };
    let client = match options.connect(address.clone()).await {
        Ok(client) => client,
        Err(error) => {
            let why = format!(
                "not reached ({error}): {}",
                advice(error.kind(), &error.to_string())
            );
            tell(Check::of(what, Found::Wrong(why)));
            return None;
        }
    };
    let info = client.server_info();
    let begun = environment.elapsed();
    let answered = tokio::time::timeout(ANSWER_WAIT, client.flush()).await;
    let took_ms = environment.elapsed().saturating_sub(begun).as_millis();
    let (name, version) = (&info.server_name, &info.version);
    let secured = if info.tls_required { "TLS" } else { "no TLS" };
    let told = format!("{name}, version {version}, {secured}, round trip {took_ms} ms");
    let found = if !matches!(answered, Ok(Ok(()))) {
        Found::Wrong(format!("{told}: it does not answer"))
    } else if is_too_old(&client) {
        // What it says of streams would be of servers that are not to be.
        let oldest = NatsVersion::OLDEST;
        let why = format!("{told}: run {oldest} or later");
        tell(Check::of(what, Found::Wrong(why)));
        return None;
    } else if took_ms > ROUND_TRIP_MS_MAX {
        Found::Poor(format!(
            "{told}: every write waits for it, have the servers nearer"
        ))
    } else {
        Found::Fine(told)
    };
    tell(Check::of(what, found));
    Some(client)
}

/// Asks for something of `JetStream`'s interface; `Err` says what is in the way.
async fn ask(client: &Client, subject: &str, payload: &'static str) -> Result<Value, String> {
    let request = Request::new()
        .payload(payload.into())
        .timeout(Some(ANSWER_WAIT));
    let answer = client.send_request(subject.to_owned(), request).await;
    let answer = answer.map_err(|error| {
        let advice = match error.kind() {
            RequestErrorKind::NoResponders => "enable JetStream for the server and the account",
            RequestErrorKind::TimedOut
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::MaxPayloadExceeded
            | RequestErrorKind::Other => UNANSWERED,
        };
        format!("{subject} is not answered ({error}): {advice}")
    })?;
    serde_json::from_slice(&answer.payload).map_err(|error| format!("{subject}: {error}"))
}

/// What may be the matter where nothing comes back.
const UNANSWERED: &str = "see which of the servers are up, as without a majority of them some answer nothing; and allow \
                          the user to publish there and to subscribe to _INBOX.>";

/// The number of the error that something that is not there is answered with.
const STREAM_NOT_FOUND: u64 = 10_059;
const CONSUMER_NOT_FOUND: u64 = 10_014;

/// The error in an answer: its number, and the server's words with what helps.
fn refused(answer: &Value) -> Option<(u64, String)> {
    let error = answer.get("error")?;
    let words = error.get("description").and_then(Value::as_str);
    let words = words.unwrap_or("refused");
    let code = error.get("err_code").and_then(Value::as_u64);
    let code = code.unwrap_or_default();
    let words = match NatsTrouble::of_code(code) {
        Some(trouble) => format!("{words} (error {code}): {}", trouble.advice()),
        None => format!("{words} (error {code})"),
    };
    Some((code, words))
}

async fn examine_jetstream(client: &Client) -> Check {
    let what = "JetStream";
    let account = match ask(client, "$JS.API.INFO", "").await {
        Ok(account) => account,
        Err(why) => return Check::of(what, Found::Wrong(why)),
    };
    if let Some((_, why)) = refused(&account) {
        return Check::of(what, Found::Wrong(why));
    }
    let number = |pointer: &str| account.pointer(pointer).and_then(Value::as_i64);
    let used = number("/storage").unwrap_or_default();
    let max = number("/limits/max_storage").unwrap_or(-1);
    let found = if max < 0 {
        Found::Fine(format!(
            "enabled, {used} bytes stored, the account has no limit of its own"
        ))
    } else if used.saturating_mul(10) > max.saturating_mul(9) {
        Found::Poor(format!(
            "{used} of {max} bytes are used: give the account more storage"
        ))
    } else {
        Found::Fine(format!("enabled, {used} of {max} bytes are used"))
    };
    Check::of(what, found)
}

/// Whether answers can be heard: nothing else works without.
async fn examine_inbox(client: &Client) -> Check {
    let what = "permissions: _INBOX.>";
    let inbox = client.new_inbox();
    let heard = hears_itself(client, inbox).await;
    let found = if heard {
        Found::Fine("answers are heard".to_owned())
    } else {
        Found::Wrong("answers are not heard: allow to publish and subscribe to _INBOX.>".to_owned())
    };
    Check::of(what, found)
}

async fn hears_itself(client: &Client, subject: String) -> bool {
    let Ok(mut told) = client.subscribe(subject.clone()).await else {
        return false;
    };
    let sent = client.publish(subject, "".into()).await;
    sent.is_ok()
        && client.flush().await.is_ok()
        && matches!(
            tokio::time::timeout(ANSWER_WAIT, told.next()).await,
            Ok(Some(_))
        )
}

async fn examine_drones(client: &Client, options: &NatsOptions) -> Check {
    let judge = |found: &Info| Judged {
        wrong: drones::wrong_with_stream(options, &found.config),
        poor: drones::advice_on_stream(found),
    };
    examine_stream(client, &options.nats_drone_stream, judge).await
}

async fn examine_deliveries(client: &Client, options: &NatsOptions) -> Check {
    let judge = |found: &Info| Judged {
        wrong: deliveries::wrong_with_stream(options, &found.config),
        poor: deliveries::advice_on_stream(&found.config),
    };
    examine_stream(client, &options.nats_delivery_stream, judge).await
}

async fn examine_note(client: &Client, options: &NatsOptions) -> Check {
    let judge = |found: &Info| Judged {
        wrong: deliveries::wrong_with_note(options, &found.config),
        poor: Vec::new(),
    };
    examine_stream(client, &deliveries::note_stream(options), judge).await
}

/// The consumer by which drone events come in, where it was named: else it is called after the log,
/// and nobody else's.
async fn examine_consumer(client: &Client, stream: &str, consumer: &str) -> Check {
    let what = format!("consumer {consumer}");
    let subject = format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}");
    let answer = match ask(client, &subject, "").await {
        Ok(answer) => answer,
        Err(why) => return Check::of(what, Found::Wrong(why)),
    };
    if let Some((code, why)) = refused(&answer) {
        let is_missing = code == CONSUMER_NOT_FOUND || code == STREAM_NOT_FOUND;
        return Check::of(what, not_told(is_missing, why));
    }
    let found = match serde_json::from_value::<consumer::Info>(answer) {
        Err(error) => Found::Wrong(format!("what the server says of it is not understood: {error}")),
        Ok(info) if drones::is_our_consumer(&info.config) => Found::Fine(format!(
            "{} messages wait to be handed out, {} to be acknowledged",
            info.num_pending, info.num_ack_pending
        )),
        Ok(_) => Found::Wrong(
            "it is another's, and does not hand out drone events to who asks and acknowledges: name another one \
             (--nats-drone-consumer), or delete it"
                .to_owned(),
        ),
    };
    Check::of(what, found)
}

/// Of something that the servers do not tell of: that it is missing, or why they do not.
fn not_told(is_missing: bool, why: String) -> Found {
    if is_missing {
        Found::Poor("it is not there yet: airpost serve makes it".to_owned())
    } else {
        Found::Wrong(why)
    }
}

/// What is to be said of a stream that is there.
struct Judged {
    /// The service would not take it.
    wrong: Vec<String>,
    /// It would, and it could be better.
    poor: Vec<String>,
}

/// A stream that something is spoken over, which the service makes if it is missing; and what it
/// would not take of one that is there.
async fn examine_stream(client: &Client, stream: &str, judge: impl Fn(&Info) -> Judged) -> Check {
    let what = format!("stream {stream}");
    let context = async_nats::jetstream::new(client.clone());
    let found = context.get_stream(stream).await;
    let Ok(found) = found else {
        let answer = ask(client, &format!("$JS.API.STREAM.INFO.{stream}"), "").await;
        let found = match answer.map(|answer| refused(&answer)) {
            Ok(Some((code, why))) => not_told(code == STREAM_NOT_FOUND, why),
            // It was made, or had a leader again, between the two questions.
            Ok(None) => Found::Unseen("it was not told of at once: look again".to_owned()),
            Err(why) => Found::Wrong(why),
        };
        return Check::of(what, found);
    };
    let info = found.cached_info();
    let (config, state) = (&info.config, &info.state);
    let Judged { wrong, mut poor } = judge(info);
    if config.num_replicas < 3 {
        poor.push("with fewer than 3 copies it is away with its server".to_owned());
    }
    let told = format!(
        "{} messages, {} bytes, {} copies, {} consumers",
        state.messages, state.bytes, config.num_replicas, state.consumer_count
    );
    let found = if !wrong.is_empty() {
        Found::Wrong(format!("{told}: {}", wrong.join("; ")))
    } else if !poor.is_empty() {
        Found::Poor(format!("{told}: {}", poor.join("; ")))
    } else {
        Found::Fine(told)
    };
    Check::of(what, found)
}

/// The servers' clock, by the time in an answer about a stream.
async fn examine_clock(client: &Client, stream: &str, environment: &Environment) -> Check {
    let what = "clock";
    let answer = ask(client, &format!("$JS.API.STREAM.INFO.{stream}"), "").await;
    let now_us = environment.now_us();
    let told = answer.ok().and_then(|answer| time_in(&answer, "/ts"));
    Check::of(what, told.map_or_else(
        || Found::Unseen("the servers did not tell their time: compare it with chronyc tracking on each machine".to_owned()),
        |theirs| clock(theirs, now_us),
    ))
}

/// A server's clock beside ours.
pub(super) fn clock(theirs: Timestamp, now_us: i64) -> Found {
    let skew_ms = theirs.micros().abs_diff(now_us) / 1_000;
    let told = format!("{skew_ms} ms between a server and this machine");
    if skew_ms > SKEW_MS_MAX {
        Found::Wrong(format!("{told}: have all machines keep the time by NTP"))
    } else {
        Found::Fine(told)
    }
}

pub(super) fn time_in(answer: &Value, pointer: &str) -> Option<Timestamp> {
    answer.pointer(pointer)?.as_str()?.parse().ok()
}

/// Whether a block could be published: one that can have no place in the stream is.
async fn may_write(client: &Client, log: &JetStreamOptions) -> Check {
    let subject = log.subject();
    let what = format!("permissions: {subject}");
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", u64::MAX.to_string().as_str());
    let request = Request::new().headers(headers).timeout(Some(ANSWER_WAIT));
    let answer = client.send_request(subject.clone(), request).await;
    let refusal = answer
        .ok()
        .and_then(|answer| serde_json::from_slice::<Value>(&answer.payload).ok())
        .and_then(|answer| refused(&answer));
    let found = match refusal {
        // The wrong last sequence: it came to the stream, and is not in it.
        Some((10_071, _)) => Found::Fine("blocks can be published".to_owned()),
        Some((_, why)) => Found::Wrong(why),
        None => Found::Wrong(format!(
            "nobody answers: if there is a stream (see below), see that a majority of its servers is up, and allow the \
             user to publish to {subject}; if there is none, have it made (airpost cluster join)"
        )),
    };
    Check::of(what, found)
}

/// Whether servers ask nobody who he is: then whoever reaches one may write to the log, which takes
/// nothing any more behind what is no block of it.
fn may_anybody_write(client: &Client, log: &JetStreamOptions) -> Check {
    let subject = log.subject();
    let found = if client.server_info().auth_required {
        Found::Unseen(format!(
            "the servers ask who somebody is: see in their configuration that none but the nodes may publish there, \
             or in $JS.API.STREAM.*.{}",
            log.stream
        ))
    } else {
        Found::Poor(format!(
            "the server lets everybody in, and anything that somebody publishes there is the end of the log: give \
             the nodes an account or a user of their own, and let no other publish to {subject} (api/nats has a \
             configuration for that)"
        ))
    };
    Check::of(format!("who else may publish to {subject}"), found)
}

/// Whether nodes can tell each other how far they are.
async fn examine_heads(client: &Client, stream: &str) -> Check {
    let all = format!("airpost.heads.{stream}.>");
    let heard = hears_itself(client, format!("airpost.heads.{stream}.doctor")).await;
    let found = if heard {
        Found::Fine("nodes hear of each other".to_owned())
    } else {
        Found::Wrong(format!(
            "nodes do not hear of each other: allow to publish and subscribe to {all}"
        ))
    };
    Check::of(format!("permissions: {all}"), found)
}
