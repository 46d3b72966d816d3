//! Operations that must not allocate, and an allocator that counts allocations with one of our counters.

#![allow(unsafe_code, reason = "an allocator requires unsafe code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use metrics_core::{Counter, Family, Format, Gauge, Histogram, LabelValue, Metrics, Registry, Summary, instrument};

/// Counts allocations per thread and, once `COUNTER` is set, in that counter.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNTER: OnceLock<Counter> = OnceLock::new();

/// Metrics in which the allocator observes sizes, once they are set.
static SIZES: OnceLock<(Summary, Histogram)> = OnceLock::new();

/// A counter with exemplars of the allocator, once it is set.
static WITH_EXEMPLARS: OnceLock<Counter> = OnceLock::new();

/// The number of increments of `COUNTER`.
static COUNTED: AtomicU64 = AtomicU64::new(0);

/// The number of observations in each of `SIZES`.
static SIZED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
    /// True if the allocator counts in `WITH_EXEMPLARS`, which itself allocates once per second.
    static TAKES_EXEMPLARS: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: all calls are forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        if let Some(counter) = COUNTER.get() {
            counter.inc();
            COUNTED.fetch_add(1, Ordering::Release);
        }
        if let Some((summary, histogram)) = SIZES.get() {
            summary.observe(layout.size());
            histogram.observe(layout.size());
            SIZED.fetch_add(1, Ordering::Release);
        }
        if TAKES_EXEMPLARS.get()
            && let Some(counter) = WITH_EXEMPLARS.get()
        {
            counter.inc_with_exemplar(|| [("size", layout.size())]);
        }
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn allocations(f: impl FnOnce()) -> u64 {
    let before = ALLOCATED.get();
    f();
    ALLOCATED.get() - before
}

const PATHS: [&str; 10] = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"];

#[instrument("/fixed", in_flight, prefix = "fixed")]
fn fixed(ok: bool) -> Result<(), ()> {
    if ok { Ok(()) } else { Err(()) }
}

#[instrument(path in PATHS, method = length, in_flight, prefix = "variable")]
fn variable(path: &str, length: usize) -> Result<(), ()> {
    if path.len() == length { Ok(()) } else { Err(()) }
}

#[derive(Clone, Copy, LabelValue)]
enum Failure {
    TooLong,
}

#[instrument(path, kind, ok = |out: &Result<(), Failure>| out.is_ok(), in_flight, prefix = "late")]
fn late(path: &str, length: usize) -> Result<(), Failure> {
    if path.len() == length { Ok(()) } else { Err(Failure::TooLong) }
}

#[test]
fn a_thread_that_has_seen_a_series_allocates_nothing() {
    let counter = Counter::builder("c_total", "").build();
    let gauge = Gauge::builder("g", "").build();
    let summary = Summary::builder("s", "").build();
    let histogram = Histogram::builder("h", "").build();
    let quantiles = Summary::builder("q", "").quantiles([0.5, 0.99]).build();
    let native = Histogram::builder("n", "").native().build();
    let family: Family<Counter, 2> = Counter::builder("f_total", "").labels(["path", "method"]).build();
    let everything = || {
        counter.inc();
        counter.inc_by(0.5);
        gauge.set(1);
        drop(gauge.track_in_flight());
        summary.observe(1);
        histogram.observe(1);
        for value in [-3.0, 0.0, 0.001, 1.0, 20.0, 30.0] {
            quantiles.observe(value);
            native.observe(value);
        }
        summary.time(|| ());
        for path in PATHS {
            family.labels([path, "GET"]).inc();
            fixed(true).ok();
            fixed(false).ok();
            variable(path, 2).ok();
            // This path is not in the list, so the call counts as `other` without accessing shared data.
            variable("/nowhere", 2).ok();
            late(path, 2).ok();
            late(path, 3).ok();
        }
    };
    everything();
    assert_eq!(allocations(|| (0..1_000).for_each(|_| everything())), 0);
    // A scrape does allocate. Even if another test has set `COUNTER`, incrementing it does not allocate in turn.
    assert!(allocations(|| drop(Registry::global().to_text())) > 0);
}

#[test]
fn a_bucket_with_a_recent_exemplar_allocates_nothing() {
    let (counter, histogram) = (Counter::builder("c_total", "").build(), Histogram::builder("h", "").build());
    let with_exemplars = || {
        counter.inc_with_exemplar(|| [("trace_id", "a")]);
        histogram.observe_with_exemplar(1, || [("trace_id", "a")]);
    };
    with_exemplars();
    // On a busy machine, the next exemplar may be due during some of the attempts.
    assert!((0..10).any(|_| allocations(|| (0..100).for_each(|_| with_exemplars())) == 0));
}

