//! A program that exits with status 0 only if its own metrics are correct.

#[cfg(feature = "cdylib")]
mod loaded;
#[cfg(feature = "http")]
mod served;

use std::num::ParseIntError;

use metrics_core::{Counter, Gauge, Histogram, Metrics, Registry, instrument};

/// True if the linker collects the declarations of this program.
///
/// In a program that links the library dynamically, it collects only those of the dylib.
const COLLECTED: bool = cfg!(not(any(target_family = "wasm", feature = "dylib")));

/// True if `init` evaluates lists of label values and the fields of structs.
///
/// If panics abort the program, only the first use evaluates them.
const EVALUATED: bool = COLLECTED && cfg!(not(panic = "abort"));

#[instrument("/fixed", prefix = "fixed")]
fn handle_fixed() {}

#[instrument(path in ["/a", "/b"], prefix = "probe")]
fn handle(path: &str, text: &str) -> Result<usize, ParseIntError> {
    Ok(path.len() + text.parse::<usize>()?)
}

#[derive(Metrics)]
#[metrics(prefix = "probe", global)]
struct Jobs {
    /// Finished jobs.
    done_total: Counter,
    /// Waiting jobs.
    waiting: Gauge,
    /// Sizes of jobs.
    #[metric(buckets(1, 10))]
    size_bytes: Histogram,
}

/// The samples before the first call that need no evaluation.
const FIXED: [&str; 1] = ["fixed_request_latency_seconds_count{path=\"/fixed\"} 0"];

/// The other samples before the first call.
const BEFORE: [&str; 10] = [
    "probe_request_latency_seconds_count{path=\"/a\"} 0",
    "probe_request_latency_seconds_count{path=\"/b\"} 0",
    "probe_request_latency_seconds_count{path=\"other\"} 0",
    "probe_request_exceptions_total{path=\"/a\"} 0",
    "probe_request_exceptions_total{path=\"/b\"} 0",
    "probe_request_exceptions_total{path=\"other\"} 0",
    "probe_done_total 0",
    "probe_waiting 0",
    "probe_size_bytes_bucket{le=\"10\"} 0",
    "probe_size_bytes_count 0",
];

/// The samples after [`work`].
const AFTER: [&str; 13] = [
    "fixed_request_latency_seconds_count{path=\"/fixed\"} 1",
    "probe_request_latency_seconds_count{path=\"/a\"} 2000",
    "probe_request_latency_seconds_count{path=\"/b\"} 1000",
    "probe_request_latency_seconds_count{path=\"other\"} 1000",
    "probe_request_exceptions_total{path=\"/a\"} 0",
    "probe_request_exceptions_total{path=\"/b\"} 1000",
    "probe_request_exceptions_total{path=\"other\"} 0",
    "probe_done_total 1000",
    "probe_waiting 0.5",
    "probe_size_bytes_bucket{le=\"1\"} 334",
    "probe_size_bytes_bucket{le=\"10\"} 667",
    "probe_size_bytes_bucket{le=\"+Inf\"} 1000",
    "probe_size_bytes_sum 4663",
];

fn expect_samples(text: &str, samples: &[&str]) {
    expect(text, samples, true);
}

/// Panics unless the text contains all of these samples, or none of them.
fn expect(text: &str, samples: &[&str], exported: bool) {
    for sample in samples {
        assert_eq!(text.lines().any(|line| line == *sample), exported, "{sample}:\n{text}");
    }
}

/// Makes half of the successful calls on another thread, if the platform has threads.
fn work() {
    let successful = || (0..1_000).for_each(|_| assert!(handle("/a", "1").is_ok()));
    if cfg!(target_family = "wasm") {
        successful();
    } else {
        std::thread::spawn(successful).join().expect("no panic");
    }
    successful();
    for size in [1.0, 2.0, 11.0].into_iter().cycle().take(1_000) {
        assert!(handle("/b", "no number").is_err());
        assert!(handle("/nowhere", "1").is_ok());
        Jobs::global().done_total.inc();
        Jobs::global().size_bytes.observe(size);
    }
    Jobs::global().waiting.set(0.5);
    handle_fixed();
}

fn main() {
    metrics_core::init();
    let before = Registry::global().to_text();
    expect(&before, &FIXED, COLLECTED);
    expect(&before, &BEFORE, EVALUATED);
    work();
    expect_samples(&Registry::global().to_text(), &AFTER);
    #[cfg(feature = "http")]
    served::check(&AFTER);
    #[cfg(feature = "dylib")]
    platform_plugin::check();
    #[cfg(feature = "cdylib")]
    loaded::check();
    let problems = Registry::global().check();
    assert!(problems.is_empty(), "{problems:?}");
}
