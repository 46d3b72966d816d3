//! The live page in Chromium: the router under traffic, hostile label values, and a browser without JavaScript.

use std::collections::BTreeMap;

use metrics_core::{Counter, Gauge, Histogram, HttpServer, Registry};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::example::Example;
use crate::{get, wait_for};

/// The totals of each endpoint in the table: requests and exceptions.
fn totals(browser: &Browser) -> BTreeMap<String, [f64; 2]> {
    let rows = browser.run(
        "return [...document.querySelectorAll('[data-endpoint]')].map((row) => [row.dataset.endpoint, \
         ...['requests', 'exceptions'].map((field) => Number(row.querySelector(`[data-field=${field}]`).dataset.value))])",
    );
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| {
        let number = |at: usize| row[at].as_f64().unwrap_or_else(|| panic!("{row}"));
        (row[0].as_str().expect("a name").to_owned(), [number(1), number(2)])
    })
    .collect()
}

/// The same totals in the exposition.
fn exposed(metrics: &str) -> BTreeMap<String, [f64; 2]> {
    let (_, text) = get(&format!("http://{metrics}/metrics")).expect("an answer");
    let mut totals: BTreeMap<String, [f64; 2]> = BTreeMap::new();
    for (at, sample) in
        ["my_router_request_latency_seconds_count", "my_router_request_exceptions_total"].into_iter().enumerate()
    {
        for line in text.lines().filter_map(|line| line.strip_prefix(sample)?.strip_prefix("{path=\"")) {
            let (path, value) = line.split_once("\"} ").expect("a value");
            totals.entry(path.to_owned()).or_default()[at] = value.parse().expect("a number");
        }
    }
    totals
}

