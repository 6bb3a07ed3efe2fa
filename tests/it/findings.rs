//! What a check finds although every checksum is right, and what an operator is kept from.

use std::path::Path;

use domain::codec::StoredEvent;
use domain::delivery::DeliveryEvent;
use domain::stream::Category;
use eventstore::{
    Commit, CommitId, Event, EventStore, EventType, Expected, Journal, JournalOptions, Label, Part,
    SchemaVersion, StreamId, StreamVersion,
};
use tempfile::TempDir;
use tests::{Output, Recording};
use uuid::Uuid;

use crate::scene::{Order, airpost, chance, report, scratch, verify};

#[track_caller]
fn ended(output: &Output, code: i32, with: &str) {
    let told = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, Some(code), "{told}");
    assert!(told.contains(with), "{told}");
}

async fn run(words: &[&str], data: &Path) -> Output {
    let data = data.to_string_lossy();
    let words = words.iter().copied().chain(["--data", &data]);
    airpost().run(words).await
}

/// A data folder with a flown delivery.
async fn flown() -> TempDir {
    let (folder, mut chance) = (scratch(), chance());
    let server = airpost().serve(folder.path()).await;
    let order = Order::place(&server.client(), &Recording::load(268), &mut chance).await;
    report(&server.client(), &order.events()).await;
    server.stop().await;
    folder
}

/// Appends an event to a delivery of its own, past everything that a service
/// does; gives its position.
async fn append(data: &Path, event_type: u16, schema: u16, payload: Vec<u8>) -> u64 {
    let options = JournalOptions {
        disk_free_bytes_min: 0,
        ..JournalOptions::new(Uuid::nil())
    };
    let journal = Journal::open(&data.join("journal"), options).expect("nobody else has it open");
    let key = Uuid::from_u128(9);
    let event = Event {
        event_type: EventType(event_type),
        schema: SchemaVersion(schema),
        event_time_us: 0,
        inferred: false,
        cause: None,
        payload,
    };
    let commit = Commit {
        id: CommitId(key),
        clock_us: 0,
        actor: Label::new("system").expect("it is short"),
        correlation_id: key,
        parts: vec![Part {
            stream: StreamId::new(eventstore::Category::new(Category::Delivery.number()), key),
            owner: None,
            expected: Expected::from(StreamVersion::EMPTY),
            events: vec![event],
        }],
    };
    let appended = journal.append(commit).await.expect("the store takes it");
    journal.close();
    appended.position().get()
}

#[tokio::test]
async fn an_event_that_this_release_cannot_read_is_found_by_its_position_and_type() {
    let known = DeliveryEvent::TYPES.first().expect("a delivery has events");
    for (event_type, schema, payload) in [
        (999, 1, vec![1]),
        (known.number, 99, vec![1]),
        (known.number, known.schema, vec![]),
    ] {
        let folder = flown().await;
        verify(folder.path()).await;
        let position = append(folder.path(), event_type, schema, payload).await;
        let place = format!("position {position}, event type {event_type}: ");
        ended(&run(&["verify"], folder.path()).await, 3, &place);
        let waits = format!("waits since position {position}");
        ended(&run(&["verify"], folder.path()).await, 3, &waits);
        std::fs::remove_dir_all(folder.path().join("views")).expect("they can be removed");
        ended(&run(&["verify"], folder.path()).await, 3, &place);
    }
}

