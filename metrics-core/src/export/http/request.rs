//! A scrape request. Its headers and query determine the format, the compression, the families and the time limit.

use std::collections::HashSet;
use std::time::Duration;

use crate::encode::Format;
use crate::family::declaration::sample_names;
use crate::kind::Kind;
use crate::registry::collect::context::DEFAULT_COLLECT_TIMEOUT;

/// The maximum time that a request can allow for its collectors.
const MAX_COLLECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A request for metrics, independent of any framework's types.
#[derive(Debug)]
pub(crate) struct ScrapeRequest {
    pub(crate) method: Method,
    /// The part of a live page that is requested. Other handlers ignore it.
    pub(super) view: LiveView,
    /// The names of the requested families or their samples. If empty, all families are requested.
    names: HashSet<String>,
    accept: Vec<String>,
    accept_encoding: Option<Vec<String>>,
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Other,
}

/// The part of a live page that a query selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LiveView {
    /// The document.
    Page,
    /// The values.
    Snapshot,
    /// The exposition.
    Metrics,
    /// A dashboard for Grafana.
    Dashboard,
    /// Rules for Prometheus.
    Rules,
}

impl LiveView {
    fn of(query: &str) -> Self {
        match query.split('&').next() {
            Some("snapshot") => Self::Snapshot,
            Some("metrics") => Self::Metrics,
            Some("dashboard") => Self::Dashboard,
            Some("rules") => Self::Rules,
            _ => Self::Page,
        }
    }
}

impl ScrapeRequest {
    pub(crate) fn new(method: &str, query: Option<&str>) -> Self {
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            _ => Method::Other,
        };
        let names = query.map_or_else(HashSet::new, names);
        let view = query.map_or(LiveView::Page, LiveView::of);
        Self { method, view, names, accept: Vec::new(), accept_encoding: None, timeout: None }
    }

    /// Adds a header, whose name must be lowercase. Ignores headers that do not affect the response.
    pub(crate) fn header(&mut self, name: &str, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else { return };
        match name {
            "accept" => self.accept.extend(elements(value)),
            "accept-encoding" => self.accept_encoding.get_or_insert_default().extend(elements(value)),
            "x-prometheus-scrape-timeout-seconds" => {
                // The response must arrive before the client times out, so a tenth of the time is reserved for sending
                // it.
                let seconds = value.trim().parse().ok().filter(|seconds: &f64| *seconds > 0.0);
                let timeout = seconds.map(|seconds| (seconds * 0.9).min(MAX_COLLECT_TIMEOUT.as_secs_f64()));
                self.timeout = timeout.map(Duration::from_secs_f64);
            }
            _ => {}
        }
    }

    /// Returns the maximum time that the scrape waits for collectors and a slot.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_COLLECT_TIMEOUT)
    }

    /// Returns the supported format with the highest quality, or text 0.0.4 if the request accepts no supported format.
    ///
    /// If several formats have the same quality, returns the first one in the header.
    pub(crate) fn format(&self) -> Format {
        // For each format, the specificity and the quality of the most specific range that matches it.
        let mut said: Vec<(Format, u8, f32)> = Vec::new();
        for (range, quality) in self.accept.iter().map(|element| quality(element)) {
            let Some((format, exactness)) = format_of(range) else { continue };
            match said.iter_mut().find(|(known, ..)| *known == format) {
                Some(known) if known.1 < exactness => *known = (format, exactness, quality),
                Some(_) => {}
                None => said.push((format, exactness, quality)),
            }
        }
        let mut best = (Format::Text, 0.0);
        for (format, _, quality) in said {
            if quality > best.1 {
                best = (format, quality);
            }
        }
        best.0
    }

    /// Returns true if the response should be compressed.
    pub(crate) fn gzip(&self) -> bool {
        let codings = || self.accept_encoding.iter().flatten().map(|element| quality(element));
        let of = |names: &[&str]| {
            let named = |coding: &str| names.iter().any(|name| name.eq_ignore_ascii_case(coding.trim()));
            codings().find(|(coding, _)| named(coding)).map(|(_, quality)| quality)
        };
        let gzip = of(&["gzip", "x-gzip"]).or_else(|| of(&["*"])).unwrap_or(0.0);
        gzip > 0.0 && gzip >= of(&["identity"]).unwrap_or(0.0)
    }

    /// Returns true if this family is requested.
    pub(crate) fn wants(&self, name: &str, kind: Kind) -> bool {
        self.names.is_empty() || sample_names(name, kind).any(|sample| self.names.contains(&sample))
    }
}

