//! Batch jobs: a real Pushgateway and a real `node_exporter` expose every value, whatever happens to the job.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use metrics_core::{Counter, Gauge, Histogram, Pushgateway, Registry, Summary, TextFile, prometheus};
use servers::Server;

use crate::example;
use crate::prometheus::Prometheus;

/// Returns a registry with metrics of every type and with unusual values.
fn everything() -> Registry {
    let registry = Registry::new();
    Counter::builder("rows_total", "Rows.").register_in(&registry).expect("valid").inc_by((1_u64 << 53) + 2);
    let gauge = Gauge::builder("level", "Level.").labels(["of"]).register_in(&registry).expect("valid");
    for (of, value) in [("", 1.0), ("\"q\" \\ \n", -2.5), ("nan", f64::NAN), ("inf", f64::INFINITY), ("é日", 1e300)] {
        gauge.labels([of]).set(value);
    }
    let sizes = Summary::builder("size_bytes", "Sizes.").quantiles([0.5, 0.99]).register_in(&registry).expect("valid");
    let latency = Histogram::builder("latency_seconds", "Latency.").buckets([0.1, 1.0]);
    let latency = latency.register_in(&registry).expect("valid");
    let native = Histogram::builder("native_seconds", "Native.").native().register_in(&registry).expect("valid");
    for number in 1..=1_000_u32 {
        sizes.observe(number);
        latency.observe(f64::from(number) / 500.0);
        native.observe(f64::from(number) / 500.0);
    }
    let theirs = prometheus::IntCounter::new("theirs_total", "Of the prometheus crate.").expect("valid");
    theirs.inc_by(7);
    registry.register_prometheus_collector(Box::new(theirs)).expect("valid");
    registry
}

/// The samples of a text exposition: the name and the labels, and the value.
fn samples(text: &str) -> BTreeMap<(String, Vec<String>), f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.strip_suffix("\"}").unwrap_or_default();
        let mut labels: Vec<String> = labels.split("\",").map(str::to_owned).collect();
        labels.retain(|pair| !pair.is_empty());
        labels.sort();
        ((name.to_owned(), labels), value.parse().expect("a number"))
    });
    samples.collect()
}

/// Checks that a server exposes every sample of the registry, with these additional labels.
fn exposes(text: &str, registry: &Registry, more: &[&str]) {
    let exposed = samples(text);
    let expected = samples(&registry.to_text());
    assert!(expected.len() > 15, "{expected:?}");
    for ((name, mut labels), value) in expected {
        labels.extend(more.iter().map(|label| (*label).to_owned()));
        labels.sort();
        let found = exposed.get(&(name.clone(), labels.clone()));
        let is_same = found.is_some_and(|found| *found == value || (found.is_nan() && value.is_nan()));
        assert!(is_same, "{name} {labels:?} is {found:?} instead of {value}:\n{text}");
    }
}

/// Runs the example. Returns true if it succeeds, and its log.
fn run_job(gateway: &Server, input: &str) -> (bool, String) {
    let (status, _, log) = example::run_with("batch_job", &[gateway.url()], input);
    (status.success(), log)
}

#[test]
fn a_pushgateway_exposes_every_value_in_every_group() {
    let gateway = Server::pushgateway();
    let registry = everything();
    for (job, zone, shown) in [
        ("batch", "", ["job=\"batch", "zone=\""]),
        ("a/b/c", "eu/1", ["job=\"a/b/c", "zone=\"eu/1"]),
        ("..", "ü 日本?#%", ["job=\"..", "zone=\"ü 日本?#%"]),
    ] {
        let target = Pushgateway::new(gateway.url(), job).grouping("zone", zone).registry(&registry);
        target.push().expect("it is accepted");
        exposes(&gateway.metrics(), &registry, &[shown[0], shown[1], "instance=\""]);
    }
    let other = Pushgateway::new(gateway.url(), "a/b/c").grouping("zone", "eu/1");
    let added = Registry::new();
    Gauge::builder("added", "Added.").register_in(&added).expect("valid").set(5);
    let has = |name: &str| {
        gateway.metrics().lines().any(|line| line.starts_with(&format!("{name}{{")) && line.contains("a/b/c"))
    };
    other.clone().registry(&added).push_add().expect("it is accepted");
    assert!(has("added") && has("rows_total"));
    other.clone().registry(&added).push().expect("it is accepted");
    assert!(has("added") && !has("rows_total"));
    other.delete().expect("it is deleted");
    assert!(!has("added"));
    assert!(gateway.metrics().contains("job=\"batch\""), "another group was deleted");
}

#[test]
fn a_pushgateway_keeps_all_series_of_a_large_family() {
    let gateway = Server::pushgateway();
    let registry = Registry::new();
    let large = Counter::builder("large_total", "Large.").labels(["n"]).max_series(30_000);
    let large = large.register_in(&registry).expect("valid");
    (0..30_000).for_each(|n| large.labels([&format!("{n:040}")]).inc());
    Pushgateway::new(gateway.url(), "batch").registry(&registry).push().expect("it is accepted");
    let exposed = gateway.metrics().lines().filter(|line| line.starts_with("large_total{")).count();
    assert_eq!(exposed, 30_000);
}

