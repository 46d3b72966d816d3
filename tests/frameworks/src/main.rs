//! The adapters for web frameworks, each in its framework, over real sockets.

mod actix;
mod axum;
mod behavior;
mod cap;
mod client;
mod hyper;
mod interop;
mod tonic;

use std::time::{Duration, Instant};

/// Waits until `condition` gives something.
fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
