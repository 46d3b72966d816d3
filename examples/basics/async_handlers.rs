//! Handlers without a choke point, each annotated with its path; one of them is often cancelled by a timeout.
//!
//! `cargo run --release --example async_handlers`

use std::time::Duration;

use metrics_core::{Registry, instrument};
use tokio::time::{sleep, timeout};

/// Always answers.
#[instrument("/foo", in_flight)]
async fn foo() -> Result<&'static str, &'static str> {
    sleep(Duration::from_millis(1)).await;
    Ok("foo")
}

/// Answers every second time.
#[instrument("/bar", in_flight)]
async fn bar(number: u32) -> Result<&'static str, &'static str> {
    if number.is_multiple_of(2) { Err("bar is broken") } else { Ok("bar") }
}

/// Takes longer than its caller waits.
#[instrument("/slow", in_flight)]
async fn slow() -> Result<&'static str, &'static str> {
    sleep(Duration::from_secs(60)).await;
    Ok("slow")
}

#[tokio::main]
async fn main() {
    for number in 0..10 {
        foo().await.ok();
        bar(number).await.ok();
        // The future is dropped: no exception, but a cancelled call.
        timeout(Duration::from_millis(2), slow()).await.ok();
    }
    print!("{}", Registry::global().to_text());
}
