//! The configuration of NATS that is shipped in `api/nats`: with it, and ports and paths of the
//! test's own, everybody may do what it says, and nobody anything else.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventstore::NatsAccess;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Authority, NatsClient, NatsPlace, NatsServer, Server, poll_until};

use crate::publishing::{PATIENCE, STREAM, assert_told, deliver, feed, last, serve};
use crate::scene::{airpost, scratch, scratch_in_memory, settled};

/// Where it lies.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/nats");

/// The stream that is a log.
const LOG: &str = "LOG";

/// What the API of streams is asked under by who is in their account.
const API: &str = "$JS.API";

/// What fleets and readers ask it under, who are in accounts of their own.
const API_ACROSS: &str = "JS.AIRPOST.API";

/// Who comes in: the name of the key, and the word that answers come under.
const EVERYBODY: [(&str, &str); 5] = [
    ("SYSTEM_KEY", "_INBOX"),
    ("AIRPOST_KEY", "_INBOX"),
    ("FLEET_PGH_KEY", "_INBOX_fleet-pgh"),
    ("READER_KEY", "_INBOX_reader"),
    ("OPERATOR_KEY", "_INBOX_operator"),
];

/// What an operator hands out: keys, and the certificates that servers show.
struct Handed {
    folder: TempDir,
}

impl Handed {
    fn new() -> Self {
        let folder = scratch();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text)
                .expect("a scratch folder can be written");
        };
        let mut public = Vec::new();
        for (name, _) in EVERYBODY {
            let key = KeyPair::new_user();
            public.push(format!("{name}: {}\n", key.public_key()));
            write(
                name,
                &key.seed().expect("a pair that was made has its seed"),
            );
        }
        write("keys.conf", &public.concat());
        let authority = Authority::named("Fleets of Example");
        let (certificate, key) = authority.server_pem();
        write("authority.pem", &authority.pem());
        write("server.pem", &certificate);
        write("server-key.pem", &key);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How somebody reaches these servers.
    fn access(&self, urls: &str, name: &str) -> NatsAccess {
        NatsAccess {
            nkey: Some(self.path(name)),
            authorities: Some(self.path("authority.pem")),
            ..NatsAccess::new(urls)
        }
    }

    async fn client(&self, urls: &str, name: &str) -> NatsClient {
        let (access, inbox) = (self.access(urls, name), inbox_of(name));
        let look = || async { NatsClient::connect_as(&access, inbox).await.ok() };
        poll_until(PATIENCE, "the server to let somebody in", look).await
    }

    /// Puts the shipped files into a server's folder; nothing but ports and paths is another.
    fn configuration(&self, file: &str, place: NatsPlace<'_>) -> String {
        let own = |text: String| {
            let (port, monitor) = (place.port, place.monitor);
            text.replace("0.0.0.0:4222", &format!("127.0.0.1:{port}"))
                .replace("127.0.0.1:8222", &format!("127.0.0.1:{monitor}"))
                .replace("/var/lib/nats", &place.folder.display().to_string())
                .replace("/etc/nats", &self.folder.path().display().to_string())
        };
        let read = |file: &str| {
            let text = std::fs::read_to_string(Path::new(SHIPPED).join(file));
            own(text.expect("the configuration is there"))
        };
        let put = |name: &str, text: String| {
            std::fs::write(place.folder.join(name), text).expect("its folder can be written");
        };
        put("airpost.conf", read("airpost.conf"));
        let keys = std::fs::read_to_string(self.path("keys.conf"));
        put("keys.conf", keys.expect("it was written"));
        read(file)
    }

    async fn server(&self) -> NatsServer {
        NatsServer::configured(|place| self.configuration("nats-server.conf", place)).await
    }

    /// A service that speaks with these servers, as the configuration knows it.
    async fn airpost(&self, data: &Path, urls: &str, options: &[&str]) -> Server {
        let (nkey, authority) = (self.path("AIRPOST_KEY"), self.path("authority.pem"));
        let (nkey, authority) = (nkey.to_string_lossy(), authority.to_string_lossy());
        let access = ["--nats-nkey", &nkey, "--nats-ca", &authority];
        serve(&airpost(), data, urls, &[&access, options].concat()).await
    }
}

