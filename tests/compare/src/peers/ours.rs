//! The library in this workspace.

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use metrics_core::{Counter, Family, Format, Histogram, LabelValue, Registry, Summary, instrument};
use prometheus::DEFAULT_BUCKETS;

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, Suspended, respond, wait_once};
use crate::labels::{Labels, amount, paths, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct Ours;

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = Counter::builder("held_total", "A counter.").build();
        Some(operation(move |_| counter.inc()))
    }

    fn counter_by_one(&self, labels: Labels<1>) -> Option<Operation> {
        Some(counter_by(["path"], labels))
    }

    fn counter_by_three(&self, labels: Labels<3>) -> Option<Operation> {
        Some(counter_by(["path", "method", "status"], labels))
    }

    fn observation(&self) -> Option<Operation> {
        let summary = Summary::builder("held_seconds", "A summary.").build();
        Some(operation(move |number| summary.observe(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        operation(move |number| {
            let [path] = labels.pick(number);
            by_path(path, Request::new(number, fails))
        })
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let registry = counters(series);
        let mut text = Vec::new();
        Some(Box::new(move || {
            text.clear();
            registry.encode(Format::Text, &mut text);
            text.len()
        }))
    }
}

/// Creates counters with one label.
pub(crate) fn counters(series: usize) -> Registry {
    let registry = Registry::new();
    let builder = Counter::builder("compare_items_total", "Items.").labels(["path"]).max_series(series);
    let family = builder.register_in(&registry).expect("the registry is empty");
    let mut path = String::new();
    for number in 0..series {
        write_path(number, &mut path);
        family.labels([&path]).inc_by(amount(number));
    }
    registry
}

/// A histogram whose handle is held, with the default buckets of the `prometheus` crate.
pub(crate) fn histogram() -> Operation {
    let histogram = Histogram::builder("held_histogram_seconds", "A histogram.").buckets(*DEFAULT_BUCKETS).build();
    operation(move |number| histogram.observe(latency(number)))
}

/// A counter that is looked up by any number of labels.
pub(crate) fn counter_by<const N: usize>(names: [&str; N], labels: Labels<N>) -> Operation {
    let family = Counter::builder("by_labels_total", "A counter.").labels(names).max_series(1 << 20).build();
    operation(move |number| family.labels(labels.pick(number)).inc())
}

/// A summary that is looked up by path.
pub(crate) fn summary_by(labels: Labels<1>) -> Operation {
    summary_in(&Registry::new(), labels)
}

/// Like [`summary_by`], but registered in `registry`.
pub(crate) fn summary_in(registry: &Registry, labels: Labels<1>) -> Operation {
    let builder = Summary::builder("by_path_seconds", "A summary.").labels(["path"]).max_series(1 << 20);
    let family = builder.register_in(registry).expect("the registry is empty");
    operation(move |number| family.labels(labels.pick(number)).observe(latency(number)))
}

/// Calls the function whose `path` label is a literal.
pub(crate) fn call_literal(fails: bool) -> Operation {
    operation(move |number| by_literal(Request::new(number, fails)))
}

/// Like [`call_literal`], but with families owned by a service that is created at run time.
pub(crate) fn call_of_self(fails: bool) -> Operation {
    let service = Service {
        latency: Summary::builder("service_latency_seconds", "Latency.").labels(["path"]).build(),
        exceptions: Counter::builder("service_exceptions_total", "Failures.").labels(["path"]).build(),
    };
    operation(move |number| service.by_literal(Request::new(number, fails)))
}

static CHURNED_LATENCY: LazyLock<Family<Summary, 1>> =
    LazyLock::new(|| Summary::builder("churned_latency_seconds", "Latency.").labels(["path"]).build());
static CHURNED_EXCEPTIONS: LazyLock<Family<Counter, 1>> =
    LazyLock::new(|| Counter::builder("churned_exceptions_total", "Failures.").labels(["path"]).build());

/// Calls by 10 paths, recorded in families whose series [`churn`] creates and removes.
pub(crate) fn call_in_churned() -> Operation {
    let labels = paths(10);
    operation(move |number| {
        let [path] = labels.pick(number);
        in_churned(path, Request::new(number, false))
    })
}

/// Creates and removes a label set in the families that [`call_in_churned`] records into.
pub(crate) fn churn() {
    CHURNED_LATENCY.labels(["/churned"]).observe(0.5);
    CHURNED_EXCEPTIONS.labels(["/churned"]).inc();
    CHURNED_LATENCY.remove(["/churned"]);
    CHURNED_EXCEPTIONS.remove(["/churned"]);
}

#[inline(never)]
#[instrument(path, latency = CHURNED_LATENCY, exceptions = CHURNED_EXCEPTIONS)]
fn in_churned(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

/// Calls by 10 paths with a label from the result.
pub(crate) fn call_by_result(labels: Labels<1>) -> Operation {
    operation(move |number| {
        let [path] = labels.pick(number);
        by_result(path, Request::new(number, false))
    })
}

#[inline(never)]
#[instrument(path, parity = |out| parity(out), prefix = "by_result")]
fn by_result(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

fn parity(out: &Result<u64, Failed>) -> &'static str {
    match out {
        Ok(answer) if answer % 2 == 0 => "even",
        Ok(_) => "odd",
        Err(_) => "none",
    }
}

/// Calls by 10 paths with a `kind` label; no call fails.
pub(crate) fn call_by_kind(labels: Labels<1>) -> Operation {
    operation(move |number| {
        let [path] = labels.pick(number);
        by_kind(path, Request::new(number, false))
    })
}

#[inline(never)]
#[instrument(path, kind = |_| "failed", prefix = "by_kind")]
fn by_kind(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

#[derive(Clone, Copy, LabelValue)]
enum Method {
    Get,
    Put,
}

/// Calls by 10 paths and two methods.
pub(crate) fn call_by_enum(labels: Labels<1>) -> Operation {
    operation(move |number| {
        let [path] = labels.pick(number);
        let method = if number.is_multiple_of(2) { Method::Get } else { Method::Put };
        by_enum(path, method, Request::new(number, false))
    })
}

#[inline(never)]
#[instrument(path, method, prefix = "by_enum")]
fn by_enum(path: &str, method: Method, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

/// Polls async calls by 10 paths.
pub(crate) fn call_async(labels: Labels<1>) -> Operation {
    operation(move |number| {
        let [path] = labels.pick(number);
        let call = pin!(by_path_async(path, Request::new(number, false)));
        match call.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => unreachable!("the body does not wait"),
        }
    })
}

#[inline(never)]
#[instrument(path, prefix = "path_async")]
async fn by_path_async(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

struct Service {
    latency: Family<Summary, 1>,
    exceptions: Family<Counter, 1>,
}

impl Service {
    #[instrument("/foo", latency = self.latency, exceptions = self.exceptions, prefix = "service")]
    fn by_literal(&self, request: Request) -> Result<u64, Failed> {
        respond("/foo", request)
    }
}

/// Polls an annotated function, either the `async` version or the sync one. Both have the same body.
pub(crate) fn polled(is_async: bool) -> Operation {
    if is_async {
        operation(move |number| finish_async(Request::new(number, false)))
    } else {
        operation(move |number| finish_sync(Request::new(number, false)))
    }
}

/// Like [`polled`], but without the attribute.
pub(crate) fn polled_bare(is_async: bool) -> Operation {
    if is_async {
        operation(move |number| finish_bare_async(Request::new(number, false)))
    } else {
        operation(move |number| finish_bare_sync(Request::new(number, false)))
    }
}

#[inline(never)]
#[instrument("/foo", prefix = "literal")]
fn by_literal(request: Request) -> Result<u64, Failed> {
    respond("/foo", request)
}

#[inline(never)]
#[instrument(path, prefix = "path")]
fn by_path(path: &str, request: Request) -> Result<u64, Failed> {
    respond(path, request)
}

#[instrument("/foo", prefix = "sync")]
fn sync_literal(request: Request) -> Result<u64, Failed> {
    respond("/foo", request)
}

#[instrument("/foo", prefix = "async")]
async fn async_literal(request: Request) -> Result<u64, Failed> {
    respond("/foo", request)
}

async fn bare_async(request: Request) -> Result<u64, Failed> {
    respond("/foo", request)
}

/// Returns a call that is pending on its first poll.
pub(crate) fn suspended(request: Request) -> Suspended {
    Box::pin(waiting(request))
}

#[instrument("/foo", prefix = "waiting")]
async fn waiting(request: Request) -> Result<u64, Failed> {
    wait_once().await;
    respond("/foo", request)
}

#[inline(never)]
fn finish_sync(request: Request) -> Poll<Result<u64, Failed>> {
    poll_once(async { sync_literal(request) })
}

#[inline(never)]
fn finish_async(request: Request) -> Poll<Result<u64, Failed>> {
    poll_once(async_literal(request))
}

#[inline(never)]
fn finish_bare_sync(request: Request) -> Poll<Result<u64, Failed>> {
    poll_once(async { respond("/foo", request) })
}

#[inline(never)]
fn finish_bare_async(request: Request) -> Poll<Result<u64, Failed>> {
    poll_once(bare_async(request))
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
