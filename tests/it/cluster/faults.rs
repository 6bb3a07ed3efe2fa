//! Two nodes on three servers, while servers and nodes are killed and paused and lines are cut:
//! whatever was acknowledged is in the log once, and all that are left show the same.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::environment::Environment;
use tempfile::TempDir;
use tests::{
    Chance, Client, NatsClient, NatsCluster, NatsServer, PowerDisk, Progress, Proxy, Server,
    poll_until, tally,
};
use tokio::sync::watch;

use super::{Log, level};
use crate::answers::Answers;
use crate::power::{any_cut, cuts};
use crate::publishing::assert_told;
use crate::scene::{number_from, scratch, seeded, verify};
use crate::story::Crowd;

/// Faults of a usual run.
const FAULTS: u64 = 20;

/// How many customers write at once.
const CUSTOMERS: usize = 6;

/// So many answers are waited for while something is wrong, and once it is not any more.
const ANSWERS_BETWEEN: u64 = 40;

/// How long nobody may be answered, at the worst: all servers elect a leader in that time.
const SILENCE_MAX: Duration = Duration::from_mins(1);

/// How long no write is answered while a majority of servers and a node are there.
const GAP_MAX: Duration = Duration::from_secs(10);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ServerKilled(usize),
    ServerPaused(usize),
    NodeKilled(usize),
    NodePaused(usize),
    LinesCut(usize),
    LinesHeld(usize),
    AllServersKilled,
    ServerPowerCut(usize),
    AllPowerCut,
}

impl Fault {
    /// One of them; the power is cut only where the servers have disks for it.
    fn draw(chance: &mut Chance, has_power_cuts: bool) -> Self {
        let mut below = |n| usize::try_from(chance.below(n)).expect("a small number");
        match below(if has_power_cuts { 9 } else { 7 }) {
            0 => Self::ServerKilled(below(3)),
            1 => Self::ServerPaused(below(3)),
            2 => Self::NodeKilled(below(2)),
            3 => Self::NodePaused(below(2)),
            4 => Self::LinesCut(below(2)),
            5 => Self::LinesHeld(below(2)),
            6 => Self::AllServersKilled,
            7 => Self::ServerPowerCut(below(3)),
            _ => Self::AllPowerCut,
        }
    }

    /// Whether a majority of servers and a node that reaches them are there.
    fn leaves_enough(self) -> bool {
        !matches!(self, Self::AllServersKilled | Self::AllPowerCut)
    }
}

/// A node, with a line of its own to each server.
struct Node {
    folder: TempDir,
    lines: Vec<Proxy>,
    server: Option<Server>,
}

impl Node {
    async fn joining(servers: &NatsCluster) -> Self {
        let mut lines = Vec::new();
        for server in &servers.servers {
            lines.push(Proxy::to(server.port()).await);
        }
        let mut node = Self {
            folder: scratch(),
            lines,
            server: None,
        };
        node.log().begin(node.folder.path()).await;
        node.start().await;
        node
    }

    fn log(&self) -> Log {
        let urls = self
            .lines
            .iter()
            .map(|line| format!("nats://{}", line.address()));
        let urls: Vec<_> = urls.collect();
        Log::at(&urls.join(","))
    }

    async fn start(&mut self) {
        // Segments of 64 KiB, so that the journal rolls.
        let server = self
            .log()
            .serve_with(self.folder.path(), &["--segment-kib", "64"])
            .await;
        self.server = Some(server);
    }

    fn client(&self) -> Option<Client> {
        self.server.as_ref().map(Server::client)
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("the node is up")
    }

    async fn kill(&mut self) {
        self.server.take().expect("the node is up").kill().await;
    }
}

/// When somebody was answered last, and the longest time in which nobody was.
#[derive(Debug)]
struct Pulse {
    clock: Environment,
    told: Mutex<(Duration, Duration, u64)>,
    answers: watch::Sender<u64>,
}

impl Pulse {
    fn new() -> Self {
        Self {
            clock: Environment::system(),
            told: Mutex::default(),
            answers: watch::Sender::new(0),
        }
    }

    fn beat(&self) {
        let now = self.clock.elapsed();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.1 = told.1.max(now.saturating_sub(told.0));
        told.0 = now;
        told.2 += 1;
        self.answers.send_replace(told.2);
    }

