//! Format and compression negotiation over real sockets.

use std::net::SocketAddr;

use metrics_core::{Counter, Format, HttpServer, Registry, Summary};

use crate::client::{Answer, ask, send};
use crate::{global, wait_until};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

const ACCEPT_PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn serving() -> (Registry, SocketAddr) {
    let registry = Registry::new();
    Counter::builder("served_total", "Served.").register_in(&registry).expect("valid").inc();
    Summary::builder("wait_seconds", "Waiting.").register_in(&registry).expect("valid").observe(2);
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    (registry, addr)
}

fn encoded(registry: &Registry, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    registry.encode(format, &mut out);
    out
}

#[test]
fn each_accept_header_gets_its_format() {
    let (registry, addr) = serving();
    let protobuf = format!("Accept: {ACCEPT_PROTOBUF}\r\n");
    let asked_for: [(&str, &str, Format); 12] = [
        ("", TEXT, Format::Text),
        ("Accept: */*\r\n", TEXT, Format::Text),
        ("Accept: text/plain\r\n", TEXT, Format::Text),
        ("Accept: text/plain;version=0.0.4\r\n", TEXT, Format::Text),
        ("Accept: text/html, */*;q=0.8\r\n", TEXT, Format::Text),
        ("Accept: application/openmetrics-text\r\n", OPENMETRICS, Format::OpenMetrics),
        ("Accept: application/openmetrics-text;version=1.0.0\r\n", OPENMETRICS, Format::OpenMetrics),
        (
            "Accept: application/openmetrics-text;version=1.0.0;q=0.5, text/plain;version=0.0.4;q=1\r\n",
            TEXT,
            Format::Text,
        ),
        ("Accept: application/openmetrics-text;version=9.9.9\r\n", TEXT, Format::Text),
        ("Accept: application/openmetrics-text;q=0, text/plain\r\n", TEXT, Format::Text),
        ("Accept: \u{fffd};;,q=\"\r\nAccept: text/plain;q=0.1\r\nAccept: nonsense\r\n", TEXT, Format::Text),
        (&protobuf, PROTOBUF, Format::Protobuf),
    ];
    for (accept, content_type, format) in asked_for {
        let get = ask(addr, "GET /metrics", accept);
        assert_eq!((get.status(), get.header("content-type")), (200, Some(content_type)), "{accept}");
        assert_eq!(get.body, encoded(&registry, format), "{accept}");
        assert_eq!(get.header("vary"), Some("accept, accept-encoding"));
    }
}

#[test]
fn head_returns_the_headers_of_get() {
    let (_, addr) = serving();
    // Ignore the date and the headers that describe the transfer of the body.
    let told = |line: &str, headers: &str| -> (Vec<String>, usize) {
        let answer = ask(addr, line, headers);
        let lines = answer.head.lines().map(str::to_owned);
        let varies = ["content-length", "transfer-encoding", "date"];
        (lines.filter(|line| !varies.iter().any(|name| line.starts_with(name))).collect(), answer.body.len())
    };
    for accept in ["text/plain", "application/openmetrics-text", ACCEPT_PROTOBUF] {
        for encoding in ["identity", "gzip"] {
            let headers = format!("Accept: {accept}\r\nAccept-Encoding: {encoding}\r\n");
            let ((get, _), (head, body)) = (told("GET /metrics", &headers), told("HEAD /metrics", &headers));
            assert_eq!((head, body), (get, 0), "{headers}");
            // A `Content-Length` header would have to match the one for GET, so the server omits it.
            assert_eq!(ask(addr, "HEAD /metrics", &headers).header("content-length"), None, "{headers}");
        }
    }
    for line in ["/else", "/metrics/"] {
        let ((get, _), (head, body)) = (told(&format!("GET {line}"), ""), told(&format!("HEAD {line}"), ""));
        assert_eq!((head, body), (get, 0), "{line}");
    }
}

