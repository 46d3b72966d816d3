//! Push targets: the schedule, failures, and shutdown.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::time::{Duration, Instant};

use metrics_core::{Counter, PushContext, PushError, PushTarget, Pusher, Registry};

use crate::sample;

/// The maximum duration of each wait in these tests.
const LONG: Duration = Duration::from_secs(20);
const HOUR: Duration = Duration::from_secs(3_600);

/// An error whose `Display` panics.
#[derive(Debug)]
struct Untold;

impl fmt::Display for Untold {
    #[expect(clippy::panic, reason = "this is the error that panics")]
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("an error");
    }
}

impl Error for Untold {}

/// The scripted behavior of one push. Without an entry, a push only sends its value.
enum Does {
    Fails(&'static str),
    /// Fails and requests this delay before the next push.
    Postpones(Duration),
    /// Fails and requests no retry.
    GivesUp,
    FailsUntold,
    Panics,
    TimesOut,
    /// Blocks until the test sends a message.
    Waits(Channel<()>),
    LeavesOut(&'static str),
    /// Succeeds if the push is the last one, or is not.
    EndsIf(bool),
}

/// A push target that sends the value of `pushed_total` to a channel on each push.
struct Told {
    name: &'static str,
    does: VecDeque<Does>,
    begun: Sender<Instant>,
    values: Sender<f64>,
}

impl PushTarget for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let value = crate::sample_in(&push.scrape().to_text(), "pushed_total").expect("it is registered");
        self.begun.send(Instant::now()).ok();
        match self.does.pop_front() {
            Some(Does::Fails(why)) => return Err(why.into()),
            Some(Does::Postpones(delay)) => {
                push.retry_after(delay);
                return Err("overloaded".into());
            }
            Some(Does::GivesUp) => {
                push.do_not_retry();
                return Err("rejected".into());
            }
            Some(Does::FailsUntold) => return Err(Box::new(Untold)),
            #[expect(clippy::panic, reason = "this is the target that panics")]
            Some(Does::Panics) => panic!("a target"),
            Some(Does::TimesOut) => return Err(Box::new(io::Error::from(io::ErrorKind::TimedOut))),
            Some(Does::Waits(gate)) => drop(gate.recv()),
            Some(Does::EndsIf(is_last)) if push.is_last() == is_last => {}
            Some(Does::EndsIf(_)) => return Err("the wrong push is the last one".into()),
            Some(Does::LeavesOut(why)) => {
                push.skip(why, "one");
                push.skip(why, "another");
            }
            None => {}
        }
        self.values.send(value).ok();
        Ok(())
    }
}

struct Test {
    registry: Registry,
    counter: Counter,
    begun: Channel<Instant>,
    values: Channel<f64>,
}

impl Test {
    fn new(name: &'static str, does: impl IntoIterator<Item = Does>) -> (Self, metrics_core::PusherBuilder) {
        let registry = Registry::new();
        let counter = Counter::builder("pushed_total", "Counted.").register_in(&registry).expect("valid");
        let ((begins, begun), (sends, values)) = (channel(), channel());
        let told = Told { name, does: does.into_iter().collect(), begun: begins, values: sends };
        let builder = Pusher::builder(told).registry(&registry);
        (Self { registry, counter, begun, values }, builder)
    }

    /// Returns the value of the next successful push.
    fn value(&self) -> f64 {
        self.values.recv_timeout(LONG).expect("a push")
    }
}

/// Returns the number of pushes to `target` with this outcome.
fn outcomes(target: &str, outcome: &str) -> f64 {
    let name = format!("metrics_core_push_total{{target=\"{target}\",outcome=\"{outcome}\"}}");
    sample(&name).unwrap_or_else(|| panic!("{name} is not there"))
}

fn of(family: &str, target: &str) -> f64 {
    let name = format!("metrics_core_push_{family}{{target=\"{target}\"}}");
    sample(&name).unwrap_or_else(|| panic!("{name} is not there"))
}

