//! What a simulation came to: outcomes, and everything that is not as it should be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use domain::id::DeliveryId;
use serde_json::Value;

use super::client::{Client, Question, text_at};
use super::customer::Asked;
use super::fold::Fold;
use super::life::Lived;
use super::order::Order;
use super::outlook::{End, Outlook};
use super::rules;

/// How many findings are shown.
const FINDINGS_SHOWN_MAX: usize = 20;

/// How long what was asked for may go on after its delivery's life is over.
const OPERATION_WAIT: Duration = Duration::from_mins(2);

/// How often it is asked for meanwhile.
const OPERATION_EVERY: Duration = Duration::from_millis(100);

/// A delivery, what became of it, and what is wrong with that.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    lived: Lived,
    shown: Shown,
    findings: Vec<String>,
}

/// What the service shows of a delivery.
#[derive(Clone, Debug, Default)]
struct Shown {
    status: String,
    /// Its history, in order.
    items: Vec<Value>,
    /// What its customer asked for: the kind, and what came of it.
    operations: Vec<(&'static str, String)>,
}

/// What a simulation came to.
#[derive(Clone, Debug)]
pub struct Report {
    deliveries: Vec<Judged>,
    /// What is wrong with the service after all of them.
    unrest: Option<String>,
}

/// Asks the service what became of a delivery, and holds it against what was seen.
pub(super) async fn judge(client: &Client, lived: Lived) -> Judged {
    let mut findings: Vec<_> = lived.trouble.iter().cloned().collect();
    let shown = match lived.delivery {
        Some(delivery) => match Shown::read(client, delivery, &lived.asked).await {
            Ok(shown) => {
                findings.extend(shown.faults(&lived));
                shown
            }
            Err(error) => {
                findings.push(format!("{error:#}"));
                Shown::default()
            }
        },
        None => Shown::default(),
    };
    Judged {
        lived,
        shown,
        findings,
    }
}

impl Shown {
    async fn read(client: &Client, id: DeliveryId, asked: &[Asked]) -> anyhow::Result<Self> {
        let get = async |path: String| client.ask(&Question::get(path)).await?.success();
        let mut operations = Vec::new();
        // What they come to may follow the end.
        for asked in asked {
            operations.push((asked.kind, outcome_of(client, asked).await?));
        }
        let delivery = get(format!("/v1/deliveries/{id}")).await?;
        let history = get(format!("/v1/deliveries/{id}/history")).await?;
        let items = history.pointer("/items").and_then(Value::as_array);
        let mut items = items.cloned().unwrap_or_default();
        items.sort_by_key(|item| item.get("sequence").and_then(Value::as_u64));
        Ok(Self {
            status: text_at("/status", &delivery).to_owned(),
            items,
            operations,
        })
    }

    fn types(&self) -> Vec<&str> {
        let items = self.items.iter();
        items.map(|item| text_at("/type", item)).collect()
    }

    /// Everything that is wrong with it after such a life.
    fn faults(&self, lived: &Lived) -> Vec<String> {
        let mut faults = self.faults_of_its_history(&lived.order);
        if lived.trouble.is_none() {
            if lived.heard.types != self.types() {
                faults.push("the feed and its history tell of it differently".to_owned());
            }
            faults.extend(self.surprises(&Outlook::of(&lived.flown)));
        }
        faults.extend(self.operations.iter().filter_map(|(kind, outcome)| {
            let expected = self.outcome_expected(kind);
            (outcome != expected)
                .then(|| format!("the operation {kind} is {outcome}, not {expected}"))
        }));
        faults
    }

    /// What would be wrong whatever happened to it.
    fn faults_of_its_history(&self, order: &Order) -> Vec<String> {
        let (fold, status) = (Fold::of(&self.items), &self.status);
        let mut faults = rules::broken(&self.items, order.confirmation);
        if !fold.is_over() {
            faults.push(format!("it has come to no outcome: it is {status}"));
        }
        if fold.outcomes > 1 {
            faults.push(format!("it has {} outcomes", fold.outcomes));
        }
        if fold.status != status {
            let folded = fold.status;
            faults.push(format!("it is {status}, and its history says {folded}"));
        }
        faults
    }

    /// What does not follow from what happened to it.
    fn surprises(&self, outlook: &Outlook) -> Vec<String> {
        let mut surprises = Vec::new();
        let (types, status) = (self.types(), self.status.as_str());
        match outlook.end {
            Some(end) if end.status != status => {
                surprises.push(format!("it should be {}, and is {status}", end.status));
            }
            Some(End { reason, .. }) if reason.is_some() && reason != self.reason() => {
                let told = self.reason();
                surprises.push(format!("it is {status} for {told:?}, not {reason:?}"));
            }
            Some(_) => {}
            None => surprises.push(format!("it is {status}, and a drone should have come")),
        }
        if outlook.has_surplus {
            surprises.push("a drone was asked for after its life was over".to_owned());
        }
        let missing = outlook.leaves.iter().filter(|name| !types.contains(name));
        surprises.extend(missing.map(|name| format!("its history has no {name}")));
        let mut anomalies: Vec<_> = self
            .items
            .iter()
            .filter(|item| text_at("/type", item) == "AnomalyRecorded")
            .map(|item| text_at("/data/why", item))
            .collect();
        anomalies.sort_unstable();
        if anomalies != outlook.anomalies {
            let expected = &outlook.anomalies;
            surprises.push(format!("its anomalies are {anomalies:?}, not {expected:?}"));
        }
        surprises
    }

