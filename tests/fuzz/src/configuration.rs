//! Configuration of push targets: URLs, addresses, paths, headers, labels, credentials, and the environment variables
//! of OpenTelemetry. Nothing panics, and no message contains a credential.

use std::sync::Once;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use metrics_core::{GraphiteBridge, HttpServer, Otlp, Pushgateway, RemoteWrite, StatsD, TextFile};
use metrics_core::{exponential_buckets, linear_buckets};

use crate::input::Source;

/// The credentials. None of them occurs in another text.
const SECRETS: [&str; 4] = ["S3cretUser", "S3cretWord", "S3cretToken", "S3cretQuery"];

const URLS: [&str; 22] = [
    "http://h:1/x",
    "https://h",
    "http://S3cretUser:S3cretWord@h:1/x",
    "https://S3cretUser@h/",
    "http://h/?token=S3cretQuery",
    "http://S3cretUser:%zz@h",
    "http://[::1]:9/",
    "http://S3cretUser:1/2@h",
    "h:9091",
    "S3cretUser:S3cretWord@h",
    "ftp://S3cretUser@h",
    "http://S3cretUser:S3cretWord@",
    "http://",
    "",
    "HTTP://H#S3cretQuery",
    "http://h:99999",
    "http://a b",
    "//S3cretUser@h",
    "http://h/a@b",
    "http://h/%00",
    "http:S3cretUser@h",
    "unix:/x",
];
/// Texts that end or escape a part of a URL.
const SPLINTERS: [&str; 20] =
    ["/", "?", "#", "@", ":", "\\", " ", "%2F", "%", "[", "]", "&", "\u{e9}", "\t", "\n", "1", "//", "..", ":80", "="];
const ADDRESSES: [&str; 16] = [
    "h:2003",
    "[::1]:1",
    "h",
    ":1",
    "h:0",
    "h:65536",
    "http://h:1",
    "unix:",
    "unix:/x",
    "unix:///x",
    "unix:x\0y",
    "h:1:2",
    "[h]:1",
    " h:1",
    "h:+1",
    "[:1",
];
const HEADERS: [&str; 12] = [
    "X-Scope-OrgID",
    "Authorization",
    "x y",
    "",
    "Host",
    "Content-Length",
    "api-key",
    "\u{e9}",
    "x:y",
    "Transfer-Encoding",
    "Cookie",
    "a\n",
];
const VALUES: [&str; 10] = [
    "S3cretToken",
    "Bearer S3cretToken",
    "S3cretToken\r\nx: y",
    "",
    " S3cretToken ",
    "S3cretToken\u{e9}",
    "a\0S3cretToken",
    "\tS3cretToken",
    "S3cretToken\n",
    "7",
];
const LABELS: [&str; 10] = ["job", "instance", "", "__name__", "le", "a-b", "\u{e9}", "quantile", "a", "job\n"];
const VARIABLES: [&str; 20] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_METRIC_EXPORT_INTERVAL",
];
const SETTINGS: [&str; 20] = [
    "api-key=S3cretToken",
    "Authorization=Basic%20S3cretToken",
    "a=1,b",
    "=S3cretToken",
    "S3cretToken",
    "a=%FFS3cretToken",
    "S3cretToken=a",
    "x y=S3cretToken",
    "10000",
    "0",
    "-1",
    "18446744073709551616",
    "gzip",
    "none",
    "delta",
    "lowmemory",
    "http/protobuf",
    "grpc",
    " ",
    ",,=,",
];

/// Builds each target with one configuration.
pub fn run(data: &[u8]) {
    capture_logs();
    let mut source = Source::new(data);
    match source.byte() % 8 {
        0..=2 => over_http(&mut source),
        3 | 4 => environment(&mut source),
        5 => addresses(&mut source),
        6 => server(&mut source),
        _ => bounds(&mut source),
    }
}

/// Asserts that a message is one sentence without credentials.
fn check(message: &str, what: &str) {
    for secret in SECRETS {
        assert!(!message.contains(secret), "{what} contains {secret}: {message}");
    }
}

