use metrics_core::*;

#[derive(LabelValue)]
enum Method {
    Get,
    #[label(rename = "get")]
    Fetch,
}

fn main() {}
