//! The disk fails under the program itself: calls that answer with an error, injected by `strace`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tests::{Chance, Client, Ledger, Load, Server, Traced, Workloads, note, poll_until, tally};

use crate::answers::Answers;
use crate::scene::{airpost, scratch, seeded, text, verify};

/// Failing calls that are tried.
const FAILURES: u64 = 24;

/// Each fails at most at this of its occurrences.
const OCCURRENCE_MAX: u64 = 25;

/// What is drawn from.
const CALLS: [&str; 3] = ["fdatasync", "fsync", "pwrite64"];
const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EROFS"];

/// How long a server may take to notice that there is room again: it looks every 5 s.
const ROOM_TIME_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_call_nothing_is_acknowledged_and_nothing_was_lost() {
    let (seed, mut chance) = seeded();
    let mut failed = 0;
    for _ in 0..FAILURES {
        failed += u64::from(fail_once(&mut chance).await);
    }
    assert!(failed * 2 > FAILURES, "hardly any call failed: {failed}");
    tally(&format!(
        "failing calls: {FAILURES} injected, {failed} refused an append; 0 acknowledged after a failed sync, 0 lost; AIRPOST_SEED={seed}"
    ));
}

/// Lets one call of a writing journal fail; whether that refused an append.
async fn fail_once(chance: &mut Chance) -> bool {
    let drawn = |from: &[&str; 3], chance: &mut Chance| {
        let at = usize::try_from(chance.below(3)).expect("a small number");
        from.get(at).copied().unwrap_or_default().to_owned()
    };
    let (call, error) = (drawn(&CALLS, chance), drawn(&ERRORS, chance));
    let when = 1 + chance.below(OCCURRENCE_MAX);
    let injection = format!("{call}:error={error}:when={when}");
    let traced = Traced {
        calls: call,
        injections: vec![injection.clone()],
        ..Traced::default()
    };
    let load = Load {
        seed: chance.bits(),
        payload_bytes_max: 8 * 1024,
    };
    let workloads = Workloads::new(env!("CARGO_BIN_EXE_journal-workload"), load);
    let folder = scratch();

    // One caller, so that what it says is in the order in which it happened.
    let mut writing = workloads.random(folder.path(), 1, Some(&traced));
    let _enough = writing.said_after(200).await;
    // It went on meanwhile: what counts is all that it said until it was gone.
    let said = writing.kill().await;

    let is_doubt = |line: &String| line.starts_with("refused") && line.contains("Indeterminate");
    let behind = said.iter().skip_while(|line| !is_doubt(line));
    let mut acknowledged = behind.filter(|line| line.starts_with("ack "));
    assert_eq!(acknowledged.next(), None, "{injection}: {said:?}");
    let mut ledger = Ledger::default();
    note(&said, said.len(), &mut ledger).unwrap_or_else(|why| panic!("{injection}: {why}"));
    let shown = match workloads.show(folder.path()).await {
        Ok(showing) => showing.close().await,
        Err(why) => Err(why),
    };
    let checked = shown.and_then(|shown| ledger.check(&shown));
    checked.unwrap_or_else(|why| panic!("{injection}, {load:?}: {why}; {said:?}"));
    said.iter()
        .any(|line| line.starts_with("refused") || line.starts_with("failed"))
}

/// A server over `data` whose calls on the first segment fail as told.
async fn serve_with_failing(data: &Path, injection: &str) -> Server {
    let (call, _) = injection.split_once(':').expect("a call comes first");
    let traced = Traced {
        calls: call.to_owned(),
        injections: vec![injection.to_owned()],
        files: vec![data.join("journal/00000000000000000001.seg")],
    };
    airpost().traced(&traced).serve(data).await
}

/// Registers somebody, and notes the answer if they are registered.
async fn register(client: &Client, chance: &mut Chance, answers: &Answers) -> u16 {
    let name = format!("user-{:016x}", chance.bits());
    let body = json!({"name": name, "email": format!("{name}@example.org")});
    let asked = answers.ask();
    let answer = client.post("/v1/users").json(&body).send().await;
    if answer.status() == 201 {
        answers.note(asked, &answer);
        let path = format!("/v1/users/{}", text(&answer.json(), "/id"));
        client.read(&path).await;
    }
    answer.status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_sync_failed_takes_no_writes_until_it_is_started_again() {
    let (folder, (_seed, mut chance)) = (scratch(), seeded());
    airpost().serve(folder.path()).await.stop().await;
    let server = serve_with_failing(folder.path(), "fdatasync:error=EIO:when=4").await;
    let (client, answers) = (server.client(), Answers::default());

    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(register(&client, &mut chance, &answers).await);
    }

    let taken = statuses.iter().take_while(|status| **status == 201).count();
    assert!((1..12).contains(&taken), "{statuses:?}");
    assert!(
        statuses.iter().skip(taken).all(|status| *status == 503),
        "{statuses:?}"
    );
    assert_eq!(client.get("/readyz").send().await.status(), 503);
    assert_eq!(client.get("/v1/drones").send().await.status(), 200);
    server.kill().await;
    answers.check(folder.path());
    let server = airpost().serve(folder.path()).await;
    assert_eq!(register(&server.client(), &mut chance, &answers).await, 201);
    server.stop().await;
    answers.check(folder.path());
    verify(folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_disk_was_full_resumes_by_itself() {
    let (folder, (_seed, mut chance)) = (scratch(), seeded());
    airpost().serve(folder.path()).await.stop().await;
    let server = serve_with_failing(folder.path(), "pwrite64:error=ENOSPC:when=4").await;
    let (client, answers) = (server.client(), Answers::default());

    let mut statuses = Vec::new();
    while !statuses.contains(&507) {
        statuses.push(register(&client, &mut chance, &answers).await);
        assert!(statuses.len() < 12, "it never was full: {statuses:?}");
    }
    assert_eq!(client.get("/v1/drones").send().await.status(), 200);

    // The same registration again and again, until it is taken.
    let chance = Chance::new(chance.bits());
    let look = || async {
        let status = register(&client, &mut chance.clone(), &answers).await;
        (status == 201).then_some(())
    };
    poll_until(ROOM_TIME_MAX, "appends to resume", look).await;
    server.stop().await;
    answers.check(folder.path());
    verify(folder.path()).await;
}
