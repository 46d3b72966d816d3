//! Tests for every form of function that `#[instrument]` supports. `guide::shapes` lists these forms.

#![cfg(test)]
#![allow(
    dead_code,
    dropping_copy_types,
    non_snake_case,
    clippy::all,
    clippy::pedantic,
    clippy::expect_used,
    clippy::panic,
    reason = "the shapes are what users write, in every edition"
)]

use std::cell::RefCell;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use metrics_core::testing::Snapshot;
use metrics_core::{Registry, instrument};

mod blocks;
mod borrows;
mod forms;
mod futures;
mod methods;
mod outcomes;
mod stacked;
mod types;

/// Returns the recorded calls and exceptions for the function with this `path` label.
fn recorded(path: &str) -> (f64, f64) {
    let now = Snapshot::of(Registry::global());
    let value = |name: &str| {
        let name = format!("{}_request_{}", env!("CARGO_CRATE_NAME"), name);
        now.get(&name, &[("path", path)]).unwrap_or(0.0)
    };
    (value("latency_seconds_count"), value("exceptions_total"))
}

fn cancelled(path: &str) -> f64 {
    let name = format!("{}_request_cancelled_total", env!("CARGO_CRATE_NAME"));
    Snapshot::of(Registry::global()).value(&name, &[("path", path)])
}

/// Polls a future until it completes and returns its output. The future must not wait for external events.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("the future is still pending");
}

/// Returns a future that is pending on its first poll.
fn yielding() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[derive(Debug, PartialEq)]
struct Failed;

impl Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {}

impl From<std::num::ParseIntError> for Failed {
    fn from(_: std::num::ParseIntError) -> Self {
        Failed
    }
}

type Outcome<T> = Result<T, Failed>;

/// Checks that the tests named in `guide::shapes` exist.
#[test]
fn the_list_in_the_docs_names_tests() {
    let list = include_str!("../../../metrics-core/src/guide/shapes.md");
    let sources = [
        include_str!("blocks.rs"),
        include_str!("borrows.rs"),
        include_str!("forms.rs"),
        include_str!("futures.rs"),
        include_str!("methods.rs"),
        include_str!("outcomes.rs"),
        include_str!("stacked.rs"),
        include_str!("types.rs"),
        include_str!("../renamed/src/lib.rs"),
    ];
    let mut named = 0;
    for line in list.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        let cells = line.split('|').skip(2).map(str::trim);
        for test in cells.flat_map(|cell| cell.split(", ")).filter(|name| name.starts_with('`')) {
            let test = test.trim_matches('`');
            let is_test = |attribute: &str, source: &str| source.contains(&format!("{}fn {}(", attribute, test));
            let found =
                sources.iter().any(|source| is_test("#[test]\n", source) || is_test("#[tokio::test]\nasync ", source));
            assert!(found, "test {} does not exist", test);
            named += 1;
        }
    }
    assert!(named > 40, "the list names only {} tests", named);
}
