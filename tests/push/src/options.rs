//! Options of the targets that use HTTP: headers, credentials and URLs.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use metrics_core::Registry;

use crate::receiver::Receiver;
use crate::targets::{HttpTarget, for_each_target, small_registry};

/// The URL of another machine. No test connects to it.
const REMOTE: &str = "http://receiver.example:9091/base?token=secret";

fn start_error(target: &impl HttpTarget) -> String {
    let error = target.start(Duration::from_secs(1)).expect_err("invalid");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    // A single push returns the same error.
    let pushed = target.push().expect_err("invalid").to_string();
    assert!(pushed.ends_with(&error.to_string()), "{pushed}");
    error.to_string()
}

/// All lines that were logged by this process, including those of other crates.
static LOG: Mutex<String> = Mutex::new(String::new());

struct Recorder;

impl Log for Recorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut log = LOG.lock().expect("no panic");
        log.push_str(&format!("{}: {}\n", record.target(), record.args()));
    }

    fn flush(&self) {}
}

fn record_log() {
    // All tests of this process use the same logger.
    log::set_logger(&Recorder).ok();
    // The crates of the HTTP client log requests at this level.
    log::set_max_level(LevelFilter::Trace);
}

for_each_target! {
    fn headers_and_the_path_of_the_url_are_sent<T>() {
        let receiver = Receiver::start([]);
        let target = T::new(&format!("{}/base/?tenant=a", receiver.url()), &small_registry());
        target.header("X-Scope-OrgID", "eu").push().expect("sent");
        let request = receiver.request();
        let path = request.line().split(' ').nth(1).expect("a path");
        assert!(path.starts_with("/base") && path.ends_with("?tenant=a"), "{path}");
        assert_eq!(request.header("x-scope-orgid"), Some("eu"));
        assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("metrics-core/")));
        assert_eq!(request.header("authorization"), None);
    }

    fn a_token_is_read_again_for_each_push<T>() {
        let receiver = Receiver::start([]);
        let number = AtomicU64::new(0);
        let token = move || Ok(format!("token{}\n", number.fetch_add(1, Ordering::Relaxed)));
        let target = T::new(&receiver.url(), &small_registry()).bearer_token(token);
        for expected in ["Bearer token0", "Bearer token1"] {
            target.push().expect("sent");
            assert_eq!(receiver.request().header("authorization"), Some(expected));
        }
    }

    fn user_name_and_password_come_from_the_url_or_from_a_function<T>() {
        let receiver = Receiver::start([]);
        let basic = "Basic dXNlcjpwQHNz"; // user:p@ss
        let in_url = T::new(&format!("http://user:p%40ss@{}", receiver.address()), &small_registry());
        let function = T::new(&receiver.url(), &small_registry()).basic_auth("user", || Ok("p@ss".to_owned()));
        for target in [in_url, function] {
            target.push().expect("sent");
            assert_eq!(receiver.request().header("authorization"), Some(basic));
        }
    }

    fn a_secret_that_cannot_be_read_is_an_error_until_it_can<T>() {
        let receiver = Receiver::start([]);
        let number = AtomicU64::new(0);
        let token = move || match number.fetch_add(1, Ordering::Relaxed) {
            0 => Err(io::Error::other("the file is missing")),
            _ => Ok("token".to_owned()),
        };
        let target = T::new(&receiver.url(), &small_registry()).bearer_token(token);
        let error = target.push().expect_err("no token");
        assert_eq!(error.to_string(), format!("{}: cannot read the token: the file is missing", T::NAME));
        assert_eq!(receiver.unseen(), 0);
        target.push().expect("sent");
    }

    fn credentials_are_not_sent_unencrypted_to_other_machines<T>() {
        let new = |url: &str| T::new(url, &small_registry());
        let expected = "http://receiver.example:9091/base would receive credentials unencrypted; \
                        use https, or call `allow_credentials_over_http`";
        for target in [
            new(REMOTE).bearer_token(|| Ok("secret".to_owned())),
            new(REMOTE).basic_auth("user", || Ok("secret".to_owned())),
            new(REMOTE).header("X-Api-Key", "secret"),
            new("http://user:secret@receiver.example:9091/base"),
        ] {
            assert_eq!(start_error(&target), expected);
        }
        let allowed = new("http://receiver.invalid").header("X-Api-Key", "secret").allow_credentials_over_http();
        let error = allowed.push().expect_err("no such name").to_string();
        assert!(error.contains("cannot push to http://receiver.invalid"), "{error}");
    }

    fn invalid_options_are_errors_before_the_first_push<T>() {
        let new = |url: &str| T::new(url, &small_registry());
        for url in ["", "localhost:9091", "user:secret@example", "ftp://example", "http://", "http://a b/"] {
            assert_eq!(start_error(&new(url)), "the URL is invalid; write a URL such as https://metrics.example:9091");
        }
        assert_eq!(start_error(&new("http://h").header("a b", "c")), "\"a b\" is not a valid header name");
        assert_eq!(
            start_error(&new("http://h").header("x-key", "secret\n")),
            "the value of the header `x-key` is invalid"
        );
        assert_eq!(
            start_error(&new("https://h").root_certificates("secret")),
            "the root certificates are invalid: the text does not contain a PEM certificate"
        );
        assert_eq!(
            start_error(&new("https://h").client_certificate("secret", "secret")),
            "the client certificate is invalid: the text does not contain a PEM certificate"
        );
    }

    fn nothing_secret_is_logged_or_shown<T>() {
        record_log();
        let name = format!("discreet_{}", T::NAME);
        let receiver = Receiver::start([crate::receiver::Reply::Responds(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/?elsewhere\r\nContent-Length: 0\r\n\r\n",
        )]);
        let target = T::new(&format!("http://user:secret@{}/?token=secret", receiver.address()), &small_registry());
        let target = target.name(&name).header("X-Api-Key", "secret");
        assert!(!format!("{target:?}").contains("secret"));
        let pusher = target.start(Duration::from_millis(20)).expect("a thread");
        receiver.request();
        receiver.request();
        pusher.shutdown().expect("sent");
        let log = LOG.lock().expect("no panic").clone();
        assert!(log.contains(&format!("metrics_core: {name}: ")), "{log}");
        assert!(log.contains("ureq"), "{log}");
        // Requests are logged in rows of bytes with their characters at the end.
        let rows = log.lines().filter(|line| line.starts_with("ureq_proto::util: "));
        let rows: String = rows.map(|row| &row[row.len() - 16..]).collect();
        assert!(rows.contains("authorization:"), "{log}");
        // The base64 encoding of `user:secret`.
        for secret in ["secret", "dXNlcjpzZWNyZXQ"] {
            assert!(!log.contains(secret) && !rows.contains(secret), "{log}");
            assert!(!Registry::global().to_text().contains(secret));
        }
    }

    fn a_receiver_that_repeats_secrets_does_not_reveal_them<T>() {
        let response = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 69\r\n\r\n\
                        invalid: /?token=pass%3Dword X-Api-Key=hunter2 user=alice open sesame";
        let receiver = Receiver::start([crate::receiver::Reply::Responds(response)]);
        let url = format!("http://alice:open%20sesame@{}/?token=pass%3Dword", receiver.address());
        let target = T::new(&url, &small_registry());
        let error = target.header("X-Api-Key", "hunter2").push().expect_err("it is rejected").to_string();
        assert!(error.ends_with("401 Unauthorized: invalid: /?token=*** X-Api-Key=*** user=*** ***"), "{error}");
        let request = receiver.request();
        assert!(request.line().contains("?token=pass%3Dword "), "{request:?}");
        assert_eq!(request.header("x-api-key"), Some("hunter2"));
    }

    fn credentials_take_precedence_over_headers<T>() {
        let receiver = Receiver::start([]);
        let target = T::new(&receiver.url(), &small_registry()).header("X-After", "value");
        let target = target.header("Authorization", &"long ".repeat(50));
        let target = target.header("Content-Type", "text/x-other-and-long");
        target.bearer_token(|| Ok("token".to_owned())).push().expect("sent");
        let request = receiver.request();
        assert_eq!(request.header("authorization"), Some("Bearer token"));
        assert_ne!(request.header("content-type"), Some("text/x-other-and-long"));
        assert_eq!(request.header("x-after"), Some("value"));
        for name in ["Content-Length", "transfer-encoding", "host", "connection"] {
            let error = start_error(&T::new(&receiver.url(), &small_registry()).header(name, "1"));
            assert_eq!(error, format!("the header `{name}` is set by the HTTP client"));
        }
    }
}
