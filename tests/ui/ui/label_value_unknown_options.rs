use metrics_core::*;

#[derive(LabelValue)]
#[label(rename_all = "Snake_Case")]
enum Method {
    #[label(name = "get")]
    Get,
}

fn main() {}
