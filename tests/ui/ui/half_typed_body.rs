//! Bodies that do not parse. The compiler reports each syntax error only once.

use metrics_core::instrument;

#[instrument("/x")]
fn half_typed(x: &str) -> usize {
    x.
}

#[instrument("/y")]
async fn half_typed_later(x: String) -> usize {
    x.
}

fn main() {}
