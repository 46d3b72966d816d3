//! Usage examples for the options, shown in error messages.

/// Returns the option with an example value, as written in the attribute.
pub(super) fn usage(option: &str) -> &'static str {
    match option {
        "prefix" => "prefix = \"my_service\"",
        "latency" => "latency = METRICS.request_latency_seconds",
        "exceptions" => "exceptions = METRICS.request_exceptions_total",
        "cancelled" => "cancelled = METRICS.request_cancelled_total",
        "in_flight" => "in_flight = METRICS.requests_in_flight",
        "exception_if" => "exception_if = |out: &Response| out.status() >= 500",
        "max_series" => "max_series = 2_000",
        _ => "crate = path::to::metrics_core",
    }
}
