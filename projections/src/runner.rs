//! The thread that follows the log and feeds the views.
//!
//! It is one OS thread, because the engine must have one writer and because
//! feeding is not work for an async executor. It waits for the head of the log
//! on a runtime of its own that has no sockets.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use eventstore::{EventStore, Position, ReadError};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::Interval;

use crate::feeding::FeedError;
use crate::shared::{Control, ReaderState, Shared};
use crate::thread::Thread;
use crate::view_set::ViewSet;
use crate::view_store::{ViewStoreError, panic_words};

// How the views come back.
mod reopening;

/// After how long a log that could not be read is read again. The head may
/// never move meanwhile: a service that is not ready is sent no writes.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Entries that are checked at a time: one or two milliseconds.
const CHECKED_AT_ONCE: usize = 1_000;

/// The pause after that: checking takes some fifth of the thread's time.
const CHECK_PAUSE: Duration = Duration::from_millis(5);

/// The pause after each step of a rebuild while something is appended: as
/// long as the step takes, so that half of a processor is left to the log's writer
/// and whoever asks, on a machine with few of them. Shorter in tests, whose logs
/// grow as fast as they are read.
const BUILD_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 20 });

/// The pause between two audits of a delivery, each of which takes a fraction
/// of a millisecond: a million deliveries in a day.
const AUDIT_PAUSE: Duration = Duration::from_millis(100);

/// The same while something is appended.
const AUDIT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Pages after which a step of work beside is done although there are more to be
/// fed. Where steps hold feeding up the pages become larger, and the steps fewer.
const PAGES_PER_STEP: u32 = 4;

/// How far behind views that have never caught up are fed from afar: while
/// what was gathered is applied, nothing of them is shown.
const AFAR_POSITIONS: u64 = 10_000;

/// The running thread. It ends when it is told to by [`Shared::stop`].
#[derive(Debug)]
pub(crate) struct Runner {
    thread: Thread,
}

/// What it does before it follows the log.
enum Beginning {
    /// It opens the views, and then drops this.
    Open(SyncSender<()>),
    /// It sets aside views that hang, and begins new ones.
    Anew,
}

/// Why following the log ended for now.
enum Pause {
    /// Whoever owns the views wants to stop.
    Stopped,
    /// The views are damaged.
    Damaged(ViewStoreError),
    /// Nothing is wrong with the views, but their disk takes no writes.
    NoRoom(ViewStoreError),
    /// The log cannot be read right now, or at all.
    LogFailed(ReadError),
    /// The log leaves something out.
    Hole(FeedError),
}

/// Why a wait has ended.
enum Woken {
    /// There is something to follow, or something is wanted.
    Moved,
    /// Work beside that may go on.
    ByPace,
    /// Nobody can want anything any more.
    Gone,
}

impl From<FeedError> for Pause {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Views(error) => error.into(),
            FeedError::Log(error) => Self::LogFailed(error),
            FeedError::Hole { .. } => Self::Hole(error),
        }
    }
}

impl From<ViewStoreError> for Pause {
    fn from(error: ViewStoreError) -> Self {
        match error {
            ViewStoreError::NoRoom { .. } => Self::NoRoom(error),
            ViewStoreError::Engine { .. }
            | ViewStoreError::InUse { .. }
            | ViewStoreError::Panicked { .. }
            | ViewStoreError::Stalled
            | ViewStoreError::Unreadable { .. } => Self::Damaged(error),
        }
    }
}

struct Follower {
    shared: Arc<Shared>,
    log: Arc<dyn EventStore>,
    runtime: Runtime,
    beginning: Option<Beginning>,
    /// Its number. One that is not the current one was given up.
    number: u64,
    /// Up to where views that have much to catch up with are being fed from afar.
    from_afar: Option<Position>,
    /// Ticks when work beside following the log may go on.
    pace: Interval,
    /// Pages that were fed since the last such work.
    pages: u32,
    head: watch::Receiver<Position>,
    control: watch::Receiver<Control>,
}

impl Runner {
    /// Starts it. It opens the views first, and tells when that is decided.
    pub(crate) fn start(
        shared: Arc<Shared>,
        log: Arc<dyn EventStore>,
    ) -> std::io::Result<(Self, Receiver<()>)> {
        let (opened, is_opened) = sync_channel(1);
        let runner = Self::spawn(shared, log, Beginning::Open(opened))?;
        Ok((runner, is_opened))
    }

    /// Starts it in place of one that was given up with its views, which hang.
    /// It is the one that waits should they hang once more.
    pub(crate) fn begin_anew(
        shared: Arc<Shared>,
        log: Arc<dyn EventStore>,
    ) -> std::io::Result<Self> {
        Self::spawn(shared, log, Beginning::Anew)
    }

