//! Annotated functions create a family whose series have different labels. promtool and the Python client can parse the
//! family.

use metrics_core::{Format, Registry, instrument};

use crate::readers;

#[instrument("/checkout", kind = |error| *error, prefix = "mixed")]
fn checkout(error: &'static str) -> Result<(), &'static str> {
    Err(error)
}

#[instrument(path, zone, prefix = "mixed")]
fn by_path(path: &str, zone: &str) -> Result<usize, ()> {
    if path.is_empty() { Err(()) } else { Ok(zone.len()) }
}

#[instrument("/checkout", prefix = "mixed")]
fn other_checkout() -> Result<(), ()> {
    Err(())
}

/// Returns only the lines of the `mixed_` families.
fn text_of_mixed(text: &str) -> String {
    let is_mixed = |line: &&str| line.trim_start_matches("# HELP ").trim_start_matches("# TYPE ").starts_with("mixed_");
    text.lines().filter(is_mixed).map(|line| format!("{line}\n")).collect()
}

#[test]
fn other_parsers_accept_a_family_with_mixed_labels() {
    checkout("declined").expect_err("declined");
    other_checkout().expect_err("fails");
    for (path, zone) in [("/a", "eu"), ("/a", ""), ("", "eu"), ("", "")] {
        let _ = by_path(path, zone);
    }
    let text = text_of_mixed(&Registry::global().to_text());
    readers::promtool_is_content(&text);
    let samples = readers::python_samples(&text);
    for sample in [
        "mixed_request_exceptions_total [('kind', 'declined'), ('path', '/checkout')] 1.0",
        "mixed_request_exceptions_total [('path', '/checkout')] 1.0",
        "mixed_request_exceptions_total [('path', ''), ('zone', 'eu')] 1.0",
        "mixed_request_exceptions_total [('path', ''), ('zone', '')] 1.0",
        "mixed_request_latency_seconds_count [('path', '/checkout')] 2.0",
        "mixed_request_latency_seconds_count [('path', '/a'), ('zone', 'eu')] 1.0",
        "mixed_request_latency_seconds_count [('path', '/a'), ('zone', '')] 1.0",
    ] {
        assert!(samples.iter().any(|read| read == sample), "{sample}\n{samples:#?}");
    }
    const STRICT: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print([family.name for family in text_string_to_metric_families(sys.stdin.read())].count('mixed_request_exceptions'))
";
    let mut open = Vec::new();
    Registry::global().encode(Format::OpenMetrics, &mut open);
    let open = text_of_mixed(&String::from_utf8(open).expect("UTF-8")) + "# EOF\n";
    assert_eq!(readers::python(STRICT, &open).trim(), "1");
}
