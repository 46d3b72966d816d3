//! Labels that are known only when a call ends: kinds of exceptions and labels from the result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use metrics_core::testing::Snapshot;
use metrics_core::{Counter, Family, Gauge, LabelValue, Metrics, ProblemKind, Registry, Summary, instrument};

use crate::sample;

#[derive(Clone, Copy, Debug, LabelValue)]
enum Failure {
    NotFound,
    Refused,
}

fn now() -> Snapshot {
    Snapshot::of(Registry::global())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn exceptions_have_the_kind_of_the_error() {
    #[instrument("/x", kind, in_flight, prefix = "kinds")]
    fn call(how: u32) -> Result<u32, Failure> {
        match how {
            0 => Ok(0),
            1 => Err(Failure::NotFound),
            2 => Err(Failure::Refused)?,
            _ => panic!("how?"),
        }
    }
    let exceptions = |kind| now().get("kinds_request_exceptions_total", &[("path", "/x"), ("kind", kind)]);
    // All kinds are exported before the first call.
    for kind in ["not_found", "refused", "panic"] {
        assert_eq!(exceptions(kind), Some(0.0), "{kind}");
    }
    for how in [0, 1, 2, 2] {
        call(how).ok();
    }
    assert!(catch_unwind(|| call(3)).is_err());
    assert_eq!(
        [exceptions("not_found"), exceptions("refused"), exceptions("panic")],
        [Some(1.0), Some(2.0), Some(1.0)]
    );
    now().assert("kinds_request_latency_seconds_count", &[("path", "/x")], 5.0);
    now().assert("kinds_requests_in_flight", &[("path", "/x")], 0.0);
}

#[test]
fn a_closure_returns_the_kind_of_any_error() {
    struct Fault {
        code: String,
    }
    #[instrument(path, kind = |error| error.code.as_str(), prefix = "codes")]
    async fn call(path: &str, code: &str) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        if code.is_empty() { Ok(()) } else { Err(Fault { code: code.to_owned() }) }
    }
    let mut future = Box::pin(call("/a", "E1"));
    assert!(poll(future.as_mut()).is_pending());
    // The call has started and `panic` is a known kind, so this series exists.
    now().assert("codes_request_exceptions_total", &[("path", "/a"), ("kind", "panic")], 0.0);
    assert!(poll(future.as_mut()).is_ready());
    let mut dropped = Box::pin(call("/a", "E2"));
    assert!(poll(dropped.as_mut()).is_pending());
    drop(dropped);
    now().assert("codes_request_exceptions_total", &[("path", "/a"), ("kind", "E1")], 1.0);
    assert_eq!(now().get("codes_request_exceptions_total", &[("path", "/a"), ("kind", "E2")]), None);
    now().assert("codes_request_cancelled_total", &[("path", "/a")], 1.0);
    now().assert("codes_request_latency_seconds_count", &[("path", "/a")], 2.0);
}

#[test]
fn kinds_in_a_list_and_kinds_without_an_error() {
    #[instrument("/x", kind = |error: &u32| *error in ["1", "2"], exception_if = |out: &Result<u32, u32>| *out != Ok(0), prefix = "listed")]
    fn call(out: Result<u32, u32>) -> Result<u32, u32> {
        out
    }
    for out in [Ok(0), Ok(1), Err(1), Err(2), Err(3)] {
        call(out).ok();
    }
    let exceptions = |kind| now().value("listed_request_exceptions_total", &[("path", "/x"), ("kind", kind)]);
    // Exceptions without an error and errors that are not in the list have the kind `other`.
    assert_eq!([exceptions("1"), exceptions("2"), exceptions("other"), exceptions("panic")], [1.0, 1.0, 2.0, 0.0]);
}

#[test]
fn an_argument_named_kind_is_a_label_like_others() {
    #[instrument(kind, prefix = "plain_kind")]
    fn call(kind: Failure) -> Result<(), Failure> {
        Err(kind)
    }
    call(Failure::Refused).ok();
    assert_eq!(sample("plain_kind_request_latency_seconds_count{kind=\"refused\"}"), Some(1.0));
    assert_eq!(sample("plain_kind_request_exceptions_total{kind=\"refused\"}"), Some(1.0));
}

