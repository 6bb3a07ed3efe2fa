//! Waiting for a condition within a limit: the only way in which a scenario waits.

use std::time::Duration;

/// How long to leave the machine alone between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks `look` again and again until it finds what the scenario waits for, and gives that back.
///
/// # Panics
/// After `limit`, naming `what` was awaited.
pub async fn poll_until<T, Look>(limit: Duration, what: &str, mut look: impl FnMut() -> Look) -> T
where
    Look: Future<Output = Option<T>>,
{
    let found = tokio::time::timeout(limit, async {
        let mut pause = tokio::time::interval(PAUSE);
        loop {
            pause.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("waited {limit:?} in vain for {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_condition_is_asked_until_it_holds() {
        let mut left = 3;
        let look = || {
            left -= 1;
            std::future::ready((left == 0).then_some("found"))
        };
        assert_eq!(
            poll_until(Duration::from_secs(10), "three looks", look).await,
            "found"
        );
    }

    #[tokio::test]
    #[should_panic(expected = "waited 20ms in vain for godot")]
    async fn waiting_in_vain_ends_and_says_for_what() {
        poll_until(Duration::from_millis(20), "godot", || {
            std::future::ready(None::<()>)
        })
        .await;
    }
}