/// The endpoints in the order of the table.
fn order(browser: &Browser) -> Vec<String> {
    let names =
        browser.run("return [...document.querySelectorAll('[data-endpoint]')].map((row) => row.dataset.endpoint)");
    names.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

fn text(browser: &Browser) -> String {
    browser.run("return document.body.innerText").as_str().expect("text").to_owned()
}

#[test]
fn the_page_shows_what_fails_in_a_service_under_traffic() {
    let mut router = Example::start("my_router", &["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
    let (service, metrics) = (router.addr(), router.addr());
    let browser = Browser::start(1_280, 900);
    browser.open(&format!("http://{metrics}/"));
    wait_for("the first snapshot", || (order(&browser).len() == 6).then_some(()));
    let ask = |path: &str, times: usize| (0..times).for_each(|_| drop(get(&format!("http://{service}{path}"))));
    for _ in 0..10 {
        ask("/foo", 4);
        ask("/fail", 2);
        ask("/panic", 1);
    }
    wait_for("the totals", || (totals(&browser) == exposed(&metrics)).then_some(()));
    let totals = totals(&browser);
    assert_eq!((totals["/foo"], totals["/fail"], totals["/panic"]), ([40.0, 0.0], [20.0, 20.0], [10.0, 10.0]));
    // Those that fail come first, and the page says so in words, too.
    wait_for("the order", || {
        let mut first = order(&browser).into_iter().take(2).collect::<Vec<_>>();
        first.sort();
        (first == ["/fail", "/panic"]).then_some(())
    });
    let shown = text(&browser);
    assert!(shown.contains("my_router") && shown.contains("Failing") && shown.contains("100%"), "{shown}");
    // Sorting works with the keyboard.
    browser.run("document.querySelector('th button').focus()");
    let before = browser.run("return document.activeElement.closest('th').ariaSort");
    browser.press("\u{e007}");
    let sorted = || browser.run("return document.activeElement.closest('th').getAttribute('aria-sort')");
    wait_for("a sorted column", || (sorted() != before && sorted() != Value::Null).then_some(()));
    let names = order(&browser);
    assert!(names.is_sorted() || names.iter().rev().is_sorted(), "{names:?}");
    // The filter leaves only some rows.
    browser.run("const filter = document.querySelector('#filter'); filter.value = 'fa'; filter.dispatchEvent(new Event('input'))");
    wait_for("the filtered rows", || (order(&browser) == ["/fail"]).then_some(()));
    // The service goes away, and the page says so.
    router.interrupt();
    wait_for("a notice", || text(&browser).contains("Connection lost").then_some(()));
    // Only the lost connection is an error.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("ERR_CONNECTION")), "{complaints:?}");
}

#[test]
fn the_page_fits_a_phone_is_dark_at_night_and_executes_no_label_value() {
    const HOSTILE: &str =
        "<img src=x onerror=\"document.title='hacked'\">\u{202e}'\"&amp;</script><script>alert(1)</script>";
    let registry = Registry::new();
    let latency = Histogram::builder("shop_request_latency_seconds", "Latency.").labels(["path"]);
    let latency = latency.register_in(&registry).expect("valid");
    let exceptions = Counter::builder("shop_request_exceptions_total", "Exceptions.").labels(["path", "kind"]);
    let exceptions = exceptions.register_in(&registry).expect("valid");
    for path in [HOSTILE, "/ok", &"long".repeat(250)] {
        latency.labels([path]).observe(0.1);
        exceptions.labels([path, HOSTILE]).inc();
    }
    let custom = Gauge::builder("custom", HOSTILE).labels(["n"]).register_in(&registry).expect("valid");
    custom.labels([HOSTILE]).set(1);
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let browser = Browser::start(500, 800);
    let emulate = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.command("Emulation.setEmulatedMedia", &emulate);
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true});
    browser.command("Emulation.setDeviceMetricsOverride", &phone);
    browser.open(&format!("http://{}/", server.local_addr()));
    wait_for("the rows", || (order(&browser).len() == 3).then_some(()));
    assert!(order(&browser).iter().any(|name| name == HOSTILE), "{:?}", order(&browser));
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= 360"), true);
    let brightness = browser.run(
        "return Math.max(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number))",
    );
    assert!(brightness.as_f64().expect("a number") < 60.0, "{brightness}");
    assert_ne!(browser.run("return document.title"), "hacked");
    assert_eq!(browser.run("return document.querySelectorAll('img').length"), 0);
    assert_eq!(browser.run("return document.querySelectorAll('script').length"), 1);
    let no_complaints: [String; 0] = [];
    assert_eq!(browser.complaints(), no_complaints);
}

#[test]
fn without_javascript_there_is_a_table() {
    let registry = Registry::new();
    Counter::builder("served_total", "")
        .labels(["to"])
        .register_in(&registry)
        .expect("valid")
        .labels(["<b>"])
        .inc_by(7);
    let server = HttpServer::builder().registry(&registry).start("127.0.0.1:0").expect("a free port");
    let off = json!({"profile.managed_default_content_settings.javascript": 2});
    let browser = Browser::start_with(800, 600, &[], &off);
    browser.open(&format!("http://{}/", server.local_addr()));
    let shown = wait_for("the table", || Some(text(&browser)).filter(|text| text.contains("served_total")));
    assert!(shown.contains("to=<b>") && shown.contains('7'), "{shown}");
    assert!(!shown.contains("Whole service"), "{shown}");
}

#[test]
fn the_page_survives_a_restart_with_2_000_series_and_a_url_with_credentials() {
    let start = |addr: &str, requests: u64| {
        let registry = Registry::new();
        let exceptions = Counter::builder("shop_request_exceptions_total", "Exceptions.").labels(["path"]);
        let exceptions = exceptions.register_in(&registry).expect("valid");
        let latency = Histogram::builder("shop_request_latency_seconds", "Latency.").labels(["path"]);
        let latency = latency.register_in(&registry).expect("valid");
        for n in 0..500 {
            let path = format!("/path/{n}");
            (0..requests).for_each(|_| latency.labels([&path]).observe(0.1));
            exceptions.labels([&path]);
        }
        let items = Counter::builder("items_total", "Items.").labels(["n"]).register_in(&registry).expect("valid");
        (0..1_000).for_each(|n| items.labels([&n.to_string()]).inc());
        HttpServer::builder().registry(&registry).basic_auth("scraper", "secret").start(addr).expect("a free port")
    };
    let server = start("127.0.0.1:0", 2);
    let addr = server.local_addr().to_string();
    let browser = Browser::start(1_280, 900);
    browser.open(&format!("http://scraper:secret@{addr}/"));
    let shows = |requests: f64| {
        let totals = totals(&browser);
        // The table shows the first 100 endpoints.
        (totals.len() == 100 && totals.values().all(|total| *total == [requests, 0.0])).then_some(())
    };
    wait_for("the values", || shows(2.0));
    let shown = text(&browser);
    assert!(shown.contains("100 of 500") && shown.contains("and 950 more"), "{shown}");
    server.shutdown();
    wait_for("a notice", || text(&browser).contains("Connection lost").then_some(()));
    let _server = start(&addr, 1);
    wait_for("the values after the restart", || shows(1.0));
    let shown = text(&browser);
    assert!(shown.contains("The service restarted at") && !shown.contains("Connection lost"), "{shown}");
}
