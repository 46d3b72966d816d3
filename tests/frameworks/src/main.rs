//! Tests for the web framework adapters with real frameworks and sockets.

mod actix;
mod axum;
mod behavior;
mod cap;
mod client;
mod direct;
mod exemplars;
mod hyper;
mod interop;
mod live_page;
mod one_family;
mod tonic;

use std::time::{Duration, Instant};

/// Waits until `condition` returns a value. Panics after 30 seconds.
fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
