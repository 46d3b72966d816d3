//! Receivers that refuse, hang, reset, redirect or respond with nonsense. Each push fails in time with an error that
//! names the target, the URL and the cause, and the first push after the fault delivers the current totals.

use std::error::Error;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use metrics_core::{Counter, PushError, Registry};

use crate::receiver::{LONG, OK, Receiver, Reply};
use crate::targets::{HttpTarget, for_each_target, small_registry};

/// The timeout of pushes to receivers that hang. The time includes the scrape.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Returns a registry with a counter at 3, and with some 300 KB of other series.
fn registry() -> Registry {
    let registry = Registry::new();
    Counter::builder("pushed_total", "Pushed.").register_in(&registry).expect("valid").inc_by(3_u64);
    let large = Counter::builder("large_total", "Many series.").labels(["of"]).max_series(100_000);
    let large = large.register_in(&registry).expect("valid");
    for number in 0..3_000 {
        large.labels([&format!("a long label value that makes the request large, number {number}")]).inc();
    }
    registry
}

/// Pushes to a receiver with this fault, and then again. Returns the error of the first push.
fn fails_once<T: HttpTarget>(registry: &Registry, fault: Reply) -> String {
    let receiver = Receiver::start([fault]);
    let url = receiver.url();
    let target = T::new(&format!("http://user:secret@{}/?token=secret", receiver.address()), registry);
    let is_hanging = !matches!(fault, Reply::Responds(_) | Reply::ResetsAfter(_));
    let timeout = if is_hanging { TIMEOUT } else { LONG };
    let begin = Instant::now();
    let error = target.clone().timeout(timeout).push().expect_err("the receiver is faulty");
    assert!(begin.elapsed() < LONG / 2, "{fault:?}: {:?}", begin.elapsed());
    let message = error.to_string();
    assert!(message.starts_with(T::NAME) && message.contains(&url), "{fault:?}: {message}");
    assert!(!format!("{error:?} {message}").contains("secret"), "{fault:?}: {error:?}");
    receiver.unseen();
    target.clone().timeout(LONG).push().unwrap_or_else(|error| panic!("{fault:?}: {error}"));
    assert!(!receiver.request().body.is_empty(), "{fault:?}");
    message.strip_prefix(&format!("{}: ", T::NAME)).expect("its name").replace(&url, "URL")
}

