//! Somebody else who speaks with the NATS servers: who reads what goes out, sends what comes in,
//! and looks after streams. The home of the broker's client in the tests.

use std::time::Duration;

use async_nats::jetstream::{self, Context, consumer};
use async_nats::{Client, HeaderMap, Subscriber};
use eventstore::NatsAccess;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};

use crate::poll_until;

/// Far longer than a server that is up takes for anything here.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long an answer is waited for that may be denied, which nobody says.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// How many messages are sent, or asked for, at a time.
const STORED_AT_ONCE: usize = 512;

/// How many messages a consumer that discards them may have in hand.
const DRAINED_UNACKNOWLEDGED_MAX: i64 = 20_000;

/// A client of NATS servers. Clones share its connection.
#[derive(Clone, Debug)]
pub struct NatsClient {
    client: Client,
    jetstream: Context,
}

/// A message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The how-manieth of the stream it is, from 1.
    pub sequence: u64,
    /// What it was sent to.
    pub subject: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// What is sent to some subjects, as it comes.
#[derive(Debug)]
pub struct Subscription(Subscriber);

impl NatsClient {
    /// A client of the servers at these addresses, as nobody in particular.
    ///
    /// # Panics
    /// When they do not let it in within a minute.
    pub async fn connect(urls: &str) -> Self {
        let access = NatsAccess::new(urls);
        let look = || async { Self::connect_as(&access, "_INBOX").await.ok() };
        poll_until(PATIENCE, "the NATS server to let a client in", look).await
    }

