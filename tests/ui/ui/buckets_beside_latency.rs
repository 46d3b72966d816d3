use metrics_core::instrument;

#[instrument("/foo", latency = LATENCY, buckets(0.1, 0.5))]
fn foo() {}

fn main() {
    foo();
}
