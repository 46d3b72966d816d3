use metrics_core::*;

#[derive(LabelValue)]
enum Method {}

fn main() {}
