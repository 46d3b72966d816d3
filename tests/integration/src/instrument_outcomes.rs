//! The four ways in which a call can end, and the metrics recorded for each.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use metrics_core::instrument;

use crate::sample;

/// Returns the counts of calls, exceptions, canceled calls and calls in flight for the functions with this prefix.
fn recorded(prefix: &str) -> [f64; 4] {
    ["request_latency_seconds_count", "request_exceptions_total", "request_cancelled_total", "requests_in_flight"]
        .map(|name| sample(&format!("{prefix}_{name}{{path=\"/x\"}}")).unwrap_or(f64::NAN))
}

#[derive(Debug)]
struct Failed;

type Outcome<T> = Result<T, Failed>;

impl From<std::num::ParseIntError> for Failed {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

#[test]
fn a_sync_call_ends_in_one_way() {
    #[instrument("/x", in_flight, prefix = "sync")]
    fn call(how: &str) -> Outcome<u32> {
        assert_eq!(sample("sync_requests_in_flight{path=\"/x\"}"), Some(1.0));
        match how {
            "ok" => Ok(1),
            "return" => return Err(Failed),
            "panic" => std::panic::panic_any(7),
            number => Ok(number.parse::<u32>()?),
        }
    }
    let calls = || recorded("sync").map(|value| if value.is_nan() { 0.0 } else { value });
    assert!(call("ok").is_ok());
    assert_eq!(calls(), [1.0, 0.0, 0.0, 0.0]);
    assert!(call("not a number").is_err());
    assert_eq!(calls(), [2.0, 1.0, 0.0, 0.0]);
    assert!(call("return").is_err());
    assert_eq!(calls(), [3.0, 2.0, 0.0, 0.0]);
    let payload = catch_unwind(|| call("panic")).expect_err("goes on");
    assert_eq!(payload.downcast_ref::<i32>(), Some(&7));
    assert_eq!(calls(), [4.0, 3.0, 0.0, 0.0]);
    // A function that is not async has no series for canceled calls.
    assert!(recorded("sync")[2].is_nan());
}

#[tokio::test]
async fn an_async_call_ends_in_one_way() {
    #[instrument("/x", in_flight, prefix = "asynchronous")]
    async fn call(how: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        tokio::task::yield_now().await;
        match how {
            "ok" => Ok(1),
            "return" => return Err("early".into()),
            "panic" => std::panic::panic_any(7),
            "never" => std::future::pending().await,
            number => Ok(number.parse()?),
        }
    }
    let calls = || recorded("asynchronous");
    call("ok").await.expect("ok");
    assert_eq!(calls(), [1.0, 0.0, 0.0, 0.0]);
    assert!(call("not a number").await.is_err());
    assert_eq!(calls(), [2.0, 1.0, 0.0, 0.0]);
    assert!(call("return").await.is_err());
    assert_eq!(calls(), [3.0, 2.0, 0.0, 0.0]);
    assert!(tokio::spawn(call("panic")).await.expect_err("a panic").is_panic());
    assert_eq!(calls(), [4.0, 3.0, 0.0, 0.0]);
    // A future that is never polled records nothing.
    drop(call("never"));
    assert_eq!(calls(), [4.0, 3.0, 0.0, 0.0]);
    let mut never = Box::pin(call("never"));
    assert!(matches!(never.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    assert_eq!(calls(), [4.0, 3.0, 0.0, 1.0]);
    drop(never);
    assert_eq!(calls(), [5.0, 3.0, 1.0, 0.0]);
    let task = tokio::spawn(call("never"));
    let polled = async {
        while calls()[3] < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), polled).await.expect("polled");
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert_eq!(calls(), [6.0, 3.0, 2.0, 0.0]);
    tokio::select! {
        biased;
        _ = call("never") => unreachable!("it never ends"),
        () = async { tokio::task::yield_now().await } => {}
    }
    assert_eq!(calls(), [7.0, 3.0, 3.0, 0.0]);
}

#[test]
fn a_future_dropped_by_the_unwinding_of_another_panic_is_cancelled() {
    #[instrument("/x", in_flight, prefix = "unwound")]
    async fn call() {
        std::future::pending::<()>().await;
    }
    let unwound = catch_unwind(|| {
        let mut future = pin!(call());
        assert!(matches!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        std::panic::panic_any(());
    });
    assert!(unwound.is_err());
    assert_eq!(recorded("unwound"), [1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn a_call_from_a_destructor_during_unwinding_is_recorded_by_its_own_outcome() {
    #[instrument("/x", in_flight, prefix = "nested")]
    async fn call() -> Result<(), ()> {
        Ok(())
    }
    struct CallsOnDrop;
    impl Drop for CallsOnDrop {
        fn drop(&mut self) {
            let ended = pin!(call()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(ended, Poll::Ready(Ok(()))));
        }
    }
    let unwound = catch_unwind(|| {
        let _calls = CallsOnDrop;
        std::panic::panic_any(());
    });
    assert!(unwound.is_err());
    assert_eq!(recorded("nested"), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn exception_if_replaces_the_rule_and_panics_count_anyway() {
    #[instrument("/x", in_flight, exception_if = |status: &u16| *status >= 500, prefix = "status")]
    fn call(status: u16) -> u16 {
        assert!(status != 0, "no status");
        status
    }
    for status in [200, 404, 500, 503] {
        call(status);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| call(0))).is_err());
    let [calls, exceptions, _, in_flight] = recorded("status");
    assert_eq!([calls, exceptions, in_flight], [5.0, 3.0, 0.0]);
}

#[test]
fn exception_if_may_forgive_an_err() {
    #[instrument("/x", exception_if = |out: &Result<(), u16>| matches!(out, Err(500..)), prefix = "forgiven")]
    fn call(status: u16) -> Result<(), u16> {
        if status == 200 { Ok(()) } else { Err(status) }
    }
    for status in [200, 404, 500] {
        call(status).ok();
    }
    assert_eq!(sample("forgiven_request_exceptions_total{path=\"/x\"}"), Some(1.0));
}

#[test]
fn none_and_other_types_are_not_exceptions() {
    #[instrument("/x", prefix = "none")]
    fn option() -> Option<u32> {
        None
    }
    #[instrument("/x", prefix = "none")]
    fn generic<T>(value: T) -> T {
        value
    }
    #[instrument("/x", prefix = "none")]
    fn opaque() -> impl Iterator<Item = Result<(), ()>> {
        [Err(())].into_iter()
    }
    assert_eq!(option(), None);
    // A type parameter is not treated as a `Result`, even if the caller passes a `Result`.
    assert_eq!(generic(Err::<(), ()>(())), Err(()));
    assert_eq!(opaque().count(), 1);
    assert_eq!(sample("none_request_latency_seconds_count{path=\"/x\"}"), Some(3.0));
    assert_eq!(sample("none_request_exceptions_total{path=\"/x\"}"), Some(0.0));
}

#[test]
fn latency_is_the_time_of_the_call() {
    #[instrument("/x", buckets(0.005, 10), prefix = "measured")]
    fn call() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    call();
    let sum = sample("measured_request_latency_seconds_sum{path=\"/x\"}").expect("exported");
    assert!((0.01..10.0).contains(&sum), "{sum}");
    assert_eq!(sample("measured_request_latency_seconds_bucket{path=\"/x\",le=\"0.005\"}"), Some(0.0));
    assert_eq!(sample("measured_request_latency_seconds_bucket{path=\"/x\",le=\"10\"}"), Some(1.0));
    assert_eq!(sample("measured_request_latency_seconds_bucket{path=\"/x\",le=\"+Inf\"}"), Some(1.0));
}
