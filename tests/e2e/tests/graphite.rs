//! A real carbon accepts every line and stores its value, even if carbon restarts between pushes.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{
    Collect, Counter, Family, FamilyInfo, Gauge, GraphiteBridge, Histogram, Kind, Labels, Registry, Summary, Value,
    Visitor, prometheus,
};

use crate::carbon::{self, Carbon};
use crate::example::Example;
use crate::prometheus::Prometheus;
use crate::services::{self, Driven, driven};
use crate::{get, wait_for};

/// Exports values that only collectors can export.
struct Odd;

impl Collect for Odd {
    fn names(&self) -> Vec<String> {
        vec!["odd".to_owned(), "odd:untyped".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new("odd", "Shown.", Kind::Summary));
        let value = Value::Summary { count: 7, sum: -3.5, quantiles: &[(0.5, 1.5), (0.99, f64::NAN)] };
        visitor.series(Labels::of(&[("name", "x y"), ("exported_name", "z")]).borrow(), &value);
        visitor.family(&FamilyInfo::new("odd:untyped", "Shown.", Kind::Untyped));
        visitor.series(Labels::default(), &Value::Untyped(1e300));
        Ok(())
    }
}

/// Returns a registry with metrics of every type and with unusual names and values.
pub(crate) fn everything() -> Registry {
    let registry = Registry::new();
    let counter = Counter::builder("jobs_total", "").register_in(&registry).expect("valid");
    counter.inc_by(1_u64 << 60);
    let gauge = Gauge::builder("level", "").labels(["of"]).register_in(&registry).expect("valid");
    let long = "x".repeat(250);
    let values = ["", " ", "a.b", "/a/b", "ü", "~", "~x", ";=!^", "a\nb", "\"q\"", "\\", "9", "-", "été/日本", &long];
    for (number, value) in values.iter().enumerate() {
        gauge.labels([value]).set(number as f64 + 0.25);
    }
    for (of, value) in
        [("max", f64::MAX), ("low", -12.625), ("inf", f64::INFINITY), ("ninf", f64::NEG_INFINITY), ("nan", f64::NAN)]
    {
        gauge.labels([of]).set(value);
    }
    let latency: Family<Summary, 2> =
        Summary::builder("latency_seconds", "").labels(["path", "method"]).register_in(&registry).expect("valid");
    latency.labels(["/users/{id}", "GET"]).observe(0.125);
    let sizes = Histogram::builder("size_bytes", "").buckets([0.001, 1.0, 1e6]).register_in(&registry).expect("valid");
    sizes.observe(3);
    registry.register_collector(Odd).expect("valid");
    let theirs = prometheus::Histogram::with_opts(prometheus::HistogramOpts::new("theirs", "Theirs.")).expect("valid");
    theirs.observe(0.3);
    registry.register_prometheus_collector(Box::new(theirs)).expect("valid");
    registry
}

/// Returns the names and values of the lines that a bridge sends.
fn lines(registry: &Registry, tagged: bool) -> Vec<(String, f64)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let reading = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().expect("a connection").0.read_to_string(&mut text).expect("UTF-8");
        text
    });
    bridge(&address, registry, tagged).push().expect("it is read");
    let text = reading.join().expect("no panic");
    let fields = |line: &str| {
        let [name, value, _] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?} has no three fields") };
        (name.to_owned(), value.parse().expect("a number"))
    };
    text.lines().map(fields).collect()
}

fn bridge(address: &str, registry: &Registry, tagged: bool) -> GraphiteBridge {
    let bridge = GraphiteBridge::new(address).registry(registry).prefix("a prefix.of/ours");
    if tagged { bridge.tagged() } else { bridge }
}

#[test]
fn every_line_is_accepted_and_read_back() {
    let registry = everything();
    let carbon = Carbon::started();
    for tagged in [false, true] {
        let lines = lines(&registry, tagged);
        let names: BTreeMap<&str, f64> = lines.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        assert_eq!(names.len(), lines.len(), "a name occurs twice");
        assert!(lines.len() >= 40, "{lines:?}");
        bridge(carbon.address(), &registry, tagged).push().expect("it is read");
        for (name, value) in &lines {
            carbon.shows(name, *value);
        }
    }
    assert_eq!(carbon.complaints(), Vec::<String>::new());
}

/// Prints each name that carbon's own tag rules would normalize, and fails if they reject a name.
const CHECK_TAGS: &str = r"
import sys
from carbon.util import TaggedSeries
for name in sys.argv[1].split():
    parsed = TaggedSeries.parse(name)
    if parsed.path != name or name.count(';') != len(parsed.tags) - 1:
        print(name, parsed.path)
";

#[test]
fn tagged_lines_obey_carbons_rules() {
    let lines = lines(&everything(), true);
    let tagged: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).filter(|name| name.contains(';')).collect();
    assert!(tagged.len() >= 20, "{lines:?}");
    assert_eq!(carbon::python(CHECK_TAGS, &tagged.join(" ")), "");
    // Verify that the check detects violations.
    let broken = std::panic::catch_unwind(|| carbon::python(CHECK_TAGS, "a;b="));
    assert!(broken.is_err());
}

