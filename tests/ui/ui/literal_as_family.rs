use metrics_core::instrument;

#[instrument("/foo", latency = 5, in_flight = true)]
fn foo() {}

#[instrument("/bar", exceptions = "x", exception_if = true)]
fn bar() {}

fn main() {}
