//! The requests of the Pushgateway target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use metrics_core::{Counter, Gauge, Pushgateway, Registry};

use crate::decode::exposed_total;
use crate::receiver::{Receiver, Reply};

fn registry() -> (Registry, Counter) {
    let registry = Registry::new();
    let counter = Counter::builder("pushed_total", "Pushed.").register_in(&registry).expect("valid");
    (registry, counter)
}

#[test]
fn methods_and_paths_are_those_of_the_pushgateway() {
    let receiver = Receiver::start([]);
    let (registry, _) = registry();
    let gateway =
        Pushgateway::new(receiver.url(), "a/b").grouping("zone", "").grouping("instance", "i-1").registry(&registry);
    gateway.push().expect("sent");
    gateway.push_add().expect("sent");
    gateway.delete().expect("sent");
    for method in ["PUT", "POST", "DELETE"] {
        let request = receiver.request();
        let expected = format!("{method} /metrics/job@base64/YS9i/instance/i-1/zone@base64/= HTTP/1.1");
        assert_eq!(request.line(), expected);
        assert_eq!(request.body.is_empty(), method == "DELETE");
    }
}

#[test]
fn a_guard_pushes_at_the_end_and_after_a_panic() {
    let receiver = Receiver::start([]);
    let (registry, counter) = registry();
    let gateway = Pushgateway::new(receiver.url(), "batch").registry(&registry);
    {
        let _guard = gateway.push_at_end().expect("valid");
        counter.inc();
    }
    assert_eq!(exposed_total(&receiver.request()), Some(1.0));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = gateway.push_at_end().expect("valid");
        counter.inc();
        panic!("the job fails");
    }));
    assert!(panicked.is_err());
    assert_eq!(exposed_total(&receiver.request()), Some(2.0));
    let guard = gateway.push_at_end().expect("valid");
    counter.inc();
    guard.push().expect("sent");
    assert_eq!(exposed_total(&receiver.request()), Some(3.0));
    assert_eq!(receiver.unseen(), 0, "the guard pushed twice");
}

#[test]
fn a_guard_retries_within_the_timeout() {
    let (registry, counter) = registry();
    counter.inc();
    let receiver = Receiver::start([Reply::ResetsAfter(1), Reply::Responds("HTTP/1.1 500 Oops\r\n\r\n")]);
    let gateway = Pushgateway::new(receiver.url(), "batch").registry(&registry);
    gateway.push_at_end().expect("valid").push().expect("the third attempt succeeds");
    let mut last = receiver.request();
    while let Some(request) = receiver.try_request() {
        last = request;
    }
    assert_eq!(exposed_total(&last), Some(1.0));
    let receiver = Receiver::start([Reply::NeverResponds; 20]);
    let gateway = Pushgateway::new(receiver.url(), "batch").registry(&registry).timeout(Duration::from_millis(300));
    let error = gateway.push_at_end().expect("valid").push().expect_err("nobody responds").to_string();
    assert!(error.ends_with("timed out") || error.ends_with("did not finish in time"), "{error}");
    // Dropping the guard only logs the error.
    drop(gateway.push_at_end().expect("valid"));
}

#[test]
fn labels_of_the_grouping_key_are_rejected_in_series() {
    let receiver = Receiver::start([]);
    for (label, grouping) in [("job", "zone"), ("zone", "zone")] {
        let registry = Registry::new();
        let gauge = Gauge::builder("level", "").labels([label]).register_in(&registry).expect("valid");
        gauge.labels(["x"]).set(1);
        let gateway = Pushgateway::new(receiver.url(), "batch").grouping(grouping, "eu").registry(&registry);
        assert_eq!(
            gateway.push().expect_err("a clash").to_string(),
            format!(
                "pushgateway: a series of level has the label `{label}`, which the grouping key would replace; \
                 rename one of them"
            )
        );
    }
    assert_eq!(receiver.unseen(), 0);
}

#[test]
fn a_grouping_key_can_have_the_labels_of_the_librarys_own_metrics() {
    let receiver = Receiver::start([]);
    // The global registry contains `metrics_core_push_total`, which has the label `target`.
    Pushgateway::new(receiver.url(), "batch").grouping("target", "x").name("grouped").push().expect("sent");
    let body = receiver.request().body;
    let contains = |name: &str| body.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(!contains("grouped") && contains("metrics_core_"), "{}", body.escape_ascii());
    let skipped = "metrics_core_push_samples_dropped_total{target=\"grouped\"} ";
    let text = Registry::global().to_text();
    let skipped = text.lines().find_map(|line| line.strip_prefix(skipped)).expect("a counter");
    assert!(skipped.parse::<u64>().expect("a number") > 0);
}

#[test]
fn an_invalid_option_is_an_error_before_the_job() {
    let error = Pushgateway::new("http://localhost:9091", "").push_at_end().expect_err("no job");
    assert_eq!(error.to_string(), "the job of a Pushgateway must not be empty");
}
