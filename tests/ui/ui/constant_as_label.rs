use metrics_core::instrument;

const PATH: &str = "/foo";

#[instrument(PATH)]
fn foo() {}

fn main() {}
