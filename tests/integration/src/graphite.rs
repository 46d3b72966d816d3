//! The exact lines that are sent to Graphite.

use std::error::Error;
use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_core::{
    Collect, Counter, FamilyInfo, Gauge, GraphiteBridge, Histogram, Kind, Labels, Registry, Summary, Value, Visitor,
};

use crate::sample;

/// A stand-in for carbon that returns the text received on each connection.
pub(crate) struct Carbon {
    address: String,
    pub(crate) received: Receiver<String>,
}

impl Carbon {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (sends, received) = channel();
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut text = String::new();
                connection.read_to_string(&mut text).ok();
                if sends.send(text).is_err() {
                    return;
                }
            }
        });
        Self { address, received }
    }

    pub(crate) fn bridge(&self, registry: &Registry) -> GraphiteBridge {
        GraphiteBridge::new(&self.address).registry(registry)
    }

    pub(crate) fn received(&self) -> String {
        self.received.recv_timeout(Duration::from_secs(20)).expect("a connection")
    }

    /// Pushes once and returns the lines without their common timestamp.
    fn lines(&self, bridge: &GraphiteBridge) -> Vec<String> {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let before = now();
        bridge.push().expect("it is read");
        let text = self.received();
        assert!(text.ends_with('\n') || text.is_empty(), "{text:?}");
        let lines = text.lines().map(|line| {
            let (line, stamp) = line.rsplit_once(' ').expect("three fields");
            assert!((before..=now()).contains(&stamp.parse().expect("seconds")), "{stamp}");
            line.to_owned()
        });
        lines.collect()
    }
}

#[test]
fn lines_match_those_of_the_python_client() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    Gauge::builder("g", "Plain.").register_in(&registry).expect("valid").set(1);
    let labeled = Counter::builder("labels", "With labels.").labels(["b", "a"]).register_in(&registry).expect("valid");
    labeled.labels(["d", "c"]).inc();
    let bridge = carbon.bridge(&registry);
    assert_eq!(carbon.lines(&bridge), ["g 1.0", "labels.a.c.b.d 1.0"]);
    assert_eq!(carbon.lines(&bridge.clone().tagged()), ["g 1.0", "labels;a=c;b=d 1.0"]);
    let prefixed = bridge.clone().prefix("pre.fix");
    assert_eq!(carbon.lines(&prefixed), ["pre.fix.g 1.0", "pre.fix.labels.a.c.b.d 1.0"]);
    assert_eq!(carbon.lines(&prefixed.tagged()), ["pre.fix.g 1.0", "pre.fix.labels;a=c;b=d 1.0"]);
}

#[test]
fn every_type_has_the_samples_of_the_text_format() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    Counter::builder("c_total", "").register_in(&registry).expect("valid").inc_by(9_007_199_254_740_993_u64);
    let histogram = Histogram::builder("h", "").buckets([0.005, 1.0]).register_in(&registry).expect("valid");
    histogram.observe(0.5);
    let summary = Summary::builder("s_seconds", "").labels(["path"]).register_in(&registry).expect("valid");
    summary.labels(["/foo"]).observe(0.25);
    let expected = [
        "c_total 9007199254740993.0",
        "h_bucket.le.0_005 0.0",
        "h_bucket.le.1_0 1.0",
        "h_bucket.le._Inf 1.0",
        "h_count 1.0",
        "h_sum 0.5",
        "s_seconds_count.path._foo 1.0",
        "s_seconds_sum.path._foo 0.25",
    ];
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), expected);
}

#[test]
fn quantiles_without_recent_observations_are_not_sent() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let _summary = Summary::builder("q", "").quantiles([0.5]).register_in(&registry).expect("valid");
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), ["q_count 0.0", "q_sum 0.0"]);
}

#[test]
fn families_of_the_prometheus_crate_and_of_collectors_are_sent() {
    struct Pool;
    impl Collect for Pool {
        fn names(&self) -> Vec<String> {
            vec!["pool".to_owned()]
        }

        fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
            visitor.family(&FamilyInfo::new("pool", "Shown.", Kind::Summary));
            let value = Value::Summary { count: 2, sum: 3.0, quantiles: &[(0.5, 1.5)] };
            visitor.series(Labels::of(&[("state", "idle")]).borrow(), &value);
            visitor.family(&FamilyInfo::new("pool:free", "Shown.", Kind::Untyped));
            visitor.series(Labels::default(), &Value::Untyped(-4.0));
            Ok(())
        }
    }
    let carbon = Carbon::start();
    let registry = Registry::new();
    registry.register_collector(Pool).expect("valid");
    let theirs = prometheus::IntGauge::new("theirs", "Theirs.").expect("valid");
    theirs.set(5);
    registry.register_prometheus_collector(Box::new(theirs)).expect("valid");
    let expected = [
        "pool.quantile.0_5.state.idle 1.5",
        "pool_count.state.idle 2.0",
        "pool_sum.state.idle 3.0",
        "pool_free -4.0",
        "theirs 5.0",
    ];
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), expected);
}

