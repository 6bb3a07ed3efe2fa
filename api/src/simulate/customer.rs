//! What a delivery's customer asks the service for, and where to hear what comes of it.

use anyhow::{Context, bail};
use domain::geo::GeoPoint;
use domain::id::DeliveryId;
use domain::time::{DurationMs, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::client::{Answer, Client, Question, text_at};
use super::life::World;
use super::order::{Order, window};
use super::script::Change;

/// How long a changed window lasts, hours: longer than any that was ordered.
const WINDOW_H: u32 = 96;

/// How soon it has to come that comes too late.
const DEADLINE: DurationMs = DurationMs::from_seconds(1);

/// How often a change is asked for that was too late, or based on what is so no more.
const CHANGES_MAX: u32 = 100;

/// Something that goes on after the request for it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// As the service calls it.
    pub(super) kind: &'static str,
    /// Where it is told how it goes.
    pub(super) path: String,
}

impl Asked {
    fn of(kind: &'static str, answer: &Answer) -> anyhow::Result<Self> {
        let path = answer.operation.clone();
        let path = path.with_context(|| format!("the answer to {kind} names no operation"))?;
        Ok(Self { kind, path })
    }
}

/// Orders a delivery. Sent again, the order is the same one by its key; in another run it is by
/// its name.
pub(super) async fn book(
    world: &World,
    order: &Order,
    user: &str,
) -> anyhow::Result<(DeliveryId, Asked)> {
    let key = format!("{}-{}-order", world.run, order.external_id);
    let body = order.to_json(user, world.now());
    let question = Question::post("/v1/deliveries", &body, key);
    let answer = world.client.ask(&question).await?;
    if answer.status == StatusCode::OK && answer.is_first {
        bail!("it was ordered before: give another --seed, or a service without it");
    }
    let asked = Asked::of("schedule", &answer);
    let body = answer.success().context("it could not be ordered")?;
    let id = text_at("/id", &body).parse();
    Ok((id.context("the service named no delivery")?, asked?))
}

/// The customer of a delivery while a mission is flown for it.
#[derive(Debug)]
pub(super) struct Customer<'w> {
    pub(super) world: &'w World,
    pub(super) delivery: DeliveryId,
    /// Names the mission in this run: what is asked for in it is asked for once.
    pub(super) key: String,
}

impl Customer<'_> {
    /// Cancels, and gives the cancellation if it is taken, as it should be or not.
    pub(super) async fn cancel(&self, is_taken: bool) -> anyhow::Result<Option<Asked>> {
        let expected = if is_taken {
            StatusCode::ACCEPTED
        } else {
            StatusCode::CONFLICT
        };
        let body = json!({"reason": "customer_request"});
        let answer = self.post("cancel", &body, expected).await?;
        if is_taken {
            Asked::of("cancel", &answer).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Asks for the package that is on its way.
    pub(super) async fn ask_back(&self) -> anyhow::Result<Asked> {
        let answer = self
            .post("return", &json!({}), StatusCode::ACCEPTED)
            .await?;
        Asked::of("return", &answer)
    }

    async fn post(&self, what: &str, body: &Value, expected: StatusCode) -> anyhow::Result<Answer> {
        let path = format!("{}/{what}", self.path());
        let question = Question::post(path, body, format!("{}-{what}", self.key));
        let answer = self.world.client.ask(&question).await?;
        expect(what, answer, expected)
    }

    /// Changes the order as it is seen now. On a slow machine a deadline may be over when its
    /// change arrives: then a later one is asked for.
    pub(super) async fn change(&self, change: Change) -> anyhow::Result<Asked> {
        let client: &Client = &self.world.client;
        for time in 1..=CHANGES_MAX {
            let seen = client.ask(&Question::get(self.path())).await?;
            let seen = seen.tag.context("a delivery without an entity tag")?;
            let body = changed(change, self.world.now());
            let key = format!("{}-change-{time}", self.key);
            let question = Question::patch(self.path(), &body, (key, seen));
            let answer = client.ask(&question).await?;
            let is_too_late =
                answer.status == StatusCode::UNPROCESSABLE_ENTITY && change == Change::Deadline;
            if !is_too_late && answer.status != StatusCode::PRECONDITION_FAILED {
                let answer = expect("a change", answer, StatusCode::OK)?;
                return Asked::of("reschedule", &answer);
            }
        }
        bail!("a change was asked for {CHANGES_MAX} times, and was too late each time")
    }

    fn path(&self) -> String {
        format!("/v1/deliveries/{}", self.delivery)
    }
}

fn changed(change: Change, now: Timestamp) -> Value {
    let place = |point: GeoPoint| json!({"lat": point.lat_degrees(), "lon": point.lon_degrees()});
    match change {
        Change::Window => json!({"pickup_window": window(now, WINDOW_H)}),
        Change::Dropoff(point) => json!({"dropoff": place(point)}),
        Change::Deadline => json!({"deliver_by": now.plus(DEADLINE).to_string()}),
    }
}

fn expect(what: &str, answer: Answer, expected: StatusCode) -> anyhow::Result<Answer> {
    if answer.status != expected {
        let (status, body) = (answer.status, answer.body);
        bail!("{what} was answered {status}, not {expected}: {body}");
    }
    Ok(answer)
}
