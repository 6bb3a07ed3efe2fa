//! The simulator: a fleet and its customers, all through the public door.
//!
//! It is a client like any other. It books deliveries over HTTP, follows the
//! feed for missions that are asked for, says over HTTP what the drones of a
//! fleet would say, and asks over HTTP what became of it. Recorded flights are
//! flown as they were; generated ones follow from a seed, whatever goes wrong
//! in them, so that the same seed gives each delivery the same life.

// The service, seen from outside.
mod client;
// A flight as it was recorded, and what a drone on it would say.
mod recording;
mod recorded;
// A generated world: what chance decides, where, what is ordered, what goes wrong.
mod dice;
mod city;
mod order;
mod faults;
// A mission before it is flown.
mod script;
mod incident;
mod outlook;
mod transport;
// The same world at work.
mod speech;
mod fold;
mod ears;
mod fleet;
mod customer;
mod life;
mod run;
// What became of it.
mod rules;
mod verdict;

use std::time::Duration;

pub use client::Client;
pub use faults::{Fault, Faults};
pub use recorded::{Outcome, fly, recordings_in};
pub use recording::{Recording, RecordingError};
pub use run::{Simulation, comes_to_rest, simulate};
pub use verdict::Report;

/// How fast to fly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl Speed {
    /// So many times as fast as it was.
    #[must_use]
    pub const fn times(times: u32) -> Self {
        Self(times as f64)
    }

    /// So many times as fast as it was; `max` does not wait at all.
    ///
    /// # Errors
    /// Says what is taken.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = if text == "max" {
            Ok(f64::INFINITY)
        } else {
            text.parse()
        };
        match number {
            Ok(number) if number > 0.0 => Ok(Self(number)),
            _ => Err("expected a number above 0, such as 10, or max".to_owned()),
        }
    }

    fn wait(self, recorded: Duration) -> Duration {
        Duration::try_from_secs_f64(recorded.as_secs_f64() / self.0).unwrap_or(Duration::MAX)
    }
}

impl Speed {
    /// How much of a recording goes into one request: what passes in 50 ms.
    fn step(self) -> Duration {
        Duration::try_from_secs_f64(0.05 * self.0).unwrap_or(Duration::MAX / 2)
    }
}

#[cfg(test)]
mod tests;
