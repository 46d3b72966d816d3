//! The `metrics` facade with its Prometheus exporter.

use std::time::Instant;

use metrics::{counter, histogram, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::{Labels, amount, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct Metrics;

/// Installs the exporter as the global recorder, which is the fastest setup. The caller must run the exporter's upkeep.
pub(crate) fn install() -> PrometheusHandle {
    builder().install_recorder().expect("no other recorder is installed")
}

impl Peer for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = counter!("held_total");
        Some(operation(move |_| counter.increment(1)))
    }

    fn counter_by_one(&self, labels: Labels<1>) -> Option<Operation> {
        Some(operation(move |number| {
            let [path] = labels.pick(number).map(str::to_owned);
            counter!("by_one_total", "path" => path).increment(1);
        }))
    }

    fn counter_by_three(&self, labels: Labels<3>) -> Option<Operation> {
        Some(operation(move |number| {
            let [path, method, status] = labels.pick(number).map(str::to_owned);
            counter!("by_three_total", "path" => path, "method" => method, "status" => status).increment(1);
        }))
    }

    fn observation(&self) -> Option<Operation> {
        let histogram = histogram!("held_seconds");
        Some(operation(move |number| histogram.record(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        operation(move |number| {
            let [path] = labels.pick(number);
            handle(path, Request::new(number, fails))
        })
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let handle = counters(series);
        Some(Box::new(move || handle.render().len()))
    }
}

/// Creates counters with one label.
pub(crate) fn counters(series: usize) -> PrometheusHandle {
    let recorder = builder().build_recorder();
    with_local_recorder(&recorder, || {
        let mut path = String::new();
        for number in 0..series {
            write_path(number, &mut path);
            counter!("compare_items_total", "path" => path.clone()).increment(amount(number));
        }
    });
    recorder.handle()
}

/// Uses the default buckets of the `prometheus` crate.
fn builder() -> PrometheusBuilder {
    PrometheusBuilder::new().set_buckets(prometheus::DEFAULT_BUCKETS).expect("there are buckets")
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    let start = Instant::now();
    let result = respond(path, request);
    histogram!("request_latency_seconds", "path" => path.to_owned()).record(start.elapsed());
    if result.is_err() {
        counter!("request_exceptions_total", "path" => path.to_owned()).increment(1);
    }
    result
}
