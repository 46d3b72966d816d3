//! Tests for `metrics-core` through its public API.

mod amounts;
mod bridge;
mod catalog;
mod collecting;
mod concurrency;
mod deriving;
mod deriving_help;
mod distributions;
mod families;
mod graphite;
mod graphite_connections;
mod http;
mod instrument_arguments;
mod instrument_kinds;
mod instrument_labels;
mod instrument_outcomes;
mod instrument_sites;
mod latency_types;
mod layers;
mod monitor;
mod otlp;
mod overflow;
mod pushing;
mod registering;
mod remote_write;
mod removal;
mod scraping;
mod states;
mod statsd;
mod statsd_delivery;
mod statsd_increases;
mod test_helpers;
mod text;
mod text_file;
mod thread_end;
mod timing;
mod unsafe_code;

use metrics_core::Registry;

/// Returns the value of this series in the global registry, or `None` if the series is not exported.
fn sample(series: &str) -> Option<f64> {
    sample_in(&Registry::global().to_text(), series)
}

fn sample_in(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn internal_errors(kind: &str) -> f64 {
    sample(&format!("metrics_core_internal_errors_total{{kind=\"{kind}\"}}")).expect("all kinds are exported")
}
