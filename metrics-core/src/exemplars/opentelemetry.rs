//! The IDs of the current OpenTelemetry span. The span may also come from the `tracing` crate, because
//! `tracing-opentelemetry` makes the OpenTelemetry span of an entered `tracing` span the current one.

use std::cell::Cell;

use opentelemetry::trace::get_active_span;

/// A thread-local value that is created after the thread-local that holds the current span, and so is destroyed first.
struct BeforeSpan;

impl Drop for BeforeSpan {
    fn drop(&mut self) {
        IS_ENDING.set(true);
    }
}

thread_local! {
    static BEFORE_SPAN: BeforeSpan = const { BeforeSpan };
    /// True once the thread destroys its thread-local values. Access to the current span would then panic.
    static IS_ENDING: Cell<bool> = const { Cell::new(false) };
}

/// Returns the IDs of the current span. Returns `None` if its trace is not sampled, or if the thread is ending.
pub(super) fn current() -> Option<[(&'static str, String); 2]> {
    if IS_ENDING.get() {
        return None;
    }
    let ids = get_active_span(|span| {
        let context = span.span_context();
        (context.is_valid() && context.is_sampled())
            .then(|| [("trace_id", context.trace_id().to_string()), ("span_id", context.span_id().to_string())])
    });
    // This fails only while the thread is ending, when the value is no longer needed.
    let _ = BEFORE_SPAN.try_with(|_| ());
    ids
}
