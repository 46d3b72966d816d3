//! OpenTelemetry with its Prometheus exporter.

use std::sync::LazyLock;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::{Labels, amount, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct OpenTelemetry;

/// A provider and the registry that exposes its metrics.
struct Provider {
    provider: SdkMeterProvider,
    registry: Registry,
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| Provider::new(20_000));

static LATENCY: LazyLock<Histogram<f64>> = LazyLock::new(|| histogram("request_latency_seconds"));

static EXCEPTIONS: LazyLock<Counter<u64>> =
    LazyLock::new(|| PROVIDER.meter().u64_counter("request_exceptions").build());

impl Provider {
    /// Raises the SDK's cardinality limit, which is 2,000 series by default.
    fn new(series: usize) -> Self {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone());
        let exporter = exporter.build().expect("the registry is empty");
        let provider = SdkMeterProvider::builder().with_reader(exporter).with_view(
            move |_: &opentelemetry_sdk::metrics::Instrument| {
                Stream::builder().with_cardinality_limit(series + 1).build().ok()
            },
        );
        Self { provider: provider.build(), registry }
    }

    fn meter(&self) -> Meter {
        self.provider.meter("compare")
    }

    fn encode(&self, text: &mut String) {
        TextEncoder::new().encode_utf8(&self.registry.gather(), text).expect("all families can be encoded");
    }
}

impl Peer for OpenTelemetry {
    fn name(&self) -> &'static str {
        "opentelemetry"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = PROVIDER.meter().u64_counter("held").build().bind(&[]);
        Some(operation(move |_| counter.add(1)))
    }

    fn counter_by_one(&self, labels: Labels<1>) -> Option<Operation> {
        let counter = PROVIDER.meter().u64_counter("by_one").build();
        Some(operation(move |number| {
            let [path] = labels.pick(number).map(str::to_owned);
            counter.add(1, &[KeyValue::new("path", path)]);
        }))
    }

    fn counter_by_three(&self, labels: Labels<3>) -> Option<Operation> {
        let counter = PROVIDER.meter().u64_counter("by_three").build();
        Some(operation(move |number| {
            let [path, method, status] = labels.pick(number).map(str::to_owned);
            let attributes =
                [KeyValue::new("path", path), KeyValue::new("method", method), KeyValue::new("status", status)];
            counter.add(1, &attributes);
        }))
    }

    fn observation(&self) -> Option<Operation> {
        let histogram = histogram("held_seconds").bind(&[]);
        Some(operation(move |number| histogram.record(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        operation(move |number| {
            let [path] = labels.pick(number);
            handle(path, Request::new(number, fails))
        })
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let provider = Provider::new(series);
        let counter = provider.meter().u64_counter("compare_items").build();
        let mut path = String::new();
        for number in 0..series {
            write_path(number, &mut path);
            counter.add(amount(number), &[KeyValue::new("path", path.clone())]);
        }
        let mut text = String::new();
        Some(Box::new(move || {
            text.clear();
            provider.encode(&mut text);
            text.len()
        }))
    }
}

/// Uses the default buckets of the `prometheus` crate.
fn histogram(name: &'static str) -> Histogram<f64> {
    PROVIDER.meter().f64_histogram(name).with_boundaries(prometheus::DEFAULT_BUCKETS.into()).build()
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    let start = Instant::now();
    let result = respond(path, request);
    let attributes = [KeyValue::new("path", path.to_owned())];
    LATENCY.record(start.elapsed().as_secs_f64(), &attributes);
    if result.is_err() {
        EXCEPTIONS.add(1, &attributes);
    }
    result
}
