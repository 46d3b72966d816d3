use metrics_core::instrument;

#[instrument("/foo", prefix)]
fn foo() {}

#[instrument("/bar", exceptions)]
fn bar() {}

fn main() {
    foo();
    bar();
}
