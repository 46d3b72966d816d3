//! Servers of other projects, which tests start on free ports, and requests to them.

mod server;

use std::time::{Duration, Instant};

pub use server::Server;

/// Calls `ask` until it returns a value. Panics after one minute.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
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
pub fn get(url: &str) -> Result<(u16, String), ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into();
    let mut response = agent.get(url).call()?;
    Ok((response.status().as_u16(), response.body_mut().with_config().limit(1 << 30).read_to_string()?))
}
