//! Watches over the thread that feeds the views: how old what they show is,
//! and whether the thread moves at all.
//!
//! Time is counted in ticks: nothing that is stored or answered depends on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use eventstore::{EventStore, Position};
use tokio::time::MissedTickBehavior;

use crate::runner::Runner;
use crate::shared::{ReaderState, Shared};

/// How often is looked.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Ticks after which a thread that has something to do and does not move is
/// given up: 10 s.
const STALLED_TICKS: u64 = 40;

/// The thread that feeds the views, whichever it is by now.
pub(crate) type CurrentRunner = Arc<Mutex<Option<Runner>>>;

/// The running watch. It ends when it is told to by [`Shared::stop`].
#[derive(Debug)]
pub(crate) struct Watch {
    thread: JoinHandle<()>,
}

struct Watcher {
    shared: Arc<Shared>,
    log: Arc<dyn EventStore>,
    runner: CurrentRunner,
    tick: Duration,
    now: u64,
    /// Where the log ended at which tick; only what the views have not reached.
    heads: VecDeque<(u64, Position)>,
    beats: u64,
    beaten_at: u64,
}

impl Watch {
    /// Starts it.
    pub(crate) fn start(
        shared: Arc<Shared>,
        log: Arc<dyn EventStore>,
        runner: CurrentRunner,
        tick: Duration,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let mut watcher = Watcher {
            shared,
            log,
            runner,
            tick,
            now: 0,
            heads: VecDeque::new(),
            beats: 0,
            beaten_at: 0,
        };
        let thread = Builder::new()
            .name("views-watch".to_owned())
            .spawn(move || runtime.block_on(watcher.run()))?;
        Ok(Self { thread })
    }

    /// Waits until it has ended, which it does once it was told to.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that watches over the views panicked");
        }
    }
}

impl Watcher {
    async fn run(&mut self) {
        let mut control = self.shared.control();
        let mut ticks = tokio::time::interval(self.tick);
        // Every tick stands for its time, also the ones that came late.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tokio::select! {
                stopped = control.wait_for(|control| control.stop) => {
                    // An error means that nobody can say so any more, which is the same.
                    drop(stopped);
                    return;
                }
                _ = ticks.tick() => self.look(),
            }
        }
    }

    fn look(&mut self) {
        self.now += 1;
        let (head, fed) = (*self.log.head().borrow(), self.shared.fed());
        if self.heads.back().is_none_or(|(_, last)| *last < head) {
            self.heads.push_back((self.now, head));
        }
        while self.heads.front().is_some_and(|(_, head)| *head <= fed) {
            self.heads.pop_front();
        }
        let behind = self.heads.front().map_or(0, |(since, _)| self.now - since);
        let ticks = u32::try_from(behind).unwrap_or(u32::MAX);
        self.shared.set_lag(self.tick.saturating_mul(ticks));
        let beats = self.shared.beats();
        if beats != self.beats || head <= fed {
            (self.beats, self.beaten_at) = (beats, self.now);
        }
        let follows = self.shared.state() == ReaderState::Following;
        if follows && self.now - self.beaten_at >= STALLED_TICKS {
            self.restart(head);
            self.beaten_at = self.now;
        }
    }

    /// Gives up the thread with the store that holds it up, and begins with a
    /// new one. Should the old thread ever come back, it ends.
    fn restart(&self, head: Position) {
        tracing::error!("the views have not moved for long: what they are stored in hangs");
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.shared.abandon(head).and_then(|()| {
            Runner::start_again(Arc::clone(&self.shared), Arc::clone(&self.log))
                .map_err(|error| error.to_string())
        });
        match begun {
            Ok(new) => *runner = Some(new),
            Err(why) => {
                tracing::error!(why, "the views are given up: restart");
                self.shared.set_state(ReaderState::Failed(why));
            }
        }
    }
}