    /// A client of these servers, as whom it says; answers to it come under that word, which is
    /// `_INBOX` where nobody minds.
    ///
    /// # Errors
    /// Why they do not let it in.
    pub async fn connect_as(access: &NatsAccess, inbox: &str) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let options = access.client_options().map_err(|error| text(&error))?;
        let options = options.request_timeout(Some(ANSWER_TIME_MAX));
        let options = options.custom_inbox_prefix(inbox);
        let addresses = access.addresses().map_err(|error| text(&error))?;
        let client = options.connect(addresses).await;
        let client = client.map_err(|error| text(&error))?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(ANSWER_TIME_MAX);
        Ok(Self { client, jetstream })
    }

    /// Asks whoever answers at a subject; the API of streams (`$JS.API.…`) among others.
    ///
    /// # Errors
    /// That nobody answers, in time or at all, or that it is denied.
    pub async fn ask(&self, subject: &str, payload: &Value) -> Result<Value, String> {
        let payload = payload.to_string().into_bytes().into();
        let answer = self.client.request(subject.to_owned(), payload).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&answer.payload).map_err(|e| e.to_string())?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => Err(error.to_string()),
        }
    }

    /// Makes a stream of these settings, as the API takes them.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn make_stream(&self, config: &Value) {
        let name = config.pointer("/name").and_then(Value::as_str);
        let name = name.expect("a stream has a name");
        let made = self
            .ask(&format!("$JS.API.STREAM.CREATE.{name}"), config)
            .await;
        made.unwrap_or_else(|error| panic!("{name} was not made: {error}"));
    }

    /// What the server says of a stream; `None` if it is not there.
    pub async fn stream(&self, name: &str) -> Option<Value> {
        let subject = format!("$JS.API.STREAM.INFO.{name}");
        self.ask(&subject, &json!({})).await.ok()
    }

    /// Removes all messages of a stream, or all but the last so many.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn purge(&self, name: &str, keep: u64) {
        let asked = if keep > 0 {
            json!({ "keep": keep })
        } else {
            json!({})
        };
        let purged = self
            .ask(&format!("$JS.API.STREAM.PURGE.{name}"), &asked)
            .await;
        purged.unwrap_or_else(|error| panic!("{name} was not purged: {error}"));
    }

    /// Removes one message of a stream.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn remove(&self, name: &str, sequence: u64) {
        let asked = json!({ "seq": sequence });
        let removed = self
            .ask(&format!("$JS.API.STREAM.MSG.DELETE.{name}"), &asked)
            .await;
        removed.unwrap_or_else(|error| panic!("message {sequence} of {name} stays: {error}"));
    }

    /// Removes a stream.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn remove_stream(&self, name: &str) {
        let removed = self
            .ask(&format!("$JS.API.STREAM.DELETE.{name}"), &json!({}))
            .await;
        removed.unwrap_or_else(|error| panic!("{name} stays: {error}"));
    }

    /// Has a message stored; in which place.
    ///
    /// # Errors
    /// That it was not, or that nobody said so in time.
    pub async fn store(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: impl Into<Vec<u8>>,
    ) -> Result<u64, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        let payload = payload.into().into();
        let sent = self
            .jetstream
            .publish_with_headers(subject.to_owned(), map, payload)
            .await;
        let stored = sent.map_err(|error| error.to_string())?.await;
        Ok(stored.map_err(|error| error.to_string())?.sequence)
    }

    /// All messages of a stream that are there now, oldest first.
    ///
    /// # Panics
    /// When the stream is not there or its messages do not come within a minute.
    pub async fn messages(&self, name: &str) -> Vec<Stored> {
        // Servers that have just lost one of them do not answer for some seconds.
        let look = || async { self.try_messages(name).await.ok() };
        poll_until(PATIENCE, "the messages of a stream", look).await
    }

    async fn try_messages(&self, name: &str) -> Result<Vec<Stored>, async_nats::Error> {
        let mut stream = self.jetstream.get_stream(name).await?;
        let state = stream.info().await?.state.clone();
        let mut messages = Vec::new();
        if state.messages == 0 {
            return Ok(messages);
        }
        let consumer = stream.create_consumer(consumer::pull::OrderedConfig::default());
        let mut coming = consumer.await?.messages().await?;
        while let Some(message) = coming.next().await {
            let message = message?;
            let sequence = message.info()?.stream_sequence;
            messages.push(Stored {
                sequence,
                subject: message.subject.to_string(),
                headers: texts(message.headers.as_ref()),
                payload: message.payload.to_vec(),
            });
            if sequence >= state.last_sequence {
                break;
            }
        }
        Ok(messages)
    }

    /// Has many messages stored, whose acknowledgements are waited for some at a time; the place of
    /// the last one.
    ///
    /// # Panics
    /// When the server does not take one.
    pub async fn store_all(&self, messages: impl Iterator<Item = (String, String)>) -> u64 {
        let sent = stream::iter(messages).map(async |(subject, content)| {
            let stored = self.jetstream.publish(subject, content.into()).await;
            let stored = stored.expect("the client is connected").await;
            stored.expect("the server takes it").sequence
        });
        let mut places = sent.buffered(STORED_AT_ONCE);
        let mut last = 0;
        while let Some(place) = places.next().await {
            last = last.max(place);
        }
        last
    }

    /// Is handed so many messages of a stream from a place on, and acknowledges and discards each.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn drain(&self, name: &str, first: u64, messages: usize) {
        let config = consumer::pull::Config {
            deliver_policy: consumer::DeliverPolicy::ByStartSequence {
                start_sequence: first,
            },
            max_ack_pending: DRAINED_UNACKNOWLEDGED_MAX,
            ..consumer::pull::Config::default()
        };
        let drained = async {
            let stream = self.jetstream.get_stream(name).await?;
            let consumer = stream.create_consumer(config).await?;
            let coming = consumer.stream().max_messages_per_batch(STORED_AT_ONCE);
            let mut coming = coming.messages().await?.take(messages);
            while let Some(message) = coming.next().await {
                message?.ack().await?;
            }
            self.client.flush().await?;
            Ok::<_, async_nats::Error>(())
        };
        drained
            .await
            .unwrap_or_else(|error| panic!("{name} is not handed out: {error}"));
    }

    /// Says something to whoever listens; nobody says whether that was allowed.
    ///
    /// # Panics
    /// When the connection is over.
    pub async fn say(&self, subject: &str, payload: impl Into<Vec<u8>>) {
        let payload = payload.into().into();
        let said = self.client.publish(subject.to_owned(), payload).await;
        said.expect("the client is connected");
        self.client.flush().await.expect("the client is connected");
    }

    /// The same, and has whoever answers that answer elsewhere.
    ///
    /// # Panics
    /// When the connection is over.
    pub async fn say_for(&self, subject: &str, answers: &str, payload: impl Into<Vec<u8>>) {
        let (subject, answers) = (subject.to_owned(), answers.to_owned());
        let said = self
            .client
            .publish_with_reply(subject, answers, payload.into().into());
        said.await.expect("the client is connected");
        self.client.flush().await.expect("the client is connected");
    }

    /// The next message of a durable consumer that somebody made, asked for by the API of streams
    /// under this prefix: its subject and what it carries. It is acknowledged.
    ///
    /// # Errors
    /// That none comes, or that it is denied.
    pub async fn take(
        &self,
        api: &str,
        stream: &str,
        consumer: &str,
    ) -> Result<(String, Vec<u8>), String> {
        let subject = format!("{api}.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let batch = json!({ "batch": 1, "expires": 1_000_000_000_u64 });
        let batch = batch.to_string().into_bytes().into();
        // It comes as what it is, and not as an answer: so by a subscription of its own.
        let inbox = self.client.new_inbox();
        let text = |error: &dyn std::error::Error| error.to_string();
        let coming = self.client.subscribe(inbox.clone()).await;
        let mut coming = coming.map_err(|error| text(&error))?;
        let asked = self.client.publish_with_reply(subject, inbox, batch).await;
        asked.map_err(|error| text(&error))?;
        let next = tokio::time::timeout(ANSWER_TIME_MAX, coming.next()).await;
        let next = next.map_err(|error| text(&error))?;
        let next = next.ok_or("the connection is over")?;
        if let Some(status) = next.status {
            return Err(format!("{status:?}"));
        }
        let reply = next.reply.as_ref().ok_or("it cannot be acknowledged")?;
        let said = self.client.request(reply.clone(), "+ACK".into()).await;
        said.map_err(|error| error.to_string())?;
        Ok((next.subject.to_string(), next.payload.to_vec()))
    }

    /// What is sent to these subjects once the server knows of it: when it has answered what is
    /// asked after this.
    ///
    /// # Panics
    /// When the connection is over.
    pub async fn subscribe(&self, subjects: &str) -> Subscription {
        let subscribed = self.client.subscribe(subjects.to_owned()).await;
        let subscribed = subscribed.expect("the client is connected");
        self.client.flush().await.expect("the client is connected");
        Subscription(subscribed)
    }
}

impl Subscription {
    /// The next message that has come already, if one has.
    ///
    /// # Panics
    /// When the connection is over.
    pub fn now(&mut self) -> Option<(String, Vec<u8>)> {
        let next = self.0.next().now_or_never()?;
        let next = next.expect("the client is connected");
        Some((next.subject.to_string(), next.payload.to_vec()))
    }

    /// The next message: its subject and what it carries.
    ///
    /// # Panics
    /// When none comes within a minute.
    pub async fn next(&mut self) -> (String, Vec<u8>) {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        let next = next
            .expect("a message comes")
            .expect("the client is connected");
        (next.subject.to_string(), next.payload.to_vec())
    }
}

impl Stored {
    /// A header's value, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// What it carries, as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).expect("it is JSON")
    }
}

fn texts(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let all = headers.into_iter().flat_map(HeaderMap::iter);
    all.flat_map(|(name, values)| {
        let name = name.to_string();
        values
            .iter()
            .map(move |value| (name.clone(), value.to_string()))
    })
    .collect()
}
