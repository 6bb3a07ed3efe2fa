//! What is asked of a billing service, and what is made of its answers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;

/// A billing service that keeps its connections, and how many requests came to it.
#[derive(Default)]
struct Service {
    requests: AtomicUsize,
}

impl Service {
    /// What asks it, while it answers as `answer` says, given the how-manieth request it is and
    /// what it would have answered to the one before on the same connection.
    async fn asked<T>(
        self: &Arc<Self>,
        answer: fn(usize, Option<usize>) -> String,
        asks: impl AsyncFnOnce(Billing) -> T,
    ) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        let serve = async {
            let mut connections = JoinSet::new();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                connections.spawn(Arc::clone(self).keep(connection, answer));
            }
        };
        tokio::select! {
            asked = asks(Billing::new(&url, None).unwrap()) => asked,
            () = serve => unreachable!("it never ends"),
        }
    }

    async fn keep(
        self: Arc<Self>,
        mut connection: TcpStream,
        answer: fn(usize, Option<usize>) -> String,
    ) {
        let mut before = None;
        while hears_a_request(&mut connection).await {
            let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
            let body = answer(number, before.replace(number));
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    }
}

/// Whether another request comes in, which ends with the brace of its body.
async fn hears_a_request(connection: &mut TcpStream) -> bool {
    let mut heard = Vec::new();
    while !heard.ends_with(b"}") {
        let mut bytes = [0; 4096];
        match connection.read(&mut bytes).await {
            Ok(0) | Err(_) => return false,
            Ok(read) => heard.extend_from_slice(&bytes[..read]),
        }
    }
    true
}

fn bill(number: u128) -> Bill {
    let uuid = Uuid::from_u128(number);
    Bill {
        operation: OperationId::from_uuid(uuid),
        delivery: DeliveryId::from_uuid(uuid),
        user: UserId::from_uuid(uuid),
    }
}

fn authorized_as(authorization: &str) -> String {
    json!({"authorization_id": authorization, "status": "authorized"}).to_string()
}

#[tokio::test]
async fn given_answers_that_are_given_twice_on_a_connection_then_each_booking_has_its_own_still() {
    // Whoever used a connection again would find the twin of the answer before.
    let twice = |number: usize, before: Option<usize>| {
        authorized_as(&format!("auth-{}", before.unwrap_or(number)))
    };
    let service = Arc::new(Service::default());
    let answers = async |billing: Billing| {
        let mut answers = Vec::new();
        for number in 1..=3 {
            answers.push(billing.authorize(bill(number)).await);
        }
        answers
    };
    let expected = ["auth-1", "auth-2", "auth-3"].map(|it| Answer::Authorized(it.parse().unwrap()));
    assert_eq!(service.asked(twice, answers).await, expected);
}

#[tokio::test]
async fn an_authorization_whose_name_has_no_address_is_as_good_as_no_answer() {
    let names: [fn(usize, Option<usize>) -> String; 7] = [
        |_, _| authorized_as(""),
        |_, _| authorized_as("."),
        |_, _| authorized_as(".."),
        |_, _| authorized_as("../x"),
        |_, _| authorized_as("a/b"),
        |_, _| authorized_as("a\nb"),
        |_, _| authorized_as(&"x".repeat(129)),
    ];
    for (place, named) in names.into_iter().enumerate() {
        let service = Arc::new(Service::default());
        let answer = async |billing: Billing| billing.authorize(bill(1)).await;
        let answer = service.asked(named, answer).await;
        let told_nothing = Answer::Deferred(Deferral::Unintelligible, None);
        assert_eq!(answer, told_nothing, "the one at {place}");
    }
}

#[tokio::test]
async fn an_authorization_of_old_whose_name_has_no_address_is_not_taken_back_elsewhere() {
    let service = Arc::new(Service::default());
    for name in [".", "..", "a/b"] {
        let answer = async |billing: Billing| billing.void(bill(1).operation, name).await;
        let answer = service.asked(|_, _| String::new(), answer).await;
        assert_eq!(answer, Answer::Deferred(Deferral::Refused, None), "{name}");
    }
    assert_eq!(service.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn an_address_that_no_billing_service_can_have_is_refused_without_repeating_it() {
    for (url, told) in [
        ("", "is none"),
        ("billing.example.org/x", "is none"),
        (
            "ftp://billing.example.org/s3cret",
            "is not an http or https address",
        ),
        (
            "mailto:s3cret@example.org",
            "is not an http or https address",
        ),
        ("https://", "is none"),
        ("https://me:s3cret@billing.example.org/x", "leave them out"),
        ("http://s3cret@billing.example.org/x", "leave them out"),
        ("https://billing.example.org/x#s3cret", "leave out the #"),
    ] {
        let refused = Billing::new(url, None).unwrap_err().to_string();
        assert!(refused.contains(told), "{url}: {refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }
    for url in ["http://127.0.0.1:9000/authorizations", "http://[::1]/a?b=c"] {
        assert!(Billing::new(url, None).is_ok(), "{url}");
    }
}

#[test]
fn each_authorization_is_taken_back_under_a_key_of_its_own_that_a_header_takes() {
    let operation = OperationId::from_uuid(Uuid::nil());
    let names = [
        "auth-1",
        "auth-2",
        "a%2Fb",
        "a;b",
        "%2e%2e",
        "a\"b",
        "a\\b",
        "Größe 3",
    ];
    let mut keys = BTreeSet::new();
    for base in ["http://127.0.0.1/billing", "http://127.0.0.1/billing/"] {
        for name in names {
            let base = Url::parse(base).unwrap();
            let (url, key) = to_void(base, operation, name);
            assert_eq!(url.path_segments().unwrap().count(), 2, "{url}");
            assert!(
                reqwest::header::HeaderValue::from_str(&key).is_ok(),
                "{key}"
            );
            let inside = key.trim_matches('"');
            assert!(key.is_ascii() && !inside.contains(['"', '\\']), "{key}");
            keys.insert(key);
        }
    }
    // The same whatever the address looks like.
    assert_eq!(keys.len(), names.len(), "{keys:?}");
}

#[test]
fn whom_to_believe_is_asked_over_https_alone() {
    let nowhere = Some(Path::new("/no/such/ca.pem"));
    let refused = |url| Billing::new(url, nowhere).unwrap_err().to_string();
    assert!(refused("http://127.0.0.1:9000/a").contains("leave out --billing-ca"));
    let missing = refused("https://127.0.0.1:9000/a");
    assert!(missing.contains("--billing-ca"), "{missing}");
    assert!(missing.contains("/no/such/ca.pem"), "{missing}");
}
