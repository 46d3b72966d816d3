//! The exposition formats, and the HTTP server with clients of all kinds.

mod client;
mod collectors;
mod floods;
mod formats;
mod limits;
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
        assert!(begin.elapsed() < Duration::from_secs(30), "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The value of a series of the global registry.
fn global(series: &str) -> f64 {
    let text = Registry::global().to_text();
    let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    rest.and_then(|rest| rest.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{text}"))
}
