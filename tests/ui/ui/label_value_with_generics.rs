use metrics_core::*;

#[derive(LabelValue)]
enum Method<T> {
    Get,
}

fn main() {}