#[test]
fn gzip_only_if_accepted() {
    let (registry, addr) = serving();
    for accepted in ["gzip", "*", "deflate, gzip;q=0.5"] {
        let zipped = ask(addr, "GET /metrics", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(zipped.header("content-encoding"), Some("gzip"), "{accepted}");
        assert_eq!(zipped.unzipped(), encoded(&registry, Format::Text), "{accepted}");
    }
    for refused in ["gzip;q=0", "identity", "br", "gzip;q=0, *"] {
        let plain = ask(addr, "GET /metrics", &format!("Accept-Encoding: {refused}\r\n"));
        assert_eq!(
            (plain.header("content-encoding"), &plain.body),
            (None, &encoded(&registry, Format::Text)),
            "{refused}"
        );
    }
}

#[test]
fn answers_of_any_size_are_whole_in_every_format() {
    let registry = Registry::new();
    let family = Counter::builder("long_total", "Long.").labels(["n"]).max_series(50_000).register_in(&registry);
    let family = family.expect("valid");
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    // All responses except the last are about as long as one chunk. The last is much longer.
    for series in [1_500_u32, 1_600, 1_700, 30_000] {
        for n in 0..series {
            family.labels([&format!("{n:020}")]);
        }
        for (accept, format) in [
            ("text/plain", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            (ACCEPT_PROTOBUF, Format::Protobuf),
        ] {
            let expected = encoded(&registry, format);
            let plain = ask(server.local_addr(), "GET /metrics", &format!("Accept: {accept}\r\n"));
            assert!(plain.body == expected, "{accept} of {series}");
            let headers = format!("Accept: {accept}\r\nAccept-Encoding: gzip\r\n");
            assert!(
                ask(server.local_addr(), "GET /metrics", &headers).unzipped() == expected,
                "{accept} of {series}, gzip"
            );
        }
    }
}

#[test]
fn clients_of_http_1_0_and_of_proxies() {
    let registry = Registry::new();
    let family = Counter::builder("long_total", "Long.").labels(["n"]).max_series(50_000).register_in(&registry);
    let family = family.expect("valid");
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    for series in [1, 30_000_u32] {
        for n in 0..series {
            family.labels([&n.to_string()]);
        }
        let expected = encoded(&registry, Format::Text);
        // HTTP/1.0 has no chunked encoding, so the response ends when the connection closes.
        let old = Answer::read(send(server.local_addr(), b"GET /metrics HTTP/1.0\r\n\r\n"));
        assert_eq!((old.status(), old.header("transfer-encoding")), (200, None));
        assert!(old.body == expected, "{series} series");
        let absolute = ask(server.local_addr(), "GET http://example.com/metrics", "");
        assert!(absolute.status() == 200 && absolute.body == expected, "{series} series");
    }
}

#[test]
fn families_by_name() {
    let (_, addr) = serving();
    for (query, served, waited) in [
        ("", true, true),
        ("?debug=1", true, true),
        ("?name[]=served_total", true, false),
        ("?name%5B%5D=served_total", true, false),
        ("?name[]=wait_seconds_count", false, true),
        ("?name[]=wait_seconds&name[]=served", true, true),
        ("?name[]=nothing", false, false),
        ("?name[]=", false, false),
    ] {
        let answer = ask(addr, &format!("GET /metrics{query}"), "Accept: application/openmetrics-text\r\n");
        let text = answer.text();
        assert_eq!((text.contains("served_total 1"), text.contains("wait_seconds_sum 2")), (served, waited), "{query}");
        assert!(answer.status() == 200 && text.ends_with("# EOF\n"), "{query}: {text}");
    }
    let many = "name[]=served_total&".repeat(1_000);
    assert!(ask(addr, &format!("GET /metrics?{many}"), "").text().ends_with("served_total 1\n"));
    let different = (0..1_000).map(|n| format!("name[]=x{n}")).collect::<Vec<_>>().join("&");
    assert_eq!(ask(addr, &format!("GET /metrics?{different}"), "").text(), "");
    let too_many = "name[]=served_total&".repeat(10_000);
    assert!([414, 431].contains(&ask(addr, &format!("GET /metrics?{too_many}"), "").status()));
}

#[test]
fn answers_are_counted_by_code_and_format() {
    let (_, addr) = serving();
    let series = [
        ("code=\"200\",format=\"text\"", "GET /metrics", ""),
        ("code=\"200\",format=\"openmetrics\"", "HEAD /metrics", "Accept: application/openmetrics-text\r\n"),
        ("code=\"404\",format=\"none\"", "GET /else", ""),
        ("code=\"405\",format=\"none\"", "DELETE /metrics", ""),
    ];
    for labels in ["code=\"401\",format=\"none\"", "code=\"500\",format=\"none\"", "code=\"503\",format=\"none\""] {
        // The series is exported before the first response with these labels.
        global(&format!("metrics_core_scrapes_total{{{labels}}}"));
    }
    for reason in ["evicted", "handshake", "head_timeout", "idle_timeout", "refused", "stalled"] {
        global(&format!("metrics_core_connections_closed_total{{reason=\"{reason}\"}}"));
    }
    for (labels, line, headers) in series {
        let name = format!("metrics_core_scrapes_total{{{labels}}}");
        let before = global(&name);
        ask(addr, line, headers);
        // Other tests may scrape concurrently.
        assert!(global(&name) >= before + 1.0, "{labels}");
    }
    wait_until("the end of all scrapes", || global("metrics_core_scrapes_in_flight") == 0.0);
}
