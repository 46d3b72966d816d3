//! Pushes over OTLP and remote write, and over StatsD in `statsd`: the receivers find exactly the samples of a model,
//! or increases that add up to them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};

use flate2::read::GzDecoder;
use messages::remote_write::{Histogram, Label, WriteRequest};
use metrics_core::{Kind, Otlp, Registry, RemoteWrite};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{Exemplar, ExponentialHistogramDataPoint, metric, number_data_point};
use prost::Message;

use crate::exposition::native_line;
use crate::input::Source;
use crate::model::{Flat, Model, ModelFamily, Native, Sample, Series, bits, sample_line};
use crate::statsd;

/// Pushes one model to all targets.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let (gzip, datadog) = (source.one_in(2), source.one_in(2));
    let model = Model::of(&mut source);
    let registry = model.registry();
    let target = Otlp::new(format!("http://{}", SERVER.0)).registry(&registry).gzip(gzip);
    compare(otlp(&target, gzip, CUMULATIVE), in_otlp(&model));
    compare(remote_write(&registry), in_remote_write(&model));
    statsd::check(&model, &registry, datadog);
    check_increases(&model, &registry, &target.delta(), gzip);
}

/// The temporalities of OTLP.
const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

/// Pushes twice, and records everything again in between: both pushes contain the increase since the previous one. Only
/// the counters and histograms that are recorded by metrics increase.
fn check_increases(model: &Model, registry: &Registry, target: &Otlp, gzip: bool) {
    let increases = |family: &ModelFamily| family.is_recorded && matches!(family.kind, Kind::Counter | Kind::Histogram);
    let families: Vec<&str> =
        model.families.iter().filter(|family| increases(family)).map(|family| family.name.as_str()).collect();
    let is_increase = |line: &String| {
        let name = line.split(' ').next().unwrap_or_default();
        ["", "_bucket", "_count", "_sum"]
            .iter()
            .any(|suffix| name.strip_suffix(suffix).is_some_and(|name| families.contains(&name)))
    };
    let push = || -> Vec<String> { otlp(target, gzip, DELTA).into_iter().filter(is_increase).collect() };
    let recorded: Vec<String> = in_otlp(model).into_iter().filter(is_increase).collect();
    compare(push(), recorded.clone());
    model.record(registry);
    compare(push(), recorded);
}

pub(crate) fn compare(mut found: Vec<String>, mut expected: Vec<String>) {
    found.sort();
    expected.sort();
    let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let surplus: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(found == expected, "missing {missing:#?}\nsurplus {surplus:#?}");
}

/// An HTTP server that accepts all requests: its address, and the bodies of the requests.
static SERVER: LazyLock<(SocketAddr, Mutex<Receiver<Vec<u8>>>)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (sender, bodies) = channel();
    std::thread::spawn(move || listener.incoming().flatten().for_each(|mut stream| serve(&mut stream, &sender)));
    (address, Mutex::new(bodies))
});

/// Serves the requests of a connection until the client closes it.
fn serve(stream: &mut TcpStream, bodies: &Sender<Vec<u8>>) {
    let mut received = Vec::new();
    let mut more = [0; 1 << 16];
    loop {
        let head = received.windows(4).position(|four| four == b"\r\n\r\n").map(|end| end + 4);
        let length = head.map(|end| {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            (end, end + length.expect("a length"))
        });
        if let Some((start, end)) = length.filter(|(_, end)| received.len() >= *end) {
            bodies.send(received[start..end].to_vec()).expect("the main thread runs");
            received.drain(..end);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
            continue;
        }
        match stream.read(&mut more) {
            Ok(0) | Err(_) => return,
            Ok(len) => received.extend_from_slice(&more[..len]),
        }
    }
}

/// Returns the bodies of all requests of a successful push.
fn bodies() -> Vec<Vec<u8>> {
    SERVER.1.lock().expect("no panic").try_iter().collect()
}

fn otlp(target: &Otlp, gzip: bool, temporality: i32) -> Vec<String> {
    target.push().expect("it is received");
    let mut lines = Vec::new();
    for body in bodies() {
        let mut plain = Vec::new();
        if gzip {
            GzDecoder::new(body.as_slice()).read_to_end(&mut plain).expect("gzip");
        }
        let request =
            ExportMetricsServiceRequest::decode(if gzip { &plain[..] } else { &body[..] }).expect("a request");
        let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            read_metric(&metric.name, metric.data.expect("data"), temporality, &mut lines);
        }
    }
    lines
}

