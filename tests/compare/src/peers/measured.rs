//! The `measured` crate. Label values known at startup are in a frozen set, and all others are in a growing set.

use std::sync::OnceLock;

use lasso::{Rodeo, RodeoReader};
use measured::metric::histogram::Thresholds;
use measured::text::BufferedTextEncoder;
use measured::{Counter, CounterVec, Histogram, HistogramVec, LabelGroup, MetricGroup};
use paracord::ParaCord;

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::{Labels, amount, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct Measured;

#[derive(Clone, Copy, LabelGroup)]
#[label(set = KnownPaths)]
struct KnownPath<'a> {
    #[label(fixed_with = RodeoReader)]
    path: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = KnownThrees)]
struct KnownThree<'a> {
    #[label(fixed_with = RodeoReader)]
    path: &'a str,
    #[label(fixed_with = RodeoReader)]
    method: &'a str,
    #[label(fixed_with = RodeoReader)]
    status: &'a str,
}

#[derive(Clone, Copy, LabelGroup)]
#[label(set = AnyPaths)]
struct AnyPath<'a> {
    #[label(dynamic_with = ParaCord)]
    path: &'a str,
}

#[derive(MetricGroup)]
#[metric(new())]
struct Exposed {
    /// Items.
    #[metric(init = CounterVec::with_label_set(AnyPaths { path: ParaCord::default() }))]
    compare_items_total: CounterVec<AnyPaths>,
}

/// Number of default buckets in the `prometheus` crate.
const BUCKETS: usize = prometheus::DEFAULT_BUCKETS.len();

struct Calls {
    latency: HistogramVec<KnownPaths, BUCKETS>,
    exceptions: CounterVec<KnownPaths>,
}

static CALLS: OnceLock<Calls> = OnceLock::new();

impl Peer for Measured {
    fn name(&self) -> &'static str {
        "measured"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = Counter::new();
        Some(operation(move |_| counter.inc()))
    }

    fn counter_by_one(&self, labels: Labels<1>) -> Option<Operation> {
        if labels.all().count() < 1000 {
            let counters = CounterVec::with_label_set(known(&labels));
            Some(operation(move |number| {
                let [path] = labels.pick(number);
                counters.inc(KnownPath { path });
            }))
        } else {
            let counters = CounterVec::with_label_set(AnyPaths { path: ParaCord::default() });
            Some(operation(move |number| {
                let [path] = labels.pick(number);
                counters.inc(AnyPath { path });
            }))
        }
    }

    fn counter_by_three(&self, labels: Labels<3>) -> Option<Operation> {
        let [path, method, status] = [0, 1, 2].map(|at| frozen(labels.all().map(move |set| &*set[at])));
        let counters = CounterVec::with_label_set(KnownThrees { path, method, status });
        Some(operation(move |number| {
            let [path, method, status] = labels.pick(number);
            counters.inc(KnownThree { path, method, status });
        }))
    }

    fn observation(&self) -> Option<Operation> {
        let histogram = Histogram::with_metadata(thresholds());
        Some(operation(move |number| histogram.get_metric().observe(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        let calls = CALLS.get_or_init(|| Calls {
            latency: HistogramVec::with_label_set_and_metadata(known(&labels), thresholds()),
            exceptions: CounterVec::with_label_set(known(&labels)),
        });
        operation(move |number| {
            let [path] = labels.pick(number);
            handle(calls, path, Request::new(number, fails))
        })
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let metrics = Exposed::new();
        let mut path = String::new();
        for number in 0..series {
            write_path(number, &mut path);
            metrics.compare_items_total.inc_by(AnyPath { path: &path }, amount(number));
        }
        let mut encoder = BufferedTextEncoder::new();
        Some(Box::new(move || {
            let Ok(()) = metrics.collect_group_into(&mut encoder);
            encoder.finish().len()
        }))
    }
}

fn known(labels: &Labels<1>) -> KnownPaths {
    KnownPaths { path: frozen(labels.all().map(|[path]| &**path)) }
}

fn frozen<'a>(values: impl Iterator<Item = &'a str>) -> RodeoReader {
    values.collect::<Rodeo>().into_reader()
}

fn thresholds() -> Thresholds<BUCKETS> {
    Thresholds::with_buckets(*prometheus::DEFAULT_BUCKETS)
}

#[inline(never)]
fn handle(calls: &Calls, path: &str, request: Request) -> Result<u64, Failed> {
    let timer = std::time::Instant::now();
    let result = respond(path, request);
    calls.latency.observe(KnownPath { path }, timer.elapsed().as_secs_f64());
    if result.is_err() {
        calls.exceptions.inc(KnownPath { path });
    }
    result
}
