//! Every way to end a timer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use metrics_core::{Histogram, Summary};

#[test]
fn a_timer_observes_once_or_not_at_all() {
    let summary = Summary::builder("timed_seconds", "").build();
    let elapsed = summary.start_timer().stop();
    assert_eq!(summary.count(), 1);
    assert!((summary.sum() - elapsed.as_secs_f64()).abs() < 1e-9);
    drop(summary.start_timer());
    assert_eq!(summary.count(), 2);
    summary.start_timer().discard();
    assert_eq!(summary.count(), 2);
}

#[test]
fn a_call_that_panics_is_timed() {
    let histogram = Histogram::builder("panicking_seconds", "").build();
    assert_eq!(histogram.time(|| 3), 3);
    let unwound = catch_unwind(AssertUnwindSafe(|| histogram.time(|| std::panic::panic_any(()))));
    assert!(unwound.is_err());
    assert_eq!(histogram.count(), 2);
}

#[tokio::test]
async fn futures_are_timed_from_their_first_poll_to_their_end() {
    let summary = Summary::builder("awaited_seconds", "").build();
    let timed = summary.time_future(tokio::time::sleep(Duration::from_millis(20)));
    assert_eq!(summary.count(), 0);
    timed.await;
    assert_eq!(summary.count(), 1);
    assert!(summary.sum() >= 0.02, "{}", summary.sum());
    // A future that is dropped before its first poll is not observed. A future that is dropped later is observed.
    drop(summary.time_future(std::future::pending::<()>()));
    assert_eq!(summary.count(), 1);
    let pending = summary.time_future(std::future::pending::<()>());
    assert!(tokio::time::timeout(Duration::from_millis(1), pending).await.is_err());
    assert_eq!(summary.count(), 2);
}

#[test]
fn a_timed_future_is_send_if_what_it_times_is() {
    fn is_send<T: Send>(_: &T) {}
    let summary = Summary::builder("sent_seconds", "").build();
    is_send(&summary.time_future(async {}));
    is_send(&summary.start_timer());
}
