//! Annotated functions of each kind, called with known outcomes.

use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Waker};

use metrics_core::{LabelValue, instrument};

use super::{Measured, Traffic};

const PATHS: [&str; 2] = ["/a", "/b"];

#[derive(LabelValue)]
enum Failure {
    NotFound,
    Refused,
}

/// The outcome of a call.
enum End {
    Ok,
    Err(Failure),
    /// The call never finishes.
    Pending,
}

async fn respond(end: End) -> Result<(), Failure> {
    match end {
        End::Ok => Ok(()),
        End::Err(failure) => Err(failure),
        End::Pending => pending().await,
    }
}

#[instrument(path in PATHS, in_flight, prefix = "promql_plain")]
async fn plain(path: &'static str, end: End) -> Result<(), Failure> {
    respond(end).await
}

#[instrument(path in PATHS, kind, in_flight, prefix = "promql_kind")]
async fn with_kind(path: &'static str, end: End) -> Result<(), Failure> {
    respond(end).await
}

#[instrument(
    path in PATHS,
    status = |out: &Result<(), Failure>| if out.is_ok() { "200" } else { "500" } in ["200", "500"],
    in_flight,
    prefix = "promql_result"
)]
async fn with_result(path: &'static str, end: End) -> Result<(), Failure> {
    respond(end).await
}

#[instrument(path in PATHS, in_flight, buckets(30.0, 60.0), prefix = "promql_buckets")]
async fn with_buckets(path: &'static str, end: End) -> Result<(), Failure> {
    respond(end).await
}

#[instrument(prefix = "promql_unlabeled")]
async fn unlabeled(_: &'static str, end: End) -> Result<(), Failure> {
    respond(end).await
}

/// A call that is still running.
type Running = Pin<Box<dyn Future<Output = ()>>>;

/// Calls a function for both paths and returns the call that is still running.
fn call<F: Future + 'static>(function: impl Fn(&'static str, End) -> F) -> Running {
    let begin = |path, end| {
        let mut call: Running = Box::pin({
            let call = function(path, end);
            async move {
                call.await;
            }
        });
        let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        call
    };
    for _ in 0..5 {
        drop(begin("/a", End::Ok));
    }
    for _ in 0..2 {
        drop(begin("/a", End::Err(Failure::NotFound)));
        // Dropping a pending call cancels it.
        drop(begin("/a", End::Pending));
    }
    drop(begin("/a", End::Err(Failure::Refused)));
    for _ in 0..4 {
        drop(begin("/b", End::Ok));
    }
    begin("/a", End::Pending)
}

/// Returns the calls that [`call`] makes and their outcomes.
fn traffic() -> Vec<Traffic> {
    let both = |path, failed, cancelled, in_flight, by_status, by_kind| Traffic {
        path,
        method: "",
        failed,
        cancelled,
        in_flight,
        by_status,
        by_kind,
    };
    vec![
        both("/a", 3, 2, 1, vec![("200", 5), ("500", 3), ("cancelled", 2)], vec![("not_found", 2), ("refused", 1)]),
        both("/b", 0, 0, 0, vec![("200", 4)], vec![]),
    ]
}

/// Calls all functions. Returns the calls that were made and those that are still running.
pub(super) fn drive() -> (Vec<Measured>, Vec<Running>) {
    let running = vec![call(plain), call(with_kind), call(with_result), call(with_buckets), call(unlabeled)];
    let of = |prefix, sections| Measured { prefix, sections, has_path: true, traffic: traffic() };
    let unlabeled = Measured {
        prefix: "promql_unlabeled",
        sections: &["Functions without labels"],
        has_path: false,
        traffic: vec![Traffic {
            path: concat!(module_path!(), "::unlabeled"),
            method: "",
            failed: 3,
            cancelled: 2,
            in_flight: 0,
            by_status: vec![("", 14)],
            by_kind: vec![],
        }],
    };
    let measured = vec![
        of("promql_plain", &[]),
        of("promql_kind", &["Functions with `kind`"]),
        of("promql_result", &["Functions with a label from the result"]),
        of("promql_buckets", &["Histograms"]),
        unlabeled,
    ];
    (measured, running)
}
