use std::sync::LazyLock;

use metrics_core::*;

static LATENCY: LazyLock<Family<Summary, 2>> =
    LazyLock::new(|| Summary::builder("latency_seconds", "Latency.").labels(["path", "method"]).register());
static FAILURES: LazyLock<Family<Counter, 1>> =
    LazyLock::new(|| Counter::builder("failures_total", "Failures.").labels(["path"]).register());
static ALONE: LazyLock<Gauge> = LazyLock::new(|| Gauge::builder("running", "Calls.").register());

#[instrument("/x", latency = LATENCY)]
fn one_label() {}

#[instrument(latency = LATENCY)]
fn no_label() {}

#[instrument("/x", kind = |error| *error, exceptions = FAILURES)]
fn kinds() -> Result<(), u8> {
    Err(1)
}

#[instrument("/x", in_flight = ALONE)]
fn labels_without_a_family() {}

#[instrument(path, latency = latency)]
fn argument(path: &str, latency: &Family<Histogram, 3>) {}

fn main() {
    one_label();
}
