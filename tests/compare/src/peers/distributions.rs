//! Histograms and summaries of log-normal latencies, in each library that has them.

use std::sync::LazyLock;

use metrics::{histogram, with_local_recorder};
use metrics_core::{Format, Histogram, Registry, Summary};
use metrics_exporter_prometheus::PrometheusBuilder;
use prometheus_client::encoding::prometheus_protobuf;
use prometheus_client::metrics::{family, histogram as client};

use super::Exposition;
use crate::measure::{Operation, operation};

/// Latencies with a median of 7 ms and a logarithm that is normally distributed with a standard deviation of 1.
static LATENCIES: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    let mut normal = move || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
    (0..MILLION).map(|_| (-5.0 + normal()).exp()).collect()
});

/// The number of latencies that a series gets before it is measured.
pub(crate) const MILLION: u64 = 1_000_000;

/// The number of latencies that a contest uses, so that they fit into the cache.
const USED: u64 = 1 << 14;

/// A latency. The first [`MILLION`] numbers have different latencies.
pub(crate) fn latency(number: u64) -> f64 {
    LATENCIES[(number % MILLION) as usize]
}

/// The kinds of metrics that record latencies.
pub(crate) const KINDS: [&str; 4] = ["plain", "quantiles", "native", "prometheus"];

/// Observes latencies in a new series of this kind, which has already observed a million.
pub(crate) fn observation(kind: &str) -> Operation {
    let observe = observer(kind, &[String::new()]).swap_remove(0);
    (0..MILLION).for_each(|number| observe(latency(number)));
    operation(move |number| observe(LATENCIES[(number % USED) as usize]))
}

/// A function that observes a value.
pub(crate) type Observer = Box<dyn Fn(f64) + Send + Sync>;

/// Functions that observe a value in the series of a new family of this kind, one for each label value.
pub(crate) fn observer(kind: &str, labels: &[String]) -> Vec<Observer> {
    let summary = || Summary::builder("observed_seconds", "Latency.");
    fn all<M: Send + Sync + 'static>(
        labels: &[String],
        make: impl Fn(&str) -> M,
        observe: fn(&M, f64),
    ) -> Vec<Observer> {
        let of_metric = |metric: M| -> Observer { Box::new(move |value| observe(&metric, value)) };
        labels.iter().map(|label| of_metric(make(label))).collect()
    }
    match kind {
        "plain" | "quantiles" => {
            let builder = if kind == "plain" { summary() } else { summary().quantiles([0.5, 0.9, 0.99]) };
            let family = builder.labels(["n"]).max_series(labels.len()).build();
            let observers =
                all(labels, |label| family.labels([label]), |summary: &Summary, value| summary.observe(value));
            // Without its family, a series would end.
            std::mem::forget(family);
            observers
        }
        "native" => {
            let builder = Histogram::builder("observed_seconds", "Latency.").native();
            let family = builder.labels(["n"]).max_series(labels.len()).build();
            let observe = |histogram: &Histogram, value| histogram.observe(value);
            let observers = all(labels, |label| family.labels([label]), observe);
            std::mem::forget(family);
            observers
        }
        "prometheus" => {
            let opts = prometheus::HistogramOpts::new("observed_seconds", "Latency.");
            let family = prometheus::HistogramVec::new(opts, &["n"]).expect("valid");
            let make = |label: &str| family.with_label_values(&[label]);
            all(labels, make, |histogram: &prometheus::Histogram, value| histogram.observe(value))
        }
        _ => panic!("`{kind}` is not a kind of metric"),
    }
}

/// The number of latencies in each series of an exposition.
const EACH: u64 = 1_000;

/// The latencies of a series, which differ between series.
fn latencies(series: usize) -> impl Iterator<Item = f64> {
    let first = series as u64 * EACH;
    (first..first + EACH).map(latency)
}

/// Native histograms with classic buckets, as protobuf.
pub(crate) fn native_expositions(series: usize) -> Vec<(&'static str, Exposition)> {
    let registry = Registry::new();
    let builder = Histogram::builder("observed_seconds", "Latency.").native().labels(["n"]).max_series(series);
    let family = builder.register_in(&registry).expect("an empty registry");
    let mut others = prometheus_client::registry::Registry::default();
    type Labels = Vec<(&'static str, String)>;
    let native = || client::NativeHistogramConfig::new(1.1);
    let make =
        move || client::Histogram::new_classic_and_native(metrics_core::DEFAULT_BUCKETS.iter().copied(), native());
    let other = family::Family::<Labels, client::Histogram, _>::new_with_constructor(make);
    others.register("observed_seconds", "Latency.", other.clone());
    for number in 0..series {
        let (label, one) = (number.to_string(), family.labels([&number.to_string()]));
        let two = other.get_or_create(&vec![("n", label)]);
        for latency in latencies(number) {
            one.observe(latency);
            two.observe(latency);
        }
    }
    vec![
        ("ours", ours(registry, Format::Protobuf)),
        ("prometheus-client", Box::new(move || prometheus_protobuf::encode_to_vec(&others).expect("valid").len())),
    ]
}

/// Summaries with three quantiles, as text.
pub(crate) fn quantile_expositions(series: usize) -> Vec<(&'static str, Exposition)> {
    const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
    let registry = Registry::new();
    let builder =
        Summary::builder("observed_seconds", "Latency.").quantiles(QUANTILES).labels(["n"]).max_series(series);
    let family = builder.register_in(&registry).expect("an empty registry");
    let recorder = PrometheusBuilder::new().set_quantiles(&QUANTILES).expect("valid").build_recorder();
    with_local_recorder(&recorder, || {
        for number in 0..series {
            let (one, two) =
                (family.labels([&number.to_string()]), histogram!("observed_seconds", "n" => number.to_string()));
            for latency in latencies(number) {
                one.observe(latency);
                two.record(latency);
            }
        }
    });
    let handle = recorder.handle();
    vec![("ours", ours(registry, Format::Text)), ("metrics", Box::new(move || handle.render().len()))]
}

fn ours(registry: Registry, format: Format) -> Exposition {
    let mut out = Vec::new();
    Box::new(move || {
        out.clear();
        registry.encode(format, &mut out);
        out.len()
    })
}
