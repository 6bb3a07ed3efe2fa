//! Servers too few of which are up: what commands say of them, and what they do not.

use std::time::Duration;

use tests::{NatsCluster, poll_until};

use super::commands::says;
use super::{FOLLOW_TIME_MAX, Log, first_node};
use crate::scene::{airpost, scratch};

/// How long servers may take until they see that they cannot elect a leader.
const ELECTION_TIME_MAX: Duration = Duration::from_mins(1);

#[tokio::test]
async fn given_one_server_of_three_then_status_and_doctor_say_what_is_missing_and_nothing_else() {
    let mut nats = NatsCluster::of_three().await;
    let log = Log::at(&nats.urls());
    let data = first_node(&log).await;
    let healthy = log.command("status", data.path()).await;
    says(&healthy, 0, "(connected)");
    let here = format!("127.0.0.1:{} (connected)", nats.servers[2].port());
    nats.servers[0].kill();
    nats.servers[1].kill();
    let none = scratch();
    let away = || async {
        let said = log.command("status", none.path()).await;
        (said.code == Some(3)).then_some(said)
    };
    let said = poll_until(FOLLOW_TIME_MAX, "status to find it out", away).await;
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
}
