//! How many deliveries of one user may be under way at once.

use std::array;

use domain::id::UserId;
use tokio::sync::{Mutex, MutexGuard};

use crate::http::Api;
use crate::http::answer::unanswered;
use crate::http::problem::Problem;

/// How many users' bookings may be taken at the same moment.
const TURNS: usize = 256;

/// The limit, and whose turn it is.
///
/// A booking is counted by whatever booking of the same user comes after it: they are taken one
/// after the other, and the count is that of the log's head. What is not promised: a client who
/// hangs up before the answer gives up the turn, so that a booking then in its commit may be
/// counted late.
#[derive(Debug)]
pub(in crate::http) struct Quota {
    max: Option<u32>,
    /// Users share them by their ids, so that there is a bounded number.
    turns: [Mutex<()>; TURNS],
}

/// A user's turn to book, for as long as it is held.
pub(super) struct Turn<'q> {
    /// The user has as many deliveries under way as they may.
    pub(super) is_used_up: bool,
    _turn: Option<MutexGuard<'q, ()>>,
}

impl Quota {
    /// At most so many; any number without a limit.
    pub(in crate::http) fn new(max: Option<u32>) -> Self {
        Self {
            max,
            turns: array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Waits for the user's turn to book, and counts. Without a limit nobody waits.
    ///
    /// # Errors
    /// If the count cannot be had now.
    pub(super) async fn turn(&self, api: &Api, user: UserId) -> Result<Turn<'_>, Problem> {
        let Some(max) = self.max else {
            return Ok(Turn {
                is_used_up: false,
                _turn: None,
            });
        };
        // Ids are random at their end, or hashes.
        let [.., last] = *user.uuid().as_bytes();
        let turn = self.turns.get(usize::from(last));
        let turn = turn.expect("there is one for every byte").lock().await;
        let row = api.views.user(user).await;
        let row = row.map_err(|error| unanswered(&error))?;
        let live = row.map_or(0, |row| row.live_deliveries);
        Ok(Turn {
            is_used_up: live >= u64::from(max),
            _turn: Some(turn),
        })
    }
}
