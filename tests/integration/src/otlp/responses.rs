//! Receivers that reject data points or requests.

use std::time::Duration;

use metrics_core::{Gauge, Otlp, Registry};

use super::receiver::{Receiver, Response};
use crate::sample;

/// Returns a response that rejects data points.
fn rejects(points: u8, message: &str) -> Response {
    let mut partial = vec![1 << 3, points, 2 << 3 | 2, u8::try_from(message.len()).expect("short")];
    partial.extend_from_slice(message.as_bytes());
    let mut body = vec![1 << 3 | 2, u8::try_from(partial.len()).expect("short")];
    body.extend_from_slice(&partial);
    Response("200 OK", "Content-Type: application/x-protobuf\r\n", body)
}

#[test]
fn rejected_data_points_are_counted() {
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["n"]).register_in(&registry).expect("valid");
    for n in ["1", "2", "3"] {
        gauge.labels([n]).set(1);
    }
    let responses =
        [rejects(2, "too old"), rejects(100, "odd"), rejects(0, "a warning"), Response("200 OK", "", b"ok".to_vec())];
    let receiver = Receiver::start(responses);
    let target = receiver.target(&registry).name("rejected");
    // No more data points than were sent are counted.
    for expected in [2.0, 5.0, 5.0, 5.0] {
        target.push().expect("it is received");
        assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"rejected\"}"), Some(expected));
    }
    assert_eq!(sample("metrics_core_push_total{target=\"rejected\",outcome=\"success\"}"), Some(4.0));
}

#[test]
fn only_overloaded_receivers_are_asked_again() {
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid");
    for (status, is_temporary) in [
        ("429 Too Many Requests", true),
        ("502 Bad Gateway", true),
        ("503 Service Unavailable", true),
        ("504 Gateway Timeout", true),
        ("400 Bad Request", false),
        ("500 Internal Server Error", false),
        ("307 Temporary Redirect", false),
    ] {
        let receiver = Receiver::start([Response(status, "", b"why".to_vec())]);
        let target = receiver.target(&registry).name("asked_again");
        let pusher = target.start(Duration::from_secs(3_600)).expect("a thread");
        receiver.next();
        // The last push is sent anyway; a retry of the first push is sent before it.
        if is_temporary {
            receiver.next();
        }
        pusher.shutdown().expect("it is received");
        receiver.next();
        assert_eq!(receiver.count(), 0, "{status}");
    }
}

#[test]
fn errors_name_the_receiver_and_its_message() {
    let registry = Registry::new();
    let receiver = Receiver::start([Response("400 Bad Request", "", b"\x08\x03\x12\x06no sum".to_vec())]);
    let error = receiver.target(&registry).push().expect_err("it is rejected").to_string();
    let expected = format!("otlp: {} responded with status 400 Bad Request: no sum", receiver.url);
    assert_eq!(error, expected);
    let invalid = Otlp::new("localhost:4318").registry(&registry);
    let error = invalid.start(Duration::from_secs(1)).expect_err("refused").to_string();
    assert_eq!(error, "the URL is invalid; write a URL such as https://metrics.example:9091");
}