    fn spawn(
        shared: Arc<Shared>,
        log: Arc<dyn EventStore>,
        beginning: Beginning,
    ) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let pace = {
            let _timers = runtime.enter();
            tokio::time::interval(BUILD_PAUSE)
        };
        let mut follower = Follower {
            head: log.head(),
            control: shared.control(),
            number: shared.runner(),
            shared,
            log,
            runtime,
            beginning: Some(beginning),
            from_afar: None,
            pace,
            pages: 0,
        };
        let thread = Thread::start("views", move || follower.run_to_the_end())?;
        Ok(Self { thread })
    }

    /// Waits until it has ended, which it does once it was told to unless what
    /// the views are stored in hangs; no longer than this. `false` if it is
    /// left to itself.
    pub(crate) fn join_within(self, limit: Duration) -> bool {
        self.thread.join_within(limit)
    }
}

impl Follower {
    /// Whatever happens, whoever waits for the views is told that it is over.
    fn run_to_the_end(&mut self) {
        let ended = catch_unwind(AssertUnwindSafe(|| self.run()));
        if !self.is_current() {
            tracing::warn!("a thread that fed the views and was given up has come back: it ends");
            return;
        }
        if let Err(panic) = ended {
            let why = format!("feeding the views panicked: {}", panic_words(&*panic));
            tracing::error!(why, "the views do not follow the log any more: restart");
            self.shared.set_state(ReaderState::Failed(why));
        }
        self.shared.end_following();
    }

    /// Whether it is the thread that feeds the views.
    fn is_current(&self) -> bool {
        self.shared.runner() == self.number
    }

    fn run(&mut self) {
        if !self.begin() {
            return;
        }
        loop {
            let pause = self.follow();
            if !self.is_current() {
                break;
            }
            match pause {
                Pause::Stopped => break,
                Pause::Damaged(error) => {
                    if !self.rebuild(error) {
                        break;
                    }
                }
                Pause::NoRoom(error) => {
                    if !self.wait_for_room(&error) {
                        break;
                    }
                }
                Pause::LogFailed(error) => {
                    self.note_unread(&error);
                    if !self.wait_at_most(READ_AGAIN_AFTER) {
                        break;
                    }
                }
                Pause::Hole(error) => {
                    self.shared
                        .set_state(ReaderState::Failed(error.to_string()));
                    tracing::error!(%error, "the views do not follow the log any more");
                    break;
                }
            }
        }
    }

    /// Checks views that may be anything, for all that is known. Meanwhile nothing of
    /// them is shown: what is asked for by its name is folded from the log.
    fn check_before_showing(&self, set: &ViewSet) -> Result<(), ViewStoreError> {
        if set.is_shown() {
            return Ok(());
        }
        tracing::info!("the machine may have stopped with the views open: they are checked");
        while !set.is_checked() && !self.control.borrow().stop {
            set.check_on(CHECKED_AT_ONCE)?;
            self.shared.beat();
        }
        Ok(())
    }