#[test]
fn prometheus_gets_native_histograms_from_a_pushgateway() {
    let gateway = Server::pushgateway();
    Pushgateway::new(gateway.url(), "batch").registry(&everything()).push().expect("it is accepted");
    let prometheus = Prometheus::start(gateway.address(), ", honor_labels: true", &Prometheus::NATIVE);
    assert_eq!(prometheus.value("histogram_count(native_seconds{job=\"batch\"})"), 1_000.0);
    let median = prometheus.value("histogram_quantile(0.5, native_seconds)");
    assert!((0.95..1.05).contains(&median), "{median}");
    assert_eq!(prometheus.value("rows_total"), 9_007_199_254_740_994.0);
    assert_eq!(prometheus.value("theirs_total"), 7.0);
}

#[test]
fn a_batch_job_pushes_when_it_succeeds_and_when_it_fails() {
    let gateway = Server::pushgateway();
    let has = |line: &str| gateway.metrics().lines().any(|written| written == line);
    let group = "instance=\"\",job=\"batch_job\",queue=\"numbers\"";
    let (is_success, log) = run_job(&gateway, "1\n2\n39\n");
    assert!(is_success, "{log}");
    assert!(has(&format!("batch_job_sum_total{{{group}}} 42")), "{}", gateway.metrics());
    assert!(gateway.metrics().contains("batch_job_last_success_timestamp_seconds{"));
    let (is_success, log) = run_job(&gateway, "5\nsix\n7\n");
    assert!(!is_success, "{log}");
    assert!(has(&format!("batch_job_sum_total{{{group}}} 5")), "{}", gateway.metrics());
    let exceptions = "batch_job_function_exceptions_total{function=\"batch_job::import\",";
    assert!(has(&format!("{exceptions}{group}}} 1")), "{}", gateway.metrics());
}

#[test]
fn a_job_reports_a_pushgateway_that_is_away() {
    let mut gateway = Server::pushgateway();
    gateway.kill();
    let (is_success, log) = run_job(&gateway, "1\n");
    assert!(!is_success);
    assert!(log.contains(&format!("cannot push to {}: Connection refused", gateway.url())), "{log}");
    gateway.restart();
    let (is_success, log) = run_job(&gateway, "1\n");
    assert!(is_success, "{log}");
}

#[test]
fn node_exporter_reads_every_file_while_it_is_replaced() {
    let node_exporter = Server::node_exporter();
    let registry = everything();
    let target = TextFile::new(node_exporter.dir().join("batch.prom")).registry(&registry);
    target.push().expect("written");
    exposes(&node_exporter.metrics(), &registry, &[]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                target.push().expect("written");
            }
        });
        for _ in 0..200 {
            let text = node_exporter.metrics();
            assert!(text.contains("\nnode_textfile_scrape_error 0\n"), "{text}");
            assert!(text.contains("\nrows_total 9.007199254740994e+15\n"), "{text}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_dir(node_exporter.dir()).expect("a directory").count(), 1);
}

/// The variable with the directory of the full disk.
const FULL_DISK: &str = "METRICS_TEST_FULL_DISK";

#[test]
fn a_full_disk_keeps_the_previous_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // In a mount namespace, the directory can become a small disk.
    let script = "mount -t tmpfs -o size=128k tmpfs \"$1\" && exec \"$2\" --exact batch::on_a_small_disk --ignored";
    let this = std::env::current_exe().expect("a path");
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(this)
        .env(FULL_DISK, dir.path())
        .output()
        .expect("unshare is installed");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "runs inside of a_full_disk_keeps_the_previous_file"]
fn on_a_small_disk() {
    let dir = PathBuf::from(std::env::var_os(FULL_DISK).expect("set by the other test"));
    let path = dir.join("batch.prom");
    let registry = Registry::new();
    let rows = Counter::builder("rows_total", "Rows.").labels(["of"]).register_in(&registry).expect("valid");
    rows.labels(["all"]).inc();
    let target = TextFile::new(&path).registry(&registry);
    target.push().expect("written");
    let before = fs::read_to_string(&path).expect("a file");
    for number in 0..100 {
        rows.labels([&format!("{number:01000}")]).inc();
    }
    fs::write(dir.join("filler"), vec![0; 100 * 1_024]).expect("it fits");
    let error = target.push().expect_err("the disk is full").to_string();
    assert_eq!(error, format!("text_file: cannot write {}: No space left on device (os error 28)", path.display()));
    assert_eq!(fs::read_to_string(&path).expect("a file"), before);
    assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 2);
    fs::remove_file(dir.join("filler")).expect("a file");
    target.push().expect("there is space again");
    assert_eq!(fs::read_to_string(&path).expect("a file"), registry.to_text());
}
