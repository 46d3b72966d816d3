//! Remote write, as a receiver decodes it.

mod receiver;

use std::error::Error;
use std::time::Duration;

use messages::remote_write::{MetricMetadata, Sample};
use metrics_core::{Collect, Counter, FamilyInfo, Gauge, Histogram, Kind, Labels, Registry, Summary, Value, Visitor};
use prost::Message;

use crate::sample;
use receiver::{Receiver, text};

/// The bits of the NaN that ends a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;
const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn requests_have_the_headers_of_the_specification() {
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid");
    let receiver = Receiver::start([]);
    receiver.target(&registry).header("X-Scope-OrgID", "shop").push().expect("accepted");
    let [(head, _)] = &receiver.requests()[..] else { panic!("one request") };
    assert!(head.starts_with("post /api/v1/write http/1.1\r\n"), "{head}");
    for header in [
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "x-prometheus-remote-write-version: 0.1.0",
        "x-scope-orgid: shop",
    ] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{header} is not in {head}");
    }
}

#[test]
fn labels_are_sorted_complete_and_not_empty() {
    let registry = Registry::new();
    let labels = ["zone", "A", "le", "empty", "instance"];
    let gauge = Gauge::builder("g", "").labels(labels).register_in(&registry).expect("valid");
    gauge.labels(["z", "a \"quoted\"\n", "l", "", "own"]).set(f64::from_bits(STALE));
    let histogram = Histogram::builder("h", "").labels(["A", "m"]).buckets([0.5, 1.0]).register_in(&registry);
    histogram.expect("valid").labels(["a", ""]).observe(0.5);
    let builder = Summary::builder("s", "").labels(["pa", "r"]).quantiles([0.5]);
    builder.register_in(&registry).expect("valid").labels(["p", "r"]).observe(0.5);
    let receiver = Receiver::start([]);
    let target = receiver.target(&registry).label("instance", "external").label("job", "j").label("none", "");
    target.push().expect("accepted");
    let samples = receiver.samples();
    let text: Vec<_> = samples.iter().map(|(labels, sample)| format!("{labels} {}", sample.value)).collect();
    let job = "instance=\"external\",job=\"j\"";
    let histogram = format!("A=\"a\",__name__=\"h_bucket\",{job}");
    assert_eq!(
        text[..6],
        [
            "A=\"a \\\"quoted\\\"\\n\",__name__=\"g\",instance=\"own\",job=\"j\",le=\"l\",zone=\"z\" NaN".to_owned(),
            format!("{histogram},le=\"0.5\" 1"),
            format!("{histogram},le=\"1.0\" 1"),
            format!("{histogram},le=\"+Inf\" 1"),
            format!("A=\"a\",__name__=\"h_sum\",{job} 0.5"),
            format!("A=\"a\",__name__=\"h_count\",{job} 1"),
        ]
    );
    assert!(text[6].starts_with(&format!("__name__=\"s\",{job},pa=\"p\",quantile=\"0.5\",r=\"r\" 0.")), "{}", text[6]);
    assert_eq!(
        text[7..],
        [
            format!("__name__=\"s_sum\",{job},pa=\"p\",r=\"r\" 0.5"),
            format!("__name__=\"s_count\",{job},pa=\"p\",r=\"r\" 1"),
        ]
    );
    assert_ne!(samples[0].1.value.to_bits(), STALE, "a value is not a stale marker");
    assert!(samples.iter().all(|(_, sample)| sample.timestamp == samples[0].1.timestamp));
}

#[test]
fn families_are_described() {
    let registry = Registry::new();
    Counter::builder("jobs_total", "Jobs.").register_in(&registry).expect("valid");
    Summary::builder("wait_seconds", "Waits.").unit("seconds").register_in(&registry).expect("valid");
    let receiver = Receiver::start([]);
    receiver.target(&registry).push().expect("accepted");
    let metadata: Vec<_> = receiver.requests().into_iter().flat_map(|(_, request)| request.metadata).collect();
    let described = |kind, family: &str, help: &str, unit: &str| MetricMetadata {
        kind,
        metric_family_name: family.to_owned(),
        help: help.to_owned(),
        unit: unit.to_owned(),
    };
    assert_eq!(
        metadata[..2],
        [described(1, "jobs_total", "Jobs.", ""), described(5, "wait_seconds", "Waits.", "seconds")]
    );
}