fn inbox_of(name: &str) -> &'static str {
    let mut everybody = EVERYBODY.iter();
    let found = everybody.find(|(known, _)| *known == name);
    found.expect("somebody has that key").1
}

/// Nothing was denied to anybody so far.
#[track_caller]
fn assert_nothing_was_denied(broker: &NatsServer) {
    let log = broker.log();
    assert!(!log.contains("Violation"), "{log}");
}

/// Waits until the server knows what a client listens to: it answers a question that comes behind.
async fn until_heard(client: &NatsClient, api: &str, consumer: &str) {
    let question = format!("{api}.CONSUMER.INFO.{STREAM}.{consumer}");
    let answer = client.ask(&question, &json!({})).await;
    let is_answered = |why: &String| why.contains("err_code");
    assert!(answer.as_ref().err().is_none_or(is_answered), "{answer:?}");
}

/// A durable consumer of what goes out, as an operator makes one.
async fn make_consumer(operator: &NatsClient, name: &str, subjects: &str) {
    let config = json!({
        "stream_name": STREAM,
        "config": {
            "durable_name": name, "name": name, "filter_subject": subjects,
            "ack_policy": "explicit", "deliver_policy": "all", "replay_policy": "instant",
        },
    });
    let subject = format!("{API}.CONSUMER.CREATE.{STREAM}.{name}.{subjects}");
    let made = operator.ask(&subject, &config).await;
    made.unwrap_or_else(|error| panic!("{name} was not made: {error}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn airpost_publishes_with_what_the_configuration_permits_it_over_tls_and_by_its_key() {
    let (handed, data) = (Handed::new(), scratch_in_memory());
    let broker = handed.server().await;
    let server = handed.airpost(data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 3).await;
    let operator = handed.client(&broker.url(), "OPERATOR_KEY").await;
    assert_told(&server.client(), &operator).await;
    server.stop().await;
    assert_nothing_was_denied(&broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_speaks_under_its_own_name_and_hears_of_missions_and_no_more() {
    let (handed, data) = (Handed::new(), scratch_in_memory());
    let broker = handed.server().await;
    let server = handed.airpost(data.path(), &broker.url(), &[]).await;
    let operator = handed.client(&broker.url(), "OPERATOR_KEY").await;
    let fleet = handed.client(&broker.url(), "FLEET_PGH_KEY").await;
    let mut said = operator.subscribe("drone.>").await;
    let mut missions = fleet.subscribe("airpost.v1.missions.>").await;
    let mut others = fleet.subscribe("airpost.v1.deliveries.>").await;
    until_heard(&fleet, API_ACROSS, "fleet-pgh").await;
    until_heard(&operator, API, "any").await;
    for denied in [
        "drone.v1.nyc.M1.departed",
        "drone.v1",
        "airpost.v1.missions.msn_x.mission_requested",
        "airpost.cursor.DELIVERY_EVENTS",
        "airpost.log.LOG",
    ] {
        fleet.say(denied, "{}").await;
    }
    fleet.say("drone.v1.pgh.M1.departed", "{}").await;
    assert_eq!(said.next().await.0, "drone.v1.pgh.M1.departed");

    deliver(&server.client(), 1).await;
    let (subject, _) = missions.next().await;
    assert!(subject.ends_with(".mission_requested"), "{subject}");
    assert_told(&server.client(), &operator).await;
    make_consumer(&operator, "fleet-pgh", "airpost.v1.missions.>").await;
    let taken = fleet.take(API_ACROSS, STREAM, "fleet-pgh").await;
    assert_eq!(taken.expect("it may take its own").0, subject);
    let purge = format!("{API_ACROSS}.STREAM.PURGE.{STREAM}");
    for denied in [purge.as_str(), "$JS.API.STREAM.NAMES"] {
        assert!(fleet.ask(denied, &json!({})).await.is_err(), "{denied}");
    }
    assert_eq!(others.now(), None, "a fleet hears of deliveries");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_hears_everything_that_is_told_and_says_nothing() {
    let (handed, data) = (Handed::new(), scratch_in_memory());
    let broker = handed.server().await;
    let server = handed.airpost(data.path(), &broker.url(), &[]).await;
    let operator = handed.client(&broker.url(), "OPERATOR_KEY").await;
    let reader = handed.client(&broker.url(), "READER_KEY").await;
    let mut told = reader.subscribe("airpost.v1.>").await;
    until_heard(&reader, API_ACROSS, "reader").await;
    deliver(&server.client(), 1).await;
    settled(&server.client()).await;
    let events = feed(&server.client()).await;
    for event in &events {
        let (_, heard) = told.next().await;
        let heard: Value = serde_json::from_slice(&heard).expect("a cloud event is JSON");
        assert_eq!(&heard, event);
    }
    make_consumer(&operator, "reader", "airpost.v1.>").await;
    for event in &events {
        let taken = reader.take(API_ACROSS, STREAM, "reader").await;
        let (_, taken) = taken.expect("it may take");
        let taken: Value = serde_json::from_slice(&taken).expect("a cloud event is JSON");
        assert_eq!(&taken, event);
    }
    let out = last(&operator, STREAM).await;
    for denied in [
        "airpost.v1.deliveries.dlv_x.Created",
        "airpost.v1.missions.msn_x.mission_requested",
        "drone.v1.pgh.M1.departed",
        "airpost.cursor.DELIVERY_EVENTS",
    ] {
        assert!(reader.store(denied, &[], "{}").await.is_err(), "{denied}");
    }
    let create = format!("{API_ACROSS}.CONSUMER.CREATE.{STREAM}.another");
    assert!(reader.ask(&create, &json!({})).await.is_err());
    assert_eq!(last(&operator, STREAM).await, out);
    server.stop().await;
}

#[tokio::test]
async fn who_asks_about_its_own_consumer_has_one_answer_and_that_is_the_consumer() {
    let handed = Handed::new();
    let broker = handed.server().await;
    let operator = handed.client(&broker.url(), "OPERATOR_KEY").await;
    let stream = json!({"name": STREAM, "subjects": ["airpost.v1.>"], "storage": "file"});
    operator.make_stream(&stream).await;
    for (name, consumer, subjects) in [
        ("FLEET_PGH_KEY", "fleet-pgh", "airpost.v1.missions.>"),
        ("READER_KEY", "reader", "airpost.v1.>"),
    ] {
        make_consumer(&operator, consumer, subjects).await;
        let somebody = handed.client(&broker.url(), name).await;
        let inbox = format!("{}.answers", inbox_of(name));
        let mut answers = somebody.subscribe(&inbox).await;
        let question = format!("{API_ACROSS}.CONSUMER.INFO.{STREAM}.{consumer}");
        somebody.say_for(&question, &inbox, "").await;
        let (_, answer) = answers.next().await;
        let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        let named = answer.get("name").and_then(Value::as_str);
        assert_eq!(named, Some(consumer), "{answer}");
        // Another answer would have come before that to what is asked behind it.
        until_heard(&somebody, API_ACROSS, consumer).await;
        assert_eq!(answers.now(), None, "{consumer} has another answer");
    }
    assert_nothing_was_denied(&broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_answers_to_it_stored_where_it_may_not_publish() {
    let (handed, data) = (Handed::new(), scratch_in_memory());
    let broker = handed.server().await;
    let server = handed.airpost(data.path(), &broker.url(), &[]).await;
    deliver(&server.client(), 1).await;
    let operator = handed.client(&broker.url(), "OPERATOR_KEY").await;
    assert_told(&server.client(), &operator).await;
    let log = json!({"name": LOG, "subjects": ["airpost.log.LOG"], "storage": "file"});
    operator.make_stream(&log).await;
    make_consumer(&operator, "fleet-pgh", "airpost.v1.missions.>").await;
    make_consumer(&operator, "reader", "airpost.v1.>").await;
    let mut said = operator.subscribe("drone.v1.nyc.>").await;
    until_heard(&operator, API, "any").await;
    let told = last(&operator, STREAM).await;

    let elsewhere = [
        "airpost.log.LOG",
        "airpost.v1.deliveries.dlv_x.Created",
        "airpost.v1.missions.msn_x.mission_requested",
        "airpost.cursor.DELIVERY_EVENTS",
        "airpost.heads.LOG.any",
        "drone.v1.nyc.M1.departed",
    ];
    for (name, consumer) in [("FLEET_PGH_KEY", "fleet-pgh"), ("READER_KEY", "reader")] {
        let somebody = handed.client(&broker.url(), name).await;
        let ask = |what: &str| format!("{API_ACROSS}.CONSUMER.{what}.{STREAM}.{consumer}");
        let acknowledge = format!("$JS.ACK.{STREAM}.{consumer}.1.1.1.1.0");
        for answers in elsewhere {
            somebody
                .say_for("drone.v1.pgh.M1.departed", answers, "{}")
                .await;
            somebody.say_for(&ask("INFO"), answers, "").await;
            somebody.say_for(&acknowledge, answers, "+ACK").await;
            // One that there is, and one that there is not at once.
            for wait in [r#"{"batch": 1}"#, r#"{"batch": 9, "no_wait": true}"#] {
                somebody.say_for(&ask("MSG.NEXT"), answers, wait).await;
            }
        }
        // What is answered behind all of those, since it came behind them.
        until_heard(&somebody, API_ACROSS, consumer).await;
    }
    let fleet = handed.client(&broker.url(), "FLEET_PGH_KEY").await;
    let stored = fleet.store("drone.v1.pgh.M1.departed", &[], "{}").await;
    assert!(stored.is_ok(), "{stored:?}");
    assert_eq!(last(&operator, LOG).await, 0, "the log has an answer");
    assert_eq!(last(&operator, STREAM).await, told);
    assert_eq!(said.now(), None, "another fleet said that");
    server.stop().await;
}

#[tokio::test]
async fn who_has_no_key_or_does_not_believe_the_server_does_not_come_in() {
    let handed = Handed::new();
    let broker = handed.server().await;
    let as_nobody = NatsAccess {
        authorities: Some(handed.path("authority.pem")),
        ..NatsAccess::new(broker.url())
    };
    let with_another = NatsAccess {
        nkey: Some(Handed::new().path("AIRPOST_KEY")),
        ..as_nobody.clone()
    };
    let believing_nobody = NatsAccess {
        authorities: None,
        ..handed.access(&broker.url(), "AIRPOST_KEY")
    };
    for access in [as_nobody, with_another, believing_nobody] {
        let refused = NatsClient::connect_as(&access, "_INBOX").await;
        assert!(refused.is_err(), "{access:?}");
    }
}

/// Claims as a JWT of NATS, signed by whoever vouches for them.
fn signed(by: &KeyPair, of: &KeyPair, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let (iss, sub) = (by.public_key(), of.public_key());
    let claims = json!({
        "jti": sub, "iat": 1_700_000_000, "iss": iss, "sub": sub, "name": "test", "nats": claims,
    });
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let text = format!("{header}.{claims}");
    let signature = by
        .sign(text.as_bytes())
        .expect("a pair that was made signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_users_are_known_by_jwts_airpost_comes_in_by_its_credentials_file() {
    let (data, handed) = (scratch_in_memory(), scratch());
    let (operator, user) = (KeyPair::new_operator(), KeyPair::new_user());
    let (system, account) = (KeyPair::new_account(), KeyPair::new_account());
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let without_streams = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let claims = |limits: &Value| json!({"type": "account", "version": 2, "limits": limits});
    let preloaded = [(&system, &without_streams), (&account, &limits)].map(|(of, limits)| {
        let jwt = signed(&operator, of, &claims(limits));
        format!("{}: {jwt}\n", of.public_key())
    });
    let trusted = json!({"type": "operator", "version": 2});
    let trusted = signed(&operator, &operator, &trusted);
    let broker = NatsServer::configured(|place| {
        let NatsPlace { folder, port, .. } = place;
        let (store, system) = (folder.display(), system.public_key());
        let preloaded = preloaded.concat();
        format!(
            "server_name: jwt\nlisten: \"127.0.0.1:{port}\"\noperator: {trusted}\n\
             system_account: {system}\nresolver: MEMORY\nresolver_preload {{\n{preloaded}}}\n\
             jetstream {{ store_dir: \"{store}\", sync_interval: always }}\n"
        )
    });
    let broker = broker.await;
    let known = json!({
        "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1,
    });
    let jwt = signed(&account, &user, &known);
    let seed = user.seed().expect("a pair that was made has its seed");
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    let file = handed.path().join("airpost.creds");
    std::fs::write(&file, credentials).expect("a scratch folder can be written");
    let options = ["--nats-creds", &file.to_string_lossy()];
    let server = serve(&airpost(), data.path(), &broker.url(), &options).await;
    deliver(&server.client(), 1).await;
    let access = NatsAccess {
        credentials: Some(file.clone()),
        ..NatsAccess::new(broker.url())
    };
    let nats = NatsClient::connect_as(&access, "_INBOX").await;
    assert_told(&server.client(), &nats.expect("it comes in")).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_one_log_join_it_write_it_and_leave_it_with_what_the_configuration_permits() {
    let (handed, first, second) = (Handed::new(), scratch_in_memory(), scratch_in_memory());
    let broker = handed.server().await;
    let server = airpost().serve(first.path()).await;
    deliver(&server.client(), 2).await;
    server.stop().await;
    let (nkey, authority) = (handed.path("AIRPOST_KEY"), handed.path("authority.pem"));
    let url = broker.url();
    let run = async |stream: &str, command: &[&str], data: Option<&Path>| {
        let words = ["--cluster", stream, "--single-replica", "--nats", &url];
        let paths = [("--nats-nkey", &*nkey), ("--nats-ca", &*authority)];
        let paths = data.map(|data| ("--data", data)).into_iter().chain(paths);
        let paths = paths.map(|(name, path)| [name.as_ref(), path.as_os_str()]);
        let words = command.iter().chain(&words).map(OsStr::new);
        airpost().run(words.chain(paths.flatten())).await
    };
    let cluster = async |command: &[&str], data: &Path| {
        let output = run(LOG, &[&["cluster"], command].concat(), Some(data)).await;
        assert_eq!(output.code, Some(0), "{command:?}: {output:?}");
    };
    cluster(&["join"], first.path()).await;
    let mistyped = run("LGO", &["cluster", "join"], Some(second.path())).await;
    let named = "(the logs there: LOG)";
    assert!(mistyped.stderr.contains(named), "{mistyped:?}");
    cluster(&["join"], second.path()).await;
    cluster(&["status"], first.path()).await;
    let options = ["--cluster", LOG, "--single-replica"];
    let (one, two) = (
        handed.airpost(first.path(), &url, &options).await,
        handed.airpost(second.path(), &url, &options).await,
    );
    deliver(&one.client(), 1).await;
    deliver(&two.client(), 1).await;
    let operator = handed.client(&url, "OPERATOR_KEY").await;
    assert_told(&two.client(), &operator).await;
    let healthy = run(LOG, &["doctor"], None).await;
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    one.stop_only().await;
    two.stop_only().await;
    cluster(&["heal"], first.path()).await;
    cluster(&["leave", "--accept-sealing"], first.path()).await;
    assert_nothing_was_denied(&broker);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_of_the_configuration_keep_what_goes_out_when_one_of_them_is_lost() {
    let (handed, data) = (Handed::new(), scratch_in_memory());
    let ports = [tests::free_port(), tests::free_port(), tests::free_port()];
    let mut servers = Vec::new();
    for (number, own) in (1..).zip(ports) {
        let server = NatsServer::down(|place| {
            let mut shipped = handed.configuration("nats-cluster.conf", place);
            shipped = shipped.replace("0.0.0.0:6222", &format!("127.0.0.1:{own}"));
            for (other, port) in (1..).zip(ports) {
                let named = format!("nats-{other}.example.org:6222");
                shipped = shipped.replace(&named, &format!("127.0.0.1:{port}"));
            }
            format!("NATS_NAME: n{number}\n{shipped}")
        });
        servers.push(server);
    }
    let mut cluster = tests::NatsCluster { servers };
    cluster.servers.iter_mut().for_each(NatsServer::spawn);
    cluster.ready().await;
    let copies = ["--nats-copies", "3"];
    let server = handed.airpost(data.path(), &cluster.urls(), &copies).await;
    deliver(&server.client(), 2).await;
    let operator = handed.client(&cluster.urls(), "OPERATOR_KEY").await;
    assert_told(&server.client(), &operator).await;
    for lost in 0..cluster.servers.len() {
        let broker = &mut cluster.servers[lost];
        broker.kill();
        deliver(&server.client(), 1).await;
        let operator = handed.client(&cluster.urls(), "OPERATOR_KEY").await;
        assert_told(&server.client(), &operator).await;
        cluster.servers[lost].start().await;
        cluster.ready().await;
    }
    server.stop().await;
    cluster.servers.iter().for_each(assert_nothing_was_denied);
}
