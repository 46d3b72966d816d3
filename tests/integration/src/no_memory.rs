//! Metrics while no memory can be allocated for pages, tables and buffers: nothing that is counted is lost, and
//! everything recovers once there is memory again.

#![allow(unsafe_code, reason = "an allocator requires unsafe code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;

use metrics_core::{
    Counter, Family, FamilyInfo, Gauge, Histogram, HttpServer, Labels, Registry, Summary, Value, Visitor, instrument,
};

/// Fails for large allocations, as the system allocator does when the address space is limited.
struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// Allocations of at least this number of bytes fail in all threads.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

thread_local! {
    /// Allocations of at least this number of bytes fail in this thread.
    static THREAD_LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Smaller than a page of cells, and than the tables of a family with a few series.
const SMALL: usize = 640;

// SAFETY: all successful calls are forwarded to the system allocator.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let of_thread = THREAD_LIMIT.try_with(Cell::get).unwrap_or(usize::MAX);
        if layout.size() >= of_thread.min(LIMIT.load(Ordering::Relaxed)) {
            return ptr::null_mut();
        }
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// One test limits the allocations of all threads, so only one test runs at a time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f` while large allocations of this thread fail.
fn without_memory<R>(f: impl FnOnce() -> R) -> R {
    THREAD_LIMIT.set(SMALL);
    let result = f();
    THREAD_LIMIT.set(usize::MAX);
    result
}

/// The sum of all samples whose name begins with `name`, in a text exposition.
fn sum(text: &str, name: &str) -> f64 {
    let samples = text.lines().filter(|line| line.starts_with(name));
    samples.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")).sum()
}

/// The value of each series in a text exposition.
fn samples(text: &str) -> HashMap<&str, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples.map(|(series, value)| (series, value.parse().expect("a number"))).collect()
}

#[instrument(path, prefix = "starved")]
fn starved(path: &str) -> Result<(), ()> {
    if path.ends_with('1') { Err(()) } else { Ok(()) }
}

#[test]
fn new_threads_without_memory_lose_nothing() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    let gauge = Gauge::builder("g", "").register_in(&registry).expect("valid");
    let summary = Summary::builder("s", "").quantiles([0.5]).register_in(&registry).expect("valid");
    let histogram = Histogram::builder("h", "").buckets([1.0, 2.0]).register_in(&registry).expect("valid");
    let native = Histogram::builder("n", "").native().register_in(&registry).expect("valid");
    let record = || {
        counter.inc();
        gauge.inc();
        summary.observe(1.5);
        histogram.observe(1.5);
        native.observe(1.5);
        let _ = starved("/0");
    };
    record();
    // More threads than can have dedicated cells, so that some share cells.
    const THREADS: usize = 100;
    let (end, begin_again) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let mut texts = Vec::new();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                without_memory(|| (0..10).for_each(|_| record()));
                end.wait();
                begin_again.wait();
                (0..10).for_each(|_| record());
            });
        }
        end.wait();
        // Checked later, because the threads would wait forever if this one panicked.
        texts.push(registry.to_text() + &Registry::global().to_text());
        begin_again.wait();
    });
    texts.push(registry.to_text() + &Registry::global().to_text());
    let latency = "starved_request_latency_seconds_count{";
    for (turn, text) in texts.iter().enumerate() {
        let calls = (1 + THREADS * 10 * (turn + 1)) as f64;
        for name in ["c_total ", "g ", "s_count ", "h_count ", "h_bucket{le=\"2\"}", "n_count ", latency] {
            assert_eq!(sum(text, name), calls, "{name} in {text}");
        }
        assert_eq!(sum(text, "s_sum "), calls * 1.5);
    }
}

#[test]
fn new_label_sets_without_memory_are_counted_as_overflow() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let family: Family<Counter, 1> =
        Counter::builder("f_total", "").labels(["n"]).max_series(200).register_in(&registry).expect("valid");
    // Uses up the cap and removes everything except the overflow series.
    (0..201).for_each(|n| family.labels([&n.to_string()]).inc());
    (0..200).for_each(|n| assert!(family.remove([&n.to_string()])));
    without_memory(|| (0..500).for_each(|n| family.labels([&format!("new {n}")]).inc()));
    let text = registry.to_text();
    assert_eq!(sum(&text, "f_total{"), 501.0, "{text}");
    assert!(sum(&text, "f_total{n=\"__overflow__\"}") > 1.0, "{text}");
    // The same label sets get their own series once there is memory.
    (0..500).for_each(|n| family.labels([&format!("new {n}")]).inc());
    let text = registry.to_text();
    assert_eq!(sum(&text, "f_total{"), 1_001.0, "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("f_total{n=\"new")).count(), 200, "{text}");
}