/// Two series that differ only in an empty label.
struct Repeated;

impl Collect for Repeated {
    fn names(&self) -> Vec<String> {
        vec!["repeated".to_owned()]
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Box<dyn Error + Send + Sync>> {
        visitor.family(&FamilyInfo::new("repeated", "", Kind::Gauge));
        visitor.series(Labels::default(), &Value::Gauge(1.0));
        visitor.series(Labels::of(&[("empty", "")]).borrow(), &Value::Gauge(2.0));
        Ok(())
    }
}

#[test]
fn the_second_of_two_series_with_the_same_labels_is_skipped() {
    let registry = Registry::new();
    registry.register_collector(Repeated).expect("valid");
    let receiver = Receiver::start([]);
    let target = receiver.target(&registry).name("repeated");
    for pushes in 1..3 {
        target.push().expect("accepted");
        let samples = receiver.samples();
        let [(labels, Sample { value: 1.0, .. })] = &samples[..] else { panic!("{samples:?}") };
        assert_eq!(labels, "__name__=\"repeated\"");
        assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"repeated\"}"), Some(f64::from(pushes)));
    }
}

#[test]
fn native_histograms_are_sent_in_a_separate_request() {
    let registry = Registry::new();
    let builder = Histogram::builder("h", "").buckets([1.0]).native().register_in(&registry);
    let histogram = builder.expect("valid");
    for value in [0.0, 4.0, 4.0, -1.0] {
        histogram.observe_with_exemplar(value, || [("trace_id", "a")]);
    }
    let receiver = Receiver::start([]);
    let target = receiver.target(&registry);
    target.push().expect("accepted");
    let requests = receiver.requests();
    let [(_, floats), (_, natives)] = &requests[..] else { panic!("{requests:?}") };
    assert!(floats.timeseries.iter().all(|series| series.histograms.is_empty()));
    let with_exemplars = floats.timeseries.iter().filter(|series| !series.exemplars.is_empty());
    assert!(with_exemplars.map(text).eq(["__name__=\"h_bucket\",le=\"1.0\"", "__name__=\"h_bucket\",le=\"+Inf\""]));
    let [native, exemplars] = &natives.timeseries[..] else { panic!("{natives:?}") };
    assert_eq!([text(native), text(exemplars)], ["__name__=\"h\"", "__name__=\"h\""]);
    let [found] = &native.histograms[..] else { panic!("{native:?}") };
    assert_eq!((found.count_int, found.sum, found.zero_count_int), (4, 7.0, 1));
    assert_eq!((&found.positive_deltas[..], &found.negative_deltas[..]), (&[2][..], &[1][..]));
    assert_eq!((found.positive_spans.len(), found.negative_spans.len()), (1, 1));
    assert_eq!(exemplars.exemplars.len(), 2);
    assert!(exemplars.exemplars.is_sorted_by_key(|exemplar| exemplar.timestamp));

    target.push().expect("accepted");
    assert!(receiver.series().iter().all(|series| series.exemplars.is_empty()), "each exemplar is sent once");
    let classic = target.native_histograms(false);
    classic.push().expect("accepted");
    // The series has ended, because the push does not contain it.
    let series = receiver.series();
    let [ended] = &series.iter().filter(|series| !series.histograms.is_empty()).collect::<Vec<_>>()[..] else {
        panic!("{series:?}")
    };
    assert_eq!((text(ended).as_str(), ended.histograms[0].sum.to_bits()), ("__name__=\"h\"", STALE));
    classic.push().expect("accepted");
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_removed_series_and_all_series_of_a_shutdown_get_stale_markers() {
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["of"]).register_in(&registry).expect("valid");
    let receiver = Receiver::start([]);
    let target = receiver.target(&registry);
    for of in ["a", "b"] {
        gauge.labels([of]).set(1);
    }
    target.push().expect("accepted");
    let before = receiver.samples();
    gauge.remove(["a"]);
    target.push().expect("accepted");
    let samples = receiver.samples();
    let [(live, sample), (ended, marker)] = &samples[..] else { panic!("{samples:?}") };
    assert_eq!([live.as_str(), ended], ["__name__=\"g\",of=\"b\"", "__name__=\"g\",of=\"a\""]);
    assert_eq!((sample.value, marker.value.to_bits()), (1.0, STALE));
    assert!(sample.timestamp == marker.timestamp && sample.timestamp > before[0].1.timestamp, "{before:?} {samples:?}");

    let pusher = target.start(HOUR).expect("a thread");
    pusher.shutdown().expect("accepted");
    let samples = receiver.samples();
    let [.., (_, sample), (ended, marker)] = &samples[..] else { panic!("{samples:?}") };
    assert_eq!(ended, "__name__=\"g\",of=\"b\"");
    assert_eq!((sample.value, marker.value.to_bits(), marker.timestamp), (1.0, STALE, sample.timestamp + 1));
}