#[test]
fn everything_is_exported_as_0_before_the_first_push() {
    let (gate, waits) = channel();
    let (test, builder) = Test::new("zeros", [Does::Waits(waits)]);
    let pusher = builder.interval(HOUR).start().expect("a thread");
    test.begun.recv_timeout(LONG).expect("it begins");
    for outcome in ["success", "error", "timeout", "panic"] {
        assert_eq!(outcomes("zeros", outcome), 0.0);
    }
    assert_eq!(of("last_success_timestamp_seconds", "zeros"), 0.0);
    assert_eq!(of("samples_dropped_total", "zeros"), 0.0);
    drop(gate);
    pusher.shutdown().expect("it sends");
    assert_eq!(outcomes("zeros", "success"), 2.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let last = of("last_success_timestamp_seconds", "zeros");
    assert!((now - 20.0..=now).contains(&last), "{last} is not just before {now}");
}

#[test]
fn the_first_push_is_immediate_and_the_others_follow_at_each_interval() {
    let interval = Duration::from_millis(100);
    let (test, builder) = Test::new("intervals", []);
    let pusher = builder.interval(interval).start().expect("a thread");
    let times: Vec<Instant> = (0..4).map(|_| test.begun.recv_timeout(LONG).expect("a push")).collect();
    // The second push follows within an interval. A thread may be late, which shortens the time to the next push.
    assert!(times[3].duration_since(times[0]) >= interval * 2, "{times:?}");
    pusher.shutdown().expect("it sends");
}

#[test]
fn pushers_that_start_together_do_not_push_together() {
    let interval = Duration::from_millis(400);
    let delays: Vec<Duration> = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
        .map(|name| {
            let (test, builder) = Test::new(name, []);
            (test, builder.interval(interval).start().expect("a thread"))
        })
        .into_iter()
        .map(|(test, pusher)| {
            let times = [(); 2].map(|()| test.begun.recv_timeout(LONG).expect("a push"));
            pusher.shutdown().expect("it sends");
            times[1].duration_since(times[0])
        })
        .collect();
    let (least, most) = (delays.iter().min().expect("some"), delays.iter().max().expect("some"));
    // Eight random delays are this close together once in a million times.
    assert!(*most - *least > interval / 20, "{delays:?}");
}

#[test]
fn missed_pushes_are_skipped() {
    let interval = Duration::from_millis(50);
    let (gate, waits) = channel();
    let (test, builder) = Test::new("missed", [Does::Waits(waits)]);
    let pusher = builder.interval(interval).start().expect("a thread");
    let begin = test.begun.recv_timeout(LONG).expect("it begins");
    while begin.elapsed() < interval * 10 {
        std::thread::yield_now();
    }
    assert!(test.begun.try_recv().is_err(), "pushes to one target overlap");
    drop(gate);
    let ended = Instant::now();
    let times: Vec<Instant> = (0..4).map(|_| test.begun.recv_timeout(LONG).expect("a push")).collect();
    assert!(times[3].duration_since(ended) >= interval * 2, "{times:?} come one upon the other");
    pusher.shutdown().expect("it sends");
}

#[test]
fn a_shutdown_sends_what_was_recorded_before_it() {
    let (test, builder) = Test::new("last", []);
    let pusher = builder.interval(HOUR).start().expect("a thread");
    assert_eq!(test.value(), 0.0);
    test.counter.inc_by(7);
    pusher.shutdown().expect("it sends");
    assert_eq!(test.value(), 7.0);
    assert!(test.values.recv_timeout(Duration::from_millis(1)).is_err());
}

#[test]
fn a_shutdown_in_the_middle_of_a_push_makes_another() {
    let (gate, waits) = channel();
    let (test, builder) = Test::new("another", [Does::Waits(waits)]);
    let pusher = builder.interval(HOUR).start().expect("a thread");
    test.begun.recv_timeout(LONG).expect("it begins");
    test.counter.inc();
    let ending = std::thread::spawn(move || pusher.shutdown());
    assert!(test.begun.recv_timeout(Duration::from_millis(50)).is_err(), "pushes to one target overlap");
    drop(gate);
    ending.join().expect("no panic").expect("it sends");
    assert_eq!((test.value(), test.value()), (0.0, 1.0));
}

#[test]
fn a_last_push_that_fails_is_retried() {
    let (test, builder) = Test::new("again", [Does::Fails("away"), Does::Fails("away"), Does::Panics]);
    let interval = Duration::from_millis(20);
    let pusher = builder.interval(interval).start().expect("a thread");
    test.begun.recv_timeout(LONG).expect("it begins");
    test.counter.inc();
    pusher.shutdown().expect("it sends at last");
    while let Ok(value) = test.values.recv_timeout(Duration::from_millis(1)) {
        assert!(value <= 1.0);
    }
    assert_eq!((outcomes("again", "error"), outcomes("again", "panic")), (2.0, 1.0));
}

#[test]
fn a_last_push_is_retried_within_its_timeout() {
    // With exponential back-off, the retries would take at least seven seconds. A target's name may be any string.
    let (test, builder) = Test::new("within\0", (0..4).map(|_| Does::Fails("away")));
    let pusher = builder.interval(HOUR).start().expect("a thread");
    test.begun.recv_timeout(LONG).expect("it begins");
    let begin = Instant::now();
    pusher.shutdown().expect("it sends at last");
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert_eq!(test.value(), 0.0);
}

#[test]
fn an_unreachable_target_is_an_error() {
    let (_test, builder) = Test::new("away", (0..1_000).map(|_| Does::Fails("nobody is there")));
    let begin = Instant::now();
    let timeout = Duration::from_secs(2);
    let pusher = builder.interval(Duration::from_millis(50)).timeout(timeout).start().expect("a thread");
    let error = pusher.shutdown().expect_err("it cannot send");
    assert_eq!(error.to_string(), "away: nobody is there");
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("nobody is there"));
    assert!(begin.elapsed() < LONG);
    assert!(outcomes("away", "error") >= 2.0);
    assert_eq!(of("last_success_timestamp_seconds", "away"), 0.0);
}