#[test]
fn carbon_understands_the_lines_of_the_guide() {
    let blocks: Vec<&str> = include_str!("../../../metrics-core/src/guide/graphite.md")
        .split("```ini\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    let [schemas, aggregation, options] = blocks[..] else { panic!("the guide has these three files") };
    let options = options.strip_prefix("[cache]\n").expect("it is of this section");
    let schemas = format!("{schemas}\n[default]\npattern = .*\nretentions = 1m:1d\n");
    let mut carbon = Carbon::with(options, &schemas, aggregation);
    carbon.start();
    let registry = everything();
    for tagged in [false, true] {
        let bridge = GraphiteBridge::new(carbon.address()).registry(&registry).prefix("shop.eu-1");
        if tagged { bridge.tagged() } else { bridge }.push().expect("it is read");
    }
    let totals =
        ["jobs_total", "latency_seconds_count.method.GET.path._users__id_", "size_bytes_bucket.le.1_0", "theirs_sum"];
    let tagged = ["latency_seconds_sum;method=GET;path=_users__id_", "size_bytes_bucket;le=_Inf"];
    for name in totals.into_iter().chain(tagged) {
        let info = carbon.info(&format!("shop.eu-1.{name}"));
        assert!(info.contains("aggregationMethod: last\n") && info.contains("secondsPerPoint: 10\n"), "{name}: {info}");
    }
    let info = carbon.info("shop.eu-1.level.of._");
    assert!(info.contains("aggregationMethod: average\n") && info.contains("secondsPerPoint: 10\n"), "{info}");
}

/// Returns the number of pushes with this outcome in this process.
fn exports(target: &str, outcome: &str) -> f64 {
    let name = format!("metrics_core_push_total{{target=\"{target}\",outcome=\"{outcome}\"}} ");
    let text = Registry::global().to_text();
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).expect("it is there")
}

#[test]
fn nothing_is_lost_while_carbon_restarts() {
    let registry = Registry::new();
    let counter = Counter::builder("kept_total", "").register_in(&registry).expect("valid");
    let mut carbon = Carbon::new();
    // Carbon is not running yet.
    let bridge = GraphiteBridge::new(carbon.address()).registry(&registry).name("comes_and_goes");
    let pusher = bridge.start(Duration::from_millis(200)).expect("a thread");
    counter.inc();
    wait_for("a push that fails", || (exports("comes_and_goes", "error") >= 2.0).then_some(()));
    carbon.start();
    carbon.shows("kept_total", 1.0);
    for total in 2..5 {
        carbon.kill();
        let failed = exports("comes_and_goes", "error");
        counter.inc();
        wait_for("a push that fails", || (exports("comes_and_goes", "error") > failed).then_some(()));
        carbon.start();
        carbon.shows("kept_total", f64::from(total));
    }
    // The last push succeeds even though carbon restarts only during `shutdown`.
    carbon.kill();
    counter.inc();
    let ending = thread::spawn(move || pusher.shutdown());
    carbon.start();
    ending.join().expect("no panic").expect("it is read");
    carbon.shows("kept_total", 5.0);
    assert_eq!(carbon.complaints(), Vec::<String>::new());
}

const REQUESTS: [Driven; 4] = [
    driven("GET", "/foo", 200, "/foo"),
    driven("GET", "/bar", 200, "/bar"),
    driven("GET", "/fail", 500, "/fail"),
    driven("GET", "/else", 404, "other"),
];

#[test]
fn prometheus_and_carbon_show_the_same_totals_under_load() {
    let _alone = services::alone();
    let mut carbon = Carbon::started();
    let mut example = Example::start("graphite", &["127.0.0.1:0", "127.0.0.1:0", carbon.address()]);
    let (service, metrics) = (example.addr(), example.addr());
    let prometheus = Prometheus::scraping(&metrics);
    let answered = thread::scope(|scope| {
        let driving = scope.spawn(|| services::drive(&service, &metrics, &REQUESTS));
        // Kill and restart carbon while the service is under load.
        let begin = Instant::now();
        wait_for("some load", || (begin.elapsed() > Duration::from_secs(1)).then_some(()));
        carbon.kill();
        wait_for("more load", || (begin.elapsed() > Duration::from_secs(3)).then_some(()));
        carbon.start();
        driving.join().expect("no panic")
    });
    assert_eq!(answered.iter().sum::<u32>(), services::REQUESTS);
    let totals: Vec<(&Driven, u32, u32)> = REQUESTS
        .iter()
        .zip(answered)
        .map(|(one, answered)| (one, answered, if one.status == 500 { answered } else { 0 }))
        .collect();
    for (Driven { route, .. }, answered, exceptions) in &totals {
        let labels = format!("{{path=\"{route}\"}}");
        services::is_in_prometheus(&prometheus, &format!("my_router_request_latency_seconds_count{labels}"), *answered);
        services::is_in_prometheus(&prometheus, &format!("my_router_request_exceptions_total{labels}"), *exceptions);
    }
    let (_, text) = get(&format!("http://{metrics}/metrics")).expect("an answer");
    assert!(text.contains("metrics_core_push_total{target=\"graphite\",outcome=\"panic\"} 0\n"), "{text}");
    assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
    // On SIGTERM, the service pushes its final values.
    assert!(example.terminate().success());
    for (Driven { route, .. }, answered, exceptions) in &totals {
        let path = route.replace('/', "_");
        let name = |family: &str| format!("shop.router.my_router_request_{family}.path.{path}");
        carbon.shows(&name("latency_seconds_count"), f64::from(*answered));
        carbon.shows(&name("exceptions_total"), f64::from(*exceptions));
    }
    assert_eq!(carbon.complaints(), Vec::<String>::new());
}