#[test]
fn labels_from_the_result() {
    struct Response {
        status: u16,
    }
    #[instrument(
        path,
        status = |out: &Response| out.status in ["200", "404", "500"],
        exception_if = |out: &Response| out.status >= 500,
        in_flight,
        prefix = "result"
    )]
    async fn call(path: &str, status: u16) -> Response {
        assert!(status != 0, "no status");
        if status == 1 {
            std::future::pending::<()>().await;
        }
        Response { status }
    }
    for status in [200, 200, 404, 500, 418] {
        assert!(poll(Box::pin(call("/x", status)).as_mut()).is_ready());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| poll(Box::pin(call("/x", 0)).as_mut()).is_ready())).is_err());
    let mut pending = Box::pin(call("/x", 1));
    assert!(poll(pending.as_mut()).is_pending());
    now().assert("result_requests_in_flight", &[("path", "/x")], 1.0);
    drop(pending);
    now().assert("result_requests_in_flight", &[("path", "/x")], 0.0);
    let calls = |status| now().value("result_request_latency_seconds_count", &[("path", "/x"), ("status", status)]);
    let statuses = ["200", "404", "500", "other", "panic", "cancelled"];
    assert_eq!(statuses.map(calls), [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    let exceptions = |status| now().value("result_request_exceptions_total", &[("path", "/x"), ("status", status)]);
    assert_eq!(statuses.map(exceptions), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    now().assert("result_request_cancelled_total", &[("path", "/x")], 1.0);
}

#[test]
fn known_results_are_exported_before_the_first_call() {
    #[instrument("/x", ok = |out: &bool| *out in ["true", "false"], prefix = "known_result")]
    fn call() -> bool {
        true
    }
    for ok in ["true", "false", "other", "panic"] {
        now().assert("known_result_request_latency_seconds_count", &[("path", "/x"), ("ok", ok)], 0.0);
    }
    call();
    now().assert("known_result_request_latency_seconds_count", &[("path", "/x"), ("ok", "true")], 1.0);
    // A function that is not async cannot be canceled.
    let cancelled = [("path", "/x"), ("ok", "cancelled")];
    assert_eq!(now().get("known_result_request_latency_seconds_count", &cancelled), None);
}

#[test]
fn a_returned_future_has_labels_from_its_result() {
    #[instrument("/x", kind, size = |out: &Result<usize, Failure>| out.is_ok() in ["true", "false"], prefix = "later_result")]
    fn call(ok: bool) -> Pin<Box<dyn Future<Output = Result<usize, Failure>> + Send>> {
        Box::pin(async move { if ok { Ok(1) } else { Err(Failure::Refused) } })
    }
    for ok in [true, false, false] {
        assert!(poll(Box::pin(call(ok)).as_mut()).is_ready());
    }
    now().assert("later_result_request_latency_seconds_count", &[("path", "/x"), ("size", "true")], 1.0);
    let refused = [("path", "/x"), ("size", "false"), ("kind", "refused")];
    now().assert("later_result_request_exceptions_total", &refused, 2.0);
    now().assert("later_result_request_exceptions_total", &[("path", "/x"), ("size", "panic"), ("kind", "panic")], 0.0);
}

#[derive(Metrics)]
#[metrics(prefix = "own_late")]
struct Late {
    /// Latency of calls.
    #[metric(labels(status: u16, path: &str))]
    latency_seconds: Family<Summary, 2>,
    /// Calls that failed.
    #[metric(labels(kind: Failure, path: &str, status: u16))]
    exceptions_total: Family<Counter, 3>,
    /// Calls that were canceled.
    #[metric(labels(path: &str, status: &str))]
    cancelled_total: Family<Counter, 2>,
    /// Calls in flight.
    #[metric(labels(path: &str))]
    in_flight: Family<Gauge, 1>,
}

impl Late {
    #[instrument(
        path, status = |out: &Result<u16, Failure>| out.unwrap_or(500), kind,
        latency = self.latency_seconds, exceptions = self.exceptions_total,
        cancelled = self.cancelled_total, in_flight = self.in_flight
    )]
    async fn call(&self, path: String, out: Result<u16, Failure>) -> Result<u16, Failure> {
        if out.is_ok_and(|status| status == 0) {
            std::future::pending::<()>().await;
        }
        out
    }
}

