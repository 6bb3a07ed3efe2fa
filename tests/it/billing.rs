//! A booking whose payment is authorized elsewhere: whatever that service does wrong, it stays
//! pending, then stands, and is charged once.

mod unbilled;
mod unheard;
mod voids;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    Answer, Authority, Billing, Bills, Chance, Charge, Client, Program, Recording, Server,
    poll_until,
};

use crate::scene::{
    Order, airpost, at, chance, instant, metric, new_user, number, scratch_in_memory, text,
};

/// How long a booking may take to come out once everything works.
const SOON: Duration = Duration::from_secs(30);

/// Names the file of the authorities that are believed of the billing service.
const BILLING_CA: &str = "AIRPOST_BILLING__CA";

/// Every wait of the service is so much shorter.
const TIME_SCALE: &str = "20";

fn billed_by(billing: &Billing) -> Program {
    airpost()
        .with_setting("AIRPOST_BILLING__URL", billing.url())
        .with_setting("AIRPOST_TIME_SCALE", TIME_SCALE)
}

async fn serve(billing: &Billing, data: &Path) -> (Server, Client) {
    let server = billed_by(billing).serve(data).await;
    let client = server.client();
    (server, client)
}

async fn book(client: &Client, chance: &mut Chance, prefer: &str) -> Answer {
    let user = new_user(client, chance).await;
    let request = Order::request(&user, &Recording::load(268), chance);
    let post = client.post("/v1/deliveries").json(&request);
    post.header("prefer", prefer).send().await
}

/// The path of the operation that a booking's answer leads to.
fn monitor(booked: &Answer) -> String {
    let link = booked.required_header("link");
    let path = link.strip_prefix('<').and_then(|link| link.split_once('>'));
    let (path, rest) = path.unwrap_or_else(|| panic!("no target in {link}"));
    assert_eq!(rest, "; rel=\"monitor\"");
    path.to_owned()
}

async fn over(client: &Client, path: &str) -> Value {
    let look = || async {
        let operation = client.read(path).await;
        let is_over = !matches!(
            text(&operation, "/status"),
            "pending" | "running" | "compensating"
        );
        is_over.then_some(operation)
    };
    poll_until(SOON, "the operation to be over", look).await
}

#[tokio::test]
async fn given_a_billing_service_that_is_away_when_it_comes_back_then_the_booking_stands_and_is_charged_once()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::NotNow).await;
    let (server, client) = serve(&billing, data.path()).await;
    let booked = book(&client, &mut chance, "").await.expect(201);
    let delivery = booked.required_header("location").to_owned();
    assert_eq!(text(&booked.json(), "/status"), "pending");
    let monitor = monitor(&booked);
    poll_until(SOON, "some attempts", || async {
        (billing.requests() > 3).then_some(())
    })
    .await;
    let operation = client.get(&monitor).send().await.expect(200);
    assert_eq!(text(&operation.json(), "/status"), "running");
    assert_eq!(text(&operation.json(), "/step"), "payment");
    assert_eq!(operation.header("retry-after"), Some("1"));
    assert!(number(&operation.json(), "/progress/attempts") > 1);
    assert_eq!(text(&client.read(&delivery).await, "/status"), "pending");
    assert_eq!(billing.charges(), []);

    billing.now(Bills::Well);
    let operation = over(&client, &monitor).await;
    assert_eq!(text(&operation, "/status"), "succeeded");
    assert_eq!(text(&operation, "/result/href"), delivery);
    assert_eq!(text(&client.read(&delivery).await, "/status"), "scheduled");
    let charges = billing.charges();
    assert_eq!(charges.len(), 1, "{charges:?}");
    let charge = charges.first().expect("it is one");
    assert!(!charge.is_voided());
    assert_eq!(charge.operation, text(&operation, "/id"));
    server.stop().await;
}

