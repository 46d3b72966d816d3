use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    #[metric(flatten)]
    primary: Db,
    #[metric(flatten)]
    replica: Db,
    #[metric(flatten, prefix = "third")]
    third: Db,
}

#[derive(Metrics)]
struct Db {}

fn main() {}
