//! Exemplars from the spans of OpenTelemetry and `tracing`, in annotated functions and in the layers.

use ::axum::Router;
use ::axum::body::Body;
use ::axum::extract::Request;
use ::axum::http::StatusCode;
use ::axum::routing::get;
use actix_web::dev::Service;
use actix_web::{App, HttpResponse, test as client, web};
use http_body_util::BodyExt;
use metrics_core::{ExemplarLayer, Format, Registry, RequestMetrics, current_exemplar};
use opentelemetry::trace::{SpanId, Tracer, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use tower::ServiceExt;
use tower_http::trace::TraceLayer;
use tracing::field::Empty;
use tracing::{Instrument, info_span};
use tracing_subscriber::layer::SubscriberExt;

/// A provider that samples all traces, or none, and the spans that it has exported.
fn provider(sampler: Sampler) -> (SdkTracerProvider, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let builder = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(sampler);
    (builder.build(), exporter)
}

/// The only exported span with this name.
fn span(exporter: &InMemorySpanExporter, name: &str) -> SpanData {
    let mut spans = exporter.get_finished_spans().expect("exported");
    spans.retain(|span| span.name == name);
    let [span] = &spans[..] else { panic!("{} spans are named {name}", spans.len()) };
    span.clone()
}

fn ids(span: &SpanData) -> String {
    format!("{{trace_id=\"{}\",span_id=\"{}\"}}", span.span_context.trace_id(), span.span_context.span_id())
}

/// The exemplars on the samples that begin with `start`, without values and timestamps.
fn exemplars(registry: &Registry, start: &str) -> Vec<String> {
    let mut out = Vec::new();
    registry.encode(Format::OpenMetrics, &mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    let exemplars = text.lines().filter(|line| line.starts_with(start)).filter_map(|line| line.split_once(" # "));
    exemplars.map(|(_, exemplar)| exemplar[..=exemplar.find('}').expect("labels")].to_owned()).collect()
}

#[metrics_core::instrument(histogram, prefix = "otel")]
fn in_otel_span() -> Result<(), ()> {
    Err(())
}

#[test]
fn an_opentelemetry_span_is_the_exemplar() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    provider.tracer("test").in_span("call", |_| in_otel_span()).unwrap_err();
    let expected = [ids(&span(&exporter, "call"))];
    let global = Registry::global();
    assert_eq!(exemplars(global, "otel_function_latency_seconds_bucket"), expected);
    assert_eq!(exemplars(global, "otel_function_exceptions_total"), expected);
}

#[metrics_core::instrument(histogram, prefix = "ending")]
fn on_an_ending_thread() {}

#[test]
fn a_thread_that_ends_takes_no_exemplars() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            on_an_ending_thread();
        }
    }
    thread_local! {
        static LATE: Late = const { Late };
    }
    let (provider, _exporter) = provider(Sampler::AlwaysOn);
    let thread = std::thread::spawn(move || {
        // Created before the current span, and therefore destroyed after it.
        LATE.with(|_| ());
        provider.tracer("test").in_span("call", |_| assert_eq!(current_exemplar().len(), 2));
    });
    thread.join().expect("no panic");
    let text = Registry::global().to_text();
    let function = "frameworks::exemplars::on_an_ending_thread";
    for sample in [
        format!("ending_function_latency_seconds_count{{function=\"{function}\"}} 1"),
        "metrics_core_internal_errors_total{kind=\"exemplar_panic\"} 0".to_owned(),
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} in:\n{text}");
    }
}

#[metrics_core::instrument(histogram, prefix = "unsampled")]
fn in_unsampled_span() {}

#[test]
fn a_span_that_is_not_sampled_is_not_an_exemplar() {
    let (provider, _exporter) = provider(Sampler::AlwaysOff);
    provider.tracer("test").in_span("call", |_| {
        in_unsampled_span();
        assert_eq!(current_exemplar(), []);
    });
    assert_eq!(exemplars(Registry::global(), "unsampled_"), [""; 0]);
}

#[metrics_core::instrument(histogram, prefix = "inside")]
#[tracing::instrument]
async fn inside_its_span() {
    tokio::task::yield_now().await;
}

