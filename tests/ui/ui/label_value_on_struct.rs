use metrics_core::*;

#[derive(LabelValue)]
struct Path(String);

fn main() {}
