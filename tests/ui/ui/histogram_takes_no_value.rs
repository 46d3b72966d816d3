use metrics_core::instrument;

#[instrument("/a", histogram = true)]
fn a() {}

#[instrument("/b", histogram(0.1, 1.0))]
fn b() {}

fn main() {}
