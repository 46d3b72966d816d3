use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    /// A number.
    number: u64,
}

fn main() {}
