//! How many files the process may have open, and how many of them may be
//! connections: the log and the views need some as well, also when clients
//! take all that they can get.

/// Files that are never connections, at least.
const RESERVED_MIN: usize = 128;

/// How many connections fit, so that a quarter of the files, and at least
/// some, are left for everything else. `None` where no limit is known.
pub(super) fn connections_that_fit() -> Option<usize> {
    // Only Linux tells in this way; elsewhere the configured number stands.
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    Some(fitting(open_files_max(&limits)?))
}

fn fitting(files: usize) -> usize {
    let reserved = (files / 4).max(RESERVED_MIN);
    // With fewer files than are reserved the service can hardly run at all;
    // one connection shows why.
    files.saturating_sub(reserved).max(1)
}

/// The soft limit, out of the table of `proc(5)`.
fn open_files_max(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read_from_the_table_of_limits() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max processes             94997                94997                processes\n\
                     Max open files            1024                 524288               files\n";
        assert_eq!(open_files_max(table), Some(1024));
        assert_eq!(
            open_files_max(
                "Max open files            unlimited            unlimited            files"
            ),
            None
        );
        assert_eq!(open_files_max(""), None);
    }

    #[test]
    fn some_files_are_always_left_for_the_log() {
        for (files, connections) in [(1024, 768), (20_000, 15_000), (256, 128), (100, 1)] {
            assert_eq!(fitting(files), connections);
        }
    }
}
