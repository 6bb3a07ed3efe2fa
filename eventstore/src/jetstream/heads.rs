//! How far each node is: told whenever one has written, asked when one opens,
//! and answered from before a node looks for its own end in the stream.
//! Nothing is believed of it but that it is worth looking, or worth waiting.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::error::ClusterError;
use super::figures::ClusterFigures;
use super::link::{LOOK_AGAIN, Link};
use super::options::JetStreamOptions;
use crate::journal::block::Chain;
use crate::position::Position;

/// How long it takes at least from one telling that this node has written to the
/// next: one that writes a thousand small blocks a second would have the servers
/// hand as many messages to every node, which reads several blocks at once.
const TELL_AGAIN: Duration = Duration::from_millis(2);

/// Where a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) position: Position,
    pub(super) chain: Chain,
}

/// A head on its way.
#[derive(Debug, Serialize, Deserialize)]
struct HeadMessage {
    /// Whose it is, drawn when it was opened: one that answers twice is one node.
    node: String,
    position: u64,
    chain: Chain,
}

impl HeadMessage {
    fn encode(node: &str, head: Head) -> Option<Vec<u8>> {
        let message = Self {
            node: node.to_owned(),
            position: head.position.get(),
            chain: head.chain,
        };
        serde_json::to_vec(&message).ok()
    }
}

/// This node's head, for the others.
pub(super) struct Heads {
    node: Arc<str>,
    own: Arc<Mutex<Head>>,
    /// Where this node's own last block ends, to be told.
    written: watch::Sender<Head>,
    written_subject: String,
    ask_subject: String,
    figures: Arc<ClusterFigures>,
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = *self.own.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Heads({own:?})")
    }
}

impl Heads {
    /// Answers, from now on, whoever asks how far this node is.
    pub(super) fn new(cluster: &Cluster<'_>, own: Head) -> Self {
        let (link, options) = (&cluster.link, cluster.options);
        let (written, to_tell) = watch::channel(own);
        let heads = Self {
            node: link.client.new_inbox().into(),
            own: Arc::new(Mutex::new(own)),
            written,
            written_subject: options.written_subject(),
            ask_subject: options.ask_subject(),
            figures: Arc::clone(&cluster.figures),
        };
        let (client, own) = (link.client.clone(), Arc::clone(&heads.own));
        let (node, subject) = (Arc::clone(&heads.node), heads.ask_subject.clone());
        link.spawn(async move {
            if let Some(asked) = subscribe(&client, subject).await {
                answer_all(client, asked, (&node, &own)).await;
            }
        });
        let (client, node) = (link.client.clone(), Arc::clone(&heads.node));
        let subject = heads.written_subject.clone();
        link.spawn(tell_all(client, subject, node, to_tell));
        heads
    }

    pub(super) fn set(&self, head: Head) {
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }

    /// Calls `wake` whenever a node says that it has written what this one has not.
    pub(super) fn listen(&self, link: &Link, wake: Box<dyn Fn() + Send + Sync>) {
        let (client, subject) = (link.client.clone(), self.written_subject.clone());
        let (own, figures) = (Arc::clone(&self.own), Arc::clone(&self.figures));
        link.spawn(async move {
            let Some(mut told) = subscribe(&client, subject).await else {
                return;
            };
            while let Some(message) = told.next().await {
                let Ok(told) = serde_json::from_slice::<HeadMessage>(&message.payload) else {
                    continue;
                };
                let told = Position::new(told.position);
                figures.heard_of(told);
                // A node hears of its own blocks, too.
                if told > own.lock().unwrap_or_else(PoisonError::into_inner).position {
                    wake();
                }
            }
        });
    }

    /// Has the others told soon that this node has written, up to its head.
    pub(super) fn tell_written(&self) {
        let own = *self.own.lock().unwrap_or_else(PoisonError::into_inner);
        self.written.send_replace(own);
    }
}

/// Tells what this node has written last, until it is gone.
async fn tell_all(
    client: Client,
    subject: String,
    node: Arc<str>,
    mut written: watch::Receiver<Head>,
) {
    while written.changed().await.is_ok() {
        let head = *written.borrow_and_update();
        // A node that does not hear of it looks by itself.
        if let Some(message) = HeadMessage::encode(&node, head) {
            drop(client.publish(subject.clone(), message.into()).await);
        }
        tokio::time::sleep(TELL_AGAIN).await;
    }
}

async fn subscribe(client: &Client, subject: String) -> Option<Subscriber> {
    let subscribed = client.subscribe(subject).await;
    if let Err(error) = &subscribed {
        tracing::warn!(%error, "the other nodes are not heard, and are looked for instead");
    }
    subscribed.ok()
}

async fn answer_all(client: Client, mut asked: Subscriber, (node, own): (&str, &Mutex<Head>)) {
    while let Some(question) = asked.next().await {
        let Some(to) = question.reply else {
            continue;
        };
        let own = *own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(message) = HeadMessage::encode(node, own) {
            drop(client.publish(to, message.into()).await);
        }
    }
}

/// The heads of all nodes that answer in time. That nobody listens at this
/// moment says nothing: nodes that start together are asked again and again.
///
/// # Errors
/// `Denied` if the servers let this node not ask, or not answer: nobody's silence
/// says anything then.
pub(super) fn ask(link: &Link, options: &JetStreamOptions) -> Result<Vec<Head>, ClusterError> {
    let (client, subject) = (link.client.clone(), options.ask_subject());
    let wait = options.heads_wait;
    let heads = link
        .run(async move { gather(&client, subject, wait).await })
        .and_then(|heads| heads)
        .map_err(|why| link.unanswered(why))?;
    link.denied().map_or(Ok(heads), Err)
}

async fn gather(client: &Client, subject: String, wait: Duration) -> Result<Vec<Head>, String> {
    let inbox = client.new_inbox();
    let answers = client.subscribe(inbox.clone()).await;
    let mut answers = answers.map_err(|error| error.to_string())?;
    let mut heads = BTreeMap::new();
    let gathering = async {
        loop {
            let (to, reply) = (subject.clone(), inbox.clone());
            let asked = client.publish_with_reply(to, reply, Vec::new().into());
            asked.await.map_err(|error| error.to_string())?;
            drop(tokio::time::timeout(LOOK_AGAIN, hear(&mut answers, &mut heads)).await);
        }
    };
    // Whoever has not answered by then is not there.
    match tokio::time::timeout(wait, gathering).await {
        Ok(failed) => failed,
        Err(_) => Ok(heads.into_values().collect()),
    }
}

/// Notes what each node answers last, for as long as it is waited for.
async fn hear(answers: &mut Subscriber, heads: &mut BTreeMap<String, Head>) {
    while let Some(answer) = answers.next().await {
        // What the server says when nobody listens is no head either.
        if let Ok(told) = serde_json::from_slice::<HeadMessage>(&answer.payload) {
            let head = Head {
                position: Position::new(told.position),
                chain: told.chain,
            };
            heads.insert(told.node, head);
        }
    }
    std::future::pending::<()>().await;
}
