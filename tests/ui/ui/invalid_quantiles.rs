use metrics_core::*;

#[instrument("/foo", quantiles = [0.5, 0.9])]
fn foo() {}

#[instrument("/bar", quantiles(0.5, 1.5, 0.5))]
fn bar() {}

#[instrument("/baz", quantiles())]
fn baz() {}

#[instrument("/qux", quantiles(MEDIAN))]
fn qux() {}

#[instrument("/quux", histogram, quantiles(0.5))]
fn quux() {}

#[instrument("/corge", buckets(0.1, 1), quantiles(0.5))]
fn corge() {}

#[derive(Metrics)]
struct Shop {
    /// Sizes.
    #[metric(quantiles(99))]
    size_bytes: Summary,
    /// Prices.
    #[metric(native, quantiles(0.5))]
    price_euros: Histogram,
}

fn main() {
    foo();
    bar();
    baz();
    qux();
    quux();
    corge();
}
