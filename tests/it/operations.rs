//! What an operator does to a log: copy it, bring it back, move it, go on without its lost end.

// A log that is brought back up to a position.
mod cut;
// What lies beside a log that is brought back.
mod kept;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Answer, Chance, Client, Output, Recording};
use tokio::process::Command;
use tokio::sync::watch;

use crate::scene::{
    Order, airpost, at, chance, copy_folder, list, new_user, report, scratch, text, verify,
};

const FORMATS: [&str; 2] = ["ndjson", "cloudevents"];

/// Small segments, so that little data fills several.
const SMALL_SEGMENTS: [&str; 2] = ["--segment-kib", "64"];

/// Runs a command whose words may be paths.
async fn run(words: &[&dyn AsRef<OsStr>]) -> Output {
    airpost().run(words.iter().map(AsRef::as_ref)).await
}

/// The same, which must end with a code.
#[track_caller]
fn ended(output: Output, code: i32) -> Output {
    let Output { stdout, stderr, .. } = &output;
    assert_eq!(output.code, Some(code), "{stdout}{stderr}");
    output
}

async fn back_up(data: &Path, to: &Path) -> Output {
    run(&[&"backup", &"--data", &data, &"--to", &to]).await
}

async fn restore(from: &Path, data: &Path) -> Output {
    run(&[&"restore", &"--from", &from, &"--data", &data]).await
}

async fn export_to(data: &Path, format: &str, file: &Path) -> Output {
    run(&[
        &"export",
        &"--data",
        &data,
        &"--format",
        &format,
        &"--to",
        &file,
    ])
    .await
}

async fn import(from: &Path, format: &str, data: &Path) -> Output {
    run(&[
        &"import",
        &"--from",
        &from,
        &"--format",
        &format,
        &"--data",
        &data,
    ])
    .await
}

/// Every record of a log as a line, without the header, which names the log.
async fn records(data: &Path) -> Vec<String> {
    let output = run(&[&"export", &"--data", &data, &"--format", &"ndjson"]).await;
    let lines = ended(output, 0).stdout;
    lines.lines().skip(1).map(str::to_owned).collect()
}

/// A flown delivery, and some that wait, of one user.
async fn write(client: &Client, chance: &mut Chance) -> Vec<Order> {
    let flight = Recording::load(268);
    let flown = Order::place(client, &flight, chance).await;
    report(client, &flown.events()).await;
    let user = flown.user.clone();
    let mut orders = vec![flown];
    for _ in 0..3 {
        orders.push(Order::place_for(client, &user, &flight, chance).await);
    }
    orders
}

/// A data folder with a history, and the orders in it.
async fn history(chance: &mut Chance) -> (TempDir, Vec<Order>) {
    let folder = scratch();
    let server = airpost().serve_with(folder.path(), &SMALL_SEGMENTS).await;
    let orders = write(&server.client(), chance).await;
    server.stop().await;
    (folder, orders)
}

/// What GET tells: every byte, but for where a list goes on, which names the log.
async fn told(data: &Path, orders: &[Order]) -> Vec<(String, String)> {
    let server = airpost().serve_with(data, &SMALL_SEGMENTS).await;
    let client = server.client();
    let mut told = Vec::new();
    for order in orders {
        let user = format!("/v1/users/{}", order.user);
        let external_id = text(&order.request, "/external_id");
        for path in [
            order.path(),
            format!("{}/status", order.path()),
            format!("{}/history", order.path()),
            format!("/v1/deliveries/ext:{external_id}?user_id={}", order.user),
            format!("{user}/deliveries"),
            user,
        ] {
            let answer = client.get(&path).send().await.expect(200);
            told.push((path, String::from_utf8_lossy(answer.bytes()).into_owned()));
        }
        told.extend(pages(&client, order).await);
    }
    server.stop().await;
    told
}