    /// Feeds page after page, and waits at the head.
    ///
    /// It touches no other views than those it found at its beginning: a thread
    /// that comes back after it was given up does nothing to its successor's.
    fn follow(&mut self) -> Pause {
        self.from_afar = None;
        let Some(set) = self.shared.set_of(self.number) else {
            return Pause::Stopped;
        };
        if let Err(error) = self.check_before_showing(&set) {
            return error.into();
        }
        let mut is_marked = self.note_if_checked(&set);
        // Each is a beat: a thousand of them are no sign of a store that hangs.
        let goes_on = || {
            let is_current = self.is_current();
            if is_current {
                self.shared.beat();
            }
            is_current && !self.control.borrow().stop
        };
        if let Err(error) = set.retry_parked(&*self.log, &goes_on) {
            return error.into();
        }
        loop {
            let control = self.control.borrow_and_update().clone();
            if control.stop || !self.is_current() {
                return Pause::Stopped;
            }
            if let Some(error) = self.shared.damage() {
                return error.into();
            }
            match self.shared.begin_rebuilds(self.number, &set) {
                // Not after the pause between two audits.
                Ok(true) => self.pace.reset_immediately(),
                Ok(false) => {}
                Err(error) => return error.into(),
            }
            let head = *self.head.borrow_and_update();
            let fed = self.feed(&set, head);
            if !self.is_current() {
                return Pause::Stopped;
            }
            match fed {
                Ok(true) => {
                    self.pages += 1;
                    self.shared.publish();
                    // What is gathered is not gathered beside something else.
                    let is_due = self.pages >= PAGES_PER_STEP && self.from_afar.is_none();
                    if is_due
                        && self.has_paused()
                        && let Err(error) = self.step_beside(&set, &mut is_marked)
                    {
                        return error.into();
                    }
                }
                Ok(false) => {
                    // At once: the watch looks again only in a moment.
                    self.shared.note_following();
                    self.shared.publish();
                    match self.work_beside(&set, &mut is_marked) {
                        Ok(true) => {}
                        Ok(false) => return Pause::Stopped,
                        Err(error) => return error.into(),
                    }
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Feeds some of what the log has up to `head`. `false` if there is no more.
    fn feed(&mut self, set: &ViewSet, head: Position) -> Result<bool, FeedError> {
        let behind = head.get().saturating_sub(set.fed().get());
        if self.from_afar.is_none() && behind > AFAR_POSITIONS && set.fed() < self.shared.floor() {
            self.from_afar = Some(head);
        }
        if let Some(last) = self.from_afar {
            if set.feed_from_afar(&*self.log, last)? {
                return Ok(true);
            }
            // What was gathered is in the views: they can be fed in the other way.
            self.from_afar = None;
        }
        Ok(set.feed(&*self.log, |_| head)?.is_some())
    }

    /// Does some of what is to be done beside following the log, in its pauses,
    /// or waits until there is something to follow. `false` if nobody can want
    /// anything of it any more.
    fn work_beside(&mut self, set: &ViewSet, is_marked: &mut bool) -> Result<bool, FeedError> {
        match self.wait_for_pace() {
            Woken::Gone => return Ok(false),
            Woken::Moved => return Ok(true),
            Woken::ByPace if !self.is_current() => return Ok(false),
            Woken::ByPace => {}
        }
        self.step_beside(set, is_marked)?;
        Ok(true)
    }

    /// Does a step of what is to be done beside following the log.
    fn step_beside(&mut self, set: &ViewSet, is_marked: &mut bool) -> Result<(), FeedError> {
        let has_moved = std::mem::take(&mut self.pages) > 0;
        set.check_place()?;
        let pause = if !*is_marked {
            set.check_on(CHECKED_AT_ONCE)?;
            self.shared.beat();
            *is_marked = self.note_if_checked(set);
            CHECK_PAUSE
        } else if set.has_work() {
            self.shared.build_on(set, &*self.log)?;
            if has_moved {
                BUILD_PAUSE
            } else {
                Duration::ZERO
            }
        } else {
            self.shared.audit(set, &*self.log)?;
            if has_moved {
                AUDIT_PAUSE_MAX
            } else {
                AUDIT_PAUSE
            }
        };
        self.pace.reset_after(pause);
        Ok(())
    }

    /// Whether the pause after the last step beside following is over.
    fn has_paused(&mut self) -> bool {
        let pace = &mut self.pace;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = pace.tick() => true,
                // So that the runtime looks at its timers.
                () = tokio::task::yield_now() => false,
            }
        })
    }

    /// Waits until the head has moved, something is wanted of this thread, or
    /// work beside that may go on.
    fn wait_for_pace(&mut self) -> Woken {
        let (head, control, pace) = (&mut self.head, &mut self.control, &mut self.pace);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                told = control.changed() => match told {
                    Ok(()) => Woken::Moved,
                    Err(_) => Woken::Gone,
                },
                // Before the head, which may move all the time.
                _ = pace.tick() => Woken::ByPace,
                // A store that is closed has a head that never moves again.
                Ok(()) = head.changed() => Woken::Moved,
            }
        })
    }

    /// Notes that all entries are known to be in order, if they are.
    fn note_if_checked(&self, set: &ViewSet) -> bool {
        let is_checked = set.is_checked();
        if is_checked && self.is_current() {
            self.shared.mark_checked();
        }
        is_checked
    }

    /// Waits until the head has moved or something is wanted of this thread, but no
    /// longer than this. Not so once nobody can want anything any more.
    fn wait_at_most(&mut self, pause: Duration) -> bool {
        let (head, control) = (&mut self.head, &mut self.control);
        self.runtime.block_on(async {
            tokio::select! {
                // A store that is closed has a head that never moves again.
                Ok(()) = head.changed() => true,
                told = control.changed() => told.is_ok(),
                () = tokio::time::sleep(pause) => true,
            }
        })
    }

    /// Says why the log could not be read: once, and not with every further try.
    fn note_unread(&self, error: &ReadError) {
        let failed = ReaderState::Retrying(error.to_string());
        if self.shared.state() != failed {
            tracing::error!(
                %error,
                "the views do not follow the log: it cannot be read; it is tried again every second"
            );
            self.shared.set_state(failed);
        }
    }
}
