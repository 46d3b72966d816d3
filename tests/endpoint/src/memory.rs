//! The size of a registry does not show in the memory that an answer takes.

#![allow(unsafe_code, reason = "an allocator can be written in no other way")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;

use http::Request;
use http_body_util::BodyExt;
use metrics_core::{Counter, Exposition, GraphiteBridge, Registry};

/// Counts the bytes that are allocated, and the most there were.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static MOST: AtomicIsize = AtomicIsize::new(0);

fn add(size: usize) {
    let size = isize::try_from(size).unwrap_or(isize::MAX);
    MOST.fetch_max(LIVE.fetch_add(size, Ordering::Relaxed) + size, Ordering::Relaxed);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's contract is the one of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(isize::try_from(layout.size()).unwrap_or(isize::MAX), Ordering::Relaxed);
        // SAFETY: the caller's contract is the one of the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that an answer takes at once, and how long it is.
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

/// The most bytes that a push to Graphite takes at once, and how long it is.
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
    // Graphite has no label sets that differ where names are the same: their hashes are kept until the end.
    let (bytes, length) = push(&registry);
    println!("Graphite: {bytes} bytes for {length}");
    assert!(bytes < 200_000 * 30 + 300_000, "{bytes} bytes");
    assert!(length > 8_000_000, "{length}");
}
