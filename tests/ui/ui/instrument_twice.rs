//! Two `#[instrument]` attributes on a function.

use metrics_core::instrument;

#[instrument("/x")]
#[instrument("/y")]
fn handler() {}

fn main() {
    handler();
}