/// Splits a header value at commas outside of quotes.
fn elements(value: &str) -> impl Iterator<Item = String> + '_ {
    split(value, ',').map(|element| element.trim().to_owned()).filter(|element| !element.is_empty())
}

fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    value.split(move |c| {
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        c == separator && !quoted
    })
}

/// Splits off an element's quality. The quality is 1 if absent, and 0 if it is not a number from 0 to 1.
fn quality(element: &str) -> (&str, f32) {
    let mut end = 0;
    for part in split(element, ';') {
        let (name, value) = part.split_once('=').unwrap_or_default();
        if end > 0 && name.trim().eq_ignore_ascii_case("q") {
            let quality = value.trim().parse().ok().filter(|quality| (0.0..=1.0).contains(quality));
            return (&element[..end - 1], quality.unwrap_or(0.0));
        }
        end += part.len() + 1;
    }
    (element, 1.0)
}

/// Returns the format that a media range matches, and the specificity of the range.
///
/// Returns `None` if the format or its version is not supported.
fn format_of(range: &str) -> Option<(Format, u8)> {
    let mut parts = split(range, ';');
    let media = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let parameters: Vec<(String, &str)> = parts
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
        .collect();
    let parameter = |name: &str| parameters.iter().find(|(given, _)| given == name).map(|(_, value)| *value);
    let is_version = |ours: &str| parameter("version").is_none_or(|version| version == ours);
    let named = if parameter("version").is_some() { 3 } else { 2 };
    match media.as_str() {
        // A wildcard selects the default format.
        "*/*" => Some((Format::Text, 0)),
        "text/*" => Some((Format::Text, 1)),
        "text/plain" if is_version("0.0.4") => Some((Format::Text, named)),
        "application/openmetrics-text" if is_version("1.0.0") => Some((Format::OpenMetrics, named)),
        #[cfg(feature = "protobuf")]
        "application/vnd.google.protobuf"
            if parameter("proto") == Some("io.prometheus.client.MetricFamily")
                && parameter("encoding") == Some("delimited") =>
        {
            Some((Format::Protobuf, named))
        }
        _ => None,
    }
}

/// Returns the values of `name[]` in a query.
fn names(query: &str) -> HashSet<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| decode(name) == "name[]").map(|(_, value)| decode(value)).collect()
}