for_each_target! {
    fn connections_that_fail_are_errors<T>() {
        let registry = registry();
        for (fault, expected) in [
            (Reply::ReadsNothing, &["timed out"][..]),
            (Reply::NeverResponds, &["timed out"]),
            (Reply::Drips, &["timed out"]),
            (Reply::RespondsAndHangs("HTTP/1.1 200 O"), &["timed out"]),
            (Reply::ResetsAfter(10), &["Connection reset by peer", "Broken pipe"]),
            (Reply::ResetsAfter(3_000), &["Connection reset by peer", "Broken pipe"]),
            (Reply::Responds(""), &["Peer disconnected"]),
            (Reply::Responds("garbage\r\n\r\n"), &["the response is not valid HTTP"]),
            (Reply::Responds("HTTP/1.1 200"), &["Peer disconnected"]),
        ] {
            let message = fails_once::<T>(&registry, fault);
            let cause = message.strip_prefix("cannot push to URL: ").unwrap_or_else(|| panic!("{message}"));
            assert!(expected.iter().any(|expected| cause.starts_with(expected)), "{fault:?}: {message}");
        }
    }

    fn error_statuses_are_errors_with_the_reason<T>() {
        let registry = registry();
        for (response, expected) in [
            (
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 14\r\n\r\n\n inconsistent",
                "status 400 Bad Request: inconsistent",
            ),
            ("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n\r\n", "status 413 Payload Too Large"),
            (
                "HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nbro\x07k",
                "status 500 Internal Server Error: brok",
            ),
            (
                "HTTP/1.1 301 Moved\r\nLocation: http://other.example/?secret\r\nContent-Length: 0\r\n\r\n",
                "a redirect (status 301 Moved Permanently), which is not followed",
            ),
            (
                "HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
                "a redirect (status 307 Temporary Redirect), which is not followed",
            ),
        ] {
            let message = fails_once::<T>(&registry, Reply::Responds(response));
            assert_eq!(message, format!("URL responded with {expected}"));
        }
    }

    fn redirects_are_not_followed<T>() {
        let other = Receiver::start([]);
        for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
            let response = format!(
                "HTTP/1.1 {status}\r\nLocation: {}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                other.url()
            );
            let receiver = Receiver::start([Reply::Responds(response.leak())]);
            let target = T::new(&receiver.url(), &small_registry()).bearer_token(|| Ok("token".to_owned()));
            let error = target.push().expect_err("it is redirected").to_string();
            assert!(error.contains(status) && error.ends_with("which is not followed"), "{error}");
        }
        assert_eq!(other.unseen(), 0);
    }

    fn an_error_body_that_never_ends_is_cut<T>() {
        let response = "HTTP/1.1 503 Overloaded\r\nContent-Length: 1000\r\n\r\ntry later";
        let message = fails_once::<T>(&registry(), Reply::RespondsAndHangs(response));
        assert_eq!(message, "URL responded with status 503 Service Unavailable: try later");
    }

    fn a_response_to_a_request_that_was_not_read_is_an_error_or_a_success<T>() {
        // The receiver closes the connection with unread data, which resets it. The response may be lost.
        let receiver = Receiver::start([Reply::RespondsUnread("HTTP/1.1 204 No Content\r\n\r\n")]);
        let registry = registry();
        let target = T::new(&receiver.url(), &registry);
        if let Err(error) = target.push() {
            let message = error.to_string();
            let causes = ["reset", "pipe", "disconnected"];
            assert!(causes.iter().any(|cause| message.contains(cause)), "{message}");
        }
        target.push().expect("the receiver reads it");
        assert!(!receiver.request().body.is_empty());
    }

    fn a_port_without_a_listener_is_an_error<T>() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let error = T::new(&url, &small_registry()).push().expect_err("nobody listens");
        let message = error.to_string();
        assert!(message.starts_with(&format!("{}: cannot push to {url}: Connection refused", T::NAME)), "{message}");
        assert!(matches!(&error, PushError::Target { target, .. } if target == T::NAME));
        assert!(error.source().is_some());
    }

    fn a_name_that_does_not_exist_is_an_error<T>() {
        let error = T::new("http://receiver.invalid:1", &small_registry()).push().expect_err("no such name");
        let message = error.to_string();
        let expected = format!("{}: cannot push to http://receiver.invalid:1: ", T::NAME);
        assert!(message.starts_with(&expected) && message.len() > expected.len(), "{message}");
    }

    fn an_overloaded_receiver_sets_the_time_of_the_next_push<T>() {
        let receiver = Receiver::start([Reply::Responds(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        )]);
        let interval = Duration::from_millis(10);
        let pusher = T::new(&receiver.url(), &small_registry()).name("overloaded").start(interval).expect("a thread");
        receiver.request();
        let begin = Instant::now();
        receiver.request();
        assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
        pusher.shutdown().expect("it is sent");
    }

    fn a_shutdown_ends_in_time_while_the_receiver_hangs<T>() {
        let receiver = Receiver::start([Reply::NeverResponds; 50]);
        let target = T::new(&receiver.url(), &small_registry()).name("hanging").timeout(Duration::from_millis(500));
        let pusher = target.start(Duration::from_secs(60)).expect("a thread");
        let begin = Instant::now();
        let error = pusher.shutdown().expect_err("nobody responds");
        assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
        assert!(error.to_string().starts_with("hanging: "), "{error}");
    }

    fn totals_are_right_after_an_outage<T>() {
        let registry = Registry::new();
        let counter = Counter::builder("pushed_total", "Pushed.").register_in(&registry).expect("valid");
        let faults = [
            Reply::ResetsAfter(1),
            Reply::Responds("HTTP/1.1 503 Overloaded\r\nContent-Length: 0\r\n\r\n"),
            Reply::Responds(""),
            Reply::Responds(OK),
        ];
        let receiver = Receiver::start(faults);
        let pusher = T::new(&receiver.url(), &registry).start(Duration::from_millis(20)).expect("a thread");
        for _ in 0..10_000 {
            counter.inc();
        }
        pusher.shutdown().expect("the outage is over");
        let mut last = T::total(&receiver.request());
        while let Some(request) = receiver.try_request() {
            last = T::total(&request).or(last);
        }
        assert_eq!(last, Some(10_000.0));
    }
}