#[test]
fn a_last_push_whose_retry_hangs_reports_why_it_failed() {
    let (gate, waits) = channel();
    let (test, builder) =
        Test::new("stuck", [Does::Fails("ignored"), Does::Fails("nobody is there"), Does::Waits(waits)]);
    let pusher = builder.interval(HOUR).timeout(Duration::from_secs(2)).start().expect("a thread");
    test.begun.recv_timeout(LONG).expect("it begins");
    let error = pusher.shutdown().expect_err("it cannot send");
    assert_eq!(error.to_string(), "stuck: nobody is there");
    drop(gate);
}

#[test]
fn a_target_that_hangs_blocks_its_shutdown_only_until_its_timeout() {
    let (gate, waits) = channel();
    let (hangs, builder) = Test::new("hangs", [Does::Waits(waits)]);
    let hanging = builder.interval(HOUR).timeout(Duration::from_millis(200)).start().expect("a thread");
    hangs.begun.recv_timeout(LONG).expect("it begins");
    // Other pushers keep running.
    let (test, builder) = Test::new("beside", []);
    let beside = builder.interval(Duration::from_millis(10)).start().expect("a thread");
    for _ in 0..5 {
        assert_eq!(test.value(), 0.0);
    }
    beside.shutdown().expect("it sends");
    let error = hanging.shutdown().expect_err("it hangs");
    assert!(matches!(&error, PushError::TimedOut { target } if target == "hangs"), "{error:?}");
    assert_eq!(error.to_string(), "hangs: the last push did not finish in time");
    drop(gate);
}

#[test]
fn failures_are_counted_by_outcome_and_retried() {
    let does = [Does::Fails("away"), Does::FailsUntold, Does::Panics, Does::TimesOut, Does::LeavesOut("is odd")];
    let (test, builder) = Test::new("failing", does);
    let pusher = builder.interval(Duration::from_millis(20)).start().expect("a thread");
    assert_eq!((test.value(), test.value()), (0.0, 0.0));
    pusher.shutdown().expect("it sends");
    let failures = ["error", "panic", "timeout"].map(|outcome| outcomes("failing", outcome));
    assert_eq!(failures, [2.0, 1.0, 1.0]);
    assert!(outcomes("failing", "success") >= 3.0);
    assert_eq!(of("samples_dropped_total", "failing"), 2.0);
}