async fn pages(client: &Client, order: &Order) -> Vec<(String, String)> {
    let first = format!("/v1/users/{}/deliveries?limit=1", order.user);
    let (mut told, mut next) = (Vec::new(), Some(first.clone()));
    while let Some(path) = next {
        let mut page = client.get(&path).send().await.expect(200).json();
        let cursor = page.as_object_mut().and_then(|page| page.remove("next"));
        let cursor = cursor.as_ref().and_then(Value::as_str);
        next = cursor.map(|cursor| format!("{first}&cursor={cursor}"));
        told.push((first.clone(), page.to_string()));
    }
    told
}

/// The files in a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder can be listed");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn last_segment(data: &Path) -> PathBuf {
    let files = files(&data.join("journal")).into_iter();
    let mut segments = files.filter(|file| file.extension().is_some_and(|end| end == "seg"));
    segments.next_back().expect("a journal has a segment")
}

fn flip_a_bit(path: &Path, chance: &mut Chance) {
    let mut bytes = std::fs::read(path).expect("the file can be read");
    let place = usize::try_from(chance.below(bytes.len() as u64)).expect("the file is small");
    *bytes.get_mut(place).expect("drawn below the length") ^= 1 << chance.below(8);
    std::fs::write(path, bytes).expect("the file can be written");
}

#[tokio::test]
async fn what_is_restored_and_what_is_imported_have_the_same_records_and_give_the_same_answers() {
    let (folder, orders) = history(&mut chance()).await;
    let (records_before, told_before) = (
        records(folder.path()).await,
        told(folder.path(), &orders).await,
    );
    let backup = scratch();
    ended(back_up(folder.path(), backup.path()).await, 0);
    let restored = scratch();
    ended(restore(backup.path(), restored.path()).await, 0);
    assert_eq!(records(restored.path()).await, records_before);
    assert_eq!(told(restored.path(), &orders).await, told_before);
    verify(restored.path()).await;
    for format in FORMATS {
        let file = backup.path().join(format);
        ended(export_to(folder.path(), format, &file).await, 0);
        let imported = scratch();
        ended(import(&file, format, imported.path()).await, 0);
        assert_eq!(records(imported.path()).await, records_before);
        assert_eq!(told(imported.path(), &orders).await, told_before);
        verify(imported.path()).await;
        let again = ended(import(&file, format, imported.path()).await, 1);
        assert!(again.stderr.contains("journal already"), "{}", again.stderr);
    }
    let again = ended(restore(backup.path(), restored.path()).await, 1);
    assert!(again.stderr.contains("journal already"), "{}", again.stderr);
}

#[tokio::test]
async fn backups_beside_a_busy_server_are_each_a_beginning_of_its_log() {
    let (folder, backup, mut seeds) = (scratch(), scratch(), chance());
    let server = airpost().serve_with(folder.path(), &SMALL_SEGMENTS).await;
    let (stop, stopped) = watch::channel(false);
    let (client, mut chance) = (server.client(), Chance::new(seeds.bits()));
    let busy = tokio::spawn(async move {
        while !*stopped.borrow() {
            write(&client, &mut chance).await;
        }
    });
    let mut restored = Vec::new();
    for _ in 0..4 {
        ended(back_up(folder.path(), backup.path()).await, 0);
        ended(run(&[&"verify-backup", &backup.path()]).await, 0);
        let copy = scratch();
        ended(restore(backup.path(), copy.path()).await, 0);
        let beside = ended(run(&[&"verify", &"--data", &folder.path()]).await, 0);
        assert!(
            beside.stdout.contains("views: not checked"),
            "{}",
            beside.stdout
        );
        restored.push(copy);
    }
    let during = records(folder.path()).await;
    stop.send_replace(true);
    busy.await.expect("the writer did not panic");
    server.stop().await;

    let whole = records(folder.path()).await;
    assert!(
        whole.starts_with(&during),
        "an export beside a server is a beginning"
    );
    let mut before = 0;
    for copy in &restored {
        verify(copy.path()).await;
        let there = records(copy.path()).await;
        assert!(whole.starts_with(&there));
        assert!(there.len() >= before, "a later backup holds no less");
        before = there.len();
    }
    assert!(before > 0);
}

