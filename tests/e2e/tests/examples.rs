//! Tests the smaller examples, and those of the frameworks in new projects.

use std::fs;
use std::path::Path;

use crate::example::{self, Example};
use crate::{get, pasted, readers};

fn metrics(addr: &str) -> String {
    let (status, text) = get(&format!("http://{addr}/metrics")).expect("an answer");
    assert_eq!(status, 200);
    readers::promtool_is_content(&text);
    text
}

#[test]
fn quickstart() {
    let mut quickstart = Example::start("quickstart", &["127.0.0.1:0"]);
    let addr = quickstart.addr();
    let at = |line: &str| metrics(&addr).lines().any(|written| written == line);
    assert!(at("quickstart_function_latency_seconds_count{function=\"quickstart::parse\"} 0"));
    for (line, answer) in [("7", "7\n"), (" 42 ", "42\n"), ("seven", "invalid digit found in string\n")] {
        quickstart.write(line);
        assert_eq!(quickstart.line(), answer);
    }
    assert!(at("quickstart_function_latency_seconds_count{function=\"quickstart::parse\"} 3"));
    assert!(at("quickstart_function_exceptions_total{function=\"quickstart::parse\"} 1"));
    let (status, rest) = quickstart.finish();
    assert!(status.success() && rest.is_empty(), "{rest}");
}

#[test]
fn push_target() {
    let mut target = Example::start("push_target", &["0.02"]);
    for line in ["hello", "", "world"] {
        target.write(line);
    }
    // Each push prints the current values. Strip the timestamps.
    let mut line = || target.line().split_once(' ').map(|(_, line)| line.trim_end().to_owned());
    while line().as_deref() != Some("line_length_bytes 3 times, 3.333 on average") {}
    assert_eq!(line().as_deref(), Some("lines_total kind=empty 1"));
    assert_eq!(line().as_deref(), Some("lines_total kind=other 2"));
    target.write("the last one");
    let (status, rest) = target.finish();
    assert!(status.success(), "{rest}");
    let last = rest.lines().rfind(|line| line.contains(" lines_total kind=other ")).expect("it is sent");
    assert!(last.ends_with(" 3"), "{rest}");
}

#[test]
fn by_hand() {
    let mut by_hand = Example::start("by_hand", &["127.0.0.1:0"]);
    let addr = by_hand.addr();
    let at = |line: &str| metrics(&addr).lines().any(|written| written == line);
    assert!(at("my_router_request_latency_seconds_count{path=\"/foo\"} 0"));
    assert!(at("my_router_request_exceptions_total{path=\"/bar\"} 0"));
    for (path, answer) in [("/foo", "foo\n"), ("/bar", "error: bar is broken\n"), ("/else", "not found\n")] {
        by_hand.write(path);
        assert_eq!(by_hand.line(), answer);
    }
    assert!(at("my_router_request_latency_seconds_count{path=\"/foo\"} 1"));
    assert!(at("my_router_request_exceptions_total{path=\"/bar\"} 1"));
    assert!(by_hand.finish().0.success());
}

#[test]
fn statuses() {
    let (status, text, error) = example::run("statuses", &[]);
    assert!(status.success(), "{error}");
    for line in [
        "shop_request_latency_seconds_count{path=\"/order\",status=\"2xx\"} 7",
        "shop_request_latency_seconds_count{path=\"/order\",status=\"4xx\"} 2",
        "shop_request_latency_seconds_count{path=\"/panic\",status=\"panic\"} 1",
        "shop_request_latency_seconds_count{path=\"other\",status=\"4xx\"} 1",
        "shop_request_exceptions_total{path=\"/order\",status=\"4xx\"} 0",
        "shop_request_exceptions_total{path=\"/order\",status=\"5xx\"} 1",
        "orders_request_exceptions_total{path=\"take\",kind=\"database\"} 1",
        "orders_request_exceptions_total{path=\"take\",kind=\"panic\"} 0",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
}

#[test]
fn async_handlers() {
    let (status, text, error) = example::run("async_handlers", &[]);
    assert!(status.success(), "{error}");
    readers::promtool_is_content(&text);
    for line in [
        "async_handlers_request_latency_seconds_count{path=\"/foo\"} 10",
        "async_handlers_request_exceptions_total{path=\"/bar\"} 5",
        "async_handlers_request_exceptions_total{path=\"/slow\"} 0",
        "async_handlers_request_cancelled_total{path=\"/slow\"} 10",
        "async_handlers_requests_in_flight{path=\"/slow\"} 0",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
}

#[test]
fn derive() {
    let (status, text, error) = example::run("derive", &[]);
    assert!(status.success(), "{error}");
    let (said, exposition) = text.split_once("# HELP").expect("an exposition");
    assert_eq!(said, "/basket: added\n/basket: a basket\n/login: hello\n/nowhere: error: page not found\n");
    readers::promtool_is_content(&format!("# HELP{exposition}"));
    for line in [
        "shop_request_latency_seconds_count{path=\"/basket\",method=\"POST\"} 1",
        "shop_request_exceptions_total{path=\"/nowhere\",method=\"GET\"} 1",
        "shop_logins_total{method=\"POST\",successful=\"true\"} 1",
        "shop_logins_total{method=\"GET\",successful=\"false\"} 0",
        "shop_basket_items 1",
    ] {
        assert!(text.lines().any(|written| written == line), "{line}\n{text}");
    }
}

#[test]
fn catalog() {
    let (status, text, error) = example::run("catalog", &[]);
    assert!(status.success(), "{error}");
    let rows: Vec<&str> = text.lines().skip(2).collect();
    assert_eq!(rows.len(), 4, "{text}");
    let jobs = "| `worker_jobs_total` | counter | `queue` (mail, invoices) | Jobs done. | examples/basics/catalog.rs:";
    assert!(rows[0].starts_with(jobs), "{text}");
    let latency = "| `worker_request_latency_seconds` | summary | `path` (/jobs, /health, other) | Latency of requests, in seconds. |";
    assert!(rows[3].starts_with(latency), "{text}");
}

/// Returns a dependency block from a guide. Each page has one block per example.
fn dependencies(page: &str, number: usize) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("metrics-core/src/guide").join(page)).expect("a page");
    text.split("```toml\n").nth(number + 1).and_then(|rest| rest.split("```").next()).expect("a block").to_owned()
}

/// Tests run in alphabetical order, so the programs are built while many others wait for servers.
#[test]
fn all_frameworks_work_in_new_projects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (name, page, number) in [
        ("axum", "axum.md", 0),
        ("actix", "actix.md", 0),
        ("hyper", "tower.md", 0),
        ("tonic", "tower.md", 1),
        ("graphite", "graphite.md", 0),
    ] {
        let main = fs::read_to_string(root.join(format!("examples/{name}.rs"))).expect("readable");
        let program = pasted::build(&format!("pasted-{name}"), &dependencies(page, number), &main);
        let mut pasted = Example::start_file(&program, &["127.0.0.1:0", "127.0.0.1:0"]);
        let (_service, metrics) = (pasted.addr(), pasted.addr());
        let (status, text) = get(&format!("http://{metrics}/metrics")).expect("an answer");
        assert!(status == 200 && text.contains("metrics_core_scrapes_total"), "{name}: {text}");
    }
}