fn read_metric(name: &str, data: metric::Data, temporality: i32, lines: &mut Vec<String>) {
    let exemplars = |exemplars: &[Exemplar], lines: &mut Vec<String>| {
        for exemplar in exemplars {
            let value = match exemplar.value.expect("a value") {
                opentelemetry_proto::tonic::metrics::v1::exemplar::Value::AsDouble(value) => value,
                opentelemetry_proto::tonic::metrics::v1::exemplar::Value::AsInt(value) => value as f64,
            };
            let labels = attributes(&exemplar.filtered_attributes);
            lines.push(sample_line(&format!("exemplar {name}"), &labels, None, value));
        }
    };
    match data {
        metric::Data::Gauge(metrics) => {
            for point in metrics.data_points {
                lines.push(sample_line(name, &attributes(&point.attributes), None, value_of(point.value)));
            }
        }
        metric::Data::Sum(metrics) => {
            assert!(metrics.is_monotonic && metrics.aggregation_temporality == temporality, "{name}");
            for point in metrics.data_points {
                lines.push(sample_line(name, &attributes(&point.attributes), None, value_of(point.value)));
                exemplars(&point.exemplars, lines);
            }
        }
        metric::Data::Summary(metrics) => {
            for point in metrics.data_points {
                let labels = attributes(&point.attributes);
                for quantile in &point.quantile_values {
                    lines.push(sample_line(name, &labels, Some(("quantile", quantile.quantile)), quantile.value));
                }
                lines.push(sample_line(&format!("{name}_count"), &labels, None, point.count as f64));
                lines.push(sample_line(&format!("{name}_sum"), &labels, None, point.sum));
            }
        }
        metric::Data::Histogram(metrics) => {
            assert_eq!(metrics.aggregation_temporality, temporality, "{name}");
            for point in metrics.data_points {
                let labels = attributes(&point.attributes);
                let mut total = 0_u64;
                let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1, "{name}");
                for (bound, count) in bounds.zip(&point.bucket_counts) {
                    total += count;
                    lines.push(sample_line(&format!("{name}_bucket"), &labels, Some(("le", bound)), total as f64));
                }
                lines.push(sample_line(&format!("{name}_count"), &labels, None, point.count as f64));
                lines.push(sample_line(&format!("{name}_sum"), &labels, None, point.sum.expect("a sum")));
                exemplars(&point.exemplars, lines);
            }
        }
        metric::Data::ExponentialHistogram(metrics) => {
            assert_eq!(metrics.aggregation_temporality, temporality, "{name}");
            for point in metrics.data_points {
                let labels = attributes(&point.attributes);
                lines.push(sample_line(&format!("{name}_count"), &labels, None, point.count as f64));
                lines.push(sample_line(&format!("{name}_sum"), &labels, None, point.sum.expect("a sum")));
                lines.push(native_line(name, &labels, &native_of(&point)));
                exemplars(&point.exemplars, lines);
            }
        }
    }
}

fn value_of(value: Option<number_data_point::Value>) -> f64 {
    match value.expect("a value") {
        number_data_point::Value::AsDouble(value) => value,
        number_data_point::Value::AsInt(value) => value as f64,
    }
}

fn attributes(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => panic!("{other:?} is not a text"),
    };
    attributes.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// Returns the buckets with the indexes of Prometheus, which numbers a bucket by its upper bound.
fn native_of(point: &ExponentialHistogramDataPoint) -> Native {
    let list = |buckets: &Option<Buckets>| {
        let Some(Buckets { offset, bucket_counts }) = buckets else { return Vec::new() };
        (offset + 1..).zip(bucket_counts.iter().copied()).collect()
    };
    let (zero_threshold, zero_count) = (point.zero_threshold, point.zero_count);
    let (positive, negative) = (list(&point.positive), list(&point.negative));
    Native { schema: point.scale, zero_threshold, zero_count, positive, negative }
}

fn in_otlp(model: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    for sample in model.samples() {
        let is_quantile = matches!(sample.bound, Some(("quantile", _)));
        let is_negative = sample.value.as_f64() < 0.0;
        // A summary has no negative quantile values.
        if !(is_quantile && is_negative) {
            lines.push(sample.line());
        }
    }
    for family in &model.families {
        for Series { labels, value, exemplars, .. } in &family.series {
            if let Sample::Histogram { native: Some(native), .. } = value {
                // A histogram has either classic or native buckets, and at most 160 native ones of each sign.
                let prefix = sample_line(&format!("{}_bucket", family.name), labels, None, 0.0);
                let prefix = prefix.split('}').next().unwrap_or_default().to_owned();
                lines.retain(|line| !is_bucket_of(line, &prefix));
                lines.push(native_line(&family.name, labels, &halved(native)));
            }
            for (_, trace, value) in exemplars {
                let name = format!("exemplar {}", family.name);
                lines.push(sample_line(&name, &[("trace_id".to_owned(), trace.clone())], None, *value));
            }
        }
    }
    lines
}