#[tokio::test]
async fn a_backup_with_any_file_damaged_is_named_and_not_restored() {
    let mut chance = chance();
    let (folder, _) = history(&mut chance).await;
    let backup = scratch();
    ended(back_up(folder.path(), backup.path()).await, 0);
    for file in files(backup.path()) {
        let name = file
            .file_name()
            .expect("a file has a name")
            .to_string_lossy();
        if name == "lock" {
            continue;
        }
        let whole = std::fs::read(&file).expect("it can be read");
        flip_a_bit(&file, &mut chance);
        let found = ended(run(&[&"verify-backup", &backup.path()]).await, 3);
        assert!(found.stdout.contains(&*name), "{name}: {}", found.stdout);
        let target = scratch();
        let refused = ended(restore(backup.path(), target.path()).await, 1);
        assert!(
            refused.stderr.contains(&*name),
            "{name}: {}",
            refused.stderr
        );
        assert!(!target.path().join("journal").exists());
        std::fs::write(&file, whole).expect("it can be written");
    }
    ended(run(&[&"verify-backup", &backup.path()]).await, 0);
}

/// Starts a command again and again, kills it each time after a little
/// longer, and gives back once it has ended by itself.
async fn kill_until_it_ends(words: &[&dyn AsRef<OsStr>], check: impl Fn()) {
    for killed in 0_u32.. {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airpost-under-test"));
        command.args(words.iter().map(AsRef::as_ref));
        let mut child = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program can be started");
        let patience = Duration::from_micros(u64::from(killed) * 700);
        match tokio::time::timeout(patience, child.wait()).await {
            Ok(status) => {
                let status = status.expect("a child can be waited for");
                assert!(status.success(), "{status} after {killed} kills");
                return;
            }
            Err(_late) => {
                child.kill().await.expect("a running child can be killed");
                check();
            }
        }
    }
}

#[tokio::test]
async fn a_backup_a_restore_an_export_and_an_import_that_are_killed_are_gone_on_with() {
    let (folder, _) = history(&mut chance()).await;
    let whole = records(folder.path()).await;
    let (data, copies) = (folder.path(), scratch());
    let backup = copies.path().join("backup");
    kill_until_it_ends(&[&"backup", &"--data", &data, &"--to", &backup], || ()).await;
    ended(run(&[&"verify-backup", &backup]).await, 0);

    let restored = copies.path().join("restored");
    let words: [&dyn AsRef<OsStr>; 5] = [&"restore", &"--from", &backup, &"--data", &restored];
    let is_whole_or_absent = |data: &Path| {
        let journal = data.join("journal");
        if journal.exists() {
            assert!(!files(&journal).is_empty());
        }
    };
    kill_until_it_ends_or_is_there(&words, &restored, is_whole_or_absent).await;
    assert_eq!(records(&restored).await, whole);

    for format in FORMATS {
        let file = copies.path().join(format);
        let words: [&dyn AsRef<OsStr>; 7] = [
            &"export",
            &"--data",
            &data,
            &"--format",
            &format,
            &"--to",
            &file,
        ];
        kill_until_it_ends(&words, || ()).await;
        let imported = copies.path().join(format!("imported-{format}"));
        let words: [&dyn AsRef<OsStr>; 7] = [
            &"import",
            &"--from",
            &file,
            &"--format",
            &format,
            &"--data",
            &imported,
        ];
        kill_until_it_ends_or_is_there(&words, &imported, is_whole_or_absent).await;
        assert_eq!(records(&imported).await, whole);
        verify(&imported).await;
    }
}

/// The same for a command that refuses a folder which it has filled: killed
/// after its last step, it is done.
async fn kill_until_it_ends_or_is_there(
    words: &[&dyn AsRef<OsStr>],
    data: &Path,
    check: impl Fn(&Path),
) {
    for killed in 0_u32.. {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airpost-under-test"));
        command.args(words.iter().map(AsRef::as_ref));
        let mut child = command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program can be started");
        let patience = Duration::from_micros(u64::from(killed) * 700);
        let ended = tokio::time::timeout(patience, child.wait()).await;
        if let Ok(status) = ended {
            assert!(status.expect("a child can be waited for").success());
        } else {
            child.kill().await.expect("a running child can be killed");
            check(data);
        }
        if data.join("journal").exists() {
            return;
        }
    }
}

