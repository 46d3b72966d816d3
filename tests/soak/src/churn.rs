//! Series and registries that come and go, and a collector that hangs, fails and recovers.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use metrics_core::{
    Collect, Counter, FamilyInfo, Gauge, Histogram, HttpServer, Kind, Labels, Number, Registry, Summary, TextFile,
    Value, Visitor,
};

use crate::functions::{Branch, ENDS, End, PLANNED};
use crate::metrics::Soak;
use crate::model::Tally;
use crate::random::Random;
use crate::samples::{Samples, Series};
use crate::scrapes;
use crate::text;

/// The total that the moody collector exports.
pub(crate) static MOODY: AtomicU64 = AtomicU64::new(0);
/// The current mood: 0 reports, 1 returns an error, 2 panics, 3 hangs.
pub(crate) static MOOD: AtomicU8 = AtomicU8::new(0);
/// The number of runs that failed or hung.
pub(crate) static FAULTY_RUNS: AtomicU64 = AtomicU64::new(0);
/// The number of registries that were created and dropped.
pub(crate) static REGISTRIES: AtomicU64 = AtomicU64::new(0);
/// The number of series that were created and removed.
pub(crate) static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// A collector that fails in every way.
pub(crate) struct Moody;

impl Collect for Moody {
    fn names(&self) -> Vec<String> {
        vec!["soak_moody_total".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mood = MOOD.load(Ordering::SeqCst);
        FAULTY_RUNS.fetch_add(u64::from(mood > 0), Ordering::SeqCst);
        match mood {
            1 => return Err("the pool is closed".into()),
            2 => panic!("{PLANNED}"),
            // Longer than the timeout of the scrapes.
            3 => thread::sleep(Duration::from_millis(700)),
            _ => {}
        }
        visitor.family(&FamilyInfo::new("soak_moody_total", "From a collector.", Kind::Counter));
        visitor.series(Labels::default(), &Value::Counter(Number::Whole(MOODY.load(Ordering::SeqCst))));
        Ok(())
    }
}

/// Creates a series with a label value that is never used again, and removes it.
pub(crate) fn sessions(random: &mut Random, tally: &mut Tally) {
    let soak = Soak::global();
    let id = random.next();
    let session = soak.sessions_total(id);
    session.inc_by(2);
    assert_eq!(session.value(), 2.0, "session {id}");
    assert!(soak.sessions_total.remove([&id.to_string()]), "session {id} exists");
    session.inc();
    assert_eq!(session.value(), 0.0, "session {id} was removed");
    SESSIONS.fetch_add(1, Ordering::Relaxed);
    tally.operations += 2;
}

/// Creates a registry with every type, records from several threads, compares a scrape, and drops everything.
pub(crate) fn registry(random: &mut Random, tally: &mut Tally) {
    let zone = random.pick(&["us", "eu"]);
    let registry = Registry::with_const_labels([("zone", zone)]).expect("valid");
    let counter = Counter::builder("own_total", "Own.").labels(["n"]).register_in(&registry).expect("valid");
    let histogram =
        Histogram::builder("own_size", "Own.").native().buckets([1.0]).register_in(&registry).expect("valid");
    let recent = Summary::builder("own_recent", "Own.").quantiles([0.9]).register_in(&registry).expect("valid");
    let branch = Branch {
        latency: Summary::builder("own_latency_seconds", "").labels(["path"]).register_in(&registry).expect("valid"),
        failures: Counter::builder("own_failures_total", "").labels(["path"]).register_in(&registry).expect("valid"),
    };
    Gauge::builder("own_level", "Own.").register_callback_in(&registry, || 7.0).expect("valid");
    let collector = registry.register_collector(Moody).expect("free");

    let (threads, times) = (random.between(1, 3), random.between(1, 50));
    let ends: Vec<End> = (0..times).map(|_| random.pick(&ENDS)).collect();
    let record = || {
        for (number, end) in ends.iter().enumerate() {
            counter.labels([&(number % 7).to_string()]).inc();
            histogram.observe(number);
            recent.observe(number);
            catch_unwind(AssertUnwindSafe(|| branch.serve("/x", *end).ok())).ok();
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(record))));

    if random.once_in(3) {
        // The collector may hang for longer.
        drop(registry.scrape().collector_timeout(Duration::from_millis(20)).to_text());
    }
    assert!(registry.unregister_collector(collector));
    let failures = ends.iter().filter(|end| **end != End::Value).count() as u64;
    let expected = [
        ("own_size_count", threads * times),
        ("own_size_sum", threads * times * (times - 1) / 2),
        ("own_recent_count", threads * times),
        ("own_level", 7),
    ];
    let check = |samples: &Samples| {
        let labels = || [("zone", zone)].into_iter();
        for (name, value) in expected {
            let found = samples.get(&Series::new(name, labels())).map(|sample| sample.value);
            assert_eq!(found, Some(value as f64), "{name} of a registry: {samples:?}");
        }
        for (name, value) in
            [("own_latency_seconds_count", threads * times), ("own_failures_total", threads * failures)]
        {
            let found = samples.get(&Series::new(name, labels().chain([("path", "/x")])));
            assert_eq!(found.map(|sample| sample.value), Some(value as f64), "{name} of a registry: {samples:?}");
        }
        let counted = samples.iter().filter(|(series, _)| series.name == "own_total").map(|(_, sample)| sample.value);
        assert_eq!(counted.sum::<f64>(), (threads * times) as f64, "{samples:?}");
    };
    check(&text::parse(&registry.to_text(), false).expect("valid"));
    if random.once_in(4) {
        let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
        let scrape = scrapes::scrape(server.local_addr(), scrapes::Format::OpenMetrics, None).expect("a response");
        check(&scrape);
        server.shutdown();
    }
    if random.once_in(4) {
        let dir = tempfile::tempdir().expect("writable");
        let path = dir.path().join("own.prom");
        let pusher = TextFile::new(&path).registry(&registry).start(Duration::from_secs(60)).expect("a thread");
        pusher.shutdown().expect("writable");
        check(&text::parse(&std::fs::read_to_string(path).expect("written"), false).expect("valid"));
    }
    drop(registry);
    // Handles outlive their registry.
    record();
    assert_eq!(histogram.count(), (threads + 1) * times);
    REGISTRIES.fetch_add(1, Ordering::Relaxed);
    tally.operations += 8 * threads * times;
}
