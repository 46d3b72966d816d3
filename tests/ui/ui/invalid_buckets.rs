use metrics_core::instrument;

#[instrument("/foo", buckets = [0.1, 0.5])]
fn foo() {}

#[instrument("/bar", buckets(0.1, 0.1))]
fn bar() {}

#[instrument("/baz", buckets())]
fn baz() {}

#[instrument("/qux", buckets(FAST, 1))]
fn qux() {}

fn main() {
    foo();
    bar();
    baz();
    qux();
}
