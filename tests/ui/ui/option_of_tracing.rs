use metrics_core::instrument;

#[instrument(name = "foo", level = "debug", skip_all = 1)]
fn foo() {}

fn main() {}
