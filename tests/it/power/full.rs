//! The disk of the views fills up while one of them is built anew.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tests::{Client, poll_until, tally};
use tokio::process::Command;

use super::cuts;
use crate::rebuilds::fill;
use crate::scene::{airpost, at, scratch, text, verify};

/// Views that take some megabytes each.
const LARGE_VIEWS: [&str; 3] = ["delivery_history", "delivery_status", "user_deliveries"];

/// What is left of the disk for a rebuild, KiB: less than one takes, and as much as the engine may need
/// to open what is there, which is another segment of 512 KiB and another snapshot.
const ROOM_KIB: u64 = 1536;

/// A disk with room for everything, KiB.
const LARGE_KIB: u64 = 512 * 1024;

/// Rebuilds until one does not fit, at most: the engine uses again what those before have left.
const REBUILDS_MAX: usize = 12;

/// How long the views may take to go on once there is room.
const GOES_ON_AFTER_MAX: Duration = Duration::from_secs(30);

/// A disk in memory, of a size that can be changed. Dropped, it is unmounted.
struct Disk {
    folder: TempDir,
}

impl Disk {
    async fn new() -> Self {
        let folder = scratch();
        let size = format!("size={LARGE_KIB}k");
        let options = ["-t", "tmpfs", "-o", &size, "tmpfs"].map(OsStr::new);
        run(
            "mount",
            options.into_iter().chain([folder.path().as_os_str()]),
        )
        .await;
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    async fn used_kib(&self) -> u64 {
        let options = ["-k", "--output=used"].map(OsStr::new);
        let said = run("df", options.into_iter().chain([self.path().as_os_str()])).await;
        let used = said
            .lines()
            .last()
            .and_then(|line| line.trim().parse().ok());
        used.expect("df says a number")
    }

    async fn resize(&self, size_kib: u64) {
        let size = format!("remount,size={size_kib}k");
        let options = ["-o", &size].map(OsStr::new);
        run(
            "mount",
            options.into_iter().chain([self.path().as_os_str()]),
        )
        .await;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut unmount = std::process::Command::new("umount");
        drop(unmount.arg("-l").arg(self.folder.path()).status());
    }
}

async fn run<'a>(program: &str, arguments: impl Iterator<Item = &'a OsStr>) -> String {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {why}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Builds views anew until one does not fit, and gives its operation.
async fn fill_up(client: &Client) -> String {
    for view in LARGE_VIEWS.into_iter().cycle().take(REBUILDS_MAX) {
        let path = format!("/v1/projections/{view}/rebuild");
        let asked = client.post(&path).send().await.expect(202);
        let operation = asked.required_header("location").to_owned();
        let look = async || {
            let operation = client.read(&operation).await;
            let status = text(&operation, "/status").to_owned();
            ["succeeded", "failed"]
                .contains(&&*status)
                .then_some(operation)
        };
        let ended = poll_until(GOES_ON_AFTER_MAX, "a rebuild to end", look).await;
        if text(&ended, "/status") == "failed" {
            let why = text(&ended, "/problem/detail");
            assert!(why.contains("make room on the disk"), "{ended}");
            return operation;
        }
    }
    panic!("every rebuild found room")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_fills_the_disk_of_the_views_fails_and_they_go_on_once_there_is_room() {
    let Some(_cuts) = cuts("a full disk under the views") else {
        return;
    };
    let (data, disk) = (scratch(), Disk::new().await);
    let deliveries = fill(data.path()).await;
    let delivery = deliveries.first().expect("there are some");
    symlink(disk.path(), data.path().join("views")).expect("the views' folder may be a link");
    airpost().serve(data.path()).await.stop().await;
    disk.resize(disk.used_kib().await + ROOM_KIB).await;

    let server = airpost().serve(data.path()).await;
    let client = server.client();
    let before = client.read(delivery).await;
    let operation = fill_up(&client).await;
    assert_eq!(client.read(delivery).await, before);
    assert_eq!(client.get("/readyz").send().await.status(), 503);

    disk.resize(LARGE_KIB).await;
    server.ready().await;
    let look = async || (client.get("/v1/deliveries").send().await.status() == 200).then_some(());
    poll_until(GOES_ON_AFTER_MAX, "lists to be answered", look).await;
    assert_eq!(text(&client.read(&operation).await, "/status"), "failed");
    let again = client.post("/v1/projections/user/rebuild");
    let again = again.header("prefer", "wait=25").send().await.expect(200);
    assert_eq!(at(&again.json(), "/problem"), &serde_json::Value::Null);
    assert!(!server.log().contains("set aside"), "{}", server.log());
    server.stop().await;
    let _said = verify(data.path()).await;
    tally(
        "a full disk under the views: the rebuild failed, nothing was taken for damaged, the views went on",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_on_a_full_disk_of_the_views_and_they_go_on_once_there_is_room() {
    let Some(_cuts) = cuts("a full disk under the views at a start") else {
        return;
    };
    let (data, disk) = (scratch(), Disk::new().await);
    let deliveries = fill(data.path()).await;
    let delivery = deliveries.first().expect("there are some");
    symlink(disk.path(), data.path().join("views")).expect("the views' folder may be a link");
    let server = airpost().serve(data.path()).await;
    let before = server.client().read(delivery).await;
    server.stop().await;
    // It is written at a start, and what it takes now is to be free by then.
    std::fs::remove_file(disk.path().join("boot")).expect("it can be removed");
    disk.resize(disk.used_kib().await).await;

    begins_no_log_in_place_of_a_lost_one(data.path()).await;

    let server = airpost().serve_at_once(data.path(), &[]).await;
    let client = server.client();
    let look = async || {
        let told = client.get("/readyz").send().await.expect(503).json();
        (text(&told, "/reader") == "waiting_for_room").then_some(told)
    };
    let told = poll_until(GOES_ON_AFTER_MAX, "the views to wait for room", look).await;
    assert!(text(&told, "/detail").contains("make room"), "{told}");
    assert_eq!(client.read(delivery).await, before);
    assert_eq!(client.get("/v1/deliveries").send().await.status(), 503);
    assert_eq!(user_is_created(&client).await, 503);

    disk.resize(LARGE_KIB).await;
    server.ready().await;
    assert_eq!(client.get("/v1/deliveries").send().await.status(), 200);
    assert_eq!(user_is_created(&client).await, 201);
    assert!(!server.log().contains("set aside"), "{}", server.log());
    server.stop().await;
    let _said = verify(data.path()).await;
    tally(
        "a full disk under the views at a start: the views waited, and went on once there was room",
    );
}

/// Views that cannot be asked whether there was a log are no sign that there was none.
async fn begins_no_log_in_place_of_a_lost_one(data: &Path) {
    let (journal, lost) = (data.join("journal"), data.join("lost"));
    std::fs::rename(&journal, &lost).expect("it can be renamed");
    let folder = data.to_string_lossy();
    let words = ["serve", "--listen", "127.0.0.1:0", "--data", &folder];
    let ended = airpost().run(words).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let why = "the journal is missing, and what";
    assert!(ended.stderr.contains(why), "{ended:?}");
    assert!(!journal.exists(), "no other log was begun");
    std::fs::rename(&lost, &journal).expect("it can be renamed");
}

/// The status with which a write is answered.
async fn user_is_created(client: &Client) -> u16 {
    let user = json!({"name": "Ada", "email": "ada@example.org"});
    client.post("/v1/users").json(&user).send().await.status()
}
