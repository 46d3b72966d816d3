//! The live page of the HTTP server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::BodyExt;
use metrics_core::{
    Counter, Exposition, FamilyInfo, Gauge, Histogram, HttpServer, Kind, Labels, Registry, Summary, Value,
};
use ring::digest::{SHA256, digest};
use serde_json::{Value as Json, json};

use crate::client::{Answer, ask, send};
use crate::collectors::register;
use crate::wait_until;

fn serve(registry: &Registry) -> SocketAddr {
    HttpServer::builder().registry(registry).start("127.0.0.1:0").expect("a free port").local_addr()
}

fn snapshot(addr: SocketAddr) -> Json {
    let answer = ask(addr, "GET /?snapshot", "");
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

/// The text between two parts of a page.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after}")).0
}

#[test]
fn the_page_is_one_small_document_that_a_strict_policy_allows() {
    let addr = serve(&Registry::new());
    let answer = ask(addr, "GET /", "");
    let page = answer.text();
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.starts_with("<!doctype html>"), "{page}");
    assert!(page.len() < 40 << 10, "{} bytes", page.len());
    let policy = answer.header("content-security-policy").expect("a policy");
    for (directive, content) in
        [("script-src", between(page, "<script>", "</script>")), ("style-src", between(page, "<style>", "</style>"))]
    {
        let hash = BASE64_STANDARD.encode(digest(&SHA256, content.as_bytes()));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}'")),
            "{directive} 'sha256-{hash}' is missing: {policy}"
        );
    }
    for directive in
        ["default-src 'none'", "frame-ancestors 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'"]
    {
        assert!(policy.split("; ").any(|given| given == directive), "{directive}: {policy}");
    }
    for answer in [answer, ask(addr, "GET /?snapshot", ""), ask(addr, "HEAD /", "")] {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn a_snapshot_has_the_values_of_a_scrape() {
    let registry = Registry::new();
    let labels = ["path"];
    let counter = |name, help| Counter::builder(name, help).labels(labels).register_in(&registry).expect("valid");
    let exceptions = counter("shop_request_exceptions_total", "Exceptions.");
    exceptions.labels(["/a"]).inc_by(3);
    counter("other_total", "With \"quotes\", a \\ and\na line break.")
        .labels(["\u{1}<img src=x onerror=alert(1)>"])
        .inc_by(0.5);
    let latency = Summary::builder("shop_request_latency_seconds", "Latency.").quantiles([0.5]).labels(labels);
    let latency = latency.register_in(&registry).expect("valid");
    latency.labels(["/a"]).observe(0.25);
    latency.labels(["/b"]);
    let sizes = Histogram::builder("sizes_bytes", "Sizes.").buckets([1.0, 2.0]).register_in(&registry).expect("valid");
    sizes.observe(1.5);
    Gauge::builder("odd", "").register_in(&registry).expect("valid").set(f64::NAN);
    let addr = serve(&registry);
    let Json::Object(snapshot) = snapshot(addr) else { panic!("an object") };
    let families = &snapshot["families"];
    let family = |name: &str| {
        let families = families.as_array().expect("a list").iter();
        families.clone().find(|family| family["name"] == name).unwrap_or_else(|| panic!("no {name}: {families:?}"))
    };
    let exceptions = json!({
        "name": "shop_request_exceptions_total", "type": "counter", "help": "Exceptions.",
        "series": [{"labels": {"path": "/a"}, "value": 3}],
    });
    assert_eq!(family("shop_request_exceptions_total"), &exceptions);
    assert_eq!(family("other_total")["help"], "With \"quotes\", a \\ and\na line break.");
    assert_eq!(
        family("other_total")["series"],
        json!([{"labels": {"path": "\u{1}<img src=x onerror=alert(1)>"}, "value": 0.5}])
    );
    assert_eq!(family("odd")["series"], json!([{"labels": {}, "value": null}]));
    assert_eq!(
        family("sizes_bytes")["series"],
        json!([{"labels": {}, "count": 1, "sum": 1.5, "buckets": [[1, 0], [2, 1], [null, 1]]}])
    );
    let latency = family("shop_request_latency_seconds");
    assert_eq!(latency["series"][0]["count"], 1);
    assert!((latency["series"][0]["quantiles"][0][1].as_f64().expect("a number") - 0.25).abs() <= 0.0025, "{latency}");
    assert_eq!(
        latency["series"][1],
        json!({"labels": {"path": "/b"}, "count": 0, "sum": 0, "quantiles": [[0.5, null]]})
    );
    let group = json!([{
        "prefix": "shop", "work": "request", "latency": "shop_request_latency_seconds",
        "exceptions": "shop_request_exceptions_total",
    }]);
    assert_eq!((&snapshot["groups"], &snapshot["skipped"], &snapshot["problems"]), (&group, &json!(0), &json!([])));
    let time = |name: &str| snapshot[name].as_f64().expect("a number");
    assert!(time("started") <= time("time") && time("started") > 1.7e9, "{snapshot:?}");
}

#[test]
fn a_snapshot_has_any_label_value() {
    const VALUES: [&str; 10] =
        ["", "a", "\"", "\\", "\n", "a\\\"b\nc\\", "\\\\\"", "ü\u{1F600}", "\",b=\"x", "\t\u{7f}=,"];
    let registry = Registry::new();
    let family = Counter::builder("any_total", "Any.").labels(["a", "b"]).register_in(&registry).expect("valid");
    for first in VALUES {
        VALUES.iter().for_each(|second| family.labels([first, second]).inc());
    }
    let snapshot = snapshot(serve(&registry));
    let families = snapshot["families"].as_array().expect("a list");
    let any = families.iter().find(|family| family["name"] == "any_total").expect("the family");
    let labels = |first: &str, second: &str| json!({"labels": {"a": first, "b": second}, "value": 1});
    let expected: Vec<_> = VALUES.iter().flat_map(|first| VALUES.map(|second| labels(first, second))).collect();
    let series = any["series"].as_array().expect("a list");
    assert_eq!(series.len(), expected.len());
    assert!(expected.iter().all(|expected| series.contains(expected)), "{series:?}");
}

#[test]
fn viewers_share_a_snapshot_and_nobody_else_pays_for_it() {
    let registry = Registry::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    register(&registry, &["counted"], move |visitor| {
        counted.fetch_add(1, Ordering::SeqCst);
        visitor.family(&FamilyInfo::new("counted", "", Kind::Gauge));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        Ok(())
    });
    let addr = serve(&registry);
    let viewers: Vec<_> = (0..20).map(|_| thread::spawn(move || snapshot(addr))).collect();
    let mut snapshots: Vec<Json> = viewers.into_iter().map(|viewer| viewer.join().expect("no panic")).collect();
    let runs_of_all = runs.load(Ordering::SeqCst);
    snapshots.dedup();
    // Twenty requests usually take far less than a second, but may not on a busy machine.
    assert!(runs_of_all == snapshots.len() && runs_of_all < 20, "{runs_of_all} runs, {} snapshots", snapshots.len());
    let last = snapshots.pop().expect("a snapshot");
    wait_until("the next snapshot", || snapshot(addr)["time"].as_f64() > last["time"].as_f64());
    assert_eq!(runs.load(Ordering::SeqCst), runs_of_all + 1);
    let zipped = ask(addr, "GET /?snapshot", "Accept-Encoding: gzip\r\n");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert!(serde_json::from_slice::<Json>(&zipped.unzipped()).is_ok());
}

#[test]
fn without_javascript_the_page_has_a_table() {
    let registry = Registry::new();
    let family = Counter::builder("served_total", "").labels(["user"]).register_in(&registry).expect("valid");
    family.labels(["</noscript><script>alert(1)</script>'\"&"]).inc_by(7);
    Gauge::builder("open", "").register_in(&registry).expect("valid").set(0.5);
    let answer = ask(serve(&registry), "GET /", "Accept-Encoding: gzip\r\n");
    let page = String::from_utf8(answer.unzipped()).expect("UTF-8");
    let table = between(&page, "<noscript>", "</noscript>");
    let escaped = "user=&lt;/noscript&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&quot;&amp;";
    for row in [
        format!("<tr><th scope=\"row\">served_total</th><td>{escaped}</td><td>7</td></tr>"),
        "<tr><th scope=\"row\">open</th><td></td><td>0.5</td></tr>".to_owned(),
    ] {
        assert!(table.contains(&row), "{row}\n{table}");
    }
}

#[test]
fn the_page_links_to_the_exposition_under_its_own_path() {
    let registry = Registry::new();
    Counter::builder("served_total", "").register_in(&registry).expect("valid").inc();
    let addr = serve(&registry);
    let metrics = ask(addr, "GET /?metrics", "");
    assert_eq!(metrics.body, ask(addr, "GET /metrics", "").body);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for (line, status) in
        [("HEAD /", 200), ("HEAD /?snapshot", 200), ("POST /", 405), ("POST /?snapshot", 405), ("GET //", 404)]
    {
        let answer = ask(addr, line, "");
        assert_eq!(answer.status(), status, "{line}");
        assert!(status != 200 || answer.body.is_empty(), "{line}");
    }
    let hidden = HttpServer::builder().registry(&registry).live_page(false).start("127.0.0.1:0").expect("a free port");
    assert_eq!(ask(hidden.local_addr(), "GET /", "").status(), 404);
    assert_eq!(ask(hidden.local_addr(), "GET /metrics", "").status(), 200);
}

#[test]
fn a_website_cannot_read_the_page_through_a_name_that_resolves_to_loopback() {
    let addr = serve(&Registry::new());
    let status = |host: &str, path: &str| {
        Answer::read(send(addr, format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes())).status()
    };
    for path in ["/", "/?snapshot", "/?metrics"] {
        assert_eq!(status("Host: rebound.example.com:9464\r\n", path), 403, "{path}");
        for host in [format!("Host: {addr}\r\n"), "Host: localhost:9464\r\n".to_owned()] {
            assert_eq!(status(&host, path), 200, "{host}");
        }
    }
    // Scrapers may use any name.
    assert_eq!(status("Host: metrics.example.com\r\n", "/metrics"), 200);
}

#[test]
fn a_large_registry_is_cut_off() {
    let registry = Registry::new();
    let family = Counter::builder("large_total", "").labels(["n"]).max_series(60_000).register_in(&registry);
    let family = family.expect("valid");
    let text = "x".repeat(100);
    for n in 0..60_000 {
        family.labels([&format!("{text}{n}")]).inc();
    }
    let snapshot = snapshot(serve(&registry));
    let skipped = snapshot["skipped"].as_u64().expect("a number");
    let families = snapshot["families"].as_array().expect("a list").iter();
    let shown: usize = families.map(|family| family["series"].as_array().expect("a list").len()).sum();
    assert!(skipped > 0 && shown > 20_000, "{shown} shown, {skipped} skipped");
    assert!(shown as u64 + skipped >= 60_000, "{shown} shown, {skipped} skipped");
}

#[test]
fn pages_that_are_created_for_each_request_share_a_snapshot() {
    let registry = Registry::new();
    Counter::builder("served_total", "").register_in(&registry).expect("valid").inc();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let exposition = Exposition::of(&registry);
    let snapshot = || {
        let request = http::Request::get("/?snapshot").body(()).expect("valid");
        let body = runtime.block_on(async { exposition.live_page().respond(&request).await.collect().await });
        let snapshot: Json = serde_json::from_slice(&body.expect("a body").to_bytes()).expect("JSON");
        snapshot
    };
    let first = snapshot();
    assert_eq!(snapshot()["started"], first["started"]);
    wait_until("the next snapshot", || snapshot()["time"].as_f64() > first["time"].as_f64());
    assert_eq!(snapshot()["started"], first["started"]);
}

#[test]
fn responses_of_the_page_count_toward_the_limit() {
    let registry = Registry::new();
    let server = HttpServer::builder().registry(&registry).max_scrapes(1).start("127.0.0.1:0").expect("a free port");
    let addr = server.local_addr();
    let family = Counter::builder("large_total", "").labels(["n"]).max_series(40_000).register_in(&registry);
    let family = family.expect("valid");
    let text = "x".repeat(100);
    (0..40_000).for_each(|n| family.labels([&format!("{text}{n}")]).inc());
    // A client that does not read its response keeps its slot for some seconds.
    let unread = send(addr, b"GET /?snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n");
    unread.peek(&mut [0]).expect("the response has begun");
    wait_until("a limited response", || {
        ask(addr, "GET /metrics?name[]=none", "X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n").status() == 503
    });
    drop(unread);
    wait_until("a free slot", || {
        ask(addr, "GET /metrics?name[]=none", "X-Prometheus-Scrape-Timeout-Seconds: 0.2\r\n").status() == 200
    });
}
