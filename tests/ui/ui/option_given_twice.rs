use metrics_core::instrument;

#[instrument("/foo", prefix = "one", prefix = "two")]
fn foo() {}

fn main() {
    foo();
}