#[test]
fn a_table_that_cannot_grow_keeps_room_for_the_overflow_series() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let family = |name: &str| -> Family<Counter, 1> {
        Counter::builder(name, "").labels(["n"]).register_in(&registry).expect("valid")
    };
    // Leaves enough free cells for all series below.
    let large = family("large_total");
    (0..2_000).for_each(|n| large.labels([&n.to_string()]).inc());
    large.clear();
    let (new, cleared, compacted) = (family("new_total"), family("cleared_total"), family("compacted_total"));
    (0..500).for_each(|n| cleared.labels([&n.to_string()]).inc());
    cleared.clear();
    (0..500).for_each(|n| compacted.labels([&n.to_string()]).inc());
    (0..500).for_each(|n| assert!(compacted.remove([&n.to_string()])));
    for (name, family) in [("new_total", new), ("cleared_total", cleared), ("compacted_total", compacted)] {
        without_memory(|| (0..500).for_each(|n| family.labels([&n.to_string()]).inc()));
        let text = registry.to_text();
        let created = text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
        assert!((2..500).contains(&created), "{created} series of {name}");
        assert_eq!(sum(&text, &format!("{name}{{")), 500.0, "{name}: {text}");
    }
}

#[test]
fn a_family_without_an_overflow_series_loses_nothing_and_recovers() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    // Each of these summaries needs many slots, so that pages are used up soon.
    let family: Family<Summary, 1> =
        Summary::builder("q", "").labels(["n"]).quantiles([0.5, 0.99]).register_in(&registry).expect("valid");
    let errors =
        || sum(&Registry::global().to_text(), "metrics_core_internal_errors_total{kind=\"series_slots_exhausted\"}");
    let before = errors();
    without_memory(|| (0..2_000).for_each(|n| family.labels([&n.to_string()]).observe(1)));
    let exhausted = errors() - before;
    let starved = registry.to_text();
    let created = starved.lines().filter(|line| line.starts_with("q_count{")).count();
    assert!(created < 2_000, "no series needed memory");
    assert_eq!(sum(&starved, "q_count{"), 2_000.0, "{starved}");
    assert_eq!(exhausted, sum(&starved, "q_count{n=\"__overflow__\"}"));

    (0..2_100).for_each(|n| family.labels([&n.to_string()]).observe(1));
    let text = registry.to_text();
    let (before, after) = (samples(&starved), samples(&text));
    // Returns 0 for a series that does not exist.
    let increase = |n: &str| {
        let series = format!("q_count{{n=\"{n}\"}}");
        after.get(&*series).copied().unwrap_or_default() - before.get(&*series).copied().unwrap_or_default()
    };
    assert!((0..2_000).all(|n| increase(&n.to_string()) == 1.0), "{text}");
    assert_eq!(increase("__overflow__"), 100.0);
    assert_eq!(text.lines().filter(|line| line.starts_with("q_count{")).count(), 2_001);
}

/// Native histograms with classic buckets, by label value.
#[derive(Default)]
struct Histograms(BTreeMap<String, Scraped>);

/// A histogram as seen by a scrape. The counts of buckets are not cumulative.
#[derive(Debug)]
struct Scraped {
    count: u64,
    sum: f64,
    schema: i32,
    native: BTreeMap<i32, u64>,
    classic: Vec<u64>,
}

impl Histograms {
    fn read(registry: &Registry) -> Self {
        let mut histograms = Self::default();
        registry.scrape().visit(&mut histograms);
        histograms
    }
}

impl Visitor for Histograms {
    fn family(&mut self, _: &FamilyInfo<'_>) {}

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        let Value::Histogram { count, sum, buckets, native: Some(native) } = *value else { panic!("{value:?}") };
        let totals = [0].into_iter().chain(buckets.iter().map(|(_, total)| *total));
        let classic = buckets.iter().zip(totals).map(|((_, total), before)| total - before).collect();
        let native_buckets = native.positive.iter().copied().collect();
        let scraped = Scraped { count, sum, schema: native.schema, native: native_buckets, classic };
        let (_, label) = labels.iter().next().expect("a label");
        self.0.insert(label.into_owned(), scraped);
    }
}

impl Scraped {
    /// Returns the increases since an earlier scrape.
    fn since(&self, earlier: &Self) -> Self {
        assert_eq!(self.schema, earlier.schema);
        let of = |index: &i32| earlier.native.get(index).copied().unwrap_or_default();
        let native = self.native.iter().map(|(index, count)| (*index, count - of(index)));
        Self {
            count: self.count - earlier.count,
            sum: self.sum - earlier.sum,
            schema: self.schema,
            native: native.filter(|(_, count)| *count > 0).collect(),
            classic: self.classic.iter().zip(&earlier.classic).map(|(count, earlier)| count - earlier).collect(),
        }
    }
}

