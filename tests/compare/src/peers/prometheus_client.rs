//! The `prometheus-client` crate.

use std::sync::LazyLock;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::{Labels, amount, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct PrometheusClient;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByPath {
    path: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByThree {
    path: String,
    method: String,
    status: String,
}

static LATENCY: LazyLock<Family<ByPath, Histogram>> = LazyLock::new(|| Family::new_with_constructor(histogram));

static EXCEPTIONS: LazyLock<Family<ByPath, Counter>> = LazyLock::new(Family::default);

impl Peer for PrometheusClient {
    fn name(&self) -> &'static str {
        "prometheus-client"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = <Counter>::default();
        Some(operation(move |_| counter.inc()))
    }

    fn counter_by_one(&self, labels: Labels<1>) -> Option<Operation> {
        let family = Family::<ByPath, Counter>::default();
        Some(operation(move |number| {
            let [path] = labels.pick(number).map(str::to_owned);
            family.get_or_create(&ByPath { path }).inc()
        }))
    }

    fn counter_by_three(&self, labels: Labels<3>) -> Option<Operation> {
        let family = Family::<ByThree, Counter>::default();
        Some(operation(move |number| {
            let [path, method, status] = labels.pick(number).map(str::to_owned);
            family.get_or_create(&ByThree { path, method, status }).inc()
        }))
    }

    fn observation(&self) -> Option<Operation> {
        let histogram = histogram();
        Some(operation(move |number| histogram.observe(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        operation(move |number| {
            let [path] = labels.pick(number);
            handle(path, Request::new(number, fails))
        })
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let registry = counters(series);
        let mut text = String::new();
        Some(Box::new(move || {
            text.clear();
            encode(&mut text, &registry).expect("writing to a string cannot fail");
            text.len()
        }))
    }
}

/// Creates counters with one label.
pub(crate) fn counters(series: usize) -> Registry {
    let mut registry = Registry::default();
    let family = Family::<ByPath, Counter>::default();
    registry.register("compare_items", "Items.", family.clone());
    let mut path = String::new();
    for number in 0..series {
        write_path(number, &mut path);
        family.get_or_create(&ByPath { path: path.clone() }).inc_by(amount(number));
    }
    registry
}

/// Uses the default buckets of the `prometheus` crate.
fn histogram() -> Histogram {
    Histogram::new(prometheus::DEFAULT_BUCKETS.iter().copied())
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    let start = Instant::now();
    let result = respond(path, request);
    let labels = ByPath { path: path.to_owned() };
    LATENCY.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
    if result.is_err() {
        EXCEPTIONS.get_or_create(&labels).inc();
    }
    result
}
