use metrics_core::instrument;

#[instrument(7, "/foo")]
fn foo() {}

fn main() {
    foo();
}
