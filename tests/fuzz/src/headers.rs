//! Headers and queries of scrapes: the response has the format that the `Accept` header prefers, is compressed only if
//! the client allows it, and contains the requested families.

use std::future::Future;
use std::io::Read;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use flate2::read::GzDecoder;
use http::{HeaderValue, Request};
use http_body::Body;
use metrics_core::{Counter, Exposition, Gauge, Histogram, Registry};

use crate::input::Source;

/// The families of the exposition, each with the names by which a query can request it.
const FAMILIES: [(&str, &[&str]); 3] = [
    ("jobs_total", &["jobs", "jobs_total", "jobs_created"]),
    ("level", &["level"]),
    (
        "wait_seconds",
        &["wait_seconds", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum", "wait_seconds_created"],
    ),
];
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

static EXPOSITION: LazyLock<Exposition> = LazyLock::new(|| {
    let registry = Registry::new();
    Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid").inc_by(3);
    Gauge::builder("level", "Level.").register_in(&registry).expect("valid").set(-1.5);
    Histogram::builder("wait_seconds", "Waits.").buckets([0.5]).register_in(&registry).expect("valid").observe(0.25);
    Exposition::of(&registry)
});

/// A media range: its text, the format that it matches, and the specificity of the match.
const RANGES: [(&str, Option<&str>, u8); 15] = [
    ("text/plain", Some(TEXT), 2),
    ("text/plain;version=0.0.4", Some(TEXT), 3),
    ("text/plain;version=0.0.3", None, 0),
    ("text/*", Some(TEXT), 1),
    ("*/*", Some(TEXT), 0),
    ("application/openmetrics-text", Some(OPENMETRICS), 2),
    ("application/openmetrics-text;version=1.0.0", Some(OPENMETRICS), 3),
    ("Application/OpenMetrics-Text ; Version=\"1.0.0\" ; charset=utf-8", Some(OPENMETRICS), 3),
    ("application/openmetrics-text;version=0.0.1", None, 0),
    ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Some(PROTOBUF), 2),
    ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", None, 0),
    ("application/json", None, 0),
    ("application/json;a=\"x,text/plain;q=1\"", None, 0),
    ("application/openmetrics-text;a=\";q=0\"", Some(OPENMETRICS), 2),
    ("text/html;q=0.9;a=b", None, 0),
];
/// A quality: its text and its value.
const QUALITIES: [(&str, f32); 10] = [
    ("", 1.0),
    (";q=0.5", 0.5),
    (";q=0", 0.0),
    (" ; q=1.0", 1.0),
    (";q=0.25", 0.25),
    (";Q=0.75", 0.75),
    (";q=0.001", 0.001),
    (";q=2", 0.0),
    (";q=x", 0.0),
    (";q=NaN", 0.0),
];
const CODINGS: [&str; 6] = ["gzip", "identity", "*", "x-gzip", "br", "GZip"];
const TIMEOUTS: [&str; 10] = ["10", "0.5", "0", "-1", "NaN", "inf", "1e300", "x", "1e-320", " 3 "];

/// Sends one request to an exposition in this process.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let mut request = Request::new(());
    let is_structured = !source.one_in(4);
    let (expected, gzip, wanted) = if is_structured {
        structured(&mut source, &mut request)
    } else {
        raw(&mut source, &mut request);
        (None, None, None)
    };
    // A response to HEAD has the same headers, and takes a fraction of the time.
    let method = if source.one_in(32) { http::Method::GET } else { http::Method::HEAD };
    *request.method_mut() = method.clone();
    let response = ready(EXPOSITION.respond(&request));
    assert_eq!(response.status(), 200, "{request:?}");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    let content_type = header("content-type").expect("a type");
    assert!([TEXT, OPENMETRICS, PROTOBUF].contains(&content_type.as_str()), "{content_type}");
    let is_compressed = header("content-encoding").is_some();
    let names = |name: &str, text: &str| {
        request
            .headers()
            .get_all(name)
            .iter()
            .any(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase().contains(text))
    };
    // A format other than the default is sent only to clients that name it.
    assert!(content_type != OPENMETRICS || names("accept", "application/openmetrics-text"), "{request:?}");
    assert!(content_type != PROTOBUF || names("accept", "application/vnd.google.protobuf"), "{request:?}");
    assert!(!is_compressed || names("accept-encoding", "gzip") || names("accept-encoding", "*"), "{request:?}");
    assert_eq!(expected.unwrap_or(&content_type), content_type, "{request:?}");
    assert_eq!(gzip.unwrap_or(is_compressed), is_compressed, "{request:?}");
    if method == http::Method::HEAD {
        return;
    }
    let body = body(response.into_body(), is_compressed);
    for (at, (family, _)) in FAMILIES.iter().enumerate() {
        let name = if content_type == OPENMETRICS { family.trim_end_matches("_total") } else { family };
        let is_shown = if content_type == PROTOBUF {
            body.windows(family.len()).any(|part| part == family.as_bytes())
        } else {
            String::from_utf8_lossy(&body).contains(&format!("# TYPE {name} "))
        };
        let is_wanted = wanted.as_ref().is_none_or(|wanted| wanted[at]);
        assert!(is_shown == is_wanted || wanted.is_none(), "{family}: {request:?}");
    }
}

fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

fn body(body: impl Body<Data = bytes::Bytes, Error = std::io::Error>, is_compressed: bool) -> Vec<u8> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = ready(std::future::poll_fn(|context| body.as_mut().poll_frame(context))) {
        bytes.extend_from_slice(frame.expect("no client is slow").data_ref().expect("there are no trailers"));
    }
    if !is_compressed {
        return bytes;
    }
    let mut plain = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).expect("gzip");
    plain
}

/// Writes headers whose meaning is known. Returns the expected content type, compression and families.
fn structured(
    source: &mut Source<'_>,
    request: &mut Request<()>,
) -> (Option<&'static str>, Option<bool>, Option<[bool; 3]>) {
    let mut accepted = Vec::new();
    for _ in 0..source.below(4) {
        let mut elements = Vec::new();
        for _ in 0..source.below(4) {
            let ((range, format, specificity), (text, quality)) = (source.pick(&RANGES), source.pick(&QUALITIES));
            elements.push(format!("{range}{text}"));
            accepted.extend(format.map(|format| (format, specificity, quality)));
        }
        let value = elements.join(source.pick(&[",", ", ", " , ,"]));
        request.headers_mut().append("accept", HeaderValue::try_from(value).expect("valid"));
    }
    // The most specific range defines a format's quality, and the first one among equals. The highest quality wins.
    let mut best = (TEXT, 0.0);
    let mut seen = Vec::new();
    for (format, ..) in &accepted {
        if seen.contains(format) {
            continue;
        }
        seen.push(*format);
        let of_format = accepted.iter().filter(|(other, ..)| other == format);
        let most = of_format.clone().map(|(_, specificity, _)| *specificity).max().expect("there is one");
        let quality = of_format.clone().find(|(_, specificity, _)| *specificity == most).expect("there is one").2;
        if quality > best.1 {
            best = (*format, quality);
        }
    }
    let mut codings: Vec<(&str, f32)> = Vec::new();
    for _ in 0..source.below(3) {
        let mut elements = Vec::new();
        for _ in 0..source.below(4) {
            let (coding, (text, quality)) = (source.pick(&CODINGS), source.pick(&QUALITIES));
            elements.push(format!("{coding}{text}"));
            codings.push((coding, quality));
        }
        request.headers_mut().append("accept-encoding", HeaderValue::try_from(elements.join(", ")).expect("valid"));
    }
    let quality = |names: &[&str]| {
        codings
            .iter()
            .find(|(coding, _)| names.iter().any(|name| name.eq_ignore_ascii_case(coding)))
            .map(|found| found.1)
    };
    let gzip = quality(&["gzip", "x-gzip"]).or_else(|| quality(&["*"])).unwrap_or(0.0);
    let is_compressed = gzip > 0.0 && gzip >= quality(&["identity"]).unwrap_or(0.0);
    if source.one_in(2) {
        let timeout = HeaderValue::from_static(source.pick(&TIMEOUTS));
        request.headers_mut().append("x-prometheus-scrape-timeout-seconds", timeout);
    }
    let (mut pairs, mut wanted, mut is_limited) = (Vec::new(), [false; 3], false);
    for _ in 0..source.below(4) {
        let at = source.below(FAMILIES.len() + 1);
        let name = FAMILIES.get(at).map_or("other", |(_, names)| source.pick(names));
        if let Some(wanted) = wanted.get_mut(at) {
            *wanted = true;
        }
        is_limited = true;
        pairs.push(format!("{}={}", source.pick(&["name[]", "name%5B%5D", "n%61me%5b]"]), encoded(name, source)));
    }
    pairs.extend((0..source.below(2)).map(|_| source.pick(&["name=level", "x", "", "name[]", "&&"]).to_owned()));
    *request.uri_mut() = format!("/metrics?{}", pairs.join("&")).parse().expect("valid");
    (Some(best.0), Some(is_compressed), Some(if is_limited { wanted } else { [true; 3] }))
}

/// Percent-encodes some characters.
fn encoded(name: &str, source: &mut Source<'_>) -> String {
    let encode = |c: char| if source.one_in(3) { format!("%{:02x}", u32::from(c)) } else { c.to_string() };
    name.chars().map(encode).collect()
}

/// Writes headers and a query of any bytes.
fn raw(source: &mut Source<'_>, request: &mut Request<()>) {
    for name in ["accept", "accept-encoding", "x-prometheus-scrape-timeout-seconds", "accept"] {
        if let Ok(value) = HeaderValue::from_bytes(source.bytes(120)) {
            request.headers_mut().append(name, value);
        }
    }
    let query: String = source.text(60);
    if let Ok(uri) = format!("/metrics?{query}").parse() {
        *request.uri_mut() = uri;
    }
}
