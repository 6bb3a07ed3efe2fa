//! What is refused, and what the refusal says. Nothing is written then, to the
//! stream or to the folder.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tempfile::TempDir;
use uuid::Uuid;

use super::nodes::Node;
use super::raw;
use crate::jetstream::{LogOfStream, create};
use crate::store::{EventStore, Health};
use crate::tests::clustered::{make_stream, on_one, open, options, try_open};
use crate::tests::given::{self, LOG_ID, append, everything, fill, names, single};
use crate::tests::servers::{Server, shared_cluster, shared_server, wait_until};
use crate::{AppendError, ClusterError, JetStreamOptions, Position};

/// The refusal to open an empty folder, and what it says.
fn refusal(options: &JetStreamOptions) -> (ClusterError, String) {
    let folder = TempDir::new().unwrap();
    let refusal = try_open(&folder, options).unwrap_err();
    assert_eq!(names(folder.path()), Vec::<String>::new(), "{refusal}");
    let words = refusal.to_string();
    (refusal, words)
}

#[test]
fn a_stream_that_is_missing_is_refused_and_not_made() {
    let server = Server::alone("");
    let there = on_one(&server.url());
    let options = JetStreamOptions {
        stream: format!("{}x", there.stream),
        ..there.clone()
    };
    let (refused, words) = refusal(&options);
    assert!(matches!(refused, ClusterError::Missing { .. }), "{words}");
    assert!(words.contains("airpost cluster join"), "{words}");
    assert!(!words.contains("the logs there"), "{words}");
    make_stream(&there, LOG_ID);
    let mut config = raw::config(&there);
    config.name = "NOT-A-LOG".to_owned();
    config.subjects = vec!["orders.>".to_owned()];
    config.metadata.clear();
    raw::make(&there, &config);
    for _ in 0..2 {
        let (refused, words) = refusal(&options);
        assert!(matches!(refused, ClusterError::Missing { .. }), "{words}");
        assert!(words.contains(&server.url()), "{words}");
        let named = format!("(the logs there: {})", there.stream);
        assert!(words.contains(&named), "{words}");
    }
}

#[test]
fn a_stream_that_could_lose_what_it_acknowledged_is_refused_with_what_to_change() {
    type Spoil = fn(&mut Config);
    let spoilt: [(Spoil, &str); 12] = [
        (
            |config| config.storage = StorageType::Memory,
            "storage must be file",
        ),
        (
            |config| config.retention = RetentionPolicy::WorkQueue,
            "retention must be limits",
        ),
        (
            |config| config.retention = RetentionPolicy::Interest,
            "retention must be limits",
        ),
        (
            |config| config.discard = DiscardPolicy::Old,
            "discard policy must be new",
        ),
        (
            |config| config.max_age = Duration::from_hours(24),
            "no maximal age",
        ),
        (|config| config.allow_message_ttl = true, "no maximal age"),
        (|config| config.max_messages = 1_000, "have no limit"),
        (|config| config.deny_delete = false, "must be denied"),
        (|config| config.deny_purge = false, "must be denied"),
        (
            |config| config.subjects.push(format!("{}.more", config.name)),
            "its one subject must be airpost.log.",
        ),
        (
            |config| config.max_message_size = 100_000,
            "must be accepted",
        ),
        (|config| config.metadata.clear(), "which log it is"),
    ];
    for (spoil, must_say) in spoilt {
        let options = on_one(&shared_server().url());
        let mut config = raw::config(&options);
        spoil(&mut config);
        raw::make(&options, &config);
        let (refusal, words) = refusal(&options);
        assert!(matches!(refusal, ClusterError::Settings { .. }), "{words}");
        assert!(words.contains(must_say), "{words}");
        assert_eq!(raw::messages(&options), 0);
    }
}

#[test]
fn a_stream_with_fewer_than_three_copies_is_refused_unless_that_is_accepted() {
    let accepted = on_one(&shared_cluster().urls());
    make_stream(&accepted, LOG_ID);
    let options = JetStreamOptions {
        single_replica: false,
        ..accepted.clone()
    };
    let (refusal, words) = refusal(&options);
    assert!(matches!(refusal, ClusterError::Settings { .. }), "{words}");
    assert!(words.contains("it has 1 copies, give it 3"), "{words}");
    let folder = TempDir::new().unwrap();
    append(&open(&folder, &accepted), single(1, 1, 0)).unwrap();
}