#[test]
fn a_failure_is_retried_long_before_the_next_interval() {
    let (test, builder) = Test::new("sooner", [Does::Fails("away")]);
    let begin = Instant::now();
    let pusher = builder.interval(HOUR).start().expect("a thread");
    assert_eq!(test.value(), 0.0);
    assert!(begin.elapsed() >= Duration::from_millis(500), "it hammers");
    pusher.shutdown().expect("it sends");
}

#[test]
fn a_target_can_postpone_the_next_push_beyond_the_interval() {
    let delay = Duration::from_millis(700);
    let (test, builder) = Test::new("postponed", [Does::Postpones(delay)]);
    let pusher = builder.interval(Duration::from_millis(20)).start().expect("a thread");
    let begin = test.begun.recv_timeout(LONG).expect("it begins");
    let next = test.begun.recv_timeout(LONG).expect("it begins again");
    assert!(next.duration_since(begin) >= delay, "{:?}", next.duration_since(begin));
    pusher.shutdown().expect("it sends");
}

#[test]
fn a_target_without_a_retry_waits_for_the_next_interval() {
    let interval = Duration::from_millis(400);
    let (test, builder) = Test::new("gives_up", (0..10).map(|_| Does::GivesUp));
    let pusher = builder.interval(interval).start().expect("a thread");
    // The second push follows after a random part of the interval.
    let times: Vec<Instant> = (0..6).map(|_| test.begun.recv_timeout(LONG).expect("a push")).collect();
    // Retries would follow after 200 to 400 milliseconds.
    assert!(times[5].duration_since(times[1]) > Duration::from_millis(1_450), "{times:?}");
    drop(pusher);
}

#[test]
fn a_last_push_without_a_retry_ends_the_shutdown_at_once() {
    let (test, builder) = Test::new("ends", [Does::EndsIf(false), Does::GivesUp]);
    let pusher = builder.interval(HOUR).timeout(HOUR).start().expect("a thread");
    assert_eq!(test.value(), 0.0);
    let begin = Instant::now();
    assert_eq!(pusher.shutdown().expect_err("it gives up").to_string(), "ends: rejected");
    assert!(begin.elapsed() < LONG, "{:?}", begin.elapsed());
}

#[test]
fn a_target_can_detect_the_last_push() {
    let (test, builder) = Test::new("last", [Does::EndsIf(false), Does::EndsIf(true)]);
    let pusher = builder.interval(HOUR).start().expect("a thread");
    assert_eq!(test.value(), 0.0);
    pusher.shutdown().expect("it is the last one");
}

#[test]
fn a_single_push_runs_on_the_calling_thread() {
    let (test, builder) = Test::new("once", [Does::LeavesOut("is odd")]);
    test.counter.inc();
    builder.push().expect("it sends");
    assert_eq!(test.value(), 1.0);
    assert_eq!((outcomes("once", "success"), of("samples_dropped_total", "once")), (1.0, 2.0));
    let (_, builder) = Test::new("once", [Does::Panics]);
    let error = builder.push().expect_err("it panics");
    assert!(matches!(&error, PushError::Panicked { target } if target == "once"), "{error:?}");
}

#[test]
fn a_zero_interval_or_timeout_is_rejected() {
    let (_, builder) = Test::new("zero", []);
    let error = builder.interval(Duration::ZERO).start().expect_err("refused");
    assert_eq!(error.to_string(), "the interval of a pusher must not be 0");
    let (_, builder) = Test::new("zero", []);
    let error = builder.timeout(Duration::ZERO).start().expect_err("refused");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::InvalidInput, "the timeout of a pusher must not be 0")
    );
}

#[test]
fn intervals_and_timeouts_may_be_duration_max() {
    let (test, builder) = Test::new("for_ever", []);
    let pusher = builder.interval(Duration::MAX).timeout(Duration::MAX).start().expect("a thread");
    assert_eq!(test.value(), 0.0);
    pusher.shutdown().expect("it sends");
    assert_eq!(test.value(), 0.0);
}

#[test]
fn a_dropped_pusher_keeps_running() {
    let (test, builder) = Test::new("dropped", []);
    drop(builder.interval(Duration::from_millis(10)).start().expect("a thread"));
    test.value();
    test.counter.inc();
    while test.value() < 1.0 {}
    assert!(!test.registry.to_text().is_empty());
}
