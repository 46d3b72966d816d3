//! Tests for the exposition formats, and for the HTTP server with well-behaved and hostile clients.

mod client;
mod collectors;
mod floods;
mod formats;
mod limits;
mod live;
mod negotiation;
mod processes;
mod secured;
mod sharing;

use std::time::{Duration, Instant};

use metrics_core::Registry;

/// Waits until `condition` holds.
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns the value of a series in the global registry.
fn global(series: &str) -> f64 {
    let text = Registry::global().to_text();
    let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    rest.and_then(|rest| rest.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{text}"))
}
