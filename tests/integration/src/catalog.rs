//! The catalog of declared families.

use metrics_core::{Counter, Family, Gauge, Histogram, Kind, LabelValue, Metrics, Registry, instrument};

#[derive(LabelValue)]
enum Method {
    #[allow(dead_code, reason = "an unused variant is a known value, too")]
    Get,
}

#[derive(Metrics)]
#[allow(dead_code, reason = "declared only")]
struct Declared {
    /// Requests.
    #[metric(labels(path: &str, method: Method), max_series = 7)]
    requests_total: Family<Counter, 2>,
}

#[test]
fn every_family_is_listed_with_its_whole_declaration() {
    let registry = Registry::with_const_labels([("zone", "eu")]).expect("valid");
    Declared::register_in(&registry).expect("valid");
    Histogram::builder("size_bytes", "Sizes.").unit("bytes").buckets([1.0]).register_in(&registry).expect("valid");
    Gauge::builder("asked", "Asked.").register_callback_in(&registry, || 1.0).expect("valid");
    let catalog = registry.catalog();
    let [asked, requests, size] = &catalog[..] else { panic!("{catalog:#?}") };
    assert_eq!((asked.name.as_str(), asked.kind, asked.help.as_str()), ("asked", Kind::Gauge, "Asked."));
    assert_eq!((requests.kind, requests.max_series), (Kind::Counter, 7));
    let labels: Vec<_> = requests.labels.iter().map(|label| (label.name.as_str(), &label.known_values[..])).collect();
    assert_eq!(labels, [("path", &[][..]), ("method", &["get".to_owned()][..])]);
    assert!(requests.location.file().ends_with("catalog.rs"));
    assert_eq!((size.unit.as_deref(), size.buckets), (Some("bytes"), &[1.0][..]));
    assert_eq!(size.const_labels, [("zone".to_owned(), "eu".to_owned())]);
}

#[test]
fn annotated_functions_are_listed_with_their_known_values() {
    #[instrument(zone = "eu", path in ["/a", "/b"], prefix = "cataloged")]
    fn call(path: &str) -> usize {
        path.len()
    }
    call("/a");
    let catalog = Registry::global().catalog();
    let latency = catalog.iter().find(|family| family.name == "cataloged_request_latency_seconds").expect("there");
    let labels: Vec<_> =
        latency.labels.iter().map(|label| (label.name.as_str(), label.known_values.join(" "))).collect();
    assert_eq!(labels, [("zone", "eu".to_owned()), ("path", "/a /b other".to_owned())]);
    assert_eq!(latency.location.line(), line!() - 10);
}