#[tracing::instrument]
#[metrics_core::instrument(histogram, prefix = "outside")]
async fn outside_its_span() {
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn an_exported_tracing_span_is_the_exemplar() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    async {
        inside_its_span().await;
        outside_its_span().await;
    }
    .instrument(info_span!("request"))
    .await;
    let global = Registry::global();
    // The attribute that comes first is expanded first, so its code is inside the code of the other one.
    let expected = [ids(&span(&exporter, "inside_its_span"))];
    assert_eq!(exemplars(global, "inside_function_latency_seconds_bucket"), expected);
    let expected = [ids(&span(&exporter, "request"))];
    assert_eq!(exemplars(global, "outside_function_latency_seconds_bucket"), expected);
    let parent = span(&exporter, "request").parent_span_id;
    assert_eq!(parent, SpanId::INVALID, "the span of the request is the root");
}

#[tokio::test]
async fn the_axum_layer_takes_exemplars_inside_of_a_trace_layer() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let registry = Registry::new();
    let metrics = RequestMetrics::builder("shop").histogram().build_in(&registry).expect("valid");
    let span_of = |request: &Request| info_span!("request", otel.name = request.uri().path());
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/fail", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(metrics)
        .layer(TraceLayer::new_for_http().make_span_with(span_of));
    for path in ["/", "/fail"] {
        let request = Request::get(path).body(Body::empty()).expect("valid");
        let response = app.clone().oneshot(request).await.expect("infallible");
        response.into_body().collect().await.expect("a body");
    }
    let of_path = |path: &str, family: &str| exemplars(&registry, &format!("shop_request_{family}{{path=\"{path}\""));
    assert_eq!(of_path("/", "latency_seconds_bucket"), [ids(&span(&exporter, "/"))]);
    assert_eq!(of_path("/", "exceptions_total"), [""; 0]);
    for family in ["latency_seconds_bucket", "exceptions_total"] {
        assert_eq!(of_path("/fail", family), [ids(&span(&exporter, "/fail"))]);
    }
}

#[actix_web::test]
async fn the_actix_layer_keeps_a_trace_that_ends_before_the_body() {
    let (provider, exporter) = provider(Sampler::AlwaysOn);
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let registry = Registry::new();
    let metrics = RequestMetrics::builder("shop").histogram().build_in(&registry).expect("valid");
    let app = App::new()
        .route("/fail", web::get().to(HttpResponse::InternalServerError))
        .wrap(metrics)
        .wrap_fn(|request, service| service.call(request).instrument(info_span!("request")));
    let app = client::init_service(app).await;
    let response = client::call_service(&app, client::TestRequest::get().uri("/fail").to_request()).await;
    client::read_body(response).await;
    let expected = [ids(&span(&exporter, "request"))];
    assert_eq!(exemplars(&registry, "shop_request_latency_seconds_bucket"), expected);
    assert_eq!(exemplars(&registry, "shop_request_exceptions_total"), expected);
}

#[metrics_core::instrument(histogram, prefix = "fields")]
fn in_span_with_fields() {}

#[test]
fn the_fields_of_a_tracing_span_are_the_exemplar() {
    let subscriber = tracing_subscriber::registry().with(ExemplarLayer::new());
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(current_exemplar(), [], "no span is current");
        let _request = info_span!("request", trace_id = Empty, span_id = 7, user = "ada").entered();
        assert_eq!(current_exemplar(), [], "a span without a trace ID is not an exemplar");
        tracing::Span::current().record("trace_id", tracing::field::display("4bf9"));
        let of_request = [("trace_id".to_owned(), "4bf9".to_owned()), ("span_id".to_owned(), "7".to_owned())];
        assert_eq!(current_exemplar(), of_request);
        {
            let _step = info_span!("step", user = "grace").entered();
            assert_eq!(current_exemplar(), of_request);
            let _nested = info_span!("nested", trace_id = 1_u64).entered();
            assert_eq!(current_exemplar(), [("trace_id".to_owned(), "1".to_owned())]);
        }
        in_span_with_fields();
    });
    assert_eq!(current_exemplar(), []);
    let expected = [r#"{trace_id="4bf9",span_id="7"}"#];
    assert_eq!(exemplars(Registry::global(), "fields_function_latency_seconds_bucket"), expected);
}
