use metrics_core::*;

#[derive(LabelValue)]
enum Method {
    Get,
    Other(String),
    Named { name: String },
}

fn main() {}