#[tokio::test]
async fn a_bad_line_is_named_and_once_it_is_mended_the_import_goes_on() {
    let (folder, _) = history(&mut chance()).await;
    let copies = scratch();
    let file = copies.path().join("export");
    ended(export_to(folder.path(), "ndjson", &file).await, 0);
    let whole = std::fs::read_to_string(&file).expect("it can be read");
    let broken = whole.replacen("\"position\":3,", "\"position\":4,", 1);
    std::fs::write(&file, broken).expect("it can be written");
    let data = copies.path().join("data");
    let refused = ended(import(&file, "ndjson", &data).await, 1);
    assert!(
        refused.stderr.contains("line 4: position 3"),
        "{}",
        refused.stderr
    );
    let data_word = data.to_string_lossy().into_owned();
    let serve = ["serve", "--data", &data_word, "--listen", "127.0.0.1:0"];
    let refused = ended(airpost().run(serve).await, 1);
    assert!(
        refused.stderr.contains("not filled to the end"),
        "{}",
        refused.stderr
    );

    std::fs::write(&file, whole).expect("it can be written");
    ended(import(&file, "ndjson", &data).await, 0);
    assert_eq!(records(&data).await, records(folder.path()).await);
}

async fn is_refused_naming_what_helps(data: &Path) {
    let serve = run(&[&"serve", &"--data", &data, &"--listen", &"127.0.0.1:0"]).await;
    let rebuild = run(&[&"rebuild", &"--data", &data]).await;
    for refused in [serve, rebuild] {
        let refused = ended(refused, 1);
        assert!(
            refused.stderr.contains("airpost recover"),
            "{}",
            refused.stderr
        );
    }
}

/// What a client has seen last: a user, its tag, and where a list goes on.
struct Seen {
    user: String,
    tag: String,
    next: String,
}

async fn rename(client: &Client, user: &str, name: &str, tag: &str) -> Answer {
    let path = format!("/v1/users/{user}");
    let rename = client.patch(&path).header("if-match", tag);
    rename.json(&json!({ "name": name })).send().await
}

async fn write_and_look(client: &Client, chance: &mut Chance) -> Seen {
    let user = write(client, chance).await.remove(0).user;
    new_user(client, chance).await;
    let renamed = rename(client, &user, "Grace Hopper", "*").await.expect(200);
    let position = renamed.required_header("stream-position").to_owned();
    let page = client.get(&format!("/v1/users/{user}/deliveries?limit=1"));
    let page = page.header("min-position", &position).send().await;
    Seen {
        tag: renamed.required_header("etag").to_owned(),
        next: text(&page.expect(200).json(), "/next").to_owned(),
        user,
    }
}

#[tokio::test]
async fn a_log_without_its_end_goes_on_only_for_whoever_accepts_that_and_old_tokens_are_told_apart()
{
    let (folder, mut chance) = (scratch(), chance());
    let data = folder.path();
    let server = airpost().serve(data).await;
    let seen = write_and_look(&server.client(), &mut chance).await;
    server.stop().await;
    let before = records(data).await;
    let segment = last_segment(data);
    let bytes = std::fs::read(&segment).expect("it can be read");
    let cut = bytes.get(..bytes.len() - 10).expect("it is longer");
    std::fs::write(&segment, cut).expect("it can be written");

    is_refused_naming_what_helps(data).await;
    let told = ended(run(&[&"verify", &"--data", &data]).await, 3);
    let torn = "at the end are no whole block";
    assert!(told.stdout.contains(torn), "{}", told.stdout);
    let told = ended(run(&[&"recover", &"--data", &data]).await, 3);
    assert!(
        told.stdout.contains("missing: 1 acknowledged"),
        "{}",
        told.stdout
    );
    assert!(told.stdout.contains("--accept-loss"), "{}", told.stdout);
    assert_eq!(std::fs::read(&segment).expect("it can be read"), cut);
    ended(
        run(&[&"recover", &"--accept-loss", &"--data", &data]).await,
        0,
    );
    assert_eq!(*records(data).await, before[..before.len() - 1]);
    let told = ended(run(&[&"verify", &"--data", &data]).await, 3);
    let advice = "start the service, it builds these anew";
    assert!(told.stdout.contains(advice), "{}", told.stdout);

    let server = airpost().serve(data).await;
    assert!(server.log().contains("built anew"), "{}", server.log());
    assert_refused_and_told_apart(&server.client(), &seen).await;
    server.stop().await;
    verify(data).await;
    ended(run(&[&"recover", &"--data", &data]).await, 0);
}

