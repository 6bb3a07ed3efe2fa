//! What a simulation came to: outcomes, and everything that is not as it should be.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::client::{Client, Question, text_at};
use super::fold::Fold;
use super::life::Lived;

/// How many findings are shown.
const FINDINGS_SHOWN_MAX: usize = 20;

/// A delivery, what became of it, and what is wrong with that.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    lived: Lived,
    status: String,
    types: Vec<String>,
    findings: Vec<String>,
}

/// What a simulation came to.
#[derive(Clone, Debug)]
pub struct Report {
    deliveries: Vec<Judged>,
}

/// Asks the service what became of a delivery, and holds it against what was seen.
pub(super) async fn judge(client: &Client, lived: Lived) -> Judged {
    let mut judged = Judged {
        status: String::new(),
        types: lived.heard.types.clone(),
        findings: lived.trouble.iter().cloned().collect(),
        lived,
    };
    if let Err(error) = judged.ask(client).await {
        judged.findings.push(format!("{error:#}"));
    }
    judged
}

impl Judged {
    async fn ask(&mut self, client: &Client) -> anyhow::Result<()> {
        let Some(id) = self.lived.delivery else {
            return Ok(());
        };
        let get = async |path: String| client.ask(&Question::get(path)).await?.success();
        let delivery = get(format!("/v1/deliveries/{id}")).await?;
        let history = get(format!("/v1/deliveries/{id}/history")).await?;
        text_at("/status", &delivery).clone_into(&mut self.status);
        let mut items: Vec<_> = match history.pointer("/items").and_then(Value::as_array) {
            Some(items) => items.iter().collect(),
            None => Vec::new(),
        };
        items.sort_by_key(|item| item.get("sequence").and_then(Value::as_u64));
        self.types = items
            .iter()
            .map(|item| text_at("/type", item).to_owned())
            .collect();
        self.compare(&Fold::of(items));
        Ok(())
    }

    /// Holds what the service says against the fold of the history that it shows.
    fn compare(&mut self, fold: &Fold) {
        let Self {
            lived,
            status,
            types,
            findings,
        } = self;
        if !fold.is_over() {
            findings.push(format!("it has come to no outcome: it is {status}"));
        }
        if fold.outcomes > 1 {
            findings.push(format!("it has {} outcomes", fold.outcomes));
        }
        if fold.status != status {
            let folded = fold.status;
            findings.push(format!("it is {status}, and its history says {folded}"));
        }
        if lived.trouble.is_none() && lived.heard.types != *types {
            findings.push("the feed and its history tell of it differently".to_owned());
        }
        if fold.anomalies > 0 && !lived.is_odd {
            findings.push("an anomaly was recorded that nothing explains".to_owned());
        }
    }

    /// One line that tells of its life: two runs of a seed give the same.
    fn line(&self) -> String {
        let Self { status, types, .. } = self;
        format!("{} {status} {}", self.lived.external_id, types.join(","))
    }
}

impl Report {
    pub(super) fn of(mut deliveries: Vec<Judged>) -> Self {
        // By number: names of one length are ordered as their numbers are.
        deliveries.sort_by_key(|judged| {
            let name = judged.lived.external_id.clone();
            (name.len(), name)
        });
        Self { deliveries }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_in_order(&self) -> bool {
        self.deliveries.iter().all(|it| it.findings.is_empty())
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
            let status = judged.status.as_str();
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
            let name = &judged.lived.external_id;
            judged.findings.iter().map(move |finding| (name, finding))
        });
        for (name, finding) in found.clone().take(FINDINGS_SHOWN_MAX) {
            writeln!(f, "{name}: {finding}")?;
        }
        let (deliveries, findings) = (self.deliveries.len(), found.count());
        let mark = blake3::hash(self.lives().as_bytes()).to_hex();
        let mark = mark.get(..16).unwrap_or_default();
        write!(
            f,
            "{deliveries} deliveries, {findings} findings, mark of all lives {mark}"
        )
    }
}