#[test]
fn a_clone_does_not_end_the_series_of_another_registry() {
    let receiver = Receiver::start([]);
    let registries = [Registry::new(), Registry::new()];
    let target = receiver.target(&registries[0]);
    for (registry, name) in registries.iter().zip(["a", "b"]) {
        Gauge::builder(name, "").register_in(registry).expect("valid").set(1);
    }
    target.push().expect("accepted");
    target.clone().registry(&registries[1]).push().expect("accepted");
    assert!(receiver.samples().iter().all(|(_, sample)| sample.value == 1.0));
}

/// Returns a registry whose series need several requests.
fn large() -> Registry {
    let registry = Registry::new();
    let gauge = Gauge::builder("g", "").labels(["of"]).max_series(2_000).register_in(&registry).expect("valid");
    for of in 0..1_200 {
        gauge.labels([&format!("{of:01000}")]).set(of);
    }
    registry
}

#[test]
fn a_rejected_request_does_not_keep_others_from_being_sent() {
    let registry = large();
    let receiver = Receiver::start(["400 out of order sample"]);
    let target = receiver.target(&registry);
    let error = target.push().expect_err("rejected").to_string();
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|(_, request)| (1..=512 * 1_024).contains(&request.encoded_len())));
    assert!(error.contains("400 Bad Request: out of order sample"), "{error}");
    target.push().expect("accepted");
    assert_eq!(receiver.requests().len(), 3);
}

#[test]
fn nothing_more_is_sent_to_a_receiver_that_is_down() {
    let registry = large();
    let receiver = Receiver::start(["204 ", "503 overloaded", "400 rejected", "503 overloaded"]);
    let target = receiver.target(&registry);
    for expected in ["503 Service Unavailable: overloaded", "400 Bad Request: rejected"] {
        let error = target.push().expect_err("not accepted").to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(receiver.requests().len(), 2);
    }
    target.push().expect("accepted");
    assert_eq!(receiver.samples().len(), 1_200);
}

#[test]
fn the_other_samples_arrive_if_native_histograms_are_disabled() {
    let registry = Registry::new();
    Histogram::builder("h", "").native().register_in(&registry).expect("valid").observe(1);
    let receiver = Receiver::start(["204 ", "500 native histograms are disabled"]);
    let target = receiver.target(&registry).name("not_native");
    let pusher = target.start(HOUR).expect("a thread");
    pusher.shutdown().expect("accepted");
    assert_eq!(sample("metrics_core_push_samples_dropped_total{target=\"not_native\"}"), Some(1.0));
}

#[test]
fn clones_with_other_labels_do_not_end_each_others_series() {
    let registry = Registry::new();
    Gauge::builder("g", "").register_in(&registry).expect("valid").set(1);
    let receiver = Receiver::start([]);
    let target = receiver.target(&registry);
    for instance in ["a", "b", "a"] {
        let clone = target.clone().label("instance", instance);
        let expected = format!("__name__=\"g\",instance=\"{instance}\"");
        for _ in 0..2 {
            clone.push().expect("accepted");
            let samples = receiver.samples();
            let [(series, sample)] = &samples[..] else { panic!("{samples:?}") };
            assert_eq!((series, sample.value), (&expected, 1.0));
        }
    }
}