    /// The longest silence since this was last asked.
    fn longest(&self) -> Duration {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut told.1)
    }

    async fn wait_for_more(&self) {
        let mut answers = self.answers.subscribe();
        let wanted = *answers.borrow() + ANSWERS_BETWEEN;
        let there = answers.wait_for(|answers| *answers >= wanted);
        let there = tokio::time::timeout(SILENCE_MAX, there).await;
        assert!(there.is_ok(), "nobody was answered for {SILENCE_MAX:?}");
    }
}

/// Servers, nodes, and who writes to them.
struct World {
    servers: NatsCluster,
    /// What the servers store on, where their power can be cut.
    disks: Vec<PowerDisk>,
    chance: Chance,
    nodes: Vec<Node>,
    clients: watch::Sender<Vec<Client>>,
    pulse: Arc<Pulse>,
}

impl World {
    async fn new(chance: Chance, has_power_cuts: bool) -> Self {
        let mut disks = Vec::new();
        for _ in 0..if has_power_cuts { 3 } else { 0 } {
            disks.push(PowerDisk::new().await);
        }
        let stores: Vec<_> = disks.iter().map(PowerDisk::path).collect();
        let servers = NatsCluster::storing_in(&stores).await;
        let nodes = vec![Node::joining(&servers).await, Node::joining(&servers).await];
        let world = Self {
            servers,
            disks,
            chance,
            nodes,
            clients: watch::Sender::default(),
            pulse: Arc::new(Pulse::new()),
        };
        world.show_nodes();
        world
    }

    fn show_nodes(&self) {
        let clients = self.nodes.iter().filter_map(Node::client);
        self.clients.send_replace(clients.collect());
    }

    fn nats(&mut self, number: usize) -> &mut NatsServer {
        self.servers
            .servers
            .get_mut(number)
            .expect("there are three")
    }

    fn node(&mut self, number: usize) -> &mut Node {
        self.nodes.get_mut(number).expect("there are two")
    }

