use metrics_core::*;

#[derive(Metrics)]
enum Shop {
    Open,
}

#[derive(Metrics)]
struct Tuple(Counter);

fn main() {}
