//! Checks the metrics recorded for every way to leave a function, for every kind of function.

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use metrics_core::testing::Snapshot;
use metrics_core::{Counter, Family, Registry, Summary, instrument};

use super::{Failed, Outcome, now, yielding};

#[derive(Clone, Copy, Debug)]
enum How {
    Tail,
    QuestionMark,
    Return,
    ReturnErr,
    Err,
    Panic,
    /// A panic that the body itself catches.
    CaughtPanic,
    Never,
}

thread_local! {
    /// The number of calls on this thread that have begun to wait forever.
    static WAITING: Cell<usize> = Cell::new(0);
}

/// The body shared by all forms.
macro_rules! body {
    ($how:expr) => {
        match $how {
            How::Tail => Ok(1),
            How::QuestionMark => Ok("x".parse::<u32>()?),
            How::Return => return Ok(2),
            How::ReturnErr => return Err(Failed),
            How::Err => Err(Failed),
            How::Panic => panic_any(7),
            How::CaughtPanic => Ok(catch_unwind(|| panic_any(8)).map_or(3, |()| 4)),
            How::Never => unreachable!("only async functions can wait"),
        }
    };
}

macro_rules! body_later {
    ($how:expr) => {{
        yielding().await;
        if let How::Never = $how {
            WAITING.with(|waiting| waiting.set(waiting.get() + 1));
            std::future::pending::<()>().await;
        }
        body!($how)
    }};
}

#[instrument("form-sync", in_flight)]
fn sync(how: How) -> Outcome<u32> {
    body!(how)
}

#[instrument("form-async", in_flight)]
async fn asynchronous(how: How) -> Outcome<u32> {
    body_later!(how)
}

#[instrument("form-boxed", in_flight)]
fn boxed(how: How) -> Pin<Box<dyn Future<Output = Outcome<u32>> + Send>> {
    Box::pin(async move { body_later!(how) })
}

#[instrument("form-boxed-otherwise", in_flight)]
fn boxed_otherwise(how: How) -> Pin<Box<dyn Future<Output = Outcome<u32>> + Send>> {
    let future = Box::pin(async move { body_later!(how) });
    future
}

#[instrument("form-impl", in_flight)]
fn opaque(how: How) -> impl Future<Output = Outcome<u32>> + Send {
    async move { body_later!(how) }
}

// These calls are not counted in flight, so their guards hold the site instead of handles.

#[instrument("form-async-alone")]
async fn asynchronous_alone(how: How) -> Outcome<u32> {
    body_later!(how)
}

#[instrument("form-boxed-alone")]
fn boxed_alone(how: How) -> Pin<Box<dyn Future<Output = Outcome<u32>> + Send>> {
    Box::pin(async move { body_later!(how) })
}

#[instrument("form-impl-alone")]
fn opaque_alone(how: How) -> impl Future<Output = Outcome<u32>> + Send {
    async move { body_later!(how) }
}

#[async_trait::async_trait]
trait Form {
    async fn call(&self, how: How) -> Outcome<u32>;
}

struct ByAsyncTrait;

#[async_trait::async_trait]
impl Form for ByAsyncTrait {
    #[instrument("form-async-trait", in_flight)]
    async fn call(&self, how: How) -> Outcome<u32> {
        body_later!(how)
    }
}

/// Has labels whose values are known only at the end of a call.
#[instrument(path, ok = |out: &Outcome<u32>| out.is_ok(), kind = |_| "failed", prefix = "outcomes_late", in_flight)]
async fn by_result(path: &'static str, how: How) -> Outcome<u32> {
    body_later!(how)
}

#[instrument(path, ok = |out: &Outcome<u32>| out.is_ok(), kind = |_| "failed", prefix = "outcomes_late", in_flight)]
fn boxed_by_result(path: &'static str, how: How) -> Pin<Box<dyn Future<Output = Outcome<u32>> + Send>> {
    Box::pin(async move { body_later!(how) })
}

/// The counts of calls, exceptions, canceled calls and calls in flight.
type Counts = [f64; 4];

fn counts(path: &str) -> Counts {
    let now = Snapshot::of(Registry::global());
    ["latency_seconds_count", "exceptions_total", "cancelled_total", "s_in_flight"].map(|name| {
        let (separator, name) = if name.starts_with('s') { ("", name) } else { ("_", name) };
        let name = format!("{}_request{}{}", env!("CARGO_CRATE_NAME"), separator, name);
        now.get(&name, &[("path", path)]).unwrap_or(0.0)
    })
}