#[test]
fn a_stream_that_holds_what_is_no_log_is_refused_wherever_that_is() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    raw::put(&options, b"not a block");
    let (refused, words) = refusal(&options);
    let ClusterError::Foreign { sequence, .. } = refused else {
        panic!("{words}");
    };
    assert_eq!(sequence, 1, "{words}");

    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    fill(Node::joining(&options).store.as_ref(), 3);
    raw::put(&options, b"not a block either");
    let (refused, words) = refusal(&options);
    let ClusterError::Foreign { sequence, .. } = refused else {
        panic!("{words}");
    };
    assert_eq!(sequence, 4, "{words}");
    assert_eq!(raw::messages(&options), 4, "nothing was written");
}

#[test]
fn a_block_that_does_not_follow_is_neither_shown_nor_built_on() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    fill(node.store.as_ref(), 3);
    // An intact block, in the wrong place.
    raw::put(&options, &raw::get(&options, 2));
    let health = wait_until("the node has seen it", || match node.store.health() {
        Health::ReadOnly { why } => Ok(why),
        health @ (Health::Writable | Health::Full | Health::Outage { .. } | Health::Closed) => {
            Err(health)
        }
    });
    assert!(health.contains("different ways at position 4"), "{health}");
    let refused = append(node.store.as_ref(), single(9, 9, 0));
    assert!(
        matches!(refused, Err(AppendError::Unavailable { .. })),
        "{refused:?}"
    );
    assert_eq!(everything(node.store.as_ref()).len(), 3);
    assert_eq!(raw::messages(&options), 4, "nothing was written");
    let joining = TempDir::new().unwrap();
    let refusal = try_open(&joining, &options).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::Foreign { sequence: 4, .. }),
        "{refusal}"
    );
}

#[test]
fn another_logs_stream_is_refused_and_the_journal_left_as_it_is() {
    let options = on_one(&shared_server().url());
    make_stream(&options, Uuid::from_u128(7));
    let folder = given::journal_of(3);
    let before = given::contents(folder.path());
    let refusal = try_open(&folder, &options).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::OtherLog { .. }),
        "{refusal}"
    );
    assert_eq!(given::contents(folder.path()), before);

    // It says that it is this log, and holds another one's blocks.
    let liar = on_one(&shared_server().url());
    make_stream(&liar, LOG_ID);
    drop(Node::joining(&options).store.append(single(1, 1, 0)));
    wait_until("the other log has a block", || {
        match raw::messages(&options) {
            1 => Ok(()),
            count => Err(count),
        }
    });
    raw::put(&liar, &raw::get(&options, 1));
    let refusal = try_open(&folder, &liar).unwrap_err();
    assert!(
        matches!(refusal, ClusterError::Foreign { sequence: 1, .. }),
        "{refusal}"
    );
    assert_eq!(raw::messages(&liar), 1, "nothing was written");
}

#[test]
fn a_journal_that_went_another_way_is_refused() {
    let options = on_one(&shared_server().url());
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    for id in 101..=104 {
        append(node.store.as_ref(), single(id, 1, u64::from(id - 101))).unwrap();
    }
    let other = given::journal_of(3);
    let refusal = try_open(&other, &options).unwrap_err();
    let words = refusal.to_string();
    let ClusterError::Diverged { fork, .. } = refusal else {
        panic!("{words}");
    };
    let ends = [fork.common, fork.ours, fork.theirs].map(Position::get);
    assert_eq!(ends, [0, 3, 4], "{words}");
    assert!(words.contains("airpost cluster resync"), "{words}");
    assert_eq!(raw::messages(&options), 4, "nothing was written");
}

