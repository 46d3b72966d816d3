//! Tests that third-party programs can read every format: the Python client, promtool, and a real Prometheus.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use metrics_core::{Collect, Counter, FamilyInfo, Format, Gauge, Histogram, HttpServer, Info, Kind, Labels, Registry};
use metrics_core::{StateSet, Summary, Tls, Value, Visitor};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

use crate::prometheus::Prometheus;
use crate::{readers, wait_for};

/// Exports values that only collectors can export: quantiles and untyped values.
struct Others;

impl Collect for Others {
    fn names(&self) -> Vec<String> {
        vec!["others_seconds".to_owned(), "others".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new("others_seconds", "Quantiles.", Kind::Summary));
        let quantiles = [(0.5, 0.25), (0.99, 1.0)];
        visitor
            .series(Labels::of(&[("of", "x")]).borrow(), &Value::Summary { count: 9, sum: 3.5, quantiles: &quantiles });
        visitor.family(&FamilyInfo::new("others", "No type.", Kind::Untyped));
        visitor.series(Labels::default(), &Value::Untyped(-7.5));
        Ok(())
    }
}

/// Returns a registry with every metric type and with label values that must be escaped.
fn everything() -> Registry {
    let registry = Registry::new();
    let counter = Counter::builder("jobs_total", "A \"quoted\" \\ back\nslash.").labels(["kind"]);
    let counter = counter.register_in(&registry).expect("valid");
    for (n, kind) in ["", "plain", "say \"hi\"", "back\\slash", "two\nlines", "\u{fc}\u{1F600}"].into_iter().enumerate()
    {
        counter.labels([kind]).inc_by(n as f64 + 0.5);
    }
    Gauge::builder("queue_length", "Length.").register_in(&registry).expect("valid").set(-2.5);
    let summary = Summary::builder("wait_seconds", "Waiting.").unit("seconds").register_in(&registry).expect("valid");
    let histogram = Histogram::builder("size_bytes", "Sizes.").buckets([0.5, 1.0, 1e6, 2.5e7]).unit("bytes");
    let histogram = histogram.labels(["of"]).register_in(&registry).expect("valid").labels(["x"]);
    for value in [0.25, 1.0, 3e6, 1e9] {
        summary.observe(value);
        histogram.observe_with_exemplar(value, || [("trace_id", "4bf9"), ("user", "\u{fc}")]);
    }
    distributions(&registry);
    Info::builder("database_info", "Database.").const_label("version", "17").register_in(&registry).expect("valid");
    StateSet::<bool>::builder("ready", "Ready.").register_in(&registry).expect("valid").set(&true);
    let failures = Counter::builder("failures_total", "Failures.").register_in(&registry).expect("valid");
    failures.inc_with_exemplar(|| [("trace_id", "\"quoted\" \\ back\nslash")]);
    registry.register_collector(Others).expect("valid");
    registry
}

/// Registers a summary with quantiles, of which one series has no observations, and a histogram with native buckets.
fn distributions(registry: &Registry) {
    let summary = Summary::builder("recent_seconds", "Recent.").quantiles([0.5, 0.99]).labels(["of"]);
    let summary = summary.register_in(registry).expect("valid");
    summary.labels(["nothing"]);
    let histogram = Histogram::builder("native_seconds", "Native.").buckets([0.5, 1.0]).native();
    let histogram = histogram.register_in(registry).expect("valid");
    for value in [0.25, 0.5, 4.0] {
        summary.labels(["x"]).observe(value);
        histogram.observe(value);
    }
}