#[tokio::test]
async fn whatever_the_billing_service_does_wrong_on_the_way_a_booking_is_charged_once() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let (server, client) = serve(&billing, data.path()).await;
    let faults = [
        Bills::TooMany,
        Bills::Unheard,
        Bills::Gone,
        Bills::Twice,
        Bills::Garbled,
        Bills::NotNow,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        billing.now(fault);
        let before = billing.requests();
        let booked = book(&client, &mut chance, "").await.expect(201);
        let path = monitor(&booked);
        poll_until(SOON, "an attempt", || async {
            (billing.requests() > before).then_some(())
        })
        .await;
        billing.now(Bills::Well);
        let operation = over(&client, &path).await;
        assert_eq!(text(&operation, "/status"), "succeeded", "{fault:?}");
        let charges = billing.charges();
        assert_eq!(charges.len(), number + 1, "{fault:?}: {charges:?}");
        assert!(charges.iter().all(|charge| !charge.is_voided()));
    }
    server.stop().await;
}

#[tokio::test]
async fn given_a_payment_under_way_when_the_service_is_killed_then_the_next_start_charges_once() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Hanging).await;
    let (server, client) = serve(&billing, data.path()).await;
    let booked = book(&client, &mut chance, "").await.expect(201);
    let path = monitor(&booked);
    poll_until(SOON, "the attempt", || async {
        (billing.requests() > 0).then_some(())
    })
    .await;
    server.kill().await;

    billing.now(Bills::Well);
    let (server, client) = serve(&billing, data.path()).await;
    let operation = over(&client, &path).await;
    assert_eq!(text(&operation, "/status"), "succeeded");
    assert_eq!(billing.charges().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_payment_that_is_declined_is_what_who_waits_for_the_booking_hears() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Declining).await;
    let (server, client) = serve(&billing, data.path()).await;
    let refused = book(&client, &mut chance, "wait=20")
        .await
        .expect_problem(409);
    assert_eq!(text(&refused, "/code"), "payment-declined");
    assert_eq!(text(&refused, "/current_status"), "rejected");
    let delivery = client.read(text(&refused, "/href")).await;
    assert_eq!(text(&delivery, "/status"), "rejected");
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_the_billing_service_calls_wrong_is_never_sent_again() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Refusing).await;
    let (server, client) = serve(&billing, data.path()).await;
    let booked = book(&client, &mut chance, "").await.expect(201);
    let operation = over(&client, &monitor(&booked)).await;
    assert_eq!(text(&operation, "/status"), "failed");
    assert_eq!(text(&operation, "/problem/reason"), "payment_refused");
    assert_eq!(billing.requests(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_booking_that_is_called_off_while_nobody_knows_of_its_payment_takes_it_back() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Unheard).await;
    let (server, client) = serve(&billing, data.path()).await;
    let accepted = book(&client, &mut chance, "respond-async")
        .await
        .expect(202);
    assert_eq!(accepted.header("preference-applied"), Some("respond-async"));
    let path = accepted.required_header("location").to_owned();
    assert_eq!(accepted.header("content-location"), Some(path.as_str()));
    poll_until(SOON, "the attempt", || async {
        (billing.requests() > 0).then_some(())
    })
    .await;
    let called_off = client.delete(&path).send().await.expect(202);
    assert_eq!(
        text(&called_off.json(), "/id"),
        text(&accepted.json(), "/id")
    );
    billing.now(Bills::Well);
    let operation = over(&client, &path).await;
    assert_eq!(text(&operation, "/status"), "cancelled");
    let charges = billing.charges();
    assert_eq!(charges.len(), 1, "{charges:?}");
    assert!(charges.iter().all(Charge::is_voided), "{charges:?}");
    let delivery = format!("/v1/deliveries/{}", text(&operation, "/delivery_id"));
    assert_eq!(text(&client.read(&delivery).await, "/status"), "cancelled");
    // Who says it once more hears the same.
    let again = client.delete(&path).send().await.expect(202);
    assert_eq!(text(&again.json(), "/status"), "cancelled");
    server.stop().await;
}

#[tokio::test]
async fn who_waits_gets_the_booking_as_soon_as_it_stands_and_the_operation_if_it_does_not_yet() {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::NotNow).await;
    let (server, client) = serve(&billing, data.path()).await;
    let late = book(&client, &mut chance, "wait=1").await.expect(202);
    assert_eq!(at(&late.json(), "/kind"), &json!("schedule"));
    assert_eq!(late.header("preference-applied"), Some("wait=1"));
    billing.now(Bills::Well);
    let booked = book(&client, &mut chance, "wait=20, return=minimal")
        .await
        .expect(201);
    assert_eq!(booked.bytes(), b"");
    let delivery = client.read(booked.required_header("location")).await;
    assert_eq!(text(&delivery, "/status"), "scheduled");
    server.stop().await;
}

