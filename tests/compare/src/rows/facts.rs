//! Checks the facts about other libraries that the README's table states without a figure.

use std::fs;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::task::{Context, Poll, Waker};

use anyhow::{Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use cargo_metadata::{Metadata, MetadataCommand, Package};
use metrics_core::Counter;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::ServiceExt;

use crate::labels::write_path;
use crate::peers;
use crate::report::Report;

const LIBRARIES: [&str; 5] = ["prometheus", "prometheus-client", "metrics", "autometrics", "axum-prometheus"];

/// More label sets than the default limit of this library.
const LABEL_SETS: usize = 3_000;

pub(crate) fn run(_: usize, report: &mut Report) -> Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).exec()?;
    let attributes = LIBRARIES.map(|library| has_attribute(&metadata, library));
    ensure!(attributes == [false, false, false, true, false], "attributes: {attributes:?}");
    let frameworks = LIBRARIES.map(|library| depends_on_framework(&metadata, library));
    ensure!(frameworks == [false, false, false, false, true], "frameworks: {frameworks:?}");

    let series = [ours(), prometheus(), prometheus_client(), lines(&peers::metrics::counters(LABEL_SETS).render())];
    // The limit, plus the series that counts all further label sets.
    ensure!(series == [2_001, LABEL_SETS, LABEL_SETS, LABEL_SETS], "series: {series:?}");

    // The call that returns is counted, so the two others would be too if the library counted them at all.
    let calls = [autometrics(), axum_prometheus()];
    ensure!(calls == [1, 1], "calls: {calls:?}");

    let yes = |fact: bool| if fact { "yes" } else { "no" }.to_owned();
    let rows = std::array::from_fn::<_, 5, _>(|at| {
        vec![format!("`{}`", LIBRARIES[at]), yes(attributes[at]), yes(frameworks[at])]
    });
    report.table("What other libraries offer", &["library", "attribute", "framework"], &rows);
    let names = ["this library", "`prometheus`", "`prometheus-client`", "`metrics`"];
    let rows = std::array::from_fn::<_, 4, _>(|at| vec![names[at].to_owned(), series[at].to_string()]);
    report.table(&format!("Series after {LABEL_SETS} label sets"), &["library", "series"], &rows);
    let rows = ["`autometrics`", "`axum-prometheus`"].map(|name| vec![name.to_owned(), "1".to_owned()]);
    report.table("Calls counted if one returns, one panics and one is canceled", &["library", "calls"], &rows);
    Ok(())
}

/// Whether the library, or a crate of macros that belongs to it, defines an attribute macro.
fn has_attribute(metadata: &Metadata, library: &str) -> bool {
    // The crates of this repository have no source; `metrics-macros` does not belong to `metrics`.
    let own = |package: &&Package| package.source.is_some() && package.name.starts_with(library);
    let mut own = metadata.packages.iter().filter(own).peekable();
    assert!(own.peek().is_some(), "{library} is a dependency");
    own.any(|package| {
        let sources = package.manifest_path.with_file_name("src");
        contains(sources.as_std_path(), "#[proc_macro_attribute]")
    })
}

fn contains(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("sources").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            contains(&path, text)
        } else {
            fs::read_to_string(path).is_ok_and(|file| file.contains(text))
        }
    })
}

/// Whether a web framework, or the trait of its middleware, is among the library's dependencies. Includes optional
/// ones.
fn depends_on_framework(metadata: &Metadata, library: &str) -> bool {
    let package = metadata.packages.iter().find(|package| package.name.as_str() == library).expect("a dependency");
    let dependencies = package.dependencies.iter().filter(|dependency| dependency.kind == Default::default());
    let frameworks = ["actix-web", "axum", "tonic", "tower", "tower-layer"];
    dependencies.map(|dependency| dependency.name.as_str()).any(|name| frameworks.contains(&name))
}

fn ours() -> usize {
    let registry = metrics_core::Registry::new();
    let family = Counter::builder("compare_items_total", "Items.").labels(["path"]).register_in(&registry);
    let family = family.expect("the registry is empty");
    let mut path = String::new();
    for number in 0..LABEL_SETS {
        write_path(number, &mut path);
        family.labels([&path]).inc();
    }
    let mut text = Vec::new();
    registry.encode(metrics_core::Format::Text, &mut text);
    lines(&String::from_utf8(text).expect("UTF-8"))
}

fn prometheus() -> usize {
    peers::prometheus::registry(LABEL_SETS).gather().iter().map(|family| family.get_metric().len()).sum()
}

fn prometheus_client() -> usize {
    let mut text = String::new();
    let registry = peers::prometheus_client::counters(LABEL_SETS);
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a string cannot fail");
    lines(&text)
}

/// Counts the lines that are series of the family.
fn lines(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("compare_items_total{")).count()
}

/// How a call ends.
#[derive(Clone, Copy)]
enum Ending {
    Returns,
    Panics,
    IsCanceled,
}

const ENDINGS: [Ending; 3] = [Ending::Returns, Ending::Panics, Ending::IsCanceled];

impl Ending {
    async fn reach(self) {
        match self {
            Ending::Returns => {}
            Ending::Panics => std::panic::resume_unwind(Box::new("a panic without a message")),
            Ending::IsCanceled => pending().await,
        }
    }
}

/// Polls a future once, catches its panic, and drops it.
fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
    match polled {
        Ok(Poll::Ready(output)) => Some(output),
        Ok(Poll::Pending) | Err(_) => None,
    }
}

#[autometrics::autometrics]
async fn ends(ending: Ending) {
    ending.reach().await;
}

fn autometrics() -> u64 {
    for ending in ENDINGS {
        poll_once(ends(ending));
    }
    let families = prometheus::gather();
    let calls = families
        .iter()
        .filter(|family| family.name().starts_with("function_calls") && family.name().ends_with("total"));
    let of_function = calls
        .flat_map(|family| family.get_metric())
        .filter(|metric| metric.get_label().iter().any(|label| label.name() == "function" && label.value() == "ends"));
    of_function.map(|metric| metric.get_counter().get_value() as u64).sum()
}

fn axum_prometheus() -> u64 {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        let routes = ENDINGS.map(|ending| get(move || ending.reach()));
        let [returns, panics, is_canceled] = routes;
        let router = Router::new().route("/0", returns).route("/1", panics).route("/2", is_canceled);
        let router = router.layer(axum_prometheus::BaseMetricLayer::new());
        for number in 0..ENDINGS.len() {
            let request = Request::get(format!("/{number}")).body(Body::empty()).expect("a request");
            let response = poll_once(router.clone().oneshot(request));
            assert!(response.is_none_or(|response| response.is_ok_and(|response| response.status() == StatusCode::OK)));
        }
    });
    let text = recorder.handle().render();
    let lines = text.lines().filter(|line| line.starts_with("axum_http_requests_total{"));
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a count")).sum()
}