/// Asserts that a target with invalid options reports them, and that no text about it contains credentials.
///
/// An interval of 0 is invalid, so nothing is sent even if all options are valid.
fn check_target(debug: &str, started: std::io::Result<metrics_core::Pusher>) {
    check(debug, "the debug text");
    let error = started.expect_err("an interval of 0 is invalid").to_string();
    check(&error, "the error");
    // A sentence has several words, and does not end with a colon or a comma.
    let is_sentence = error.split(' ').count() > 3 && !error.ends_with([' ', ':', ',']);
    assert!(is_sentence && !error.contains('\0'), "{error:?}");
}

/// Returns a text with at most three additions.
fn varied(text: &str, source: &mut Source<'_>) -> String {
    let mut text = text.to_owned();
    for _ in 0..source.below(4) {
        let at = source.below(text.len() + 1);
        if text.is_char_boundary(at) {
            let addition = if source.one_in(4) { source.text(3) } else { source.pick(&SPLINTERS).to_owned() };
            // Text inside a credential would hide it from the check.
            let is_inside = |secret: &&str| {
                text.match_indices(*secret).any(|(start, _)| (start + 1..start + secret.len()).contains(&at))
            };
            if !SECRETS.iter().any(is_inside) {
                text.insert_str(at, &addition);
            }
        }
    }
    text
}

fn without_secrets(text: &str) -> String {
    SECRETS.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "h"))
}

/// Removes credentials from the parts of a URL that messages may contain.
///
/// Messages contain neither the text before the `@` of the host nor the query and the fragment. If an unescaped `/`,
/// `?` or `#` in a password hides that `@`, the message is an error without the URL.
fn with_hidden_secrets(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['?', '#']).map_or(url.len(), |at| start + at);
    let fragment = url[end..].find('#').map_or("", |at| &url[end + at..]);
    let hides_host = fragment.contains('@') || !url[start..end].contains('/') && url[end..].contains('@');
    if hides_host {
        return url.to_owned();
    }
    let host = url[start..end].rfind('@').map_or(start, |at| start + at);
    format!("{}{}{}", &url[..host], without_secrets(&url[host..end]), &url[end..])
}

fn over_http(source: &mut Source<'_>) {
    let url = if source.one_in(16) { source.text(80) } else { varied(source.pick(&URLS), source) };
    let url = with_hidden_secrets(&url);
    let text = |source: &mut Source<'_>| without_secrets(&source.text(12));
    macro_rules! with_options {
        ($target:expr) => {{
            let mut target = $target;
            for _ in 0..source.below(4) {
                let (value, secret) = (source.pick(&VALUES), source.pick(&VALUES).to_owned());
                target = match source.byte() % 4 {
                    0 => target.header(source.pick(&HEADERS), value),
                    1 => target.header(&varied("x-key", source), &varied(value, source)),
                    2 => target.basic_auth("S3cretUser", move || Ok(secret.clone())),
                    _ => target.bearer_token(move || Ok(secret.clone())),
                };
            }
            if source.one_in(4) {
                target = target.allow_credentials_over_http();
            }
            check_target(&format!("{target:?}"), target.start(Duration::ZERO));
        }};
    }
    match source.byte() % 4 {
        0 => {
            let gateway = Pushgateway::new(&url, text(source)).grouping(source.pick(&LABELS), text(source));
            with_options!(gateway.grouping(text(source), text(source)));
        }
        1 => with_options!(RemoteWrite::new(&url).label(source.pick(&LABELS), text(source)).label(text(source), "x")),
        2 => with_options!(Otlp::new(&url).resource(text(source), text(source))),
        _ => with_options!(Otlp::with_url(&url)),
    }
}

