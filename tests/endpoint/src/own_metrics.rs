//! The endpoint's metrics about itself, in a process that serves no other scrapes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metrics_core::HttpServer;

#[allow(dead_code, reason = "the other tests use all of it")]
mod client;

use client::{ask, connect, head, send};

const NAMES: [&str; 3] =
    ["metrics_core_scrapes_total", "metrics_core_scrapes_in_flight", "metrics_core_connections_closed_total"];

/// Returns the endpoint's own series in a scrape, with their values.
fn shown(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| NAMES.iter().any(|name| line.starts_with(name)));
    let samples = samples.filter_map(|line| line.rsplit_once(' '));
    samples.map(|(series, value)| (series.to_owned(), value.parse().expect("a number"))).collect()
}

#[test]
fn every_answer_counts_once_from_zero_on() {
    let addr = HttpServer::builder().bearer_token("t").start("127.0.0.1:0").expect("a free port").local_addr();
    let may = "Authorization: Bearer t\r\n";
    let scrape = || shown(ask(addr, "GET /metrics", may).text());
    let mut expected: BTreeMap<String, f64> =
        ["evicted", "handshake", "head_timeout", "idle_timeout", "refused", "stalled"]
            .map(|reason| (format!("metrics_core_connections_closed_total{{reason=\"{reason}\"}}"), 0.0))
            .into();
    let of = |code: &str, format: &str| format!("metrics_core_scrapes_total{{code=\"{code}\",format=\"{format}\"}}");
    for format in ["text", "openmetrics", "protobuf"] {
        expected.insert(of("200", format), 0.0);
    }
    for code in ["401", "403", "404", "405", "500", "503"] {
        expected.insert(of(code, "none"), 0.0);
    }
    // A scrape includes itself: when it exports the values, it is in flight and already counted.
    expected.insert("metrics_core_scrapes_in_flight".to_owned(), 1.0);
    expected.insert(of("200", "text"), 1.0);
    assert_eq!(scrape(), expected);

    let open = "Accept: application/openmetrics-text\r\n";
    let protobuf =
        "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n";
    for (line, headers, credentials, (code, format)) in [
        ("GET /metrics", open, may, ("200", "openmetrics")),
        ("GET /metrics", protobuf, may, ("200", "protobuf")),
        ("HEAD /metrics", protobuf, may, ("200", "protobuf")),
        ("GET /metrics?name[]=nothing", "Accept-Encoding: gzip\r\n", may, ("200", "text")),
        ("GET /metrics", open, "", ("401", "none")),
        ("GET /else", "", "", ("401", "none")),
        ("GET /else", "", may, ("404", "none")),
        ("POST /metrics", "", may, ("405", "none")),
        ("POST /", "", may, ("405", "none")),
    ] {
        assert_eq!(ask(addr, line, &format!("{headers}{credentials}")).status().to_string(), code, "{line}");
        *expected.get_mut(&of(code, format)).expect("it was there at 0") += 1.0;
        *expected.get_mut(&of("200", "text")).expect("it was there at 0") += 1.0;
        assert_eq!(scrape(), expected, "{line} {headers}");
    }

    // A client that disconnects before sending a complete request head is not counted.
    drop(connect(addr));
    drop(send(addr, b"GET /met"));
    *expected.get_mut(&of("200", "text")).expect("it was there at 0") += 1.0;
    assert_eq!(scrape(), expected);
    // An unread response is in flight until its client disconnects.
    drop(send(addr, &head("GET /metrics", may)));
    *expected.get_mut(&of("200", "text")).expect("it was there at 0") += 1.0;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        *expected.get_mut(&of("200", "text")).expect("it was there at 0") += 1.0;
        if scrape() == expected {
            break;
        }
        assert!(Instant::now() < deadline, "{expected:?}");
    }
}
