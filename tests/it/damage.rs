//! Files that rot: a damaged journal is refused and named, damaged views heal, nothing is served silently.

use std::path::{Path, PathBuf};

use tests::{Chance, Client, Recording};

use crate::scene::{FLIGHTS, Order, airpost, chance, report, scratch, verify};

// The views of a server that people use.
mod while_it_runs;
// Their folder.
mod removed;

/// Damages of a kind in one run.
const DAMAGES: usize = 20;

/// A data folder whose journal has many blocks, and what GET tells from it.
async fn write_history(data: &Path, chance: &mut Chance) -> Vec<Order> {
    let server = airpost().serve(data).await;
    let mut orders = Vec::new();
    for flight in FLIGHTS.map(Recording::load) {
        let order = Order::place(&server.client(), &flight, chance).await;
        for fact in order.facts() {
            report(&server.client(), &[fact]).await;
        }
        orders.push(order);
    }
    server.stop().await;
    orders
}

async fn told(client: &Client, orders: &[Order]) -> Vec<Vec<u8>> {
    let mut told = Vec::new();
    for order in orders {
        let user = format!("/v1/users/{}", order.user);
        let history = format!("{}/history", order.path());
        let list = format!("{user}/deliveries");
        for path in [order.path(), history, user, list] {
            told.push(client.get(&path).send().await.expect(200).bytes().to_vec());
        }
    }
    told
}

/// The files below `folder` that hold something.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of the server can be listed");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> = paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.metadata().is_ok_and(|metadata| metadata.len() > 0))
        .collect();
    files.sort();
    files
}

/// The only segment of a small journal.
fn the_segment(data: &Path) -> PathBuf {
    let segment = files(&data.join("journal"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"));
    segment.expect("a journal has a segment")
}

/// Flips one bit of the file at `path` and gives back the bytes that it had.
fn flip_a_bit(path: &Path, chance: &mut Chance) -> Vec<u8> {
    let whole = std::fs::read(path).expect("the file can be read");
    let mut bytes = whole.clone();
    let place = usize::try_from(chance.below(whole.len() as u64)).expect("the file is small");
    *bytes.get_mut(place).expect("drawn below the length") ^= 1 << chance.below(8);
    std::fs::write(path, bytes).expect("the file can be written");
    whole
}

/// Verify and the next start refuse the journal, say what is wrong with it, and do not panic.
async fn assert_refused(data: &Path, damage: &str) {
    let verify: &[&str] = &["verify"];
    for command in [verify, &["serve", "--listen", "127.0.0.1:0"]] {
        let arguments = command.iter().map(AsRef::as_ref);
        let output = airpost()
            .run(arguments.chain(["--data".as_ref(), data.as_os_str()]))
            .await;
        let said = format!("{}{}", output.stdout, output.stderr);
        let refused = output.code.is_some_and(|code| code != 0);
        assert!(refused, "{command:?} took a journal with {damage}:\n{said}");
        assert!(
            said.contains("journal"),
            "{command:?} does not name it, with {damage}:\n{said}"
        );
        assert!(
            !said.contains("panicked"),
            "{command:?} panicked, with {damage}:\n{said}"
        );
    }
}

#[tokio::test]
async fn every_flipped_bit_of_the_journal_is_found_by_verify_and_by_the_next_start() {
    let (folder, mut chance) = (scratch(), chance());
    write_history(folder.path(), &mut chance).await;
    let segment = the_segment(folder.path());
    for round in 0..DAMAGES {
        let whole = flip_a_bit(&segment, &mut chance);
        assert_refused(folder.path(), &format!("flip {round}")).await;
        std::fs::write(&segment, whole).expect("the segment can be written");
    }
    verify(folder.path()).await;
}

#[tokio::test]
async fn a_journal_that_lost_acknowledged_records_is_refused() {
    let (folder, mut chance) = (scratch(), chance());
    write_history(folder.path(), &mut chance).await;
    let segment = the_segment(folder.path());
    let whole = std::fs::read(&segment).expect("the segment can be read");
    for round in 0..DAMAGES {
        let left = usize::try_from(chance.below(whole.len() as u64)).expect("the segment is small");
        std::fs::write(&segment, whole.get(..left).unwrap_or_default()).expect("it can be written");
        assert_refused(folder.path(), &format!("cut {round}, to {left} bytes")).await;
    }
    std::fs::write(&segment, whole).expect("the segment can be written");
    verify(folder.path()).await;
}

#[tokio::test]
async fn a_data_folder_that_lost_its_journal_is_not_taken_for_a_new_one() {
    let (folder, mut chance) = (scratch(), chance());
    let orders = write_history(folder.path(), &mut chance).await;
    let (journal, aside) = (folder.path().join("journal"), folder.path().join("aside"));
    std::fs::rename(&journal, &aside).expect("it can be moved away");
    assert_refused(folder.path(), "nothing left of it").await;
    std::fs::rename(&aside, &journal).expect("it can be moved back");
    let server = airpost().serve(folder.path()).await;
    told(&server.client(), &orders).await;
    server.stop().await;
}

#[tokio::test]
async fn damaged_views_heal_and_tell_the_same() {
    let (folder, mut chance) = (scratch(), chance());
    let orders = write_history(folder.path(), &mut chance).await;
    let server = airpost().serve(folder.path()).await;
    let before = told(&server.client(), &orders).await;
    server.stop().await;
    for round in 0..DAMAGES {
        for file in files(&folder.path().join("views")) {
            if chance.happens(500) {
                flip_a_bit(&file, &mut chance);
            }
        }
        let server = airpost().serve(folder.path()).await;
        assert!(
            told(&server.client(), &orders).await == before,
            "round {round} tells otherwise"
        );
        // A crash, so that the next start must not trust the views either.
        if chance.happens(500) {
            server.kill().await;
        } else {
            server.stop_only().await;
        }
    }
    let server = airpost().serve(folder.path()).await;
    server.stop().await;
    verify(folder.path()).await;
}
