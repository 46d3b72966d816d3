//! Functions and layers with the same prefix, which record into one default family.

use ::axum::Router;
use ::axum::routing::get;
use metrics_core::{Problem, ProblemKind, Registry, RequestMetrics};

use crate::axum::serve;
use crate::client::ask;

/// A function with the same prefix as the layer. Its families are registered before the layer's families.
#[metrics_core::instrument("/job", prefix = "beside")]
fn job() {}

/// A function with the same prefix and labels as the layer.
#[metrics_core::instrument("/a", method = "GET", prefix = "beside")]
fn same_labels() {}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_and_a_function_may_have_one_prefix() {
    job();
    same_labels();
    let app = Router::new().route("/a", get(|| async {})).layer(RequestMetrics::new("beside"));
    let addr = serve(app).await;
    tokio::task::spawn_blocking(move || ask(addr, "GET", "/a")).await.expect("no panic");
    let text = Registry::global().to_text();
    for series in ["{path=\"/job\"} 1", "{path=\"/a\",method=\"GET\"} 2"] {
        assert!(text.contains(&format!("\nbeside_request_latency_seconds_count{series}\n")), "{series}\n{text}");
    }
    let problems = Registry::global().check().into_iter();
    let conflicts: Vec<_> = problems.filter(|problem| problem.kind == ProblemKind::Declaration).collect();
    assert!(conflicts.iter().all(|problem| !problem.family.starts_with("beside_")), "{conflicts:?}");
}

/// A function whose latency is a histogram.
#[metrics_core::instrument("/job", prefix = "unlike", buckets(0.1, 1.0))]
fn unlike() {}

#[test]
fn a_layer_that_conflicts_with_a_function_is_reported_where_it_is_built() {
    unlike();
    let _ = RequestMetrics::builder("unlike").buckets([0.2, 2.0]).build();
    let line = line!() - 1;
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "unlike_request_latency_seconds");
    let problem = problem.unwrap_or_else(|| panic!("{problems:?}"));
    let location = problem.location.expect("a place");
    assert!(location.file().ends_with("one_family.rs") && location.line() == line, "{problem}");
    assert!(problem.to_string().contains("[0.1, 1.0]") && problem.to_string().contains("[0.2, 2.0]"), "{problem}");
}

/// A function that asks for a histogram.
#[metrics_core::instrument("/job", prefix = "asks", histogram)]
fn asks() {}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_feeds_the_histogram_that_a_function_asks_for() {
    let metrics = RequestMetrics::builder("asks").quantiles([0.5]).build();
    let addr = serve(Router::new().route("/a", get(|| async {})).layer(metrics)).await;
    tokio::task::spawn_blocking(move || ask(addr, "GET", "/a")).await.expect("no panic");
    asks();
    let text = Registry::global().to_text();
    for series in ["{path=\"/job\",le=\"0.075\"} 1", "{path=\"/a\",method=\"GET\",le=\"+Inf\"} 1"] {
        let line = format!("\nasks_request_latency_seconds_bucket{series}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
    let problems = Registry::global().check();
    let of_type = |problem: &&Problem| problem.kind == ProblemKind::Declaration && problem.family.starts_with("asks_");
    assert_eq!(problems.iter().find(of_type), None);
}

#[metrics_core::instrument("/job", prefix = "invalid", histogram)]
fn valid() {}

#[test]
fn a_layer_with_invalid_quantiles_feeds_the_family_of_a_function_and_is_reported() {
    let metrics = RequestMetrics::builder("invalid").quantiles([50.0]).known_routes([("GET", "/a")]);
    let metrics = metrics.build();
    valid();
    let text = Registry::global().to_text();
    for line in ["{path=\"/job\"} 1", "{path=\"/a\",method=\"GET\"} 0"] {
        assert!(text.contains(&format!("\ninvalid_request_latency_seconds_count{line}\n")), "{text}");
    }
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "invalid_request_latency_seconds");
    assert!(problem.is_some_and(|problem| problem.to_string().contains("invalid value [50.0]")), "{problems:?}");
    drop(metrics);
}

#[metrics_core::instrument("/job", prefix = "too_late")]
fn too_late() {}

#[test]
fn a_layer_that_asks_too_late_feeds_the_family_and_is_reported() {
    too_late();
    let metrics = RequestMetrics::builder("too_late").histogram().known_routes([("GET", "/a")]).build();
    let text = Registry::global().to_text();
    for line in ["{path=\"/job\"} 1", "{path=\"/a\",method=\"GET\"} 0"] {
        assert!(text.contains(&format!("\ntoo_late_request_latency_seconds_count{line}\n")), "{text}");
    }
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "too_late_request_latency_seconds");
    let text = problem.expect("a problem").to_string();
    assert!(text.contains("another type: summary") && text.contains("histogram here"), "{text}");
    drop(metrics);
}
