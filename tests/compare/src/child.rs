//! Resident memory measurements, each in a dedicated process.

use std::process::Command;
use std::sync::Barrier;
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::labels::{Labels, path};
use crate::peers;
use crate::peers::{ours, prometheus};

/// The command-line option that passes a task to a child process.
pub(crate) const OPTION: &str = "child";

/// Number of label sets that each thread touches.
const TOUCHED: usize = 2_000;

/// A measurement that runs in another process.
pub(crate) enum Task {
    /// Bytes per series in a counter family.
    Series { peer: String, series: usize },
    /// Bytes used by a family of summaries or histograms after `threads` live threads have each touched all series.
    Threads { peer: String, threads: usize },
}

impl Task {
    /// Runs the task in a child process and returns the figure.
    pub(crate) fn run(&self) -> Result<f64> {
        let output = Command::new(env::current_exe()?).args([&format!("--{OPTION}"), &self.to_argument()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {}", self.to_argument(), String::from_utf8_lossy(&output.stderr));
        text.trim().parse().with_context(|| format!("{} printed `{text}`", self.to_argument()))
    }

    fn to_argument(&self) -> String {
        match self {
            Self::Series { peer, series } => format!("series {peer} {series}"),
            Self::Threads { peer, threads } => format!("threads {peer} {threads}"),
        }
    }

    pub(crate) fn from_argument(argument: &str) -> Result<Self> {
        let parts: Vec<_> = argument.split(' ').collect();
        let [kind, peer, number] = parts[..] else { bail!("`{argument}` is not a task") };
        let (peer, number) = (peer.to_owned(), number.parse()?);
        match kind {
            "series" => Ok(Self::Series { peer, series: number }),
            "threads" => Ok(Self::Threads { peer, threads: number }),
            _ => bail!("`{argument}` is not a task"),
        }
    }

    /// Performs the task in this process.
    pub(crate) fn perform(&self) -> Result<f64> {
        match self {
            Self::Series { peer, series } => of_series(peer, *series),
            Self::Threads { peer, threads } => of_threads(peer, *threads),
        }
    }
}

fn of_series(name: &str, series: usize) -> Result<f64> {
    let peer = peers::all().into_iter().find(|peer| peer.name() == name).context("unknown peer")?;
    let before = resident_bytes()?;
    let exposition = peer.exposition(series);
    let after = resident_bytes()?;
    ensure!(exposition.is_some(), "{name} has no exposition");
    Ok((after - before) / series as f64)
}

fn of_threads(name: &str, threads: usize) -> Result<f64> {
    let labels = Labels::in_order(TOUCHED, |at| [path(at)]);
    let observe = match name {
        "ours" => ours::summary_by(labels),
        "prometheus" => prometheus::histogram_by(labels),
        _ => bail!("{name} has no family of summaries"),
    };
    let step = Barrier::new(threads + 1);
    let (before, after) = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                step.wait();
                step.wait();
                observe(0..TOUCHED as u64);
                step.wait();
                step.wait();
            });
        }
        step.wait();
        let before = resident_bytes();
        step.wait();
        step.wait();
        let after = resident_bytes();
        step.wait();
        (before, after)
    });
    Ok(after? - before?)
}

fn resident_bytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("measuring resident memory requires Linux's /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("/proc/self/status has no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kibibytes * 1024.0)
}
