//! Manual instrumentation with the `prometheus` crate, calling `with_label_values` at each use.

use std::sync::LazyLock;
use std::time::Instant;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::{Labels, amount, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct Prometheus;

static LATENCY: LazyLock<HistogramVec> = LazyLock::new(|| {
    let opts = HistogramOpts::new("by_hand_request_latency_seconds", "Latency of requests.");
    HistogramVec::new(opts, &["path"]).expect("name and label are valid")
});

static EXCEPTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| counters("by_hand_request_exceptions_total", &["path"]));

static FOO_LATENCY: LazyLock<Histogram> = LazyLock::new(|| LATENCY.with_label_values(&["/foo"]));

static FOO_EXCEPTIONS: LazyLock<IntCounter> = LazyLock::new(|| EXCEPTIONS.with_label_values(&["/foo"]));

impl Peer for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = IntCounter::new("held_total", "A counter.").expect("the name is valid");
        Some(operation(move |_| counter.inc()))
    }

    fn counter_by_one(&self, labels: Labels<1>) -> Option<Operation> {
        Some(counter_by(["path"], labels))
    }

    fn counter_by_three(&self, labels: Labels<3>) -> Option<Operation> {
        Some(counter_by(["path", "method", "status"], labels))
    }

    fn observation(&self) -> Option<Operation> {
        let opts = HistogramOpts::new("held_seconds", "A histogram.");
        let histogram = Histogram::with_opts(opts).expect("the name is valid");
        Some(operation(move |number| histogram.observe(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        operation(move |number| {
            let [path] = labels.pick(number);
            handle(path, Request::new(number, fails))
        })
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let registry = registry(series);
        let mut text = String::new();
        Some(Box::new(move || {
            text.clear();
            TextEncoder::new().encode_utf8(&registry.gather(), &mut text).expect("all families can be encoded");
            text.len()
        }))
    }
}

/// Creates counters with one label.
pub(crate) fn registry(series: usize) -> Registry {
    let registry = Registry::new();
    let family = counters("compare_items_total", &["path"]);
    registry.register(Box::new(family.clone())).expect("the registry is empty");
    let mut path = String::new();
    for number in 0..series {
        write_path(number, &mut path);
        family.with_label_values(&[&path]).inc_by(amount(number));
    }
    registry
}

/// A counter that is looked up by any number of labels.
pub(crate) fn counter_by<const N: usize>(names: [&str; N], labels: Labels<N>) -> Operation {
    let family = counters("by_labels_total", &names);
    operation(move |number| family.with_label_values(&labels.pick(number)).inc())
}

/// A histogram that is looked up by path.
pub(crate) fn histogram_by(labels: Labels<1>) -> Operation {
    let opts = HistogramOpts::new("by_path_seconds", "A histogram.");
    let family = HistogramVec::new(opts, &["path"]).expect("name and label are valid");
    operation(move |number| family.with_label_values(&labels.pick(number)).observe(latency(number)))
}

/// Calls a function whose `path` label is a literal.
pub(crate) fn call_literal(fails: bool) -> Operation {
    operation(move |number| handle_literal(Request::new(number, fails)))
}

/// Like [`call_literal`], but with handles held in statics.
pub(crate) fn call_held(fails: bool) -> Operation {
    operation(move |number| handle_held(Request::new(number, fails)))
}

/// Creates and removes a label set in the families that [`Peer::call`] records into.
pub(crate) fn churn() {
    LATENCY.with_label_values(&["/churned"]).observe(0.5);
    EXCEPTIONS.with_label_values(&["/churned"]).inc();
    LATENCY.remove_label_values(&["/churned"]).expect("it exists");
    EXCEPTIONS.remove_label_values(&["/churned"]).expect("it exists");
}

fn counters(name: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, "A counter."), labels).expect("name and labels are valid")
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    let start = Instant::now();
    let result = respond(path, request);
    LATENCY.with_label_values(&[path]).observe(start.elapsed().as_secs_f64());
    if result.is_err() {
        EXCEPTIONS.with_label_values(&[path]).inc();
    }
    result
}

#[inline(never)]
fn handle_literal(request: Request) -> Result<u64, Failed> {
    let start = Instant::now();
    let result = respond("/foo", request);
    LATENCY.with_label_values(&["/foo"]).observe(start.elapsed().as_secs_f64());
    if result.is_err() {
        EXCEPTIONS.with_label_values(&["/foo"]).inc();
    }
    result
}

#[inline(never)]
fn handle_held(request: Request) -> Result<u64, Failed> {
    let start = Instant::now();
    let result = respond("/foo", request);
    FOO_LATENCY.observe(start.elapsed().as_secs_f64());
    if result.is_err() {
        FOO_EXCEPTIONS.inc();
    }
    result
}
