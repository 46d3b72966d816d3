use metrics_core::instrument;

#[instrument("/foo", max_series = -1)]
fn foo() {}

fn main() {
    foo();
}
