//! What a server tells of itself at its monitoring address, and not to clients: above all whether
//! it syncs what it acknowledges.

use serde_json::Value;

use super::{Check, Found, clock, time_in};
use crate::environment::Environment;
use crate::tls::Trust;

/// The largest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Looks at what a server tells at that address, such as <http://127.0.0.1:8222>.
pub async fn examine_monitor(
    address: &str,
    environment: &Environment,
    tell: &mut (impl FnMut(Check) + Send),
) {
    let told = match ask(address).await {
        Ok(told) => told,
        Err(why) => {
            let found = Found::Wrong(format!("{why}: give the address of the server's http_port"));
            return tell(Check::of(format!("monitor {address}"), found));
        }
    };
    let name = told.pointer("/server_name").and_then(Value::as_str);
    let name = name.unwrap_or(address);
    tell(Check::of(format!("sync_interval of {name}"), sync(&told)));
    tell(Check::of(format!("storage of {name}"), storage(&told)));
    if let Some(theirs) = time_in(&told, "/now") {
        let found = clock(theirs, environment.now_us());
        tell(Check::of(format!("clock of {name}"), found));
    }
}

async fn ask(address: &str) -> Result<Value, String> {
    let trust = if address.starts_with("https") {
        Trust::machine().map_err(|error| error.to_string())?
    } else {
        Trust::nobody()
    };
    let client = trust
        .client()
        .timeout(super::ANSWER_WAIT)
        .no_proxy()
        .build();
    let client = client.map_err(|error| error.to_string())?;
    let url = format!("{}/varz", address.trim_end_matches('/'));
    let words = |error: reqwest::Error| format!("{error:#}");
    let mut answer = client.get(url).send().await.map_err(words)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(words)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is over {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| "its answer is no JSON".to_owned())
}

/// Whether a power cut of all servers loses what was acknowledged.
fn sync(told: &Value) -> Found {
    let Some(config) = told.pointer("/jetstream/config") else {
        return Found::Wrong("JetStream is not enabled".to_owned());
    };
    if config.get("sync_always").and_then(Value::as_bool) == Some(true) {
        return Found::Fine("always: what is acknowledged is on disk".to_owned());
    }
    let nanos = config.get("sync_interval").and_then(Value::as_u64);
    let seconds = nanos.unwrap_or_default() / 1_000_000_000;
    Found::Wrong(format!(
        "{seconds} s: a power cut of all servers loses what was acknowledged since; set jetstream {{ sync_interval: always }}"
    ))
}

fn storage(told: &Value) -> Found {
    let number = |pointer: &str| told.pointer(pointer).and_then(Value::as_u64);
    let used = number("/jetstream/stats/storage").unwrap_or_default();
    let max = number("/jetstream/config/max_storage").unwrap_or_default();
    let told = format!("{used} of {max} bytes are used");
    if used.saturating_mul(10) > max.saturating_mul(9) {
        Found::Poor(format!(
            "{told}: have more (jetstream max_file_store, and the disk)"
        ))
    } else {
        Found::Fine(told)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_that_does_not_sync_at_once_is_told_and_what_to_set() {
        let told = |config: Value| sync(&json!({"jetstream": {"config": config}}));
        let always = json!({"sync_always": true, "sync_interval": 120_000_000_000_u64});
        assert!(matches!(told(always), Found::Fine(_)));
        let Found::Wrong(why) = told(json!({"sync_interval": 120_000_000_000_u64})) else {
            panic!("it was taken for fine");
        };
        assert!(
            why.starts_with("120 s") && why.contains("sync_interval: always"),
            "{why}"
        );
        assert!(matches!(sync(&json!({})), Found::Wrong(_)));
    }
}