/// The service over a folder, which a variable tells whom to believe.
#[tokio::test]
async fn given_a_proxy_in_the_environment_when_a_booking_is_paid_then_only_the_billing_service_hears_of_it()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::Well).await;
    let proxy = Billing::start([], Bills::Well).await;
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let mut program = billed_by(&billing);
    for name in names {
        program = program.with_setting(name, proxy.url());
    }
    // Nothing is left out of what a proxy is asked for.
    for name in ["no_proxy", "NO_PROXY"] {
        program = program.with_setting(name, "");
    }
    let server = program.serve(data.path()).await;
    let client = server.client();
    let booked = book(&client, &mut chance, "wait=20").await.expect(201);
    assert_eq!(text(&booked.json(), "/status"), "scheduled");
    assert_eq!((billing.charges().len(), proxy.requests()), (1, 0));
    server.stop().await;
}

async fn serve_believing(
    (variable, authority): (&str, &Authority),
    billing: &Billing,
    data: &Path,
) -> Server {
    let file = data.join("authority.pem");
    std::fs::write(&file, authority.pem()).expect("the test's folder can be written");
    let file = file.to_str().expect("the test's folder has a plain name");
    let program = billed_by(billing).with_setting(variable, file);
    program.serve(&data.join("data")).await
}

#[tokio::test]
async fn given_a_billing_service_over_https_that_a_believed_authority_vouches_for_then_a_booking_is_charged()
 {
    let mut chance = chance();
    let authority = Authority::named("believed");
    // The second is how the machine itself is told whom to believe.
    for variable in [BILLING_CA, "SSL_CERT_FILE"] {
        let data = scratch_in_memory();
        let billing = Billing::start_over_tls(&authority, Bills::Well).await;
        assert!(billing.url().starts_with("https://"), "{}", billing.url());
        let server = serve_believing((variable, &authority), &billing, data.path()).await;
        let client = server.client();
        let booked = book(&client, &mut chance, "wait=20").await.expect(201);
        assert_eq!(text(&booked.json(), "/status"), "scheduled");
        assert_eq!(billing.charges().len(), 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn given_a_certificate_that_nobody_trusts_then_nothing_is_charged_until_it_is_mended_and_the_log_says_why()
 {
    let (mut chance, data) = (chance(), scratch_in_memory());
    let (believed, other) = (Authority::named("believed"), Authority::named("other"));
    let billing = Billing::start_over_tls(&other, Bills::Well).await;
    let server = serve_believing((BILLING_CA, &believed), &billing, data.path()).await;
    let client = server.client();
    let booked = book(&client, &mut chance, "").await.expect(201);
    let (delivery, path) = (booked.required_header("location"), monitor(&booked));
    let tried = poll_until(SOON, "a second attempt", || async {
        let operation = client.read(&path).await;
        let attempts = operation.pointer("/progress/attempts")?.as_u64()?;
        let is_awaited = !operation.pointer("/progress/retry_at")?.is_null();
        (attempts > 1 && is_awaited).then_some(operation)
    });
    let operation = tried.await;
    assert_eq!(text(&operation, "/status"), "running");
    assert_eq!(text(&operation, "/step"), "payment");
    assert!(instant(&operation, "/progress/retry_at") > instant(&operation, "/created_at"));
    assert_eq!(text(&client.read(delivery).await, "/status"), "pending");
    assert_eq!((billing.requests(), billing.charges()), (0, vec![]));
    let log = server.log();
    let lines: Vec<_> = log
        .lines()
        .filter(|line| line.contains("billing"))
        .collect();
    assert_eq!(lines.len(), 1, "one line an outage: {log}");
    assert!(lines[0].contains("UnknownIssuer"), "{log}");
    server.stop().await;

    // The operator names the right authority: what waits goes on.
    let server = serve_believing((BILLING_CA, &other), &billing, data.path()).await;
    let operation = over(&server.client(), &path).await;
    assert_eq!(text(&operation, "/status"), "succeeded");
    assert_eq!(billing.charges().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn settings_with_which_no_billing_service_can_be_asked_are_refused_before_anything_is_made() {
    let scratch = scratch_in_memory();
    let data = scratch.path().join("data");
    let broken = scratch.path().join("broken.pem");
    std::fs::write(&broken, "30 82 01").expect("the test's folder can be written");
    let broken = broken.to_str().expect("the test's folder has a plain name");
    let https = "https://127.0.0.1:9/authorizations";
    for (url, authority, told) in [
        (
            "ftp://127.0.0.1/authorizations",
            None,
            "give one such as https",
        ),
        ("https://me:s3cret@127.0.0.1/", None, "leave them out"),
        (
            "http://127.0.0.1:9/",
            Some(broken),
            "leave out --billing-ca",
        ),
        (https, Some("/no/such/file"), "/no/such/file cannot be read"),
        (https, Some(broken), "broken.pem holds no certificate"),
        (https, None, "install its package of certificates"),
    ] {
        let mut program = airpost().with_setting("AIRPOST_BILLING__URL", url);
        // As on a machine on which no certificate is installed.
        for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            program = program.with_setting(variable, "/no/such/place");
        }
        if let Some(authority) = authority {
            program = program.with_setting(BILLING_CA, authority);
        }
        let data = data.to_str().expect("the test's folder has a plain name");
        let ended = program.run(["serve", "--data", data, "--listen", "127.0.0.1:0"]);
        let ended = ended.await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    }
    assert!(!data.exists());
}

/// Waits until a series of the metrics has a value.
async fn shows(client: &Client, series: &str, value: &str) {
    let look = || async { (metric(client, series).await.as_deref() == Some(value)).then_some(()) };
    poll_until(SOON, &format!("{series} to be {value}"), look).await;
}

#[tokio::test]
async fn an_outage_of_the_billing_service_and_its_end_can_be_read_off_the_metrics() {
    const CLAIMED: &str = "airpost_effects_total{effect=\"authorize_payment\",outcome=\"claimed\"}";
    const DONE: &str = "airpost_effects_total{effect=\"authorize_payment\",outcome=\"done\"}";
    const OPEN: &str = "airpost_operations_open{kind=\"schedule\"}";
    const OLDEST_S: &str = "airpost_operations_oldest_step_seconds{kind=\"schedule\"}";
    const BEGUN: &str = "airpost_operations_begun_total{kind=\"schedule\"}";
    const SUCCEEDED: &str =
        "airpost_operations_ended_total{kind=\"schedule\",outcome=\"succeeded\"}";
    let (mut chance, data) = (chance(), scratch_in_memory());
    let billing = Billing::start([], Bills::NotNow).await;
    let (server, client) = serve(&billing, data.path()).await;
    for series in [CLAIMED, DONE, OPEN, OLDEST_S, BEGUN, SUCCEEDED] {
        let value = metric(&client, series).await;
        assert_eq!(value.as_deref(), Some("0"), "{series} from the start");
    }

    let booked = book(&client, &mut chance, "").await.expect(201);
    shows(&client, OPEN, "1").await;
    shows(&client, BEGUN, "1").await;
    let read = async |series| {
        let value = metric(&client, series).await;
        value.and_then(|value| value.parse::<f64>().ok())
    };
    let first = read(OLDEST_S).await;
    poll_until(SOON, "the step to grow older while it is tried", || async {
        let is_tried_again = read(CLAIMED).await > Some(2.0);
        (is_tried_again && read(OLDEST_S).await > first).then_some(())
    })
    .await;
    assert_eq!(metric(&client, SUCCEEDED).await.as_deref(), Some("0"));
    assert_eq!(metric(&client, DONE).await.as_deref(), Some("0"));

    billing.now(Bills::Well);
    let _ = over(&client, &monitor(&booked)).await;
    for (series, value) in [(SUCCEEDED, "1"), (DONE, "1"), (OPEN, "0"), (OLDEST_S, "0")] {
        shows(&client, series, value).await;
    }
    let claimed = metric(&client, CLAIMED).await;
    let requests = "airpost_billing_request_seconds_count{effect=\"authorize_payment\"}";
    assert_eq!(metric(&client, requests).await, claimed);
    server.stop().await;
}