#[test]
fn names_are_made_valid() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["v"]).register_in(&registry).expect("valid");
    let values = ["c.:8", "a b", "ü/ß", "", "~x;y=z!^", "two\nlines", "-"];
    for value in values {
        gauge.labels([value]).set(1);
    }
    let written = ["c__8", "a_b", "___", "_", "_x_y_z__", "two_lines", "-"];
    let expected: Vec<String> = written.map(|value| format!("my_pre.fix_.g.v.{value} 1.0")).into();
    let bridge = carbon.bridge(&registry).prefix("my pre..fix/.");
    assert_eq!(carbon.lines(&bridge), expected);
    let tagged: Vec<String> =
        written.map(|value| if value == "_" { "g 1.0".to_owned() } else { format!("g;v={value} 1.0") }).into();
    assert_eq!(carbon.lines(&carbon.bridge(&registry).tagged()), tagged);
}

#[test]
fn the_tag_name_is_reserved_for_graphite() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["name", "exported_name"]).register_in(&registry).expect("valid");
    gauge.labels(["x", "y"]).set(1);
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), ["g.exported_name.y.name.x 1.0"]);
    let tagged = "g;exported_exported_name=x;exported_name=y 1.0";
    assert_eq!(carbon.lines(&carbon.bridge(&registry).tagged()), [tagged]);
}

#[test]
fn labels_are_sorted() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["b", "a1", "a", "a_b"]).register_in(&registry).expect("valid");
    gauge.labels(["1", "2", "3", "4"]).set(1);
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), ["g.a.3.a1.2.a_b.4.b.1 1.0"]);
    // Carbon writes tags to disk in this order.
    assert_eq!(carbon.lines(&carbon.bridge(&registry).tagged()), ["g;a1=2;a=3;a_b=4;b=1 1.0"]);
}

#[test]
fn samples_that_carbon_cannot_store_are_dropped_and_counted() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["v", "w"]).register_in(&registry).expect("valid");
    let long = "x".repeat(251);
    for (v, w) in [("/a", "1"), (".a", "1"), ("_a", "1"), (&long, "1"), (&long[..250], "1"), ("nan", "1"), ("inf", "1")]
    {
        gauge.labels([v, w]).set(1);
    }
    gauge.labels(["nan", "1"]).set(f64::NAN);
    gauge.labels(["inf", "1"]).set(f64::NEG_INFINITY);
    let bridge = carbon.bridge(&registry).name("left_out");
    let kept = format!("g.v.{}.w.1 1.0", &long[..250]);
    assert_eq!(carbon.lines(&bridge), ["g.v._a.w.1 1.0", &kept, "g.v.inf.w.1 -inf"]);
    let left_out = || sample("metrics_core_push_samples_dropped_total{target=\"left_out\"}").expect("it is there");
    assert_eq!(left_out(), 4.0);
    // Tags may be longer than path components, and each push starts a new check for duplicate names.
    let tagged = carbon.lines(&bridge.clone().tagged());
    assert_eq!(tagged.len(), 4, "{tagged:?}");
    assert_eq!(left_out(), 7.0);
}

#[test]
fn names_too_long_for_a_path_are_dropped() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let labels = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let gauge = Gauge::builder("g", "").labels(labels).register_in(&registry).expect("valid");
    let long = "x".repeat(1_000);
    gauge.labels([long.as_str(); 8]).set(1);
    gauge.labels([&long[..250]; 8]).set(2);
    let bridge = carbon.bridge(&registry).name("long").prefix(&vec!["p".repeat(250); 6].join("."));
    assert_eq!(carbon.lines(&bridge), Vec::<String>::new());
    assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"long\"}"), Some(2.0));
    assert_eq!(carbon.lines(&carbon.bridge(&registry)).len(), 1);
    assert_eq!(carbon.lines(&bridge.clone().tagged()).len(), 2);
    // Even in tagged mode, the name of a series without tags must be a valid path on disk.
    gauge.labels([""; 8]).set(3);
    let tagged = bridge.tagged().prefix(&"p".repeat(251));
    assert_eq!(carbon.lines(&tagged).len(), 2);
    assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"long\"}"), Some(3.0));
}

#[test]
fn a_series_that_is_temporarily_nan_keeps_its_name() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["v"]).register_in(&registry).expect("valid");
    gauge.labels(["/a"]).set(f64::NAN);
    gauge.labels(["_a"]).set(2);
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), Vec::<String>::new());
    gauge.labels(["/a"]).set(1);
    assert_eq!(carbon.lines(&carbon.bridge(&registry)), ["g.v._a 1.0"]);
}

#[test]
fn a_large_registry_goes_through_one_connection() {
    let carbon = Carbon::start();
    let registry = Registry::new();
    let counter =
        Counter::builder("c_total", "").labels(["n"]).max_series(50_000).register_in(&registry).expect("valid");
    for n in 0..50_000 {
        counter.labels([&n.to_string()]).inc();
    }
    let lines = carbon.lines(&carbon.bridge(&registry));
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (50_000, Some("c_total.n.49999 1.0")));
}
