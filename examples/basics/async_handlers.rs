//! Async handlers without a common router, each annotated with its path. A timeout cancels one of them.
//!
//! `cargo run --release --example async_handlers`

use std::time::Duration;

use metrics_core::{Registry, instrument};
use tokio::time::{sleep, timeout};

/// Always succeeds.
#[instrument("/foo", in_flight)]
async fn foo() -> Result<&'static str, &'static str> {
    sleep(Duration::from_millis(1)).await;
    Ok("foo")
}

/// Fails for even numbers.
#[instrument("/bar", in_flight)]
async fn bar(number: u32) -> Result<&'static str, &'static str> {
    if number.is_multiple_of(2) { Err("bar is broken") } else { Ok("bar") }
}

/// Takes longer than its caller's timeout.
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
        // The timeout drops the future, which counts as a canceled call, not as an exception.
        timeout(Duration::from_millis(2), slow()).await.ok();
    }
    print!("{}", Registry::global().to_text());
}