#[test]
fn custom_families_match_late_labels_by_name() {
    let registry = Registry::new();
    let late = Late::register_in(&registry).expect("valid");
    for out in [Ok(200), Ok(200), Err(Failure::NotFound)] {
        assert!(poll(Box::pin(late.call("/a".to_owned(), out)).as_mut()).is_ready());
    }
    let mut dropped = Box::pin(late.call("/a".to_owned(), Ok(0)));
    assert!(poll(dropped.as_mut()).is_pending());
    drop(dropped);
    let now = Snapshot::of(&registry);
    now.assert("own_late_latency_seconds_count", &[("path", "/a"), ("status", "200")], 2.0);
    now.assert("own_late_latency_seconds_count", &[("path", "/a"), ("status", "500")], 1.0);
    now.assert("own_late_latency_seconds_count", &[("path", "/a"), ("status", "cancelled")], 1.0);
    let not_found = [("path", "/a"), ("status", "500"), ("kind", "not_found")];
    now.assert("own_late_exceptions_total", &not_found, 1.0);
    now.assert("own_late_cancelled_total", &[("path", "/a"), ("status", "cancelled")], 1.0);
    now.assert("own_late_in_flight", &[("path", "/a")], 0.0);
    // A call that does not fail is not an exception and has no kind.
    assert!(!registry.to_text().contains("kind=\"\""));
}

#[test]
fn a_family_without_the_kind_is_reported_as_a_problem() {
    lazy_static::lazy_static! {
        static ref WITHOUT: Family<Counter, 2> =
            Counter::builder("without_kind_total", "Has no kind.").labels(["path", "reason"]).register();
    }
    #[instrument("/x", kind, exceptions = WITHOUT, prefix = "without_kind")]
    fn call() -> Result<(), Failure> {
        Err(Failure::Refused)
    }
    call().ok();
    let problems = Registry::global().check();
    let found = problems
        .iter()
        .find(|problem| problem.family.starts_with("without_kind"))
        .unwrap_or_else(|| panic!("{problems:?}"));
    assert_eq!(found.kind, ProblemKind::Declaration);
    assert!(found.message.contains("[\"path\", \"kind\"]"), "{}", found.message);
    now().assert("without_kind_request_latency_seconds_count", &[("path", "/x")], 1.0);
}

#[test]
fn late_labels_past_the_cap_overflow() {
    #[instrument(path, size = |out: &usize| *out, max_series = 3, prefix = "late_overflow")]
    fn call(path: &str, size: usize) -> usize {
        size
    }
    for size in 0..10 {
        call("/x", size);
    }
    call(&"x".repeat(2_000), 1);
    let overflowed = [("path", "__overflow__"), ("size", "__overflow__")];
    now().assert("late_overflow_request_latency_seconds_count", &overflowed, 8.0);
    let family = [("family", "late_overflow_request_latency_seconds")];
    now().assert("metrics_core_overflowed_total", &family, 8.0);
}

#[test]
fn series_of_known_kinds_are_recreated_by_the_call_after_a_removal() {
    static EXCEPTIONS: LazyLock<Family<Counter, 2>> =
        LazyLock::new(|| Counter::builder("recreated_total", "").labels(["path", "kind"]).build());
    #[instrument("/known", kind, exceptions = EXCEPTIONS, prefix = "recreated")]
    fn call() -> Result<(), Failure> {
        Ok(())
    }
    let panics = || EXCEPTIONS.get(["/known", "panic"]).map(|counter| counter.value());
    for _ in 0..3 {
        call().ok();
        assert_eq!(panics(), Some(0.0));
        EXCEPTIONS.clear();
        assert_eq!(panics(), None);
    }
}

