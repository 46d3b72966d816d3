//! Annotated functions evaluate labels before the body and families before a future exists, drop arguments in the same
//! order as plain functions, and return only slightly larger futures. Their totals are exact, even with several threads.

#![allow(
    clippy::large_types_passed_by_value,
    clippy::manual_async_fn,
    clippy::needless_pass_by_value,
    reason = "the tests are about arguments that are passed by value"
)]

use std::cell::{Cell, RefCell};
use std::mem::size_of_val;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::thread;

use metrics_core::{Family, Histogram, instrument};

use crate::sample;

type Log = Rc<RefCell<Vec<&'static str>>>;

struct Noted(&'static str, Log);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

/// Returns the names of the arguments that `call` drops, in order.
fn dropped(call: impl FnOnce([Noted; 4])) -> Vec<&'static str> {
    let log = Log::default();
    call(["a", "b", "c", "d"].map(|name| Noted(name, log.clone())));
    log.take()
}

fn now<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

macro_rules! same_order {
    ($(#[$attribute:meta])* ($($pattern:tt)*) $body:block, $call:expr) => {{
        fn plain($($pattern)*) $body
        #[instrument("/order")]
        fn instrumented($($pattern)*) $body
        async fn plain_later($($pattern)*) $body
        #[instrument("/order")]
        async fn instrumented_later($($pattern)*) $body
        let call: fn(fn(Noted, Noted, Noted, Noted), [Noted; 4]) = $call;
        let expected = dropped(|noted| call(plain, noted));
        assert_eq!(dropped(|noted| call(instrumented, noted)), expected);
        let expected_later = dropped(|[a, b, c, d]| now(plain_later(a, b, c, d)));
        assert_eq!(dropped(|[a, b, c, d]| now(instrumented_later(a, b, c, d))), expected_later);
        expected
    }};
}

fn in_turn(call: fn(Noted, Noted, Noted, Noted), [first, second, third, fourth]: [Noted; 4]) {
    call(first, second, third, fourth);
}

#[test]
fn arguments_are_dropped_in_the_order_of_the_plain_function() {
    // The body uses only some of the arguments, and not in the order of the signature.
    let order = same_order!((a: Noted, b: Noted, c: Noted, _d: Noted) {
        let _ = (&b.0, &a.0, &c.0);
    }, in_turn);
    assert_eq!(order, ["d", "c", "b", "a"]);
    let order = same_order!((a: Noted, b: Noted, c: Noted, d: Noted) {
        drop(c);
        let _ = (&d.0, &a.0);
        let _moved = b;
    }, in_turn);
    assert_eq!(order, ["c", "b", "d", "a"]);
    same_order!((mut a: Noted, _b: Noted, c: Noted, d: Noted) {
        a.0 = a.0.trim();
        let _ = a.0;
        let _text = format!("{} and so on", c.0);
        let _ = &d;
    }, in_turn);
}

#[test]
fn a_single_argument_is_dropped_before_the_call_ends_and_as_a_whole() {
    struct Pair {
        _first: Noted,
        second: Noted,
    }
    #[instrument("/single", in_flight, prefix = "single")]
    fn fields(pair: Pair) -> usize {
        pair.second.0.len()
    }
    #[instrument("/single", in_flight, prefix = "single")]
    fn silent(_permit: Permit) {}
    #[instrument("/single", in_flight, prefix = "single")]
    async fn silent_later(_permit: Permit) {}
    struct Permit;
    impl Drop for Permit {
        fn drop(&mut self) {
            assert_eq!(sample("single_requests_in_flight{path=\"/single\"}"), Some(1.0));
        }
    }
    let order = dropped(|[first, second, ..]| {
        fields(Pair { _first: first, second });
    });
    assert_eq!(order[..2], ["a", "b"]);
    silent(Permit);
    now(silent_later(Permit));
    assert_eq!(sample("single_request_exceptions_total{path=\"/single\"}"), Some(0.0));
}

/// In Rust, an unnamed argument cannot be moved into the body, so it is dropped after the other arguments.
#[test]
fn an_argument_without_a_name_is_dropped_after_the_others() {
    fn plain(a: Noted, _: Noted, c: Noted, _d: Noted) {
        let _ = (&a, &c);
    }
    #[instrument("/nameless")]
    fn instrumented(a: Noted, _: Noted, c: Noted, _d: Noted) {
        let _ = (&a, &c);
    }
    assert_eq!(dropped(|noted| in_turn(plain, noted)), ["d", "c", "b", "a"]);
    assert_eq!(dropped(|noted| in_turn(instrumented, noted)), ["d", "c", "a", "b"]);
}

#[test]
fn labels_are_taken_once_and_before_the_body() {
    struct Request(Rc<RefCell<u32>>);
    impl Request {
        fn path(&self) -> String {
            *self.0.borrow_mut() += 1;
            "/taken".to_owned()
        }
    }
    #[instrument(path = request.path(), prefix = "taken")]
    fn call(request: Request) -> u32 {
        *request.0.borrow()
    }
    assert_eq!(call(Request(Rc::default())), 1);
    assert_eq!(sample("taken_request_latency_seconds_count{path=\"/taken\"}"), Some(1.0));
}

