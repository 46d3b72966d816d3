//! Two attributes on one function.

use metrics_core::instrument;

#[instrument("/x")]
#[instrument("/y")]
fn handler() {}

fn main() {
    handler();
}
