//! A list of label values that does not come: a scrape does without it.

#[allow(dead_code, reason = "the other tests use all of it")]
mod client;

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use client::ask;
use metrics_core::{Counter, instrument, start_http_server};

static OPEN: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

fn routes() -> Vec<&'static str> {
    let open = OPEN.0.lock().expect("no panic");
    drop(OPEN.1.wait_while(open, |open| !*open).expect("no panic"));
    vec!["/foo"]
}

#[instrument(path in routes())]
fn route(path: &str) -> usize {
    path.len()
}

#[test]
fn scrapes_are_answered_while_a_list_hangs() {
    Counter::builder("served_total", "Served.").register().inc();
    let server = start_http_server("127.0.0.1:0").expect("a free port");
    let known = "declarations_request_latency_seconds_count{path=\"/foo\"} 0\n";
    for _ in 0..3 {
        let begin = Instant::now();
        let answer = ask(server.local_addr(), "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.5\r\n");
        assert!(answer.text().contains("\nserved_total 1\n") && !answer.text().contains(known), "{}", answer.text());
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }
    *OPEN.0.lock().expect("no panic") = true;
    OPEN.1.notify_all();
    let begin = Instant::now();
    while !ask(server.local_addr(), "GET /metrics", "").text().contains(known) {
        assert!(begin.elapsed() < Duration::from_secs(30), "the list did not come");
    }
    assert_eq!(route("/foo"), 4);
    server.shutdown();
}