#[test]
fn a_removed_series_is_recreated_by_its_next_call() {
    lazy_static::lazy_static! {
        static ref LATENCY: Family<Summary, 2> =
            Summary::builder("late_removed_seconds", "Is removed.").labels(["path", "size"]).register();
    }
    #[instrument(path, size = |out: &usize| *out, latency = LATENCY, prefix = "late_removed")]
    fn call(path: &str, size: usize) -> usize {
        size
    }
    call("/x", 1);
    call("/x", 1);
    assert!(LATENCY.remove(["/x", "1"]));
    call("/x", 1);
    now().assert("late_removed_seconds_count", &[("path", "/x"), ("size", "1")], 1.0);
}

#[test]
fn a_closure_that_panics_at_the_end_is_a_panic_of_the_call() {
    #[instrument("/x", size = |_out: &usize| -> usize { panic!("no size") }, prefix = "late_panic")]
    fn call() -> usize {
        1
    }
    assert!(catch_unwind(call).is_err());
    now().assert("late_panic_request_exceptions_total", &[("path", "/x"), ("size", "panic")], 1.0);
    now().assert("late_panic_request_latency_seconds_count", &[("path", "/x"), ("size", "panic")], 1.0);
}

#[test]
fn a_function_with_late_labels_only_has_its_path_as_a_label() {
    #[instrument(kind, prefix = "late_only")]
    fn first() -> Result<(), Failure> {
        Err(Failure::Refused)
    }
    #[instrument(ok = |out: &bool| *out in ["true", "false"], prefix = "late_only_ok")]
    fn second() -> bool {
        true
    }
    first().ok();
    second();
    let path = |name: &str| {
        format!("integration::instrument_kinds::a_function_with_late_labels_only_has_its_path_as_a_label::{name}")
    };
    let exceptions = "late_only_function_exceptions_total";
    now().assert(exceptions, &[("function", &path("first")), ("kind", "refused")], 1.0);
    now().assert(exceptions, &[("function", &path("first")), ("kind", "not_found")], 0.0);
    now().assert("late_only_function_latency_seconds_count", &[("function", &path("first"))], 1.0);
    let second = path("second");
    for (ok, calls) in [("true", 1.0), ("false", 0.0), ("panic", 0.0)] {
        now().assert("late_only_ok_function_latency_seconds_count", &[("function", &second), ("ok", ok)], calls);
    }
}

#[test]
fn series_exported_as_zero_leave_room_for_others() {
    #[instrument(path, kind, max_series = 20, prefix = "zeros")]
    fn call(path: &str, ok: bool) -> Result<(), Failure> {
        if ok { Ok(()) } else { Err(Failure::Refused) }
    }
    for number in 0..15 {
        call(&format!("/{number}"), true).ok();
    }
    for number in 0..6 {
        call(&format!("/{number}"), false).ok();
    }
    now().assert("zeros_request_exceptions_total", &[("path", "/5"), ("kind", "refused")], 1.0);
    now().assert("metrics_core_overflowed_total", &[("family", "zeros_request_exceptions_total")], 0.0);
}

#[test]
fn kinds_of_a_blocks_generic_errors() {
    struct Client<Fault>(Fault);
    #[instrument(prefix = "block_kind")]
    impl<Fault: LabelValue + Copy> Client<Fault> {
        #[instrument("/x", kind)]
        fn call(&self) -> Result<(), Fault> {
            Err(self.0)
        }
    }
    Client(Failure::Refused).call().ok();
    now().assert("block_kind_request_exceptions_total", &[("path", "/x"), ("kind", "refused")], 1.0);
}

#[test]
fn kinds_of_generic_errors_are_known_after_their_first_call() {
    struct Client<E>(E);
    impl<E: LabelValue + Copy> Client<E> {
        #[instrument("/x", kind, prefix = "generic_kind")]
        fn call(&self) -> Result<(), E> {
            Err(self.0)
        }
    }
    Client(Failure::Refused).call().ok();
    Client("text").call().ok();
    let exceptions = |kind| now().value("generic_kind_request_exceptions_total", &[("path", "/x"), ("kind", kind)]);
    assert_eq!([exceptions("refused"), exceptions("text"), exceptions("panic")], [1.0, 1.0, 0.0]);
}