fn environment(source: &mut Source<'_>) {
    let mut set = Vec::new();
    for _ in 0..=source.below(4) {
        let name = source.pick(&VARIABLES);
        let value = match source.byte() % 4 {
            0 if name.ends_with("ENDPOINT") => varied(source.pick(&URLS), source),
            0 => source.text(40),
            1 => varied(source.pick(&SETTINGS), source),
            _ if name.ends_with("ENDPOINT") => source.pick(&URLS).to_owned(),
            _ => source.pick(&SETTINGS).to_owned(),
        };
        let value = value.replace('\0', "");
        // Only the variables for headers and endpoints may contain credentials.
        let value = match name {
            name if name.ends_with("HEADERS") => value,
            name if name.ends_with("ENDPOINT") => with_hidden_secrets(&value),
            _ => without_secrets(&value),
        };
        set.push((name, value));
    }
    for (name, value) in &set {
        // SAFETY: no other thread of this process reads the environment: nothing has been sent.
        unsafe { std::env::set_var(name, value) };
    }
    let target = Otlp::from_env();
    check_target(&format!("{target:?}"), target.start(Duration::ZERO));
    let interval = Otlp::export_interval();
    assert!(!interval.is_zero());
    for (name, _) in set {
        // SAFETY: as above.
        unsafe { std::env::remove_var(name) };
    }
}

fn addresses(source: &mut Source<'_>) {
    let address = if source.one_in(8) { source.text(40) } else { varied(source.pick(&ADDRESSES), source) };
    // These targets have no credentials.
    let address = without_secrets(&address);
    match source.byte() % 4 {
        0 => {
            let target = GraphiteBridge::new(&address).prefix(&without_secrets(&source.text(30)));
            check_target(&format!("{target:?}"), target.start(Duration::ZERO));
        }
        1 | 2 => {
            let target =
                StatsD::new(&address).prefix(&without_secrets(&source.text(30))).datagram_size(source.below(256));
            check_target(&format!("{target:?}"), target.start(Duration::ZERO));
        }
        _ => {
            let path =
                format!("{}{}", source.pick(&["", "/", "..", "a/", "/a/..", "."]), without_secrets(&source.text(40)));
            let target = TextFile::new(path);
            check_target(&format!("{target:?}"), target.start(Duration::ZERO));
        }
    }
}

/// Builds a server, which refuses to start because no address is given.
fn server(source: &mut Source<'_>) {
    let builder = HttpServer::builder().max_connections(source.below(3)).max_scrapes(source.below(3));
    let builder = match source.byte() % 3 {
        0 => builder.bearer_token(&varied(source.pick(&VALUES), source)),
        1 => builder.basic_auth(&varied("S3cretUser", source), &varied(source.pick(&["", "S3cretWord"]), source)),
        _ => builder.bearer_token(&source.text(40)),
    };
    check(&format!("{builder:?}"), "the debug text");
    let none: &[std::net::SocketAddr] = &[];
    let error = builder.start(none).expect_err("no address").to_string();
    check(&error, "the error");
    assert!(error.split(' ').count() > 3, "{error:?}");
}

/// Computes bounds. At most 513 are returned, which is one more than a histogram accepts.
fn bounds(source: &mut Source<'_>) {
    let (start, step) = (source.f64(), source.f64());
    let count = usize::try_from(source.u64()).unwrap_or(usize::MAX);
    for bounds in [linear_buckets(start, step, count), exponential_buckets(start, step, count)] {
        assert_eq!(bounds.len(), count.min(513));
        let first = bounds.first().copied().unwrap_or(start);
        // Rounding keeps 15 digits.
        let is_near = (first - start).abs() <= start.abs() * 1e-14;
        assert!(first == start || is_near || start.is_nan() || !step.is_finite(), "{start:?} becomes {first:?}");
    }
}

/// Checks each message that is logged.
struct Checking;

impl Log for Checking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "metrics_core"
    }

    fn log(&self, record: &Record<'_>) {
        check(&record.args().to_string(), "a log message");
        assert!(record.level() >= Level::Warn, "{}", record.args());
    }

    fn flush(&self) {}
}

pub(crate) fn capture_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Checking).expect("no other logger");
        log::set_max_level(LevelFilter::Trace);
    });
}