/// Returns the counts of [`by_result`] and [`boxed_by_result`], summed over all label values.
fn late_counts(_: &str) -> Counts {
    let text = Registry::global().to_text();
    [
        "outcomes_late_request_latency_seconds_count{",
        "outcomes_late_request_exceptions_total{",
        "outcomes_late_request_cancelled_total{",
        "outcomes_late_requests_in_flight{",
    ]
    .map(|series| {
        let values = text.lines().filter(|line| line.starts_with(series)).filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().expect("a number")).sum()
    })
}

/// Returns the counts that `call` adds. No other thread may call the measured function concurrently.
fn added(path: &str, counts: fn(&str) -> Counts, call: impl FnOnce()) -> Counts {
    let before = counts(path);
    call();
    let after = counts(path);
    [0, 1, 2, 3].map(|at| after[at] - before[at])
}

const OK: Counts = [1.0, 0.0, 0.0, 0.0];
const EXCEPTION: Counts = [1.0, 1.0, 0.0, 0.0];
const CANCELLED: Counts = [1.0, 0.0, 1.0, 0.0];
const NOTHING: Counts = [0.0; 4];

fn returns() -> [(How, Counts); 6] {
    [
        (How::Tail, OK),
        (How::Return, OK),
        (How::CaughtPanic, OK),
        (How::QuestionMark, EXCEPTION),
        (How::ReturnErr, EXCEPTION),
        (How::Err, EXCEPTION),
    ]
}

#[test]
fn sync_functions() {
    for (how, expected) in returns().iter() {
        assert_eq!(added("form-sync", counts, || drop(sync(*how))), *expected, "{:?}", how);
    }
    let panics = || {
        let payload = catch_unwind(|| sync(How::Panic)).expect_err("the panic propagates");
        assert_eq!(payload.downcast_ref(), Some(&7));
    };
    assert_eq!(added("form-sync", counts, panics), EXCEPTION);
    struct CallsWhenDropped;
    impl Drop for CallsWhenDropped {
        fn drop(&mut self) {
            assert_eq!(sync(How::Tail), Ok(1));
        }
    }
    let unwinding = || {
        let outer = catch_unwind(|| {
            let _calls = CallsWhenDropped;
            panic_any(9);
        });
        assert!(outer.is_err());
    };
    assert_eq!(added("form-sync", counts, unwinding), OK);
}

type Boxed = Pin<Box<dyn Future<Output = Outcome<u32>> + Send>>;

fn polled_once(mut future: Boxed) -> Boxed {
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    future
}

fn every_way(path: &str, counts: fn(&str) -> Counts, call: impl Fn(How) -> Boxed) {
    for (how, expected) in returns().iter() {
        assert_eq!(added(path, counts, || drop(now(call(*how)))), *expected, "{:?}", how);
    }
    let panics = || {
        let payload = catch_unwind(AssertUnwindSafe(|| now(call(How::Panic)))).expect_err("the panic propagates");
        assert_eq!(payload.downcast_ref(), Some(&7));
    };
    assert_eq!(added(path, counts, panics), EXCEPTION);
    assert_eq!(added(path, counts, || drop(call(How::Tail))), NOTHING, "dropped before its first poll");
    assert_eq!(added(path, counts, || drop(polled_once(call(How::Tail)))), CANCELLED, "dropped after one poll");
    let in_flight = || {
        let future = polled_once(call(How::Never));
        assert_eq!(counts(path)[3], if path.ends_with("-alone") { 0.0 } else { 1.0 });
        drop(future);
    };
    assert_eq!(added(path, counts, in_flight), CANCELLED);
    let unwinding = || {
        let outer = catch_unwind(AssertUnwindSafe(|| {
            let _future = polled_once(call(How::Never));
            panic_any(9);
        }));
        assert!(outer.is_err());
    };
    assert_eq!(added(path, counts, unwinding), CANCELLED, "dropped while another panic unwinds");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let aborted = || {
        runtime.block_on(async {
            let waiting = WAITING.with(Cell::get);
            let task = tokio::spawn(call(How::Never));
            while WAITING.with(Cell::get) == waiting {
                tokio::task::yield_now().await;
            }
            task.abort();
            assert!(task.await.expect_err("aborted").is_cancelled());
        });
    };
    assert_eq!(added(path, counts, aborted), CANCELLED, "the task was aborted");
    let panicking_task = || {
        runtime.block_on(async { assert!(tokio::spawn(call(How::Panic)).await.expect_err("a panic").is_panic()) });
    };
    assert_eq!(added(path, counts, panicking_task), EXCEPTION, "the task panicked");
    let lost = || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = call(How::Never) => unreachable!("the call never ends"),
                () = tokio::task::yield_now() => {}
            }
        });
    };
    assert_eq!(added(path, counts, lost), CANCELLED, "the call lost a `select!`");
    let timed_out = || {
        runtime.block_on(async {
            assert!(tokio::time::timeout(Duration::from_millis(1), call(How::Never)).await.is_err());
        });
    };
    assert_eq!(added(path, counts, timed_out), CANCELLED, "the call timed out");
    let finished = || {
        let mut future = call(How::Tail);
        while let Poll::Pending = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {}
        drop(future);
    };
    assert_eq!(added(path, counts, finished), OK, "dropped after its end");
}

