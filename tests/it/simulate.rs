//! A city of customers and drones with every trouble there is, through the public door.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tests::{Billing, Bills, Chance, Output, Program, Server, poll_until, tally};

use crate::accounts::{Accounts, by_delivery};
use crate::scene::{airpost, number_from, scratch, seeded, verify};

/// Deliveries of a usual run.
const DELIVERIES: u64 = 150;

/// Drones of a usual run.
const DRONES: u64 = 20;

/// Seeds of a usual run.
const SEEDS: u64 = 1;

/// Kills of a usual run.
const KILLS: u64 = 6;

/// What goes wrong: everything.
const FAULTS: &str = "all";

/// The seed of the run with kills.
const SEED_OF_KILLS: u64 = 2;

/// How many times as fast time passes for what is waited for.
const TIME_SCALE: [&str; 2] = ["--time-scale", "60"];

/// The same for a service that is killed: what it waits for goes on while it is away.
const TIME_SCALE_OF_KILLS: [&str; 2] = ["--time-scale", "20"];

/// The machine may be as slow as it is: a fleet or a recipient that it makes late is no silent one.
const PATIENCE: [&str; 4] = [
    "--mission-answer-s",
    "86400",
    "--confirmation-wait-s",
    "86400",
];

/// How often the billing service does something wrong, of a thousand requests.
const BILLED_WRONG_PERMILLE: u16 = 300;

/// More requests than a delivery needs, also where each third one comes to nothing.
const BILLED_A_DELIVERY: u64 = 4;

/// How long payments may be taken back after the last delivery has ended.
const CLOSED_SOON: Duration = Duration::from_mins(2);

/// How long a simulation may take: as long as the machine needs.
const TIME_MAX: Duration = Duration::from_hours(1);

/// How large a simulation is.
#[derive(Clone, Copy)]
struct Size {
    drones: u64,
    deliveries: u64,
}

impl Size {
    fn of_this_run() -> Self {
        Self {
            drones: number_from("AIRPOST_DRONES").unwrap_or(DRONES),
            deliveries: number_from("AIRPOST_DELIVERIES").unwrap_or(DELIVERIES),
        }
    }
}

/// Simulates; the line of each delivery is written into `lives`.
async fn simulate(
    program: &Program,
    (size, seed): (Size, u64),
    where_and_how: &[&str],
    lives: &Path,
) -> Output {
    let (drones, deliveries) = (size.drones.to_string(), size.deliveries.to_string());
    let (seed, lives) = (seed.to_string(), lives.to_string_lossy());
    let city = [
        "simulate",
        "--faults",
        FAULTS,
        "--speed",
        "max",
        "--drones",
        &drones,
        "--deliveries",
        &deliveries,
        "--seed",
        &seed,
        "--lives",
        &lives,
    ];
    program
        .run_for(TIME_MAX, city.iter().chain(where_and_how))
        .await
}

/// The program, which has its payments authorized there.
fn billed_by(billing: &Billing) -> Program {
    airpost().with_setting("AIRPOST_BILLING__URL", billing.url())
}

/// A billing service that does now this, now that wrong, and pays for everything in the end.
async fn troubled_billing(size: Size, chance: &mut Chance) -> Billing {
    let one = || {
        let trouble = chance.below(Bills::TROUBLES.len() as u64);
        let trouble = usize::try_from(trouble).expect("it is a place in memory");
        let is_wrong = chance.happens(BILLED_WRONG_PERMILLE);
        let trouble = Bills::TROUBLES.get(trouble).filter(|_| is_wrong);
        trouble.copied().unwrap_or(Bills::Well)
    };
    let requests = usize::try_from(size.deliveries * BILLED_A_DELIVERY).expect("it fits memory");
    Billing::start(std::iter::repeat_with(one).take(requests), Bills::Well).await
}

/// The lives that a simulation wrote down, which must have found nothing wrong.
#[track_caller]
fn lives_of(output: &Output, file: &Path) -> String {
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    std::fs::read_to_string(file).expect("it was told to write them")
}

/// The words at one place of every line.
fn words(lives: &str, place: usize) -> BTreeSet<&str> {
    let each = lives.lines();
    each.filter_map(|line| line.split(' ').nth(place)).collect()
}

/// Nobody compares two long texts by eye.
#[track_caller]
fn assert_same(some: &str, others: &str) {
    for (one, other) in some.lines().zip(others.lines()) {
        assert_eq!(one, other);
    }
    assert_eq!(some.lines().count(), others.lines().count());
}

