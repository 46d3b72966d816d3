//! Benchmarks for each layer, through the public interface: cells, lookups, the clock, calls and scrapes.
//!
//! `tests/compare` compares this library with others and with the hardware limit.

#![allow(missing_docs, reason = "the macros of criterion write public functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use metrics_core::{Counter, Family, Format, Gauge, Histogram, LabelValue, Registry, Summary, instrument};

fn cells(criterion: &mut Criterion) {
    let counter = Counter::builder("events_total", "").build();
    let gauge = Gauge::builder("level", "").build();
    let summary = Summary::builder("latency_seconds", "").build();
    let histogram = Histogram::builder("size_bytes", "").build();
    let mut group = criterion.benchmark_group("cells");
    group.bench_function("counter", |bencher| bencher.iter(|| black_box(&counter).inc()));
    group.bench_function("counter, fraction", |bencher| bencher.iter(|| black_box(&counter).inc_by(black_box(0.5))));
    group.bench_function("gauge", |bencher| bencher.iter(|| black_box(&gauge).inc()));
    group.bench_function("summary", |bencher| bencher.iter(|| black_box(&summary).observe(black_box(0.5))));
    group.bench_function("histogram", |bencher| bencher.iter(|| black_box(&histogram).observe(black_box(0.5))));
    group.finish();
}

/// Returns a family with `series` series, and the `path` value of each.
fn family(registry: &Registry, series: usize) -> (Family<Counter, 1>, Vec<String>) {
    let builder = Counter::builder("requests_total", "Requests.").labels(["path"]).max_series(series);
    let Ok(family) = builder.register_in(registry) else { unreachable!("the registry is new") };
    let paths: Vec<String> = (0..series).map(|n| format!("/api/v1/resource{n}")).collect();
    for path in &paths {
        family.labels([path]).inc();
    }
    (family, paths)
}

fn look_ups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look-ups");
    for (name, series) in [("first level", 10), ("in the thread's table", 1_000), ("in the shared table", 100_000)] {
        let (family, paths) = family(&Registry::new(), series);
        let mut next = (0..series).rev().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| family.labels([black_box(&paths[next.next().unwrap_or_default()])]).inc());
        });
    }
    let full = Counter::builder("full_total", "").labels(["path"]).max_series(0).build();
    group.bench_function("overflow", |bencher| bencher.iter(|| full.labels([black_box("/anything")]).inc()));
    group.finish();
}

fn clock(criterion: &mut Criterion) {
    let summary = Summary::builder("timed_seconds", "").build();
    criterion.bench_function("timer", |bencher| bencher.iter(|| black_box(&summary).start_timer().stop()));
}

#[instrument("/foo", prefix = "literal")]
fn literal(number: u64) -> Result<u64, u64> {
    if number == 0 { Err(0) } else { Ok(number) }
}

#[instrument(path, prefix = "path")]
fn by_path(path: &str, number: u64) -> Result<u64, usize> {
    if number == 0 { Err(path.len()) } else { Ok(number) }
}

#[derive(Clone, Copy, LabelValue)]
enum Method {
    Get,
    Put,
}

#[instrument(method, prefix = "closed")]
fn by_closed_set(method: Method, number: u64) -> Result<u64, u64> {
    if number == 0 { Err(0) } else { Ok(number) }
}

#[instrument(path, in_flight, prefix = "counted")]
fn in_flight(path: &str, number: u64) -> Result<u64, usize> {
    if number == 0 { Err(path.len()) } else { Ok(number) }
}

#[instrument(path, even = |out: &Result<u64, usize>| out.is_ok_and(|n| n % 2 == 0), prefix = "late")]
fn by_result(path: &str, number: u64) -> Result<u64, usize> {
    if number == 0 { Err(path.len()) } else { Ok(number) }
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("calls");
    group.bench_function("literal label", |bencher| bencher.iter(|| literal(black_box(1))));
    group.bench_function("literal label, error", |bencher| bencher.iter(|| literal(black_box(0))));
    group.bench_function("label", |bencher| bencher.iter(|| by_path(black_box("/foo"), black_box(1))));
    group.bench_function("label of a closed set", |bencher| {
        by_closed_set(Method::Put, 1).ok();
        bencher.iter(|| by_closed_set(black_box(Method::Get), black_box(1)));
    });
    group.bench_function("label, in flight", |bencher| bencher.iter(|| in_flight(black_box("/foo"), black_box(1))));
    group.bench_function("label from the result", |bencher| {
        bencher.iter(|| by_result(black_box("/foo"), black_box(1)));
    });
    group.finish();
}

fn scrapes(criterion: &mut Criterion) {
    let registry = Registry::new();
    let (_family, _) = family(&registry, 10_000);
    let mut group = criterion.benchmark_group("scrape of 10,000 counters");
    let mut out = Vec::new();
    group.bench_function("in the order of creation", |bencher| {
        bencher.iter(|| {
            out.clear();
            registry.encode(Format::Text, &mut out);
        });
    });
    group.bench_function("sorted", |bencher| {
        bencher.iter(|| {
            out.clear();
            registry.scrape().sorted().encode(Format::Text, &mut out);
        });
    });
    group.finish();
}

criterion_group!(layers, cells, look_ups, clock, calls, scrapes);
criterion_main!(layers);
