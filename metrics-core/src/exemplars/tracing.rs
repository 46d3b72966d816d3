//! Trace and span IDs from the fields of `tracing` spans.

use std::cell::RefCell;
use std::fmt::{self, Debug, Write};
use std::sync::{Arc, Mutex};

use tracing_core::Subscriber;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::lock::lock;

/// A layer for `tracing-subscriber` that makes the IDs of the current span available to exemplars.
///
/// The IDs are the fields `trace_id` and `span_id` of the current span, or of its closest enclosing span that has a
/// `trace_id`. The fields may be recorded after the span is created. If `tracing-opentelemetry` exports your spans, you
/// do not need this layer: enable the `opentelemetry` feature instead.
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
        let Some(span) = ctx.span(id) else { return };
        let outer = span.parent().and_then(|parent| ids_of(&parent));
        let ids = if attributes.metadata().fields().field(TRACE_ID).is_some() {
            let ids = SpanIds { outer, own: Mutex::default() };
            ids.record(|fields| attributes.record(fields));
            Some(Arc::new(ids))
        } else {
            outer
        };
        if let Some(ids) = ids {
            span.extensions_mut().insert(ids);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && span.metadata().fields().field(TRACE_ID).is_some()
            && let Some(ids) = ids_of(&span)
        {
            ids.record(|fields| values.record(fields));
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if let Some(ids) = ctx.span(id).and_then(|span| ids_of(&span)) {
            with_entered(|entered| entered.push((id.clone(), ids)));
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        with_entered(|entered| {
            if let Some(position) = entered.iter().rposition(|(entered, _)| entered == id) {
                entered.remove(position);
            }
        });
    }
}

const TRACE_ID: &str = "trace_id";
const SPAN_ID: &str = "span_id";

thread_local! {
    /// The spans with IDs that the thread has entered, innermost last. Other layers may hold the lock on the data of
    /// the current span while they call code that takes exemplars, so the IDs are kept here as well.
    static ENTERED: RefCell<Vec<(Id, Arc<SpanIds>)>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the spans that the thread has entered. Does nothing if the thread is ending.
fn with_entered(f: impl FnOnce(&mut Vec<(Id, Arc<SpanIds>)>)) {
    let _ = ENTERED.try_with(|entered| entered.try_borrow_mut().map(|mut entered| f(&mut entered)));
}

fn ids_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<Arc<SpanIds>> {
    span.extensions().get::<Arc<SpanIds>>().cloned()
}

/// The IDs of a span that has them as fields. All spans inside of it share them.
struct SpanIds {
    /// The IDs of the closest enclosing span with IDs, which are used while this span's own trace ID is unknown.
    outer: Option<Arc<SpanIds>>,
    own: Mutex<OwnIds>,
}

/// The values of the fields.
#[derive(Clone, Default)]
struct OwnIds {
    trace_id: Option<String>,
    span_id: Option<String>,
}

impl SpanIds {
    /// Replaces the IDs with those among the fields that `record` passes to the visitor.
    fn record(&self, record: impl FnOnce(&mut OwnIds)) {
        // Format the values before taking the lock, because formatting may run user code.
        let mut new = OwnIds::default();
        record(&mut new);
        let mut own = lock(&self.own);
        own.trace_id = new.trace_id.or(own.trace_id.take());
        own.span_id = new.span_id.or(own.span_id.take());
    }

    fn labels(&self) -> Option<Vec<(String, String)>> {
        let own = lock(&self.own).clone();
        match own.trace_id {
            Some(trace_id) => {
                let ids = [(TRACE_ID, Some(trace_id)), (SPAN_ID, own.span_id)];
                Some(ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?))).collect())
            }
            None => self.outer.as_ref()?.labels(),
        }
    }
}

impl OwnIds {
    fn keep(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let id = match field.name() {
            TRACE_ID => &mut self.trace_id,
            SPAN_ID => &mut self.span_id,
            _ => return,
        };
        let mut text = String::new();
        // A value that cannot be formatted is ignored.
        if text.write_fmt(value).is_ok() {
            *id = Some(text);
        }
    }
}

impl Visit for OwnIds {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, format_args!("{value}"));
    }

    // The visitor's other methods call this one.
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(field, format_args!("{value:?}"));
    }
}

/// Returns the IDs of the innermost span with a trace ID that the thread has entered.
pub(super) fn current() -> Option<Vec<(String, String)>> {
    let innermost = ENTERED.try_with(|entered| Some(Arc::clone(&entered.try_borrow().ok()?.last()?.1)));
    innermost.ok().flatten()?.labels()
}
