use metrics_core::instrument;

#[instrument("/foo", latency = 5, in_flight = true)]
fn foo() {}

fn main() {}
