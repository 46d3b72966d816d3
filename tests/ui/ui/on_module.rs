use metrics_core::instrument;

#[instrument]
mod handlers {}

fn main() {}
