//! The IDs of the current OpenTelemetry span. The span may also come from the `tracing` crate, because
//! `tracing-opentelemetry` makes the OpenTelemetry span of an entered `tracing` span the current one.

use opentelemetry::trace::get_active_span;

/// Returns the IDs of the current span. Returns `None` if its trace is not sampled, because no backend stores it.
pub(super) fn current() -> Option<[(&'static str, String); 2]> {
    get_active_span(|span| {
        let context = span.span_context();
        (context.is_valid() && context.is_sampled())
            .then(|| [("trace_id", context.trace_id().to_string()), ("span_id", context.span_id().to_string())])
    })
}