#[tokio::test]
async fn an_event_whose_schema_the_log_does_not_name_is_found_and_not_imported() {
    let folder = flown().await;
    let position = append(folder.path(), 999, 1, vec![1]).await;
    let not_named = "event type 999, schema 1 is not named";
    ended(&run(&["verify"], folder.path()).await, 3, not_named);
    let copies = scratch();
    let file = copies.path().join("export");
    let file = file.to_string_lossy();
    let words = ["export", "--format", "ndjson", "--to", &file];
    ended(&run(&words, folder.path()).await, 0, "exported");
    let words = ["import", "--format", "ndjson", "--from", &file];
    let line = format!("line {}: {not_named}", position + 1);
    ended(&run(&words, &copies.path().join("data")).await, 1, &line);
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_journal_is_a_finding() {
    for begun in ["journal.restoring", "journal.importing"] {
        let data = scratch();
        std::fs::create_dir(data.path().join(begun)).expect("it can be made");
        ended(&run(&["verify"], data.path()).await, 3, begun);
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        ended(&run(&serve, data.path()).await, 1, begun);
    }
    let data = scratch();
    let journal = data.path().join("journal");
    std::fs::create_dir(&journal).expect("it can be made");
    ended(&run(&["verify"], data.path()).await, 3, "holds no segment");
    let mut names = std::fs::read_dir(&journal).expect("it can be listed");
    assert!(names.next().is_none(), "a check begins no journal");
}

#[tokio::test]
async fn no_position_that_an_operator_gives_ends_in_a_panic() {
    let folder = flown().await;
    let file = folder.path().join("export");
    let to = file.to_string_lossy();
    let most = u64::MAX.to_string();
    let words = [
        "export", "--format", "ndjson", "--to", &to, "--after", &most,
    ];
    ended(
        &run(&words, folder.path()).await,
        1,
        "the log ends at position",
    );
    assert!(!file.exists());
    let backup = scratch();
    let to = backup.path().to_string_lossy();
    ended(
        &run(&["backup", "--to", &to], folder.path()).await,
        0,
        "copied",
    );
    let words = ["restore", "--from", &to, "--to-position", &most];
    let restored = scratch();
    let why = "restore to that position or before";
    ended(&run(&words, restored.path()).await, 1, why);
    assert!(!restored.path().join("journal").exists());
}

#[tokio::test]
async fn a_backup_lies_elsewhere_and_says_what_it_did_not_read() {
    let folder = flown().await;
    let journal = folder.path().join("journal");
    let listed = || {
        std::fs::read_dir(&journal)
            .expect("it can be listed")
            .count()
    };
    let before = listed();
    for to in [journal.clone(), journal.join("backup")] {
        let to = to.to_string_lossy();
        let why = "back up into another folder";
        ended(&run(&["backup", "--to", &to], folder.path()).await, 1, why);
    }
    assert_eq!(listed(), before, "not even a lock was made there");
    let backup = scratch();
    let to = backup.path().to_string_lossy();
    ended(
        &run(&["backup", "--to", &to], folder.path()).await,
        0,
        "backup: ",
    );
    let kept = "files kept from earlier backups without being read: 1;";
    ended(&run(&["backup", "--to", &to], folder.path()).await, 0, kept);
}

/// A data folder with views, whose journal has a sealed segment: a new epoch
/// begins with a segment of its own.
async fn with_a_sealed_segment() -> TempDir {
    let (folder, backup, restored) = (flown().await, scratch(), scratch());
    let to = backup.path().to_string_lossy();
    let backed_up = run(&["backup", "--to", &to], folder.path()).await;
    ended(&backed_up, 0, "copied");
    let words = ["restore", "--from", &to];
    ended(&run(&words, restored.path()).await, 0, "restored");
    airpost().serve(restored.path()).await.stop().await;
    restored
}

/// What a check says of the views, but for how long it took.
async fn said_of_views(data: &Path) -> String {
    let said = run(&["verify"], data).await.stdout;
    let views = said.lines().find(|line| line.starts_with("views:"));
    let line = views.expect("the views are spoken of");
    line.split(';').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn views_stay_as_they_are_until_others_are_complete() {
    let folder = with_a_sealed_segment().await;
    let data = folder.path();
    let before = said_of_views(data).await;
    assert!(before.contains("are what the journal says"), "{before}");
    let sealed = data.join("journal/00000000000000000001.seg");
    let whole = std::fs::read(&sealed).expect("it can be read");
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    *damaged.get_mut(middle).expect("it has a middle") ^= 1;
    std::fs::write(&sealed, damaged).expect("it can be written");
    let refused = run(&["rebuild"], data).await;
    ended(&refused, 1, "the views that were there are as they were");
    ended(&refused, 1, "is corrupt at byte");
    std::fs::write(&sealed, whole).expect("it can be written");
    assert_eq!(said_of_views(data).await, before);

    // What a rebuild that was killed has left is in nobody's way.
    let left = data.join("views/rebuilding/store-1");
    std::fs::create_dir_all(&left).expect("it can be made");
    std::fs::write(left.join("conf"), "half").expect("it can be written");
    airpost().serve(data).await.stop().await;
    ended(&run(&["rebuild"], data).await, 0, "built from the journal");
    assert!(!data.join("views/rebuilding").exists());
    assert_eq!(said_of_views(data).await, before);
}

#[tokio::test]
async fn views_that_a_start_builds_anew_are_not_to_be_rebuilt() {
    let (folder, other) = (flown().await, flown().await);
    let views = folder.path().join("views");
    std::fs::remove_dir_all(&views).expect("it can be removed");
    std::fs::rename(other.path().join("views"), views).expect("one disk holds both");
    let found = run(&["verify"], folder.path()).await;
    ended(&found, 3, "views: user: the view is of another log");
    ended(&found, 3, "start the service, it builds these anew");
    assert!(!found.stdout.contains("rebuild"), "{}", found.stdout);
    airpost().serve(folder.path()).await.stop().await;
    verify(folder.path()).await;
}

#[tokio::test]
async fn views_that_cannot_be_opened_are_a_finding_and_the_way_out_is_said_once() {
    let folder = flown().await;
    let conf = folder.path().join("views/store-1/conf");
    let mut bytes = std::fs::read(&conf).expect("the engine has a configuration");
    bytes.reverse();
    std::fs::write(&conf, bytes).expect("it can be written");
    let found = run(&["verify"], folder.path()).await;
    ended(&found, 3, "views: opening the views failed");
    ended(&found, 3, "or run airpost rebuild");
    let told = format!("{}{}", found.stdout, found.stderr);
    assert_eq!(told.matches("rebuild").count(), 1, "{told}");
    ended(&run(&["rebuild"], folder.path()).await, 0, "built from");
    verify(folder.path()).await;
}

#[tokio::test]
async fn the_result_of_an_export_goes_where_its_lines_do_not() {
    let (folder, copies) = (flown().await, scratch());
    let file = copies.path().join("export");
    let to = file.to_string_lossy();
    let words = ["export", "--format", "ndjson", "--to", &to];
    let exported = run(&words, folder.path()).await;
    ended(&exported, 0, "exported");
    assert!(exported.stdout.starts_with("exported: "), "{exported:?}");
    assert_eq!(exported.stderr, "", "what is over at once says no more");
    let exported = run(&["export", "--format", "ndjson"], folder.path()).await;
    assert!(exported.stderr.starts_with("exported: "), "{exported:?}");
    let lines = std::fs::read_to_string(file).expect("it can be read");
    assert_eq!(exported.stdout, lines);
}