#[derive(Clone, Copy, LabelValue)]
enum Method {
    Get,
    Post,
}

/// Metrics whose labels are closed sets or numbers.
#[derive(Metrics)]
#[metrics(prefix = "derived")]
struct Derived {
    /// Latency of requests.
    #[metric(labels(method: Method, cached: bool))]
    latency_seconds: Family<Summary, 2>,
    /// Requests by status code.
    #[metric(labels(method: Method, status: u16))]
    requests_total: Family<Counter, 2>,
}

#[test]
fn accessors_allocate_nothing() {
    let derived = Derived::register_in(&Registry::new()).expect("valid");
    let closed_sets = || {
        for method in [Method::Get, Method::Post] {
            derived.latency_seconds(method, true).observe(0.5);
            derived.latency_seconds(method, false).observe(0.5);
        }
    };
    // The series of closed sets exist from the start, so the first write allocates only the thread's page of cells.
    derived.latency_seconds(Method::Get, true).observe(0.5);
    assert_eq!(allocations(closed_sets), 0, "a series of a closed set needs no lookup");
    let numbers = || (200..210_u16).for_each(|status| derived.requests_total(Method::Get, status).inc());
    numbers();
    assert_eq!(allocations(|| (0..1_000).for_each(|_| numbers())), 0);
}

#[instrument(path, exceptions = failures, prefix = "fed")]
fn fed(failures: &Family<Counter, 1>, path: &str) {}

#[test]
fn a_scrape_allocates_nothing_for_a_series() {
    let allocated = |series: usize| {
        let registry = Registry::new();
        let counter = Counter::builder("c_total", "").labels(["n"]).max_series(series);
        let summary = Summary::builder("s_seconds", "").labels(["n"]).max_series(series);
        let (counter, summary) =
            (counter.register_in(&registry).expect("new"), summary.register_in(&registry).expect("new"));
        for n in 0..series {
            counter.labels([&n.to_string()]).inc();
            summary.labels([&n.to_string()]).observe(0.5);
        }
        // Scrapes read exceptions first and buffer the values until the family is written.
        let failures = Counter::builder("f_total", "").labels(["path"]).max_series(series);
        let failures = failures.register_in(&registry).expect("new");
        (0..series).for_each(|n| fed(&failures, &n.to_string()));
        let mut out = Vec::with_capacity(series * 192);
        allocations(|| registry.encode(Format::Text, &mut out))
    };
    assert_eq!(allocated(10_000), allocated(1_000));
}

#[test]
fn an_allocator_can_count_with_a_counter() {
    let counter = COUNTER.get_or_init(|| Counter::builder("allocations_total", "").register());
    for _ in 0..20 {
        let allocating = || allocations(|| (0..1_000).for_each(|n| drop(std::hint::black_box(vec![n]))));
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(allocating)).collect();
        let allocated: u64 = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        assert!(allocated >= 4_000);
        // All allocations are counted, even those by a thread's first write, which creates the thread's pages.
        let counted = COUNTED.load(Ordering::Acquire);
        assert!(counter.value() >= counted as f64, "{} of {counted}", counter.value());
    }
}

#[test]
fn an_allocator_can_take_exemplars() {
    let registry = Registry::new();
    let counter = Counter::builder("exemplars_total", "").register_in(&registry).expect("new");
    let counter = WITH_EXEMPLARS.get_or_init(|| counter);
    let openmetrics = || {
        let mut out = Vec::new();
        registry.encode(Format::OpenMetrics, &mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                TAKES_EXEMPLARS.set(true);
                (0..1_000).for_each(|n| drop(std::hint::black_box(vec![n])));
            });
        }
        TAKES_EXEMPLARS.set(true);
        while !openmetrics().contains("# {size=") {}
    });
    TAKES_EXEMPLARS.set(false);
    assert!(counter.value() >= 4_000.0);
}

#[test]
fn an_allocator_can_observe_sizes() {
    let (summary, histogram) = SIZES.get_or_init(|| {
        let summary = Summary::builder("allocation_quantiles_bytes", "").quantiles([0.5, 0.99]).build();
        (summary, Histogram::builder("allocation_size_bytes", "").native().build())
    });
    for _ in 0..20 {
        // More and more chunks of buckets are needed, and allocated while the allocator observes a size.
        let allocating = || (0..20).for_each(|power| drop(std::hint::black_box(Vec::<u8>::with_capacity(1 << power))));
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(move || (0..50).for_each(|_| allocating()))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let sized = SIZED.load(Ordering::Acquire);
        assert!(sized >= 4_000);
        assert!(summary.count() >= sized && histogram.count() >= sized, "{} of {sized}", summary.count());
    }
}
