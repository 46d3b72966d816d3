use metrics_core::instrument;

#[instrument("/foo", cancelled = CANCELLED)]
fn foo() {}

fn main() {
    foo();
}
