#[metrics_core::instrument]
fn route() {}

#[derive(metrics_core::Metrics)]
struct Shop {
    /// Items.
    items: metrics_core::Gauge,
}

#[derive(metrics_core::LabelValue)]
enum Method {
    Get,
}

fn main() {
    metrics_core::process_metrics!();
    metrics_core::process_metrics!(revision = "0123");
    metrics_core::start_http_server("127.0.0.1:9464");
    metrics_core::GraphiteBridge::new("localhost:2003");
    metrics_core::RequestMetrics::new();
}
