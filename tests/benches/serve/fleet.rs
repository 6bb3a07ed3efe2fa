//! A fleet that sends its telemetry, drone by drone once a second, as its
//! gateways would: each gathers its drones' for a second and sends one batch.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tests::{Client, poll_until};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::times::Times;

/// Gateways, whose batches are spread evenly over the second.
const GATEWAYS: u64 = 100;

/// Drones of each: lines of a batch.
const DRONES: u64 = 100;

/// How long all gateways may take to send their first batch.
const BEGIN_TIME_MAX: Duration = Duration::from_mins(1);

/// The drones of all gateways. What they have sent before is older than what they send next.
pub(crate) struct Fleet {
    /// How often each drone has spoken, at least.
    said: u64,
}

/// A fleet under way.
pub(crate) struct Flying {
    is_over: Arc<AtomicBool>,
    batches: Arc<AtomicU64>,
    gateways: JoinSet<Times>,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self { said: 0 }
    }

    /// What it does, in words.
    pub(crate) fn told() -> String {
        format!(
            "{} drones at 1 Hz, {GATEWAYS} gateways with a batch of {DRONES} lines each a second",
            GATEWAYS * DRONES
        )
    }

    /// Lets all gateways send; they all have once this returns.
    pub(crate) async fn begin(&self, client: &Client) -> Flying {
        let is_over = Arc::<AtomicBool>::default();
        let batches = Arc::<AtomicU64>::default();
        let mut gateways = JoinSet::new();
        let begin = Instant::now();
        for gateway in 0..GATEWAYS {
            let phase = Duration::from_secs(gateway).div_f64(GATEWAYS as f64);
            let gateway = Gateway {
                number: gateway,
                said: self.said,
                client: client.clone(),
                is_over: Arc::clone(&is_over),
                batches: Arc::clone(&batches),
            };
            gateways.spawn(gateway.send(begin + phase));
        }
        poll_until(BEGIN_TIME_MAX, "the fleet to begin", async || {
            (batches.load(Ordering::Relaxed) >= GATEWAYS).then_some(())
        })
        .await;
        Flying {
            is_over,
            batches,
            gateways,
        }
    }

    /// Lets all gateways end; how long their batches took from when they were due.
    pub(crate) async fn end(&mut self, flying: Flying) -> Times {
        flying.is_over.store(true, Ordering::Relaxed);
        let mut all = Times::default();
        for times in flying.gateways.join_all().await {
            all.append(times);
        }
        // More than any gateway has sent.
        self.said += flying.batches.load(Ordering::Relaxed);
        all
    }
}

struct Gateway {
    number: u64,
    said: u64,
    client: Client,
    is_over: Arc<AtomicBool>,
    batches: Arc<AtomicU64>,
}

impl Gateway {
    async fn send(mut self, begin: Instant) -> Times {
        let mut due = tokio::time::interval_at(begin, Duration::from_secs(1));
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut times = Times::default();
        while !self.is_over.load(Ordering::Relaxed) {
            let due_at = due.tick().await;
            self.said += 1;
            let post = self
                .client
                .post("/v1/drone-events")
                .body("application/x-ndjson", self.batch());
            let answer = post.send().await.expect(200).json();
            times.push(due_at.elapsed());
            let accepted = answer.pointer("/accepted").and_then(Value::as_u64);
            assert_eq!(accepted, Some(DRONES), "not all is taken: {answer}");
            self.batches.fetch_add(1, Ordering::Relaxed);
        }
        times
    }

    /// What its drones say, in the form of the published language's example.
    fn batch(&self) -> String {
        let mut lines = String::new();
        for drone in 0..DRONES {
            let (name, seq) = (format!("F{:03}-{drone:03}", self.number), self.said);
            let lat_e7 = 404_590_000 + drone * 100 + seq;
            writeln!(
                lines,
                r#"{{"specversion":"1.0","type":"drone.telemetry.v1","source":"/fleets/pgh/drones/{name}","id":"{name}:0001:t{seq}","time":"2026-10-24T15:04:05.120Z","datacontenttype":"application/json","data":{{"drone_id":"{name}","session_id":"0001","seq":{seq},"simulated":true,"phase":"in_flight","position":{{"lat_deg":40.{:07},"lon_deg":-79.7828192,"alt_msl_m":57.6,"height_above_home_m":24.8,"h_acc_m":0.95}},"velocity":{{"north_mps":3.9,"east_mps":-0.5,"down_mps":0.1}},"heading_deg":353.1,"battery":{{"remaining_pct":61,"voltage_v":15.3,"state":"ok"}},"eta":{{"next_s":19,"end_s":88}},"origin":{{"protocol":"mavlink2","sysid":1,"compid":1}}}}}}"#,
                lat_e7 - 400_000_000,
            )
            .expect("a text takes more text");
        }
        lines
    }
}