#[test]
fn servers_that_do_not_answer_or_refuse_or_have_no_jetstream_are_named() {
    let mut server = Server::alone("authorization { user: fleet, password: right }");
    let with = |user: &str| server.url().replace("//", &format!("//{user}@"));
    let [wrong, right] = ["fleet:wrong", "fleet:right"].map(with);
    let (refused, words) = refusal(&on_one(&wrong));
    assert!(matches!(refused, ClusterError::Refused { .. }), "{words}");
    assert!(!words.contains("wrong"), "a password is in: {words}");
    let (refused, words) = refusal(&on_one(&right));
    assert!(matches!(refused, ClusterError::Missing { .. }), "{words}");
    server.kill();
    let (refused, words) = refusal(&on_one(&right));
    assert!(
        matches!(refused, ClusterError::Unreachable { .. }),
        "{words}"
    );
    assert!(!words.contains("right"), "a password is in: {words}");

    let plain = Server::without_jetstream();
    let (refused, words) = refusal(&on_one(&plain.url()));
    assert!(
        matches!(refused, ClusterError::NotEnabled { .. }),
        "{words}"
    );
    assert!(words.contains("enable JetStream"), "{words}");
}

#[test]
fn a_stream_that_is_gone_stops_appends_and_is_not_made_anew() {
    let options = JetStreamOptions {
        patience: Duration::from_secs(4),
        ..options(&shared_cluster().urls())
    };
    make_stream(&options, LOG_ID);
    let node = Node::joining(&options);
    append(node.store.as_ref(), single(1, 1, 0)).unwrap();
    raw::delete(&options);
    let unknown = append(node.store.as_ref(), single(2, 1, 1));
    assert!(
        matches!(unknown, Err(AppendError::Indeterminate { .. })),
        "{unknown:?}"
    );
    assert_eq!(everything(node.store.as_ref()).len(), 1);
    let (refused, words) = refusal(&options);
    assert!(matches!(refused, ClusterError::Missing { .. }), "{words}");
    // Made anew it is another one: nothing is written to it.
    make_stream(&options, LOG_ID);
    let again = append(node.store.as_ref(), single(2, 1, 1));
    assert!(again.is_err(), "{again:?}");
    let Health::Outage { why, .. } = node.store.health() else {
        panic!("{:?}", node.store.health());
    };
    assert!(why.contains("made anew while this node ran"), "{why}");
    assert_eq!(raw::messages(&options), 0);
}

#[test]
fn a_user_who_must_not_ask_the_other_nodes_does_not_open_without_their_answers() {
    let permissions = "publish: { deny: \"airpost.heads.>\" }";
    let server = Server::alone(&format!(
        "authorization {{ users: [ {{ user: fleet, password: right, permissions: {{ {permissions} }} }}, \
         {{ user: deaf, password: right, permissions: {{ subscribe: {{ deny: \"airpost.heads.>\" }} }} }} ] }}"
    ));
    for user in ["fleet", "deaf"] {
        let url = server.url().replace("//", &format!("//{user}:right@"));
        let options = on_one(&url);
        make_stream(&options, LOG_ID);
        let refused = try_open(&TempDir::new().unwrap(), &options).unwrap_err();
        let words = refused.to_string();
        assert!(matches!(refused, ClusterError::Denied { .. }), "{words}");
        assert!(words.contains("airpost.heads."), "{words}");
    }
}

#[test]
fn a_stream_that_cannot_be_made_is_refused_with_what_is_in_its_way() {
    let server = Server::alone("");
    let taken = on_one(&server.url());
    let other = JetStreamOptions {
        stream: "another".to_owned(),
        ..taken.clone()
    };
    let mut config = raw::config(&other);
    config.subjects = vec!["airpost.>".to_owned()];
    raw::make(&other, &config);
    let refused = create(&taken, &LogOfStream::new(LOG_ID)).unwrap_err();
    let words = refused.to_string();
    assert!(matches!(refused, ClusterError::Overlap { .. }), "{words}");
    assert!(words.contains(&taken.subject()), "{words}");

    let alone = Server::alone("");
    let three_of_one = options(&alone.url());
    let refused = create(&three_of_one, &LogOfStream::new(LOG_ID)).unwrap_err();
    let words = refused.to_string();
    let ClusterError::TooFewServers { .. } = refused else {
        panic!("{words}");
    };
    assert!(words.contains("--single-replica"), "{words}");
}