/// Returns true if the line is a classic bucket of the series with this name and these labels.
fn is_bucket_of(line: &str, series: &str) -> bool {
    let without_bound = |line: &str| {
        let (name, rest) = line.split_once('{').unwrap_or((line, ""));
        let labels = rest.split('}').next().unwrap_or_default();
        let labels: Vec<&str> =
            labels.split(',').filter(|label| !label.starts_with("le=#") && !label.is_empty()).collect();
        format!("{name}{{{}", labels.join(","))
    };
    line.contains("_bucket {") && without_bound(line) == without_bound(series)
}

/// Returns the buckets at the highest resolution at which each sign has at most 160 indexes.
fn halved(native: &Native) -> Native {
    let mut halved = native.clone();
    let is_wide = |list: &[(i32, u64)]| match list {
        [(first, _), .., (last, _)] => last - first >= 160,
        _ => false,
    };
    while is_wide(&halved.positive) || is_wide(&halved.negative) {
        halved.schema -= 1;
        for list in [&mut halved.positive, &mut halved.negative] {
            let mut merged: Vec<(i32, u64)> = Vec::new();
            for (index, count) in list.drain(..) {
                // The buckets 2n - 1 and 2n become bucket n.
                let index = (index + 1).div_euclid(2);
                match merged.last_mut() {
                    Some((last, total)) if *last == index => *total += count,
                    _ => merged.push((index, count)),
                }
            }
            *list = merged;
        }
    }
    halved
}

fn remote_write(registry: &Registry) -> Vec<String> {
    let target = RemoteWrite::new(format!("http://{}/write", SERVER.0)).registry(registry);
    target.push().expect("it is received");
    let mut lines = Vec::new();
    for body in bodies() {
        let body = snap::raw::Decoder::new().decompress_vec(&body).expect("snappy");
        let request = WriteRequest::decode(body.as_slice()).expect("a request");
        for series in request.timeseries {
            let mut labels = pairs(&series.labels);
            assert!(labels.is_sorted_by(|(one, _), (next, _)| one < next), "{labels:?} are not sorted");
            assert!(labels.iter().all(|(_, value)| !value.is_empty()), "{labels:?} are not all present");
            let at = labels.iter().position(|(name, _)| name == "__name__").expect("a name");
            let (_, name) = labels.remove(at);
            let at = labels.iter().position(|(name, _)| matches!(name.as_str(), "le" | "quantile"));
            let bound = at.map(|at| labels.remove(at));
            let bound = bound.as_ref().map(|(name, value)| (name.as_str(), value.parse().expect("a number")));
            for sample in series.samples {
                assert!(sample.timestamp > 0);
                lines.push(sample_line(&name, &labels, bound, sample.value));
            }
            for exemplar in series.exemplars {
                let labels = pairs(&exemplar.labels);
                lines.push(sample_line(&format!("exemplar {name}"), &labels, None, exemplar.value));
            }
            for histogram in series.histograms {
                let name = format!("{name} {} {}", histogram.count_int, bits(histogram.sum));
                lines.push(native_line(&name, &labels, &written_native(&histogram)));
            }
        }
        lines.extend(
            request.metadata.iter().map(|metadata| format!("help {} {:?}", metadata.metric_family_name, metadata.help)),
        );
    }
    lines
}

fn pairs(labels: &[Label]) -> Vec<(String, String)> {
    labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect()
}

fn written_native(histogram: &Histogram) -> Native {
    Native {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count_int,
        positive: histogram.positive_buckets(),
        negative: histogram.negative_buckets(),
    }
}

fn in_remote_write(model: &Model) -> Vec<String> {
    // A label with an empty value is an absent label, and the first of two equal series is sent.
    let present = |labels: &[(String, String)]| -> Vec<(String, String)> {
        labels.iter().filter(|(_, value)| !value.is_empty()).cloned().collect()
    };
    let mut lines = Vec::new();
    let mut seen = BTreeSet::new();
    for Flat { family, suffix, labels, bound, value, .. } in model.samples() {
        let name = format!("{family}{suffix}");
        let labels = present(labels);
        if seen.insert(sample_line(&name, &labels, bound, 0.0)) {
            lines.push(sample_line(&name, &labels, bound, value.as_f64()));
        }
    }
    for family in &model.families {
        lines.push(format!("help {} {:?}", family.name, family.help));
        for Series { labels, value, exemplars, .. } in &family.series {
            let labels = present(labels);
            let is_first = seen.insert(sample_line(&format!("series {}", family.name), &labels, None, 0.0));
            if !is_first {
                continue;
            }
            if let Sample::Histogram { count, sum, native: Some(native), .. } = value {
                lines.push(native_line(&format!("{} {count} {}", family.name, bits(*sum)), &labels, native));
            }
            for (_, trace, exemplar) in exemplars {
                let suffix = if matches!(value, Sample::Histogram { .. }) { "_bucket" } else { "" };
                let name = format!("exemplar {}{suffix}", family.name);
                lines.push(sample_line(&name, &[("trace_id".to_owned(), trace.clone())], None, *exemplar));
            }
        }
    }
    lines
}
