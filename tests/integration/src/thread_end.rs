//! Writes by ending threads are counted, even those in the destructors of thread-locals.

use std::cell::RefCell;
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use metrics_core::testing::Snapshot;
use metrics_core::{Counter, Family, Gauge, Histogram, Registry, Summary, instrument};

use crate::sample;

/// Writes to its metrics when it is dropped.
struct Last {
    counter: Counter,
    summary: Summary,
    histogram: Histogram,
    family: Family<Counter, 1>,
}

impl Drop for Last {
    fn drop(&mut self) {
        self.counter.inc();
        self.summary.observe(0.5);
        self.histogram.observe(0.5);
        self.family.labels(["dropped"]).inc();
        annotated("dropped");
    }
}

#[instrument(moment, in_flight, prefix = "threadend")]
fn annotated(moment: &str) -> usize {
    moment.len()
}

thread_local! {
    static FIRST: RefCell<Option<Last>> = const { RefCell::new(None) };
    static SECOND: RefCell<Option<Last>> = const { RefCell::new(None) };
}

#[test]
fn destructors_before_and_after_ours_are_counted() {
    let counter = Counter::builder("last_total", "").build();
    let summary = Summary::builder("last_seconds", "").build();
    let histogram = Histogram::builder("last_bytes", "").build();
    let family = Counter::builder("last_labeled_total", "").labels(["a"]).build();
    let last = || Last {
        counter: counter.clone(),
        summary: summary.clone(),
        histogram: histogram.clone(),
        family: family.clone(),
    };
    for round in 1..=50_u32 {
        let (first, second) = (last(), last());
        thread::spawn(move || {
            // One destructor is registered before the thread's first write, and the other after it.
            FIRST.set(Some(first));
            second.counter.inc();
            second.family.labels(["running"]).inc();
            SECOND.set(Some(second));
        })
        .join()
        .expect("no panic in a destructor");
        assert_eq!(counter.value(), f64::from(3 * round));
        assert_eq!((summary.count(), summary.sum()), (u64::from(2 * round), f64::from(round)));
        assert_eq!(histogram.count(), u64::from(2 * round));
        assert_eq!(family.labels(["dropped"]).value(), f64::from(2 * round));
        assert_eq!(family.labels(["running"]).value(), f64::from(round));
        let calls = sample("threadend_request_latency_seconds_count{moment=\"dropped\"}");
        assert_eq!(calls, Some(f64::from(2 * round)));
    }
}

/// Writes many times when it is dropped. By then, another thread may have reused the cells of the ending thread.
struct Lingering {
    counter: Counter,
    ended: mpsc::Sender<()>,
    others_write: mpsc::Receiver<()>,
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.ended.send(()).expect("the test waits");
        self.others_write.recv().expect("the next thread writes");
        (0..WRITES).for_each(|_| self.counter.inc());
    }
}

const WRITES: u32 = 20_000;

thread_local! {
    static LINGERING: RefCell<Option<Lingering>> = const { RefCell::new(None) };
}

#[test]
fn a_destructor_after_ours_does_not_write_to_cells_of_other_threads() {
    let counter = Counter::builder("lingering_total", "").build();
    for round in 1..=20_u32 {
        let (ended, has_ended) = mpsc::channel();
        let (writing, others_write) = mpsc::channel();
        let lingering = Lingering { counter: counter.clone(), ended, others_write };
        let first = thread::spawn(move || {
            // This destructor is registered before the first write, so it runs after the cells are free for reuse.
            let counter = lingering.counter.clone();
            LINGERING.set(Some(lingering));
            counter.inc();
        });
        has_ended.recv().expect("the thread ends");
        let heir = counter.clone();
        let second = thread::spawn(move || {
            heir.inc();
            writing.send(()).expect("the first thread waits");
            (0..WRITES).for_each(|_| heir.inc());
        });
        first.join().expect("no panic in a destructor");
        second.join().expect("no panic");
        assert_eq!(counter.value(), f64::from(round * (2 + 2 * WRITES)));
    }
}

#[test]
fn totals_do_not_change_when_threads_end() {
    const TOGETHER: i32 = 8;
    let summary = Summary::builder("inherited_seconds", "").build();
    let mut last = 0.0;
    for round in 1..=50_u32 {
        let observed = Arc::new(Barrier::new(9));
        let ending = Arc::new(Barrier::new(9));
        let threads: Vec<_> = (0..TOGETHER)
            .map(|number| {
                let (summary, observed, ending) = (summary.clone(), Arc::clone(&observed), Arc::clone(&ending));
                thread::spawn(move || {
                    // The amounts vary widely in magnitude, so their sum depends on the order of addition.
                    summary.observe(f64::from(round) * 10_f64.powi(number - 4) / 3.0);
                    observed.wait();
                    ending.wait();
                })
            })
            .collect();
        observed.wait();
        let sum = summary.sum();
        assert!(sum > last, "{sum} after {last}");
        ending.wait();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(summary.sum(), sum, "the sum changed when threads ended");
        last = sum;
    }
    assert_eq!(summary.count(), 400);
}

/// Reads metrics through several APIs when it is dropped.
struct Reader(mpsc::Sender<[bool; 4]>);

impl Drop for Reader {
    fn drop(&mut self) {
        let counted = "read_at_the_end_total 1\n";
        let snapshot = Snapshot::of(Registry::global());
        let gathered = prometheus::gather();
        drop(Registry::global().check());
        let text = Registry::global().to_text();
        let seen = [
            text.contains(counted),
            text.contains("read_by_callback 7\n"),
            snapshot.get("read_at_the_end_total", &[]) == Some(1.0),
            gathered.iter().any(|family| family.name() == "read_at_the_end_total"),
        ];
        self.0.send(seen).expect("the test waits");
    }
}

thread_local! {
    static READ_FIRST: RefCell<Option<Reader>> = const { RefCell::new(None) };
    static READ_SECOND: RefCell<Option<Reader>> = const { RefCell::new(None) };
}

#[test]
fn destructors_can_scrape() {
    Counter::builder("read_at_the_end_total", "").register().inc();
    Gauge::builder("read_by_callback", "").register_callback(|| 7.0);
    let (sender, seen) = mpsc::channel();
    thread::spawn(move || {
        // One destructor runs before the destructors of the thread-locals that a scrape uses, and the other after them.
        READ_FIRST.set(Some(Reader(sender.clone())));
        let _ = Registry::global().to_text();
        READ_SECOND.set(Some(Reader(sender)));
    })
    .join()
    .expect("no panic");
    assert_eq!(seen.iter().collect::<Vec<_>>(), [[true; 4]; 2]);
}
