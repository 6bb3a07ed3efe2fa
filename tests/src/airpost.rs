//! The program under test: the service's own command line, built beside the tests.

fn main() {}
