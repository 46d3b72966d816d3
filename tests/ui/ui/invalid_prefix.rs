use metrics_core::instrument;

#[instrument("/foo", prefix = "my-service")]
fn foo() {}

#[instrument("/bar", prefix = PREFIX)]
fn bar() {}

fn main() {
    foo();
    bar();
}