#[test]
fn labels_of_a_returned_future_are_taken_by_the_call_and_not_by_the_poll() {
    #[instrument(path, prefix = "taken_early")]
    fn call(path: &str) -> impl Future<Output = usize> + use<> {
        let len = path.len();
        async move { len }
    }
    let future = {
        let path = "/gone".to_owned();
        call(&path)
    };
    assert_eq!(now(future), 5);
    assert_eq!(sample("taken_early_request_latency_seconds_count{path=\"/gone\"}"), Some(1.0));
}

#[test]
fn futures_grow_by_little() {
    async fn wait() {
        std::future::ready(()).await;
    }
    async fn plain_across(argument: [u8; 1_024]) -> usize {
        wait().await;
        argument.len()
    }
    #[instrument("/across")]
    async fn across(argument: [u8; 1_024]) -> usize {
        wait().await;
        argument.len()
    }
    async fn plain_before(argument: [u8; 1_024]) -> usize {
        let len = argument.len();
        wait().await;
        len
    }
    #[instrument("/before")]
    async fn before(argument: [u8; 1_024]) -> usize {
        let len = argument.len();
        wait().await;
        len
    }
    fn plain_returned(argument: [u8; 1_024]) -> impl Future<Output = usize> {
        async move {
            wait().await;
            argument.len()
        }
    }
    #[instrument("/returned")]
    fn returned(argument: [u8; 1_024]) -> impl Future<Output = usize> {
        async move {
            wait().await;
            argument.len()
        }
    }
    let argument = [0; 1_024];
    let sizes = (size_of_val(&plain_across(argument)), size_of_val(&across(argument)));
    assert!(sizes.1 * 100 <= sizes.0 * 105, "across an await: {sizes:?}");
    let sizes = (size_of_val(&plain_before(argument)), size_of_val(&before(argument)));
    assert!(sizes.1 <= sizes.0 + 1_024 + 128, "before an await: {sizes:?}");
    let sizes = (size_of_val(&plain_returned(argument)), size_of_val(&returned(argument)));
    assert!(sizes.1 <= sizes.0 + 128, "returned: {sizes:?}");
}

#[test]
fn totals_are_exact_over_eight_threads() {
    #[instrument("/x", in_flight, prefix = "exact")]
    fn call(n: u32) -> Result<(), ()> {
        if n.is_multiple_of(4) { Err(()) } else { Ok(()) }
    }
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..10_000).for_each(|n| call(n).unwrap_or_default()));
        }
    });
    assert_eq!(sample("exact_request_latency_seconds_count{path=\"/x\"}"), Some(80_000.0));
    assert_eq!(sample("exact_request_exceptions_total{path=\"/x\"}"), Some(20_000.0));
    assert_eq!(sample("exact_requests_in_flight{path=\"/x\"}"), Some(0.0));
}

#[test]
fn totals_are_exact_where_tasks_migrate() {
    #[instrument(path, status = |out: &Result<u32, u32>| out.is_ok(), in_flight, prefix = "moving")]
    async fn call(path: &'static str, n: u32) -> Result<u32, u32> {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if n.is_multiple_of(5) { Err(n) } else { Ok(n) }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).build().expect("a runtime");
    runtime.block_on(async {
        let tasks: Vec<_> = (0..5_000).map(|n| tokio::spawn(call("/x", n))).collect();
        for task in tasks {
            task.await.expect("no panic").ok();
        }
    });
    assert_eq!(sample("moving_request_latency_seconds_count{path=\"/x\",status=\"true\"}"), Some(4_000.0));
    assert_eq!(sample("moving_request_latency_seconds_count{path=\"/x\",status=\"false\"}"), Some(1_000.0));
    assert_eq!(sample("moving_request_exceptions_total{path=\"/x\",status=\"false\"}"), Some(1_000.0));
    assert_eq!(sample("moving_requests_in_flight{path=\"/x\"}"), Some(0.0));
}

#[test]
fn polling_a_future_evaluates_no_families() {
    static READY: OnceLock<Family<Histogram, 1>> = OnceLock::new();
    // Scrapes of other tests evaluate the expression, too, but in other threads.
    thread_local!(static EVALUATIONS: Cell<usize> = const { Cell::new(0) });
    #[instrument("/a", latency = premature(), prefix = "premature_future")]
    fn load() -> impl Future<Output = ()> {
        async {}
    }
    fn premature() -> Family<Histogram, 1> {
        EVALUATIONS.with(|evaluations| evaluations.set(evaluations.get() + 1));
        READY.get().expect("a family").clone()
    }
    let poll = |future: Pin<&mut dyn Future<Output = ()>>| {
        let before = EVALUATIONS.get();
        assert!(future.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        assert_eq!(EVALUATIONS.get(), before);
    };
    // After a panic, the expression is evaluated by later calls, but not by each of them.
    while EVALUATIONS.get() < 3 {
        poll(pin!(load()));
    }
    let mut early = pin!(load());
    let latency = Histogram::builder("premature_future_seconds", "").labels(["path"]).build();
    assert!(READY.set(latency.clone()).is_ok());
    poll(early.as_mut());
    while latency.get(["/a"]).is_none_or(|latency| latency.count() == 0) {
        poll(pin!(load()));
    }
}
