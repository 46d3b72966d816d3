use metrics_core::testing::Snapshot;
use metrics_core::{Exposition, GraphiteBridge, HttpServer, Pusher, RequestMetrics, Tls, start_http_server};
use metrics_core::{Metrics, instrument, process_metrics};

fn main() {}
