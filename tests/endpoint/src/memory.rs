//! The memory used for a response does not depend on the size of the registry.

#![allow(unsafe_code, reason = "an allocator requires unsafe code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;

use http::Request;
use http_body_util::BodyExt;
use metrics_core::{Counter, Exposition, GraphiteBridge, Registry};

/// Tracks the current and peak number of allocated bytes.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

fn add(size: usize) {
    let size = isize::try_from(size).unwrap_or(isize::MAX);
    MOST.fetch_max(LIVE.fetch_add(size, Ordering::Relaxed) + size, Ordering::Relaxed);
}

// SAFETY: all calls are forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(isize::try_from(layout.size()).unwrap_or(isize::MAX), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Returns the peak additional memory for a response, and the length of the response.
async fn answer(registry: &Registry, accept: &str, encoding: &str) -> (isize, usize) {
    let exposition = Exposition::of(registry);
    let request =
        Request::get("/metrics").header("accept", accept).header("accept-encoding", encoding).body(()).expect("valid");
    let before = LIVE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut body = exposition.respond(&request).await.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.expect("no error").into_data().expect("data").len();
    }
    (MOST.load(Ordering::Relaxed) - before, length)
}

/// Returns the peak additional memory for a push to Graphite, and the number of bytes pushed.
fn push(registry: &Registry) -> (isize, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let bridge = GraphiteBridge::new(listener.local_addr().expect("an address").to_string()).registry(registry);
    let reading = thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        io::copy(&mut connection, &mut io::sink()).expect("no error")
    });
    let before = LIVE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    bridge.push().expect("it is read");
    (MOST.load(Ordering::Relaxed) - before, reading.join().expect("no panic"))
}

#[tokio::test(flavor = "current_thread")]
async fn a_large_registry_takes_no_more_than_a_small_one() {
    const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let registry = Registry::new();
    let family = Counter::builder("long_total", "Long.").labels(["n"]).max_series(200_000).register_in(&registry);
    let family = family.expect("valid");
    for n in 0..200_000_u32 {
        family.labels([&format!("{n:020}")]).inc_by(n);
    }
    for (accept, most) in [("text/plain", 700_000), ("application/openmetrics-text", 700_000), (PROTOBUF, 6_000_000)] {
        for encoding in ["identity", "gzip"] {
            let (bytes, length) = answer(&registry, accept, encoding).await;
            println!("{accept} {encoding}: {bytes} bytes for {length}");
            assert!(bytes < most, "{accept} {encoding}: {bytes} bytes");
            assert!(length > if encoding == "gzip" { 700_000 } else { 8_000_000 }, "{accept} {encoding}: {length}");
        }
    }
    // Different label sets may map to the same Graphite name, so a push keeps the hashes of all names until it ends.
    let (bytes, length) = push(&registry);
    println!("Graphite: {bytes} bytes for {length}");
    assert!(bytes < 200_000 * 30 + 300_000, "{bytes} bytes");
    assert!(length > 8_000_000, "{length}");
}
