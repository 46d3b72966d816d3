#![deny(warnings)]
//! Attribute options that name families behind pointers, and families for functions with all kinds of labels.

use std::sync::{Arc, LazyLock};

use metrics_core::{Counter, Family, Gauge, Histogram, LabelValue, Summary, instrument};

lazy_static::lazy_static! {
    static ref LATENCY: Family<Summary, 1> = Summary::builder("a_seconds", "").labels(["path"]).build();
    static ref METRICS: Metrics = Metrics {
        latency: Histogram::builder("b_seconds", "").labels(["path", "status"]).build(),
        exceptions: Counter::builder("b_total", "").labels(["path", "status", "kind"]).build(),
        cancelled: Arc::new(Counter::builder("c_total", "").labels(["path"]).build()),
        cancelled_by_status: Counter::builder("d_total", "").labels(["path", "status"]).build(),
        in_flight: Gauge::builder("e", "").labels(["path"]).build(),
    };
}

static SHARED: LazyLock<Arc<Family<Summary, 1>>> = LazyLock::new(|| Arc::new(LATENCY.clone()));
static ALONE: LazyLock<Summary> = LazyLock::new(|| Summary::builder("f_seconds", "").build());
static BY_FUNCTION: LazyLock<Family<Counter, 1>> =
    LazyLock::new(|| Counter::builder("f_total", "").labels(["function"]).build());

struct Metrics {
    latency: Family<Histogram, 2>,
    exceptions: Family<Counter, 3>,
    cancelled: Arc<Family<Counter, 1>>,
    cancelled_by_status: Family<Counter, 2>,
    in_flight: Family<Gauge, 1>,
}

#[derive(LabelValue)]
enum Kind {
    Broken,
}

fn status(_: &Result<(), Kind>) -> u16 {
    200
}

#[instrument(path = "/x", latency = LATENCY)]
fn reference() {}

#[instrument(path, latency = SHARED)]
fn pointer_to_pointer(path: &str) {}

#[instrument(path, latency = &**SHARED)]
fn dereferenced(path: &str) {}

#[instrument(latency = ALONE, exceptions = BY_FUNCTION)]
fn alone() {}

#[instrument(
    path, status = |out| status(out), kind,
    latency = METRICS.latency, exceptions = METRICS.exceptions,
    cancelled = METRICS.cancelled, in_flight = METRICS.in_flight
)]
async fn all(path: &str) -> Result<(), Kind> {
    Err(Kind::Broken)
}

#[instrument(
    path, status = |out| status(out), kind,
    latency = METRICS.latency, exceptions = METRICS.exceptions,
    cancelled = METRICS.cancelled_by_status, in_flight = METRICS.in_flight,
)]
async fn late(path: &str) -> Result<(), Kind> {
    Err(Kind::Broken)
}

#[instrument(path, latency = families.0, exceptions = families.1, prefix = "named")]
fn arguments(path: &str, families: &(Arc<Family<Summary, 1>>, &Family<Counter, 1>)) {}

fn main() {
    reference();
    pointer_to_pointer("/x");
    dereferenced("/x");
    alone();
    drop((all("/x"), late("/x")));
    let failures = Counter::builder("g_total", "").labels(["path"]).build();
    arguments("/x", &(Arc::new(LATENCY.clone()), &failures));
    assert_eq!(LATENCY.labels(["/x"]).count(), 4);
}