async fn assert_refused_and_told_apart(client: &Client, seen: &Seen) {
    let Seen { user, tag, next } = seen;
    let path = format!("/v1/users/{user}/deliveries?limit=1&cursor={next}");
    let refused = client.get(&path).send().await.expect(400).json();
    assert_eq!(text(&refused, "/code"), "bad-cursor");
    assert!(text(&refused, "/detail").contains("given up"), "{refused}");
    let _ = rename(client, user, "Ada", tag).await.expect(412);
    // The same version of the same user again, with other content.
    let again = rename(client, user, "Ada Lovelace", "*").await.expect(200);
    assert_ne!(again.required_header("etag"), tag);
    let read = client.get(&format!("/v1/users/{user}"));
    let read = read.header("if-none-match", tag).send().await.expect(200);
    assert_eq!(at(&read.json(), "/name"), "Ada Lovelace");
    let _ = rename(client, user, "Ada", tag).await.expect(412);
    let page = client.get(&format!("/v1/users/{user}/deliveries?limit=1"));
    assert_eq!(
        list(&page.send().await.expect(200).json(), "/items").len(),
        1
    );
}

#[tokio::test]
async fn a_log_that_is_shorter_than_its_views_have_seen_is_not_served() {
    let mut chance = chance();
    let (folder, orders) = history(&mut chance).await;
    let data = folder.path();
    let backup = scratch();
    ended(back_up(data, backup.path()).await, 0);
    let journal = data.join("journal");
    let saved = scratch();
    let older = saved.path().join("journal");
    copy_folder(&journal, &older);
    let server = airpost().serve(data).await;
    write(&server.client(), &mut chance).await;
    server.stop().await;
    // Somebody puts an older copy of the files back.
    std::fs::remove_dir_all(&journal).expect("it can be removed");
    copy_folder(&older, &journal);

    is_refused_naming_what_helps(data).await;
    ended(run(&[&"verify", &"--data", &data]).await, 3);
    let told = ended(run(&[&"recover", &"--data", &data]).await, 3);
    assert!(
        told.stdout.contains("the view user has seen"),
        "{}",
        told.stdout
    );
    ended(
        run(&[&"recover", &"--accept-loss", &"--data", &data]).await,
        0,
    );
    let told_now = told_of(data, &orders).await;
    let restored = scratch();
    ended(restore(backup.path(), restored.path()).await, 0);
    assert_eq!(told_now, told_of(restored.path(), &orders).await);
}

async fn told_of(data: &Path, orders: &[Order]) -> Vec<(String, String)> {
    let told = told(data, orders).await;
    verify(data).await;
    told
}

#[tokio::test]
async fn views_of_a_log_that_was_replaced_are_built_anew() {
    let mut chance = chance();
    let (one, _) = history(&mut chance).await;
    let (other, orders) = history(&mut chance).await;
    let told_before = told(other.path(), &orders).await;
    let journal = one.path().join("journal");
    std::fs::remove_dir_all(&journal).expect("it can be removed");
    copy_folder(&other.path().join("journal"), &journal);
    ended(run(&[&"verify", &"--data", &one.path()]).await, 3);
    let server = airpost().serve(one.path()).await;
    assert!(server.log().contains("of another log"), "{}", server.log());
    server.stop().await;
    assert_eq!(told_of(one.path(), &orders).await, told_before);
}