#[test]
fn native_histograms_without_memory_for_buckets_count_all_values() {
    let _turn = one_at_a_time();
    // Powers of 2 have exact sums, and each of them belongs to a different bucket.
    let values = || (-25..25).map(|exponent| f64::from(exponent).exp2());
    let exact: f64 = values().sum();
    let registry = Registry::new();
    let family: Family<Histogram, 1> = Histogram::builder("n", "")
        .native()
        .buckets([0.5, 1.0, 1_024.0])
        .labels(["n"])
        .register_in(&registry)
        .expect("valid");
    // Their buckets need more memory than the existing pages have left.
    let histograms: Vec<Histogram> = (0..2_000).map(|n| family.labels([&n.to_string()])).collect();
    histograms.iter().for_each(|histogram| histogram.observe(1.0));
    let record = || histograms.iter().for_each(|histogram| values().for_each(|value| histogram.observe(value)));
    without_memory(record);
    let starved = Histograms::read(&registry).0;
    for scraped in starved.values() {
        assert_eq!((scraped.count, scraped.sum), (51, exact + 1.0), "{scraped:?}");
        assert_eq!(scraped.classic.iter().sum::<u64>(), 51, "{scraped:?}");
    }
    assert!(starved.values().any(|scraped| scraped.native.len() < 50), "no bucket needed memory");
    // With memory, each value is counted in its own bucket.
    record();
    let all = Histograms::read(&registry).0;
    assert_eq!((starved.len(), all.len()), (2_000, 2_000));
    for (scraped, earlier) in all.values().zip(starved.values()) {
        let more = scraped.since(earlier);
        assert_eq!((more.count, more.sum), (50, exact), "{more:?}");
        assert_eq!(more.classic, [25, 1, 10, 14], "{more:?}");
        let buckets = (-25..25).map(|exponent| (exponent << more.schema, 1));
        assert_eq!(more.native, buckets.collect(), "{more:?}");
    }
}

#[test]
fn series_that_are_removed_without_memory_can_be_created_again() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let counters: Family<Counter, 1> =
        Counter::builder("a_total", "").labels(["n"]).register_in(&registry).expect("valid");
    let histograms: Family<Histogram, 1> =
        Histogram::builder("b", "").labels(["n"]).native().register_in(&registry).expect("valid");
    let record = |n: u32| {
        counters.labels([&n.to_string()]).inc();
        histograms.labels([&n.to_string()]).observe(1.5);
    };
    (0..1_000).for_each(record);
    without_memory(|| {
        for n in 0..500 {
            assert!(counters.remove([&n.to_string()]) && histograms.remove([&n.to_string()]));
        }
        (500..1_000).for_each(record);
    });
    let text = registry.to_text();
    assert!(["a_total{", "b_count{"].iter().all(|name| sum(&text, name) == 1_000.0), "{text}");
    (0..1_000).for_each(record);
    let text = registry.to_text();
    let samples = samples(&text);
    for n in 0..1_000 {
        let expected = if n < 500 { 1.0 } else { 3.0 };
        for (name, expected) in [("a_total", expected), ("b_count", expected), ("b_sum", 1.5 * expected)] {
            let series = format!("{name}{{n=\"{n}\"}}");
            assert_eq!(samples.get(&*series), Some(&expected), "{series}");
        }
    }
}

#[test]
fn removals_without_memory_for_a_compaction_change_nothing_else() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    let family: Family<Counter, 1> =
        Counter::builder("r_total", "").labels(["n"]).register_in(&registry).expect("valid");
    (0..1_000).for_each(|n| family.labels([&n.to_string()]).inc());
    without_memory(|| (0..990).for_each(|n| assert!(family.remove([&n.to_string()]))));
    let remaining = |text: &str| text.lines().filter(|line| line.starts_with("r_total{")).count();
    assert_eq!(remaining(&registry.to_text()), 10);
    assert!((990..1_000).all(|n| family.remove([&n.to_string()])));
    (0..1_000).for_each(|n| family.labels([&n.to_string()]).inc());
    assert_eq!(remaining(&registry.to_text()), 1_000);
}

fn get(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("UTF-8");
    response
}

#[test]
fn a_scrape_without_memory_fails_and_the_next_one_succeeds() {
    let _turn = one_at_a_time();
    let registry = Registry::new();
    Counter::builder("served_total", "").register_in(&registry).expect("valid").inc();
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    assert!(get(server.local_addr()).starts_with("HTTP/1.1 200 OK\r\n"));
    // Hyper's own buffers are smaller than the one that a scrape is encoded into.
    LIMIT.store(30 << 10, Ordering::Relaxed);
    let response = get(server.local_addr());
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    assert!(response.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{response}");
    assert!(get(server.local_addr()).ends_with("served_total 1\n"));
    server.shutdown();
}
