use metrics_core::instrument;

#[instrument("/foo", latency = LATENCY, buckets(0.1, 0.5))]
fn foo() {}

#[instrument("/bar", histogram, latency = LATENCY)]
fn bar() {}

#[instrument("/baz", quantiles(0.5), latency = LATENCY)]
fn baz() {}

fn main() {
    foo();
    bar();
    baz();
}
