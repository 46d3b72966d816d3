//! The main use case: the router example under load, scraped by a real Prometheus.

use std::thread;
use std::time::{Duration, Instant};

use crate::example::{self, Example};
use crate::prometheus::Prometheus;
use crate::{get, readers, wait_for};

/// The number of requests to each path and their expected status.
const DRIVEN: [(&str, u32, u16); 7] = [
    ("/foo", 240, 200),
    ("/bar", 120, 200),
    ("/slow", 12, 200),
    ("/fail", 36, 500),
    ("/panic", 24, 500),
    ("/nowhere", 48, 404),
    ("/foo/else", 12, 404),
];
const CLIENTS: u32 = 4;

fn start() -> (Example, String, String) {
    let mut router = Example::start("my_router", &["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let (service, metrics) = (router.addr(), router.addr());
    (router, service, metrics)
}

/// Sends the requests from several concurrent clients and returns the mean client-side latency of `/slow`.
fn drive(service: &str) -> f64 {
    let slow = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut slow = Duration::ZERO;
                    for (path, requests, expected) in DRIVEN {
                        for _ in 0..requests / CLIENTS {
                            let start = Instant::now();
                            let (status, _) = get(&format!("http://{service}{path}")).expect("an answer");
                            assert_eq!(status, expected, "{path}");
                            if path == "/slow" {
                                slow += start.elapsed();
                            }
                        }
                    }
                    slow
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).sum::<Duration>()
    });
    slow.as_secs_f64() / 12.0
}

#[test]
fn prometheus_counts_all_requests() {
    let (router, service, metrics) = start();
    let prometheus = Prometheus::scraping(&metrics);
    // All series are exported at 0 before the first request.
    for family in ["my_router_request_latency_seconds_count", "my_router_request_exceptions_total"] {
        assert_eq!(prometheus.value(&format!("count({family} == 0)")), 6.0, "{family}");
    }
    let slow_as_seen = drive(&service);
    let all: u32 = DRIVEN.iter().map(|(_, requests, _)| requests).sum();
    wait_for("the last request in Prometheus", || {
        (prometheus.value("sum(my_router_request_latency_seconds_count)") >= f64::from(all)).then_some(())
    });
    let by_path = [
        ("/foo", 240.0, 0.0),
        ("/bar", 120.0, 0.0),
        ("/slow", 12.0, 0.0),
        ("/fail", 36.0, 36.0),
        ("/panic", 24.0, 24.0),
        ("other", 60.0, 0.0),
    ];
    for (path, requests, exceptions) in by_path {
        let of = |family: &str| prometheus.value(&format!("{family}{{path=\"{path}\"}}"));
        assert_eq!(of("my_router_request_latency_seconds_count"), requests, "{path}");
        assert_eq!(of("my_router_request_exceptions_total"), exceptions, "{path}");
    }
    assert_eq!(prometheus.query("my_router_request_latency_seconds_count").len(), by_path.len());
    let mean = "my_router_request_latency_seconds_sum{path=\"/slow\"} / my_router_request_latency_seconds_count";
    let mean = prometheus.value(mean);
    assert!((0.1..=slow_as_seen).contains(&mean), "{mean}, seen as {slow_as_seen}");
    assert_eq!(prometheus.value("metrics_core_problems"), 0.0);
    assert_eq!(prometheus.value("sum(metrics_core_internal_errors_total)"), 0.0);
    assert_eq!(router.interrupt().code(), Some(0));
}

#[test]
fn rates_match_the_load() {
    const PER_SECOND: u32 = 50;
    let (router, service, metrics) = start();
    let prometheus = Prometheus::scraping(&metrics);
    let begin = Instant::now();
    // Send requests at a fixed rate for eight seconds. Every fifth request fails.
    for number in 0..8 * PER_SECOND {
        let due = begin + Duration::from_secs(1) * number / PER_SECOND;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let path = if number % 5 == 0 { "fail" } else { "foo" };
        get(&format!("http://{service}/{path}")).expect("an answer");
    }
    let driven = f64::from(8 * PER_SECOND) / begin.elapsed().as_secs_f64();
    let rate = |family: &str| prometheus.value(&format!("sum(rate({family}[6s]))"));
    let requests = rate("my_router_request_latency_seconds_count");
    assert!((requests / driven - 1.0).abs() < 0.15, "{requests} a second, driven {driven}");
    let ratio = rate("my_router_request_exceptions_total") / requests;
    assert!((ratio - 0.2).abs() < 0.03, "{ratio} of the requests failed");
    assert_eq!(router.interrupt().code(), Some(0));
}

#[test]
fn others_can_read_the_exposition() {
    let (_router, service, metrics) = start();
    drive(&service);
    let (status, text) = get(&format!("http://{metrics}/metrics")).expect("an answer");
    assert_eq!(status, 200);
    readers::promtool_is_content(&text);
    let samples = readers::python_samples(&text);
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples.len(), lines, "{samples:#?}\n{text}");
    let failures = "my_router_request_exceptions_total [('path', '/fail')] 36.0".to_owned();
    assert!(samples.contains(&failures), "{samples:#?}");
}

#[test]
fn traffic_makes_the_numbers_move() {
    let args = ["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--traffic"];
    let started = Instant::now();
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut router = Example::start_logged("my_router", &args, log.reopen().expect("it opens"));
    let (_, metrics) = (router.addr(), router.addr());
    wait_for("a request to each path", || {
        let (_, text) = get(&format!("http://{metrics}/metrics")).ok()?;
        let called = ["/foo", "/bar", "/slow", "/fail", "/panic", "other"].iter().all(|path| {
            let unused = format!("my_router_request_latency_seconds_count{{path=\"{path}\"}} 0\n");
            !text.contains(&unused)
        });
        called.then_some(())
    });
    assert_eq!(router.interrupt().code(), Some(0));
    // A log file has at least two complete lines, the first and the last. Panics are counted, not printed.
    let log = std::fs::read_to_string(log.path()).expect("UTF-8");
    assert!(log.lines().all(|line| line.starts_with("Requests: ")) && !log.contains('\r'), "{log}");
    assert!(log.lines().count() <= 2 + started.elapsed().as_secs() as usize / 10, "{log}");
    assert_eq!(log.lines().next(), Some("Requests: 1 (200: 1, 404: 0, 500: 0), including panics: 0"));
    let last = log.lines().last().expect("a line");
    let counts: Vec<u32> = last
        .split(|c: char| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
        .map(|n| n.parse().expect("digits"))
        .collect();
    // The line also contains the numbers 200, 404 and 500 as labels for the counts.
    let [requests, 200, ok, 404, not_found, 500, errors, panics] = counts[..] else { panic!("{log}") };
    assert_eq!(ok + not_found + errors, requests, "{log}");
    assert!(panics > 0 && errors >= panics && not_found > 0, "{log}");
}

#[test]
fn options_are_explained() {
    let (status, help, _) = example::run("my_router", &["--help"]);
    assert!(status.success());
    for option in ["--listen", "--metrics", "--traffic", "127.0.0.1:8080", "127.0.0.1:9464"] {
        assert!(help.contains(option), "{help}");
    }
    let (status, _, error) = example::run("my_router", &["--lisen", "127.0.0.1:0"]);
    assert!(!status.success());
    assert!(error.contains("--lisen") && error.contains("Usage: my_router"), "{error}");
    let (_router, service, _) = start();
    let (status, _, error) = example::run("my_router", &["--listen", "127.0.0.1:0", "--metrics", &service]);
    assert!(!status.success());
    assert!(error.contains(&service), "{error}");
}
