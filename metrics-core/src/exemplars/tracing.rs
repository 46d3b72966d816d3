//! The IDs that the spans of the `tracing` crate have as fields.

use std::fmt::{self, Debug};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Subscriber, dispatcher};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use tracing_subscriber::{Layer, Registry};

/// A layer for `tracing-subscriber` that makes the IDs of the current span available to exemplars.
///
/// The IDs are the fields `trace_id` and `span_id` of the current span, or of the closest span around it that has a
/// `trace_id`. Spans that `tracing-opentelemetry` exports do not need this layer; use the `opentelemetry` feature.
///
/// # Example: the ID of a request
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(metrics_core::ExemplarLayer::new());
/// tracing::subscriber::with_default(subscriber, || {
///     let _request = tracing::info_span!("request", trace_id = "4bf92f35").entered();
///     assert_eq!(metrics_core::current_exemplar(), [("trace_id".to_owned(), "4bf92f35".to_owned())]);
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ExemplarLayer {}

impl ExemplarLayer {
    /// Creates the layer.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ExemplarLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        keep(|fields| attributes.record(fields), ctx.span(id));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        keep(|fields| values.record(fields), ctx.span(id));
    }
}

/// Keeps the IDs among the fields that `record` passes to the visitor.
fn keep<'a, S: LookupSpan<'a>>(record: impl FnOnce(&mut SpanIds), span: Option<SpanRef<'a, S>>) {
    let mut new = SpanIds::default();
    record(&mut new);
    if new != SpanIds::default()
        && let Some(span) = span
    {
        let mut extensions = span.extensions_mut();
        let old = extensions.remove::<SpanIds>().unwrap_or_default();
        let ids = SpanIds { trace_id: new.trace_id.or(old.trace_id), span_id: new.span_id.or(old.span_id) };
        extensions.insert(ids);
    }
}

/// The IDs in the fields of a span.
#[derive(Clone, Default, PartialEq)]
struct SpanIds {
    trace_id: Option<String>,
    span_id: Option<String>,
}

impl SpanIds {
    fn keep(&mut self, field: &Field, value: &dyn fmt::Display) {
        match field.name() {
            "trace_id" => self.trace_id = Some(value.to_string()),
            "span_id" => self.span_id = Some(value.to_string()),
            _ => {}
        }
    }
}

impl Visit for SpanIds {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, &value);
    }

    // The visitor's other methods call this one.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, &format_args!("{value:?}"));
    }
}

/// Returns the IDs of the current span, or of the closest span around it that has a trace ID.
pub(super) fn current() -> Option<Vec<(String, String)>> {
    dispatcher::get_default(|dispatch| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let span = registry.span(registry.current_span().id()?)?;
        span.scope().find_map(|span| {
            let ids = span.extensions().get::<SpanIds>()?.clone();
            let trace_id = ("trace_id".to_owned(), ids.trace_id?);
            Some(std::iter::once(trace_id).chain(ids.span_id.map(|id| ("span_id".to_owned(), id))).collect())
        })
    })
}
