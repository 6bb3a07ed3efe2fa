//! Environment variables that look like a setting and are none.

use clap::{Args as _, Command};

use crate::config::Config;
use crate::observability::LOG_VARIABLE;

/// What the variables of all settings begin with.
const PREFIX: &str = "AIRPOST_";

/// For each of these variables that looks like a setting of the service and is none, what to say
/// of it. It is not refused: a cluster's scheduler sets variables of its own by a service's name.
pub(super) fn warnings(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let known = known();
    let mut unknown: Vec<_> = names
        .into_iter()
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .collect();
    unknown.sort();
    unknown
        .iter()
        .map(|name| {
            let meant = known.iter().find(|known| bare(known) == bare(name));
            match meant {
                Some(meant) => format!("{name} is no setting, and has no effect; {meant} is one"),
                None => format!("{name} is no setting, and has no effect"),
            }
        })
        .collect()
}

/// The variables of the service's settings.
fn known() -> Vec<String> {
    let command = Config::augment_args(Command::new("serve"));
    let of_options = command
        .get_arguments()
        .filter_map(|option| option.get_env())
        .map(|name| name.to_string_lossy().into_owned());
    of_options.chain([LOG_VARIABLE.to_owned()]).collect()
}

/// A name without what is mistyped most: how many underscores it has, and where.
fn bare(name: &str) -> String {
    name.replace('_', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_looks_like_a_setting_and_is_none_is_told_with_the_one_that_was_meant() {
        let names = ["AIRPOST_RANGE_MAX", "PATH", "AIRPOST_BILLING_URL"];
        assert_eq!(
            warnings(names.map(str::to_owned)),
            [
                "AIRPOST_BILLING_URL is no setting, and has no effect; AIRPOST_BILLING__URL is one",
                "AIRPOST_RANGE_MAX is no setting, and has no effect",
            ]
        );
    }

    #[test]
    fn every_setting_is_one() {
        let known = known();
        assert!(known.len() > 40, "{known:?}");
        assert_eq!(warnings(known), [""; 0]);
    }
}
