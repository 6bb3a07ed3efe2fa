//! Watches over the thread that feeds the views: how old what they show is,
//! whether the thread moves at all, and whether writes are to wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eventstore::{EventStore, Position};
use tokio::time::{Interval, MissedTickBehavior};

use crate::runner::Runner;
use crate::shared::{ReaderState, Shared};
use crate::thread::Thread;
use crate::view_set::ViewSet;

// What it makes of what it sees.
mod judgement;

use judgement::{Heads, Holding, Pulse, Seen};

/// How often is looked.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// The thread that feeds the views, whichever it is by now.
pub(crate) type CurrentRunner = Arc<Mutex<Option<Runner>>>;

/// The running watch. It ends when it is told to by [`Shared::stop`].
#[derive(Debug)]
pub(crate) struct Watch {
    thread: Thread,
}

struct Watcher {
    shared: Arc<Shared>,
    log: Arc<dyn EventStore>,
    runner: CurrentRunner,
    tick: Duration,
    now: u64,
    heads: Heads,
    pulse: Pulse,
    holding: Holding,
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
            heads: Heads::default(),
            pulse: Pulse::default(),
            holding: Holding::default(),
        };
        let thread = Thread::start("views-watch", move || runtime.block_on(watcher.run()))?;
        Ok(Self { thread })
    }

    /// Waits until it has ended, which it does once it was told to; no longer
    /// than this. `false` if it is left to itself.
    pub(crate) fn join_within(self, limit: Duration) -> bool {
        self.thread.join_within(limit)
    }
}

impl Watcher {
    async fn run(&mut self) {
        let mut control = self.shared.control();
        let mut ticks = ticks(self.tick);
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
        let (head, set) = (*self.log.head().borrow(), self.shared.set());
        let fed = set.fed();
        self.note_lags(&set, head);
        let age_looks = self.heads.age(self.now, fed);
        self.shared.set_lag(self.duration(age_looks));
        let hold = self.holding.judge(Seen {
            head,
            worked: worked(&set).unwrap_or(fed),
            has_caught_up: fed >= self.shared.floor(),
            age_looks,
        });
        self.shared.hold_writes(hold);
        let has_work = fed < head && self.shared.state() == ReaderState::Following;
        if self.pulse.has_stalled(self.shared.beats(), has_work) {
            self.restart();
        }
    }

    /// Notes where the log ends, and how old each view is.
    fn note_lags(&mut self, set: &ViewSet, head: Position) {
        let views = set.views();
        let reached = views.iter().map(|view| view.position()).min();
        self.heads.note(self.now, head, reached.unwrap_or(head));
        let ages = views.iter().map(|view| {
            let age = self.heads.age(self.now, view.position());
            (view.name(), self.duration(age))
        });
        self.shared.set_lags(ages.collect());
    }

    fn duration(&self, looks: u64) -> Duration {
        self.tick
            .saturating_mul(u32::try_from(looks).unwrap_or(u32::MAX))
    }

    /// Gives up the thread with the store that holds it up, and lets another
    /// one begin with a new store. Should the old thread ever come back, it ends.
    fn restart(&self) {
        tracing::error!("the views have not moved for long: what they are stored in hangs");
        self.shared.give_up_runner();
        let begun = if self.shared.may_begin_anew() {
            Runner::begin_anew(Arc::clone(&self.shared), Arc::clone(&self.log))
                .map_err(|error| error.to_string())
        } else {
            Err("the store of the views hung again and again".to_owned())
        };
        match begun {
            Ok(new) => {
                let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
                *runner = Some(new);
            }
            Err(why) => {
                tracing::error!(why, "the views are given up: check the disk and restart");
                self.shared.fail(why);
            }
        }
    }
}

/// Where the process stood still the views could not move either: looks that
/// were missed are not made up for, or they would be taken for a sign that the
/// views hang.
fn ticks(tick: Duration) -> Interval {
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// The record up to which all is done for the farthest behind of those views
/// that do not stand still; nothing where all do.
fn worked(set: &ViewSet) -> Option<Position> {
    let views = set.views().into_iter();
    let moving = views.filter(|view| view.halt().is_none());
    moving.map(|view| view.worked_to()).min()
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    fn runtime() -> tokio::runtime::Runtime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    }

    /// Returns once so many ticks are over by the clock of another thread.
    fn stand_still_for(ticks: u32) {
        let passing = move || {
            runtime().block_on(async {
                let mut interval = tokio::time::interval(TICK);
                for _ in 0..ticks {
                    interval.tick().await;
                }
            });
        };
        std::thread::spawn(passing).join().unwrap();
    }

    #[test]
    fn a_watch_that_stood_still_does_not_make_up_for_its_looks() {
        runtime().block_on(async {
            let mut ticks = ticks(TICK);
            ticks.tick().await;
            stand_still_for(200);
            let mut context = Context::from_waker(Waker::noop());
            let mut looks = 0;
            while ticks.poll_tick(&mut context).is_ready() {
                looks += 1;
            }
            assert!(looks < 20, "{looks} looks at once");
        });
    }
}
