//! Servers too few of which are up: what commands say of them, and what they do not.

use std::time::Duration;

use tests::{NatsCluster, poll_until};

use super::commands::says;
use super::{Log, first_node};
use crate::scene::airpost;

/// How long servers may take until they see that they cannot elect a leader.
const ELECTION_TIME_MAX: Duration = Duration::from_mins(1);

#[tokio::test]
async fn given_one_server_of_three_then_status_and_doctor_say_what_is_missing_and_nothing_else() {
    let mut nats = NatsCluster::of_three().await;
    let log = Log::at(&nats.urls());
    let data = first_node(&log).await;
    let healthy = log.command("status", data.path()).await;
    says(&healthy, 0, "(connected)");
    // What no server says of the others' storage is not taken for room.
    says(&healthy, 0, "no limit of its own");
    says(&healthy, 0, "airpost doctor --monitor");
    let here = format!("127.0.0.1:{} (connected)", nats.servers[2].port());
    nats.servers[0].kill();
    nats.servers[1].kill();
    // While they elect another leader they may say that they decide nothing.
    let away = || async {
        let said = log.command("status", data.path()).await;
        let is_told = said.stdout.contains("until a majority is");
        is_told.then_some(said)
    };
    let said = poll_until(ELECTION_TIME_MAX, "status to find it out", away).await;
    says(&said, 3, "nothing is written until a majority is");
    says(&said, 3, &here);

    // Once the server that is left has found out, too, that it cannot lead.
    let leaderless = || async {
        let options = ["doctor"].into_iter().chain(log.options());
        let said = airpost().run(options).await;
        said.stdout.contains("wait some seconds").then_some(said)
    };
    let said = poll_until(ELECTION_TIME_MAX, "doctor to be told of it", leaderless).await;
    says(&said, 3, "not reached");
    for wrong in ["enable JetStream", "delete"] {
        assert!(!said.stdout.contains(wrong), "{wrong}: {said:?}");
    }
    // Whoever goes on without them needs to know where the folder ends, which the stream does not tell now.
    let ends = || async {
        let said = log.command("status", data.path()).await;
        let is_told = said.stdout.contains("ends at position 0");
        (is_told && said.code == Some(3)).then_some(())
    };
    poll_until(ELECTION_TIME_MAX, "status to tell of the folder", ends).await;
}