fn encoded(registry: &Registry, format: Format) -> String {
    let mut out = Vec::new();
    registry.encode(format, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn python_reads_the_same_from_both_text_formats() {
    const SCRIPT: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        labels = {k: repr(float(v)) if k in ('le', 'quantile') else v for k, v in sample.labels.items()}
        print(sample.name, sorted(labels.items()), float(sample.value))
        if sample.exemplar:
            print('exemplar', sample.name, sample.exemplar.labels, float(sample.exemplar.value))
    print(family.name, family.type, repr(family.documentation), family.unit)
";
    let registry = everything();
    let open = readers::python(SCRIPT, &encoded(&registry, Format::OpenMetrics));
    let text = SCRIPT.replace("openmetrics.", "");
    let text = readers::python(&text, &encoded(&registry, Format::Text));
    let samples =
        |read: &str| -> Vec<String> { read.lines().filter(|line| line.contains('[')).map(str::to_owned).collect() };
    assert_eq!(samples(&open).len(), 6 + 1 + 1 + 2 + 7 + 8 + 5 + 4 + 1 + 1 + 2);
    assert!(samples(&open).iter().any(|sample| sample.contains("'nothing'") && sample.ends_with(" nan")), "{open}");
    assert_eq!(samples(&open), samples(&text));
    for family in [
        "jobs counter 'A \"quoted\" \\\\ back\\nslash.' ",
        "wait_seconds summary 'Waiting.' seconds",
        "size_bytes histogram 'Sizes.' bytes",
        "recent_seconds summary 'Recent.' ",
        "native_seconds histogram 'Native.' ",
        "others unknown 'No type.' ",
        "database info 'Database.' ",
        "ready stateset 'Ready.' ",
    ] {
        assert!(open.lines().any(|line| line == family), "{family}\n{open}");
    }
    let exemplars: Vec<&str> = open.lines().filter(|line| line.starts_with("exemplar")).collect();
    assert_eq!(exemplars[0], r#"exemplar failures_total {'trace_id': '"quoted" \\ back\nslash'} 1.0"#);
    let of_sizes = [0.25, 1.0, 3_000_000.0, 1_000_000_000.0];
    let of_sizes =
        of_sizes.map(|value| format!("exemplar size_bytes_bucket {{'trace_id': '4bf9', 'user': 'ü'}} {value:?}"));
    assert_eq!(exemplars[1..], of_sizes);
    registry.export_created(true);
    let created = readers::python(SCRIPT, &encoded(&registry, Format::OpenMetrics));
    let created: Vec<&str> = created.lines().filter(|line| line.contains("_created")).collect();
    // Six series of `jobs`, three of `recent_seconds` and `wait_seconds`, two histograms, and `failures`.
    assert_eq!(created.len(), 6 + 3 + 2 + 1, "{created:?}");
    let own = Registry::global();
    metrics_core::init();
    readers::python(SCRIPT, &encoded(own, Format::OpenMetrics));
    readers::promtool_is_content(&own.to_text());
    let registry = Registry::new();
    distributions(&registry);
    readers::promtool_is_content(&registry.to_text());
}

/// Starts a proxy that replaces the `Accept` header to imitate a scraper that supports fewer formats.
fn accepting(target: String, accept: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a connection");
            let mut lines = BufReader::new(client.try_clone().expect("possible")).lines().map_while(Result::ok);
            let mut kept = lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
            kept.retain(|line| {
                !["accept:", "connection:"].iter().any(|name| line.to_ascii_lowercase().starts_with(name))
            });
            let head = kept.join("\r\n");
            let Ok(mut server) = TcpStream::connect(&target) else { return };
            write!(server, "{head}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n").expect("sent");
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).expect("an answer");
            client.write_all(&answer).ok();
        }
    });
    addr
}

/// Asserts that Prometheus has read [`everything`] completely.
fn is_read_in_full(prometheus: &Prometheus) {
    for (n, kind) in
        ["", "plain", "say \\\"hi\\\"", "back\\\\slash", "two\\nlines", "\u{fc}\u{1F600}"].into_iter().enumerate()
    {
        assert_eq!(prometheus.value(&format!("jobs_total{{kind=\"{kind}\"}}")), n as f64 + 0.5, "{kind}");
    }
    for (query, value) in [
        ("queue_length", -2.5),
        ("wait_seconds_count", 4.0),
        ("wait_seconds_sum", 1_003_000_001.25),
        ("size_bytes_count{of=\"x\"}", 4.0),
        ("size_bytes_sum{of=\"x\"}", 1_003_000_001.25),
        ("sum(size_bytes_bucket{of=\"x\"})", 1.0 + 2.0 + 2.0 + 3.0 + 4.0),
        ("count(size_bytes_bucket)", 5.0),
        ("recent_seconds_count{of=\"x\"}", 3.0),
        ("recent_seconds_sum{of=\"x\"}", 4.75),
        ("count(recent_seconds)", 4.0),
        ("others", -7.5),
        ("others_seconds{quantile=\"0.5\"}", 0.25),
        ("sum(others_seconds)", 1.25),
        ("others_seconds_count", 9.0),
        ("others_seconds_sum", 3.5),
        ("database_info{version=\"17\"}", 1.0),
        ("ready{ready=\"true\"}", 1.0),
        ("ready{ready=\"false\"}", 0.0),
    ] {
        assert_eq!(prometheus.value(query), value, "{query}");
    }
    let median = prometheus.value("recent_seconds{of=\"x\", quantile=\"0.5\"}");
    assert!((median / 0.5 - 1.0).abs() <= 0.01, "{median}");
    assert!(prometheus.value("recent_seconds{of=\"nothing\", quantile=\"0.5\"}").is_nan());
}