    /// The reason that its end gives.
    fn reason(&self) -> Option<&str> {
        let ends = ["Failed", "Rejected"];
        let mut items = self.items.iter().rev();
        let end = items.find(|item| ends.contains(&text_at("/type", item)))?;
        Some(text_at("/data/reason", end))
    }

    /// What an operation of this kind comes to with such an end.
    fn outcome_expected(&self, kind: &str) -> &'static str {
        let is_so = match kind {
            // A booking stands from then on, whatever becomes of the delivery.
            "schedule" if !self.types().contains(&"Scheduled") => {
                return if self.status == "cancelled" {
                    "cancelled"
                } else {
                    "failed"
                };
            }
            "cancel" => self.status == "cancelled",
            "return" => self.status == "returned",
            _ => true,
        };
        if is_so { "succeeded" } else { "failed" }
    }
}

/// What came of what was asked for, or how it goes on if it does not come to an end.
async fn outcome_of(client: &Client, asked: &Asked) -> anyhow::Result<String> {
    let question = Question::get(&asked.path);
    let asks = OPERATION_WAIT.as_millis() / OPERATION_EVERY.as_millis();
    let mut status = String::new();
    for _ in 0..asks {
        let operation = client.ask(&question).await?.success()?;
        text_at("/status", &operation).clone_into(&mut status);
        if !["pending", "running", "compensating"].contains(&status.as_str()) {
            break;
        }
        tokio::time::sleep(OPERATION_EVERY).await;
    }
    Ok(status)
}

impl Judged {
    /// One line that tells of its life: two runs of a seed give the same.
    fn line(&self) -> String {
        let (status, types) = (&self.shown.status, self.shown.types().join(","));
        format!("{} {status} {types}", self.lived.order.external_id)
    }
}

impl Report {
    pub(super) fn of(mut deliveries: Vec<Judged>) -> Self {
        // By number: names of one length are ordered as their numbers are.
        deliveries.sort_by_key(|judged| {
            let name = judged.lived.order.external_id.clone();
            (name.len(), name)
        });
        Self {
            deliveries,
            unrest: None,
        }
    }

    /// The same with what is wrong with the service after all deliveries, if anything is.
    #[must_use]
    pub fn with_unrest(self, unrest: Option<String>) -> Self {
        Self { unrest, ..self }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        let mut deliveries = self.deliveries.iter();
        deliveries.all(|it| it.findings.is_empty()) && self.unrest.is_none()
    }

    /// A line for each delivery: its name, its outcome, and the types of its events in order.
    /// The same for every run of the same seed, deliveries and faults.
    #[must_use]
    pub fn lives(&self) -> String {
        let lines = self.deliveries.iter().map(|it| it.line() + "\n");
        lines.collect()
    }

    fn counted<'k>(&self, keys: impl Fn(&Judged) -> Vec<&'k str>) -> BTreeMap<&'k str, usize>
    where
        Self: 'k,
    {
        let mut counted = BTreeMap::new();
        for key in self.deliveries.iter().flat_map(keys) {
            *counted.entry(key).or_default() += 1;
        }
        counted
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
        for judged in &self.deliveries {
            let status = judged.shown.status.as_str();
            let status = if status.is_empty() { "none" } else { status };
            *outcomes.entry(status).or_default() += 1;
        }
        let faults = self.counted(|judged| {
            let faults = judged.lived.faults.iter();
            faults.map(|fault| fault.name()).collect()
        });
        writeln!(f, "{:<18}deliveries", "outcome")?;
        for (outcome, deliveries) in &outcomes {
            writeln!(f, "{outcome:<18}{deliveries:>10}")?;
        }
        if !faults.is_empty() {
            writeln!(f, "{:<18}deliveries that met it", "trouble")?;
            for (fault, deliveries) in &faults {
                writeln!(f, "{fault:<18}{deliveries:>10}")?;
            }
        }
        let found = self.deliveries.iter().flat_map(|judged| {
            let name = &judged.lived.order.external_id;
            judged.findings.iter().map(move |finding| (name, finding))
        });
        for (name, finding) in found.clone().take(FINDINGS_SHOWN_MAX) {
            writeln!(f, "{name}: {finding}")?;
        }
        if let Some(unrest) = &self.unrest {
            writeln!(f, "the service: {unrest}")?;
        }
        let findings = found.count() + usize::from(self.unrest.is_some());
        let deliveries = self.deliveries.len();
        let mark = blake3::hash(self.lives().as_bytes()).to_hex();
        let mark = mark.get(..16).unwrap_or_default();
        write!(
            f,
            "{deliveries} deliveries, {findings} findings, mark of all lives {mark}"
        )
    }
}

#[cfg(test)]
mod tests;
