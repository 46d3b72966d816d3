//! Runs the examples as users do and scrapes them with a real Prometheus.
//!
//! `tests/run` installs the programs that these tests need.

mod batch;
mod browser;
mod carbon;
mod dashboard;
mod differential;
mod distributions;
mod example;
mod examples;
mod exemplars;
mod formats;
mod graphite;
mod hostile;
mod live;
mod mixed_labels;
mod odd_families;
mod pasted;
mod prometheus;
mod promql;
mod readers;
mod readme;
mod receiver;
mod router;
mod rules;
mod services;
mod style;

use std::time::{Duration, Instant};

/// Calls `ask` until it returns a value. Panics after one minute.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fetches `url` and returns the status and body of the response, even if the status is an error.
fn get(url: &str) -> Result<(u16, String), ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut response = agent.get(url).call()?;
    Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
}
