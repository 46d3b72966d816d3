//! Collectors in a process that cannot spawn threads, for example because its container has reached the thread limit.

#![cfg(target_os = "linux")]
use std::env;
use std::future::Future;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use http_body::Body;
use metrics_core::{Exposition, Gauge, GraphiteBridge, Registry, Summary};

/// The environment variable from which the standard library reads the stack size of new threads.
const STACK: &str = "RUST_MIN_STACK";

#[test]
fn collectors_run_on_the_scraping_thread() {
    if env::var_os(STACK).is_some() {
        shows_everything();
        return;
    }
    // Run the test again in a child process whose thread stacks do not fit into the address space.
    let mut same = Command::new(env::current_exe().expect("known"));
    let output = same.arg("--test-threads=1").env(STACK, (usize::MAX / 16 * 15).to_string()).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn shows_everything() {
    let spawned = thread::Builder::new().spawn(|| ());
    assert!(spawned.is_err(), "threads can still be spawned");
    let (outer, inner) = (Registry::new(), Registry::new());
    let jobs = prometheus::IntCounter::new("jobs_total", "Jobs done.").expect("valid");
    outer.register_prometheus_collector(Box::new(jobs)).expect("valid");
    Gauge::builder("inner", "").register_in(&inner).expect("valid");
    inner.register_prometheus_collector(Box::new(outer.clone())).expect("valid");
    outer.register_prometheus_collector(Box::new(inner)).expect("valid");
    let expected =
        "# TYPE inner gauge\ninner 0\n# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total 0\n";
    for _ in 0..10 {
        assert_eq!(outer.to_text(), expected);
    }
    // Without the thread that ends the slices of a window, scrapes end them.
    let quantiles = Registry::new();
    let builder = Summary::builder("quantiles", "").quantiles([0.5]).max_age(Duration::from_secs(1));
    let summary = builder.register_in(&quantiles).expect("valid");
    summary.observe(1);
    assert!(quantiles.to_text().contains("quantiles{quantile=\"0.5\"} 1.00"), "{}", quantiles.to_text());
    let begin = Instant::now();
    while !quantiles.to_text().contains("quantiles{quantile=\"0.5\"} NaN") {
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", quantiles.to_text());
        thread::yield_now();
    }
    let theirs = prometheus::IntCounter::new("theirs_total", "Theirs.").expect("valid");
    prometheus::register(Box::new(theirs)).expect("free");
    let text = Registry::global().to_text();
    assert!(text.contains("\ntheirs_total 0\n"), "{text}");
    let errors = text
        .lines()
        .find_map(|line| line.strip_prefix("metrics_core_internal_errors_total{kind=\"thread_spawn_failed\"} "));
    let errors: u64 = errors.and_then(|count| count.parse().ok()).expect("counted");
    assert!(errors >= 30, "{errors}");
    // Poll only the request's task, as in a server that is already running.
    let request = http::Request::new(());
    let mut response = pin!(Exposition::of(&outer).respond(&request));
    let Poll::Ready(response) = response.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the task does not run the collectors")
    };
    let mut body = pin!(response.into_body());
    let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) else {
        panic!("no body")
    };
    assert_eq!(frame.into_data().expect("data"), expected);
    let error = GraphiteBridge::new("127.0.0.1:2003").start(Duration::from_secs(1)).expect_err("no thread");
    assert_ne!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
}
