//! Rights to hear something that servers take away and give back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// How long it takes from one try to hear again to the next.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// How servers begin to say what a user must not do, in small letters.
pub(super) const DENIED: &str = "permissions violation";

/// How they go on where it is about hearing something.
const OF_HEARING: &str = "permissions violation for subscription";

/// What a connection hears on. Servers that take away the right to subscribe to something end what
/// was subscribed to, and leave the connection open: when they give the right back nothing is heard
/// all the same, answers neither, unless the connection is made anew. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hearing(Arc<Notify>);

impl Hearing {
    /// Notes what the servers say of this client, such as
    /// `Permissions Violation for Subscription to "_INBOX.x"`.
    pub fn reports(&self, words: &str) {
        if words.to_lowercase().starts_with(OF_HEARING) {
            self.0.notify_one();
        }
    }

    /// Has the connection made anew five seconds after they said such a thing, and again for as long
    /// as they do: every time it is connected they are asked for everything. Never ends.
    pub async fn mend<F: Future<Output = ()>>(self, reconnect: impl Fn() -> F) {
        loop {
            self.0.notified().await;
            tokio::time::sleep(TRY_AGAIN).await;
            reconnect().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_made_anew_for_what_is_no_more_heard_and_not_for_what_must_not_be_said()
    {
        let (hearing, times) = (Hearing::default(), AtomicU32::new(0));
        let mending = hearing.clone().mend(|| {
            times.fetch_add(1, Ordering::Relaxed);
            std::future::ready(())
        });
        for words in [
            "Permissions Violation for Publish to \"airpost.log.LOG\"",
            "Permissions Violation for Subscription to \"_INBOX.a\"",
            "Permissions Violation for Subscription to \"airpost.heads.LOG.ask\"",
        ] {
            hearing.reports(words);
        }
        drop(tokio::time::timeout(TRY_AGAIN * 3, mending).await);
        assert_eq!(times.load(Ordering::Relaxed), 1);
    }
}
