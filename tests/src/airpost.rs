//! The program under test: the service's own command line, built beside the tests.

use std::process::ExitCode;

/// The program's own allocator, so that what is tested is what users run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    api::cli::main()
}