#[test]
fn async_functions() {
    every_way("form-async", counts, |how| Box::pin(asynchronous(how)));
}

#[test]
fn boxed_futures() {
    every_way("form-boxed", counts, boxed);
}

#[test]
fn boxed_futures_of_any_making() {
    every_way("form-boxed-otherwise", counts, boxed_otherwise);
}

#[test]
fn opaque_futures() {
    every_way("form-impl", counts, |how| Box::pin(opaque(how)));
}

#[test]
fn futures_of_calls_that_are_not_counted_in_flight() {
    every_way("form-async-alone", counts, |how| Box::pin(asynchronous_alone(how)));
    every_way("form-boxed-alone", counts, boxed_alone);
    every_way("form-impl-alone", counts, |how| Box::pin(opaque_alone(how)));
}

#[test]
fn futures_are_unwind_safe() {
    fn check<T: std::panic::UnwindSafe>(_: T) {}
    #[instrument("unwind-safe")]
    async fn fixed() {}
    #[instrument("unwind-safe-impl")]
    fn opaque() -> impl Future<Output = ()> + std::panic::UnwindSafe {
        async {}
    }
    #[instrument(path)]
    async fn labeled(path: &'static str) {
        let _ = path;
    }
    #[instrument(path, ok = |_| true, prefix = "unwind_safe")]
    async fn late(path: &'static str) {
        let _ = path;
    }
    #[instrument(path, ok = |_| true, latency = latency, prefix = "unwind_safe_per_call")]
    async fn per_call(path: &'static str, latency: Family<Summary, 2>) {
        let _ = (path, latency);
    }
    check(fixed());
    check(opaque());
    check(per_call("unwind-safe", Summary::builder("unwind_safe_seconds", "").labels(["path", "ok"]).build()));
    check(Counter::builder("unwind_safe_total", "").build());
    check(labeled("unwind-safe"));
    check(late("unwind-safe"));
}

#[test]
fn async_trait_methods() {
    every_way("form-async-trait", counts, |how| ByAsyncTrait.call(how));
}

#[test]
fn calls_with_labels_from_their_result() {
    every_way("late", late_counts, |how| Box::pin(by_result("late", how)));
    every_way("late", late_counts, |how| boxed_by_result("late", how));
    let text = Registry::global().to_text();
    let cancelled = |line: &&str| line.contains("ok=\"cancelled\"") && line.contains("_count{");
    let of_cancelled: Vec<&str> = text.lines().filter(cancelled).collect();
    let counted = late_counts("late")[2];
    assert!(counted > 0.0 && of_cancelled.len() == 1 && of_cancelled[0].ends_with(&format!(" {}", counted)));
    assert!(!text.contains("kind=\"\""));
}

#[test]
fn a_panic_has_the_place_and_the_message_of_the_plain_function() {
    use std::cell::RefCell;
    thread_local! {
        static SEEN: RefCell<Vec<(u32, String)>> = RefCell::new(Vec::new());
    }
    #[instrument("place")]
    fn place(n: u32) -> u32 {
        panic!("number {}", n)
    }
    let line = line!() - 2;
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let line = info.location().map_or(0, |location| location.line());
        let seen = SEEN.try_with(|seen| seen.borrow_mut().push((line, info.to_string())));
        if seen.is_err() {
            before(info);
        }
    }));
    assert!(catch_unwind(|| place(5)).is_err());
    drop(std::panic::take_hook());
    let seen = SEEN.with(|seen| seen.borrow().clone());
    assert_eq!(seen.len(), 1);
    assert!(seen[0].0 == line && seen[0].1.ends_with("number 5"), "{:?}", seen);
}
