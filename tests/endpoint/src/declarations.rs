//! Servers start, and scrapes are not delayed, even if evaluating a list of label values hangs.

#[allow(dead_code, reason = "the other tests use all of it")]
mod client;

use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use client::ask;
use metrics_core::{Counter, instrument, start_http_server};
use serde_json::Value as Json;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Untouched,
    Hangs,
    Released,
}

static STATE: (Mutex<State>, Condvar) = (Mutex::new(State::Untouched), Condvar::new());

fn routes() -> Vec<&'static str> {
    let mut state = STATE.0.lock().expect("no panic");
    *state = State::Hangs;
    STATE.1.notify_all();
    drop(STATE.1.wait_while(state, |state| *state != State::Released).expect("no panic"));
    vec!["/foo"]
}

#[instrument(path in routes())]
fn route(path: &str) -> usize {
    path.len()
}

#[test]
fn scrapes_are_answered_while_a_list_hangs() {
    Counter::builder("served_total", "Served.").register().inc();
    let initializing = thread::spawn(metrics_core::init);
    let state = STATE.0.lock().expect("no panic");
    drop(STATE.1.wait_while(state, |state| *state != State::Hangs).expect("no panic"));
    let server = start_http_server("127.0.0.1:0").expect("a free port");
    let known = "declarations_request_latency_seconds_count{path=\"/foo\"} 0\n";
    for _ in 0..3 {
        let begin = Instant::now();
        let answer = ask(server.local_addr(), "GET /metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.5\r\n");
        assert!(answer.text().contains("\nserved_total 1\n") && !answer.text().contains(known), "{}", answer.text());
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    }
    for line in ["GET /", "GET /?snapshot"] {
        assert!(ask(server.local_addr(), line, "").text().contains("served_total"), "{line}");
    }
    *STATE.0.lock().expect("no panic") = State::Released;
    let released = Instant::now();
    STATE.1.notify_all();
    initializing.join().expect("no panic");
    let answer = ask(server.local_addr(), "GET /metrics", "");
    assert!(answer.text().contains(known), "{}", answer.text());
    assert_eq!(route("/foo"), 4);
    let line = line!() + 1;
    let _ = Counter::builder("served_total", "Served.").labels(["user"]).register();
    let has_problem = || {
        let snapshot: Json =
            serde_json::from_slice(&ask(server.local_addr(), "GET /?snapshot", "").body).expect("JSON");
        let problems = snapshot["problems"].as_array().expect("a list").clone();
        let problem = problems.iter().find(|problem| problem["family"] == "served_total")?;
        let (message, location) = (problem["message"].as_str()?.to_owned(), problem["location"].as_str()?.to_owned());
        Some((message, location))
    };
    let problem = loop {
        if let Some(problem) = has_problem() {
            break problem;
        }
        // The snapshot may have been taken before the declaration.
        assert!(released.elapsed() < Duration::from_secs(30), "no problem");
    };
    assert!(problem.0.contains("label names"), "{problem:?}");
    assert!(problem.1.ends_with(&format!("declarations.rs:{line}")), "{problem:?}");
    server.shutdown();
}
