//! Callers who write at the same time until the process is killed.

use std::path::Path;
use std::task::Poll;

use eventstore::{
    AppendError, Appended, Budget, EventStore, Filter, Journal, Outcome, Position, Record,
};
use tests::{Caller, Load, Sent, Shown};

use crate::told::Told;

/// Opens the folder and writes on where its log ends. Of every caller the
/// last commit that is there is sent once more: it must be known.
pub(crate) fn write(data: &Path, load: Load, callers: u16, told: &Told) -> Result<(), String> {
    let journal = crate::open(data, load).map_err(|error| error.to_string())?;
    let shown = Shown::of(load, &everything(&journal)?)?;
    told.say("opened");
    let callers = (0..callers).map(|caller| {
        let mut commits = Caller::new(load, caller);
        for _ in 1..shown.last_of(caller) {
            let _sent_before = commits.next_commit();
        }
        write_on(&journal, commits, None, told)
    });
    at_once(callers.collect())?;
    journal.close();
    Ok(())
}

/// Every record of the log.
pub(crate) fn everything(journal: &Journal) -> Result<Vec<Record>, String> {
    let (mut records, mut after) = (Vec::new(), Position::START);
    loop {
        let page = journal
            .read_all(after, &Filter::everything(), Budget::PAGE)
            .map_err(|error| error.to_string())?;
        records.extend(page.records);
        after = page.scanned_to;
        if after == page.head {
            return Ok(records);
        }
    }
}

/// Runs all to their end, on this one thread; whether all were answered well.
pub(crate) fn at_once<F: Future<Output = bool>>(callers: Vec<F>) -> Result<bool, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| error.to_string())?;
    let mut callers: Vec<_> = callers.into_iter().map(Box::pin).collect();
    let mut all_well = true;
    runtime.block_on(std::future::poll_fn(|context| {
        callers.retain_mut(|caller| match caller.as_mut().poll(context) {
            Poll::Ready(well) => {
                all_well &= well;
                false
            }
            Poll::Pending => true,
        });
        if callers.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    Ok(all_well)
}

/// Times that a refused commit is sent once more: it must not be acknowledged
/// by a journal that cannot know.
const TRIES_MORE: u32 = 3;

/// One caller: sends a commit, says what came of it, and then sends the next,
/// so many of them or until one is refused; whether none was.
pub(crate) async fn write_on(
    journal: &Journal,
    mut commits: Caller,
    count: Option<u32>,
    told: &Told,
) -> bool {
    let mut left = count.unwrap_or(u32::MAX);
    while left > 0 {
        left -= 1;
        let (sent, commit) = commits.next_commit();
        let mut answer = journal.append(commit.clone()).await;
        told.say(&in_words(sent, &answer));
        for _ in 0..TRIES_MORE {
            if answer.is_ok() {
                break;
            }
            answer = journal.append(commit.clone()).await;
            told.say(&in_words(sent, &answer));
        }
        if answer.is_err() {
            return false;
        }
    }
    true
}

fn in_words(sent: Sent, answer: &Result<Appended, AppendError>) -> String {
    let Sent { caller, number } = sent;
    match answer {
        Ok(appended) => {
            let first = appended.parts.first().map_or(0, |part| part.position.get());
            let last = appended.position().get();
            let word = match appended.outcome {
                Outcome::Committed => "committed",
                Outcome::Duplicate => "duplicate",
            };
            format!("ack {caller} {number} {first} {last} {word}")
        }
        Err(error) => format!("refused {caller} {number} {error:?}"),
    }
}
