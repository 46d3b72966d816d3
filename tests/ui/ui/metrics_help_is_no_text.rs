use metrics_core::*;

#[derive(Metrics)]
struct Shop {
    #[metric(help = "")]
    items: Gauge,
    #[doc = concat!(" ", "\n")]
    baskets: Gauge,
    #[metric(help = 5)]
    customers: Gauge,
    #[metric(help = format!("of {}", 5))]
    employees: Gauge,
}

fn main() {}
