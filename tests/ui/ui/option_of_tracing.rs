use metrics_core::instrument;

#[instrument(name = "foo", level = "debug", skip_all, err)]
fn foo() {}

fn main() {}