/// Decodes percent-encoding and `+`. Invalid UTF-8 becomes U+FFFD, which never occurs in a name.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match (escaped, first) {
            (Some((high, low)), _) => bytes.push(high << 4 | low),
            (None, b'+') => bytes.push(b' '),
            (None, other) => bytes.push(*other),
        }
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> ScrapeRequest {
        let mut request = ScrapeRequest::new("GET", None);
        for (name, value) in headers {
            request.header(name, value.as_bytes());
        }
        request
    }

    fn format(accept: &str) -> Format {
        request(&[("accept", accept)]).format()
    }

    #[test]
    fn the_format_with_the_highest_quality_is_chosen() {
        assert_eq!(request(&[]).format(), Format::Text);
        for accept in [
            "*/*",
            "text/plain",
            "text/plain;version=0.0.4",
            "text/html, */*;q=0.8",
            "application/openmetrics-text;version=1.0.0;q=0.5, text/plain;version=0.0.4;q=1",
            "application/openmetrics-text;version=9.9.9",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0, text/plain",
            "application/openmetrics-text;q=0",
            "application/json",
            "text/plain;version=7",
        ] {
            assert_eq!(format(accept), Format::Text, "{accept}");
        }
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "text/plain;q=0.1, application/openmetrics-text;q=0.5, */*;q=0.8",
            "text/plain;q=0, application/openmetrics-text;q=0.2, */*;q=0.3",
            "text/plain;q=0.3;x=\"a,b;q=1\", application/openmetrics-text;version=1.0.0;escaping=values;q=0.4",
            "application/openmetrics-text;version=1.0.0;q=0.001",
            "application/openmetrics-text;x=\"a;q=0\"",
        ] {
            assert_eq!(format(accept), Format::OpenMetrics, "{accept}");
        }
        let two_lines = request(&[("accept", "text/plain;q=0.5"), ("accept", "application/openmetrics-text")]);
        assert_eq!(two_lines.format(), Format::OpenMetrics);
    }

    #[test]
    fn protobuf_is_chosen_if_it_is_compiled_in() {
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                      application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        #[cfg(feature = "protobuf")]
        assert_eq!(format(accept), Format::Protobuf);
        #[cfg(not(feature = "protobuf"))]
        assert_eq!(format(accept), Format::OpenMetrics);
        let text = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text";
        assert_eq!(format(text), Format::Text);
    }

    #[test]
    fn invalid_headers_select_the_text_format() {
        for accept in
            ["", ",,,", ";", ";;q", "q=1", "\"", "\\", "*/*;q=nan", "a/b;q=2", "\u{fffd};q=\u{1F600}", "=;=,="]
        {
            assert_eq!(format(accept), Format::Text, "{accept}");
        }
        let mut bytes = ScrapeRequest::new("GET", None);
        bytes.header("accept", b"\xff\xfe");
        bytes.header("accept-encoding", b"\xff");
        bytes.header("x-prometheus-scrape-timeout-seconds", b"\xff");
        assert_eq!((bytes.format(), bytes.gzip(), bytes.timeout()), (Format::Text, false, DEFAULT_COLLECT_TIMEOUT));
        for quality in ["nan", "2", "-1", "inf", "", "1e9"] {
            assert_eq!(format(&format!("application/openmetrics-text;q={quality}")), Format::Text, "{quality}");
        }
    }

    #[test]
    fn gzip_is_used_if_it_is_preferred() {
        let gzip = |value| request(&[("accept-encoding", value)]).gzip();
        assert!(!request(&[]).gzip());
        for value in ["gzip", "*", "deflate, gzip;q=0.5", "GZIP", "identity;q=0.1, gzip;q=0.2", "*;q=0.1", "x-gzip"] {
            assert!(gzip(value), "{value}");
        }
        for value in ["", "identity", "gzip;q=0", "gzip;q=0, *", "br", "*;q=0", "gzip; q = 0.0", "identity, gzip;q=0.5"]
        {
            assert!(!gzip(value), "{value}");
        }
    }

    #[test]
    fn families_are_selected_by_name_or_by_sample() {
        let wants = |query: &str, name: &str, kind| ScrapeRequest::new("GET", Some(query)).wants(name, kind);
        assert!(wants("", "x", Kind::Gauge) && wants("debug=1", "x", Kind::Gauge));
        for query in ["name[]=a_total", "name%5B%5D=a_total", "name[]=a", "x=1&name[]=b&name%5b%5d=a%5ftotal"] {
            assert!(wants(query, "a_total", Kind::Counter), "{query}");
        }
        for query in ["name[]=a_sum", "name[]=a_count", "name[]=a"] {
            assert!(wants(query, "a", Kind::Summary), "{query}");
        }
        for query in ["name[]=", "name[]=b", "name[]=a_bucket", "name[]=%", "name[]=%zz", "name[]=%ff", "name[]=+a"] {
            assert!(!wants(query, "a", Kind::Summary), "{query}");
        }
    }

    #[test]
    fn the_timeout_comes_from_the_header() {
        let timeout = |value| request(&[("x-prometheus-scrape-timeout-seconds", value)]).timeout();
        assert_eq!(timeout("10"), Duration::from_secs(9));
        assert_eq!(timeout("0.5"), Duration::from_millis(450));
        assert_eq!(timeout("1e300"), MAX_COLLECT_TIMEOUT);
        assert_eq!(timeout("inf"), MAX_COLLECT_TIMEOUT);
        for value in ["", "x", "-1", "0", "nan", "10s"] {
            assert_eq!(timeout(value), DEFAULT_COLLECT_TIMEOUT, "{value}");
        }
    }
}
