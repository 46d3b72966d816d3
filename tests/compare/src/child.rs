//! Measurements in a dedicated process: resident memory, and calls whose instructions are counted.

use std::hint::black_box;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Barrier;
use std::{env, fs, thread};

use anyhow::{Context, Result, bail, ensure};

use crate::annotated;
use crate::labels::{Labels, path};
use crate::peers;
use crate::peers::distributions::MILLION;
use crate::peers::{distributions, ours, prometheus};
use crate::rows::{debug, storm, tail};

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
    /// Bytes used by a series that `threads` live threads have given a million latencies in total.
    Distribution { kind: String, threads: usize },
    /// Calls to a function, which callgrind counts. Has no figure of its own.
    Calls { id: String, calls: usize, fails: bool },
    /// Percentiles of calls in an idle process, and during a disturbance.
    Tail { peer: String, disturbance: String, rounds: usize },
    /// Ratios of calls in a debug build.
    Debug { rounds: usize },
    /// The number of connections and requests of hostile clients.
    Storm { addr: SocketAddr, seconds: usize },
}

impl Task {
    /// Runs the task in a child process and returns the figure.
    pub(crate) fn run(&self) -> Result<f64> {
        self.figures()?.first().copied().context("no figure")
    }

    /// Runs the task in a child process and returns all figures.
    pub(crate) fn figures(&self) -> Result<Vec<f64>> {
        let output = Command::new(env::current_exe()?).args([&format!("--{OPTION}"), &self.to_argument()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {}", self.to_argument(), String::from_utf8_lossy(&output.stderr));
        figures(&text).with_context(|| format!("{} printed `{text}`", self.to_argument()))
    }

    pub(crate) fn to_argument(&self) -> String {
        match self {
            Self::Series { peer, series } => format!("series {peer} {series}"),
            Self::Threads { peer, threads } => format!("threads {peer} {threads}"),
            Self::Distribution { kind, threads } => format!("distribution {kind} {threads}"),
            Self::Calls { id, calls, fails: false } => format!("calls {id} {calls}"),
            Self::Calls { id, calls, fails: true } => format!("failing {id} {calls}"),
            Self::Tail { peer, disturbance, rounds } => format!("tail {peer}/{disturbance} {rounds}"),
            Self::Debug { rounds } => format!("debug calls {rounds}"),
            Self::Storm { addr, seconds } => format!("storm {addr} {seconds}"),
        }
    }

    pub(crate) fn from_argument(argument: &str) -> Result<Self> {
        let parts: Vec<_> = argument.split(' ').collect();
        let [kind, peer, number] = parts[..] else { bail!("`{argument}` is not a task") };
        let (peer, number) = (peer.to_owned(), number.parse()?);
        match kind {
            "series" => Ok(Self::Series { peer, series: number }),
            "threads" => Ok(Self::Threads { peer, threads: number }),
            "distribution" => Ok(Self::Distribution { kind: peer, threads: number }),
            "calls" | "failing" => Ok(Self::Calls { id: peer, calls: number, fails: kind == "failing" }),
            "tail" => {
                let (peer, disturbance) = peer.split_once('/').context("missing disturbance")?;
                Ok(Self::Tail { peer: peer.to_owned(), disturbance: disturbance.to_owned(), rounds: number })
            }
            "debug" => Ok(Self::Debug { rounds: number }),
            "storm" => Ok(Self::Storm { addr: peer.parse()?, seconds: number }),
            _ => bail!("`{argument}` is not a task"),
        }
    }

    /// Performs the task in this process and returns its figures.
    pub(crate) fn perform(&self) -> Result<Vec<f64>> {
        Ok(vec![match self {
            Self::Series { peer, series } => of_series(peer, *series)?,
            Self::Threads { peer, threads } => of_threads(peer, *threads)?,
            Self::Distribution { kind, threads } => of_distribution(kind, *threads)?,
            Self::Calls { id, calls, fails } => call(id, *calls, *fails)?,
            Self::Tail { peer, disturbance, rounds } => return tail::measure(peer, disturbance, *rounds),
            Self::Debug { rounds } => return debug::measure(*rounds),
            Self::Storm { addr, seconds } => storm::attack(*addr, *seconds)?,
        }])
    }
}

/// Parses the figures that a child process has printed.
pub(crate) fn figures(text: &str) -> Result<Vec<f64>> {
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

fn call(id: &str, calls: usize, fails: bool) -> Result<f64> {
    let counted = annotated::ALL.into_iter().find(|counted| counted.id == id).context("unknown function")?;
    // Otherwise, the first call would calibrate the clock, which takes a random number of instructions.
    metrics_core::init();
    let call = (counted.prepare)();
    (0..calls).for_each(|_| call(black_box(fails)));
    Ok(calls as f64)
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
    grown_by(threads, |_| observe(0..TOUCHED as u64))
}

/// The number of series whose memory is measured: enough for the memory of one thread to be negligible.
const DISTRIBUTIONS: usize = 2_000;

fn of_distribution(kind: &str, threads: usize) -> Result<f64> {
    // Memory that does not depend on the number of series, such as that of code.
    let first = distributions::observer(kind, &["first".to_owned()]);
    grown_by(1, |_| (0..MILLION).for_each(|number| first[0](distributions::latency(number))))?;
    let each = MILLION / threads as u64;
    let distributions = if threads == 1 { DISTRIBUTIONS } else { DISTRIBUTIONS / 4 };
    let before = resident_bytes()?;
    let labels: Vec<_> = (0..distributions).map(|number| number.to_string()).collect();
    let series = distributions::observer(kind, &labels);
    let created = resident_bytes()? - before;
    let written = grown_by(threads, |thread| {
        let first = thread as u64 * each;
        for observe in &series {
            (first..first + each).for_each(|number| observe(distributions::latency(number)));
        }
    })?;
    Ok((created + written) / distributions as f64)
}

/// Returns the bytes by which the process grows while each of so many live threads runs `work` with its number.
fn grown_by(threads: usize, work: impl Fn(usize) + Sync) -> Result<f64> {
    let step = Barrier::new(threads + 1);
    let (before, after) = thread::scope(|scope| {
        for thread in 0..threads {
            let (step, work) = (&step, &work);
            scope.spawn(move || {
                step.wait();
                step.wait();
                work(thread);
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