#[tokio::test]
async fn whatever_goes_wrong_each_delivery_ends_once_and_the_same_seed_gives_the_same_lives() {
    let (size, folder) = (Size::of_this_run(), scratch());
    let seeds = number_from("AIRPOST_SIMULATIONS").unwrap_or(SEEDS);
    let program = airpost();
    for seed in 1..=seeds {
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        let city = (size, seed);
        let once = simulate(&program, city, &TIME_SCALE, &first).await;
        let once = lives_of(&once, &first);
        // Once is enough: at full size the machine is busy with one run of each seed.
        if seed == 1 {
            let again = simulate(&program, city, &TIME_SCALE, &second).await;
            assert_same(&once, &lives_of(&again, &second));
        }
        let outcomes = words(&once, 1);
        for outcome in ["complete", "returned", "cancelled", "failed", "rejected"] {
            assert!(
                outcomes.contains(outcome),
                "none is {outcome}: {outcomes:?}"
            );
        }
        assert_eq!(outcomes.len(), 5, "{outcomes:?}");
        assert_eq!(u64::try_from(words(&once, 0).len()), Ok(size.deliveries));
    }
    let Size { drones, deliveries } = size;
    tally(&format!(
        "simulations: {seeds} of {deliveries} deliveries with {drones} drones and every trouble, each ended once, 0 findings"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_again_and_again_gives_the_same_lives_and_charges_each_once() {
    let (size, folder, data) = (Size::of_this_run(), scratch(), scratch());
    let (drawn_by, mut chance) = seeded();
    let city = (size, SEED_OF_KILLS);
    let [calm, wild] = ["calm", "wild"].map(|name| folder.path().join(name));
    let billing = Billing::start([], Bills::Well).await;
    let program = billed_by(&billing);
    let undisturbed = simulate(&program, city, &TIME_SCALE_OF_KILLS, &calm).await;
    let undisturbed = lives_of(&undisturbed, &calm);
    let charged = by_delivery(&billing.charges()).len();
    assert_eq!(u64::try_from(charged), Ok(size.deliveries));
    let events = undisturbed.split([',', '\n']).count();
    let kills = number_from("AIRPOST_SIMULATION_KILLS").unwrap_or(KILLS);

    let billing = troubled_billing(size, &mut chance).await;
    let mut service = Service::start(billed_by(&billing), &data).await;
    let url = service.server.base().to_owned();
    let at = ["--url", url.as_str()];
    let disturbed = tokio::select! {
        output = simulate(&program, city, &at, &wild) => output,
        () = service.be_killed(&mut chance, kills, events) => unreachable!("it goes on for good"),
    };

    assert_same(&undisturbed, &lives_of(&disturbed, &wild));
    let survived = service.kills;
    assert_eq!(survived, kills, "it was over before the last kill");
    let closed = || async { Accounts::read(data.path()).are_closed().then_some(()) };
    poll_until(CLOSED_SOON, "every operation to be over", closed).await;
    service.server.stop_only().await;
    verify(data.path()).await;
    let accounts = Accounts::read(data.path());
    accounts.assert_no_operation_lost_or_doubled();
    let taken_back = accounts.assert_charged_once(&billing.charges());
    assert!(taken_back > 0, "nothing was taken back");
    let (Size { deliveries, .. }, operations) = (size, accounts.operations());
    let requests = billing.requests();
    tally(&format!(
        "kills during a simulation: {survived}; {deliveries} deliveries lived as if undisturbed and were charged once by {requests} requests, {taken_back} taken back; {operations} operations, 0 lost, 0 doubled; AIRPOST_SEED={drawn_by}"
    ));
}

/// A service that is killed and comes back at the same address.
struct Service<'d> {
    program: Program,
    data: &'d TempDir,
    server: Server,
    kills: u64,
}

impl<'d> Service<'d> {
    async fn start(program: Program, data: &'d TempDir) -> Self {
        let server = serve(&program, data.path(), "127.0.0.1:0").await;
        let kills = 0;
        Self {
            program,
            data,
            server,
            kills,
        }
    }

    /// Is killed so often while so many events come about, and comes back each time; after the
    /// last time it goes on for good. The log holds far more than those events in the end, so
    /// every moment comes: where two are close together it is killed as soon as it is back.
    async fn be_killed(&mut self, chance: &mut Chance, kills: u64, events: usize) {
        let address = self.server.base().trim_start_matches("http://").to_owned();
        let events = u64::try_from(events).expect("a number of events");
        let mut moments: Vec<_> = (0..kills).map(|_| chance.below(events.max(1))).collect();
        moments.sort_unstable();
        for moment in moments {
            let what = "the simulation to get on";
            poll_until(TIME_MAX, what, || async {
                position(&self.server).await.filter(|now| *now > moment)
            })
            .await;
            self.server.kill_in_place().await;
            self.server = serve(&self.program, self.data.path(), &address).await;
            self.kills += 1;
        }
        std::future::pending::<()>().await;
    }
}

async fn serve(program: &Program, data: &Path, address: &str) -> Server {
    let data = data.to_string_lossy();
    let fixed = ["serve", "--data", &data, "--listen", address];
    let server = program
        .start(fixed.iter().chain(&TIME_SCALE_OF_KILLS).chain(&PATIENCE))
        .await;
    server.ready().await;
    server
}

/// Where the log ends.
async fn position(server: &Server) -> Option<u64> {
    let latest = server.client().get("/v1/events?after=latest");
    let answer = latest.try_send().await.ok()?;
    answer.header("stream-position")?.parse().ok()
}