/// Returns the number of scrapes that this process has served in this format.
fn scrapes(format: &str) -> f64 {
    let series = format!("metrics_core_scrapes_total{{code=\"200\",format=\"{format}\"}} ");
    let text = Registry::global().to_text();
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).expect("it is there")
}

#[test]
fn prometheus_reads_every_format() {
    let registry = everything();
    // OpenMetrics would name both of these counters `done`, and the Python client would name both `done_total`.
    for (name, done) in [("done", 3), ("done_total", 4)] {
        let counter = metrics_core::prometheus::IntCounter::new(name, "Done.").expect("valid");
        counter.inc_by(done);
        registry.register_prometheus_collector(Box::new(counter)).expect("valid");
    }
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr().to_string();
    let text = accepting(addr.clone(), "text/plain;version=0.0.4;q=0.5,*/*;q=0.1");
    let started = |format: &str, target: &str, arguments: &[&str]| {
        let before = scrapes(format);
        // One second is enough for a scrape of several MiB.
        let prometheus = Prometheus::start(target, ", scrape_interval: 1s, scrape_timeout: 1s", arguments);
        wait_for("scrapes", || (scrapes(format) >= before + 2.0).then_some(()));
        is_read_in_full(&prometheus);
        assert_eq!((prometheus.value("done"), prometheus.value("done_total")), (3.0, 4.0), "{format}");
        let (count, sum) = match format {
            "protobuf" => ("histogram_count(native_seconds)", "histogram_sum(native_seconds)"),
            _ => ("native_seconds_bucket{le=\"+Inf\"}", "native_seconds_sum"),
        };
        assert_eq!((prometheus.value(count), prometheus.value(sum)), (3.0, 4.75), "{format}");
        prometheus
    };
    let by_protobuf = thread::scope(|scope| {
        scope.spawn(|| started("openmetrics", &addr, &[]));
        scope.spawn(|| started("text", &text, &[]));
        scope.spawn(|| started("protobuf", &addr, &["--enable-feature=native-histograms"])).join()
    });
    let prometheus = by_protobuf.expect("it is read");
    let before = scrapes("protobuf");
    let series = several_messages(&registry);
    wait_for("all series", || (prometheus.query("count(large_total)").first()?.1 == f64::from(series)).then_some(()));
    assert_eq!(prometheus.value("sum(large_total)"), f64::from(series) * f64::from(series - 1) / 2.0);
    assert!(scrapes("protobuf") > before);
    server.shutdown();
}

/// Adds a family that needs more than one protobuf message. Returns its number of series, whose values are 0, 1, 2, ...
fn several_messages(registry: &Registry) -> u32 {
    const SERIES: u32 = 4_000;
    let family = Counter::builder("large_total", "Large.").labels(["n"]).max_series(SERIES as usize);
    let family = family.register_in(registry).expect("valid");
    for n in 0..SERIES {
        family.labels([&format!("{n:0800}")]).inc_by(n);
    }
    let mut out = Vec::new();
    registry.encode(Format::Protobuf, &mut out);
    assert!(out.len() > 5 << 19, "at least two messages: {} bytes", out.len());
    SERIES
}

#[test]
fn prometheus_with_a_certificate_and_a_password() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("valid");
    let identity = |name: &str| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        let key = key();
        let certificate = params.signed_by(&key, &authority).expect("valid");
        (file(&format!("{name}.pem"), certificate.pem()), file(&format!("{name}.key"), key.serialize_pem()))
    };
    let ca = file("ca.pem", authority.pem());
    let (server_pem, server_key) = identity("server");
    let (client_pem, client_key) = identity("client");
    let tls = Tls::from_pem_files(server_pem, server_key).and_then(|tls| tls.client_ca_file(&ca)).expect("valid");
    let builder = HttpServer::builder().registry(&everything()).tls(tls).basic_auth("prometheus", "open sesame");
    let server = builder.start("127.0.0.1:0").expect("a free port");
    let configuration = format!(
        ", scheme: https, tls_config: {{ca_file: '{ca}', cert_file: '{client_pem}', key_file: '{client_key}'}}, \
         basic_auth: {{username: prometheus, password: 'open sesame'}}"
    );
    let prometheus = Prometheus::start(&server.local_addr().to_string(), &configuration, &[]);
    is_read_in_full(&prometheus);
    server.shutdown();
}
