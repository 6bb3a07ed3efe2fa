//! What a run measures, and where.

use std::path::PathBuf;

pub(crate) const HELP: &str = "\
usage: cargo bench -p eventstore -- [PART…] [--events N,N,…] [--callers N,N,…]
                                      [--rounds N] [--folder DIR]

Parts, all but the last unless some are named:
  append   durable single-event appends by 1, 16, 64 and 256 callers, beside a bare
           write + fdatasync of the same bytes in the same groups
  size     bytes on disk an event, beside the bytes of the records alone
  read     reading everything, beside a scan that only decodes
  open     opening after a clean stop and after an abort, and the memory it takes,
           beside a decode-only scan of the one segment that an opening reads
  cluster  only if it is named: a log on three NATS servers (tests/nats-server) that
           sync always: appends of one node, beside a bare publisher of the same
           blocks; ten nodes that race, beside one

  --events   sizes of the journals of size, read and open (10000,1000000); 10 million
             events take about 2 GB
  --callers  how many callers append at once, here and on a cluster (1,16,64,256)
  --rounds   how often append, read, open and cluster are repeated; medians are printed (5)
  --folder   where the journals are written: on the disk that is to be measured,
             not in memory (the system's folder for temporary files)";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Append,
    Size,
    Read,
    Open,
    Cluster,
}

impl Part {
    /// What needs nothing but this machine's disk.
    const USUAL: [Self; 4] = [Self::Append, Self::Size, Self::Read, Self::Open];

    fn named(name: &str) -> Option<Self> {
        match name {
            "append" => Some(Self::Append),
            "size" => Some(Self::Size),
            "read" => Some(Self::Read),
            "open" => Some(Self::Open),
            "cluster" => Some(Self::Cluster),
            _ => None,
        }
    }
}

/// What this process is for. The program calls itself for what needs a process of its own.
#[derive(Debug)]
pub(crate) enum Command {
    Figures(Vec<Part>),
    /// Writes a journal of the reference workload and aborts without closing it.
    Write {
        folder: PathBuf,
        events: u64,
    },
    /// Opens a journal, and says how long it took and what memory.
    Open {
        folder: PathBuf,
    },
}

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) command: Command,
    pub(crate) events: Vec<u64>,
    pub(crate) callers: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) folder: PathBuf,
}

impl Settings {
    /// Reads the command line; what is not understood gives the help.
    pub(crate) fn from_arguments(
        arguments: impl Iterator<Item = String>,
    ) -> Result<Self, &'static str> {
        // Cargo adds --bench by itself.
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        let mut parts = Vec::new();
        let mut settings = Self {
            command: Command::Figures(Vec::new()),
            events: vec![10_000, 1_000_000],
            callers: vec![1, 16, 64, 256],
            rounds: 5,
            folder: std::env::temp_dir(),
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--events" => settings.events = numbers(arguments.next())?,
                "--callers" => settings.callers = numbers(arguments.next())?,
                "--rounds" => settings.rounds = number(arguments.next())?,
                "--folder" => settings.folder = arguments.next().ok_or(HELP)?.into(),
                "write-and-abort" => {
                    let folder = arguments.next().ok_or(HELP)?.into();
                    let events = number(arguments.next())?;
                    settings.command = Command::Write { folder, events };
                    return Ok(settings);
                }
                "open-once" => {
                    let folder = arguments.next().ok_or(HELP)?.into();
                    settings.command = Command::Open { folder };
                    return Ok(settings);
                }
                name => parts.push(Part::named(name).ok_or(HELP)?),
            }
        }
        if settings.rounds == 0 {
            return Err(HELP);
        }
        if parts.is_empty() {
            parts = Part::USUAL.to_vec();
        }
        settings.command = Command::Figures(parts);
        Ok(settings)
    }
}

fn number<N: std::str::FromStr>(text: Option<String>) -> Result<N, &'static str> {
    text.and_then(|text| text.parse().ok()).ok_or(HELP)
}

fn numbers<N: std::str::FromStr>(text: Option<String>) -> Result<Vec<N>, &'static str> {
    let numbers = text.ok_or(HELP)?;
    let numbers: Result<_, _> = numbers.split(',').map(str::parse).collect();
    numbers.map_err(|_| HELP)
}

/// What the figures were measured on, as far as the machine tells.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches(['\t', ' ', ':'])
        });
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("machine: {cores} cores, {model}, load {load} at the beginning")
}

/// The middle one; of an even number the upper middle.
pub(crate) fn median<T: PartialOrd + Copy>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("figures are numbers"));
    *values.get(values.len() / 2).expect("there are rounds")
}

/// The value below which `per_mille` of all lie.
pub(crate) fn quantile<T: Ord + Copy>(values: &mut [T], per_mille: usize) -> T {
    values.sort_unstable();
    let at = (values.len() * per_mille / 1000).min(values.len().saturating_sub(1));
    *values.get(at).expect("something was measured")
}