    async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::ServerKilled(server) => self.nats(server).kill(),
            Fault::ServerPaused(server) => self.nats(server).pause(),
            Fault::NodeKilled(node) => {
                self.node(node).kill().await;
                self.show_nodes();
            }
            Fault::NodePaused(node) => self.node(node).server().pause().await,
            Fault::LinesCut(node) => self.node(node).lines.iter().for_each(Proxy::cut),
            Fault::LinesHeld(node) => self.node(node).lines.iter().for_each(Proxy::hold),
            Fault::AllServersKilled => self.servers.servers.iter_mut().for_each(NatsServer::kill),
            Fault::ServerPowerCut(server) => self.cut_power(&[server]).await,
            Fault::AllPowerCut => self.cut_power(&[0, 1, 2]).await,
        }
    }

    /// Cuts the power of servers. They stand still before, so that nothing is in flight.
    async fn cut_power(&mut self, servers: &[usize]) {
        for server in servers {
            self.nats(*server).freeze().await;
        }
        for server in servers {
            let cut = any_cut(&mut self.chance);
            self.disk(*server).cut(cut).await;
        }
        for server in servers {
            self.nats(*server).kill();
        }
    }

    async fn power_comes_back(&mut self, servers: &[usize]) {
        for server in servers {
            self.disk(*server).restart().await;
            self.nats(*server).spawn();
        }
        self.servers.ready().await;
    }

    fn disk(&mut self, number: usize) -> &mut PowerDisk {
        self.disks.get_mut(number).expect("each has one")
    }

    async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::ServerKilled(server) => self.nats(server).start().await,
            Fault::ServerPaused(server) => self.nats(server).go_on(),
            Fault::NodeKilled(node) => {
                self.node(node).start().await;
                self.show_nodes();
            }
            Fault::NodePaused(node) => self.node(node).server().go_on().await,
            Fault::LinesCut(node) | Fault::LinesHeld(node) => {
                self.node(node).lines.iter().for_each(Proxy::open);
            }
            Fault::AllServersKilled => {
                self.servers.servers.iter_mut().for_each(NatsServer::spawn);
                self.servers.ready().await;
            }
            Fault::ServerPowerCut(server) => self.power_comes_back(&[server]).await,
            Fault::AllPowerCut => self.power_comes_back(&[0, 1, 2]).await,
        }
        for node in &self.nodes {
            node.server().ready().await;
        }
    }

    /// Lets something go wrong while people write, and mends it; gives how long nobody was answered.
    async fn suffer(&mut self, fault: Fault) -> Duration {
        self.pulse.longest();
        self.begin(fault).await;
        if fault.leaves_enough() {
            self.pulse.wait_for_more().await;
        }
        self.end(fault).await;
        self.pulse.wait_for_more().await;
        self.pulse.longest()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_two_nodes_on_three_servers_acknowledged_is_in_the_log_once_whatever_goes_wrong() {
    let (seed, mut chance) = seeded();
    let minutes = number_from("AIRPOST_CLUSTER_MINUTES");
    let progress = minutes.map_or_else(
        || {
            let faults = number_from("AIRPOST_CLUSTER_FAULTS").unwrap_or(FAULTS);
            Progress::new("faults of the cluster", faults)
        },
        |minutes| Progress::for_minutes("faults of the cluster", minutes),
    );
    let has_power_cuts = minutes.is_some() && cuts("power cuts of a cluster's servers").is_some();
    let mut world = World::new(Chance::new(chance.bits()), has_power_cuts).await;
    let answers = Answers::default();
    let (stop, stopped) = watch::channel(false);
    let pulse = Arc::clone(&world.pulse);
    let crowd = Crowd::noting(CUSTOMERS, &answers);
    let nodes = world.clients.subscribe();
    let writing = crowd.write_on(&nodes, &mut chance, &stopped, &move || pulse.beat());
    world.pulse.wait_for_more().await;
    let (mut met, mut worst) = (0, (Duration::ZERO, None));
    while !progress.is_over() {
        let fault = Fault::draw(&mut chance, has_power_cuts);
        let gap = world.suffer(fault).await;
        if fault.leaves_enough() {
            assert!(gap <= GAP_MAX, "{fault:?}: nobody was answered for {gap:?}");
            if gap > worst.0 {
                worst = (gap, Some(fault));
            }
        }
        met += 1;
        progress.end_one();
    }
    // A node that comes late, with an empty folder, while people write.
    let late = Node::joining(&world.servers).await;
    world.nodes.push(late);
    world.show_nodes();
    world.pulse.wait_for_more().await;
    stop.send_replace(true);
    let mut crowd = Crowd::rest(writing).await;
    check(world, &mut crowd, &answers, &mut chance).await;
    let (acknowledged, seconds) = (answers.count(), progress.elapsed_s());
    tally(&format!(
        "faults of a cluster of two nodes and three servers: {met}; {acknowledged} made, 0 lost, 0 doubled, \
         the longest time without a write {} ms ({}); {seconds} s, AIRPOST_SEED={seed}",
        worst.0.as_millis(),
        worst.1.map_or_else(
            || "nothing went wrong".to_owned(),
            |fault| format!("{fault:?}")
        )
    ));
}

/// Once nothing is wrong any more: everything is there once, on every node, and all are the same.
async fn check(world: World, crowd: &mut Crowd, answers: &Answers, chance: &mut Chance) {
    let clients: Vec<_> = world.nodes.iter().filter_map(Node::client).collect();
    let both: Vec<_> = clients.iter().collect();
    level(&both).await;
    for client in &clients {
        crowd.finish(client, chance).await;
        level(&both).await;
        crowd.check_side_by_side(client).await;
    }
    // What they told of it went out through the same faults.
    let nats = NatsClient::connect(&world.servers.urls()).await;
    let one = clients.first().expect("a node is up");
    assert_told(one, &nats).await;
    let end = level(&both).await;
    for mut node in world.nodes {
        let server = node.server.take().expect("the node is up");
        server.stop().await;
        answers.check(node.folder.path());
        verify(node.folder.path()).await;
        is_whole_copy(&node.log(), node.folder.path(), end).await;
    }
}

/// The journal is the log up to its end, by position and chain.
async fn is_whole_copy(log: &Log, data: &Path, end: u64) {
    let whole = format!("a copy of the log up to position {end}, 0 behind");
    let look = || async {
        let status = log.command("status", data).await;
        status.stdout.contains(&whole).then_some(())
    };
    poll_until(Duration::from_secs(30), &whole, look).await;
}
