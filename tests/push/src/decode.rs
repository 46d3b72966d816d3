//! Decoders for the formats that targets send.

use std::io::Read;

use prost::Message;

use crate::receiver::Request;

/// The fields of `io.prometheus.client.MetricFamily` that the tests read.
#[derive(Message)]
pub(crate) struct MetricFamily {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "4")]
    pub(crate) metrics: Vec<Metric>,
}

#[derive(Message)]
pub(crate) struct Metric {
    #[prost(message, optional, tag = "3")]
    pub(crate) counter: Option<Counter>,
}

#[derive(Message)]
pub(crate) struct Counter {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
}

/// Returns the value of `pushed_total` in the text format or in delimited protobuf messages.
pub(crate) fn exposed_total(request: &Request) -> Option<f64> {
    if request.header("content-type").expect("a type").starts_with("text/plain") {
        let text = std::str::from_utf8(&request.body).expect("UTF-8");
        let value = text.lines().find_map(|line| line.strip_prefix("pushed_total "));
        return value.map(|value| value.parse().expect("a number"));
    }
    let mut rest = request.body.as_slice();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("a family");
        if family.name == "pushed_total" {
            return family.metrics[0].counter.as_ref().map(|counter| counter.value);
        }
    }
    None
}

/// The fields of `prometheus.WriteRequest` that the tests read.
#[derive(Message)]
pub(crate) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) series: Vec<TimeSeries>,
}

#[derive(Message)]
pub(crate) struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub(crate) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) samples: Vec<Sample>,
}

#[derive(Message)]
pub(crate) struct Label {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[derive(Message)]
pub(crate) struct Sample {
    #[prost(double, tag = "1")]
    pub(crate) value: f64,
}

/// Returns the value of `pushed_total` in a remote write request, unless it only contains stale markers.
pub(crate) fn written_total(request: &Request) -> Option<f64> {
    let body = snap::raw::Decoder::new().decompress_vec(&request.body).expect("snappy");
    let request = WriteRequest::decode(body.as_slice()).expect("a request");
    let is_pushed = |label: &Label| label.name == "__name__" && label.value == "pushed_total";
    let series = request.series.iter().find(|series| series.labels.iter().any(is_pushed))?;
    series.samples.first().map(|sample| sample.value).filter(|value| !value.is_nan())
}

/// Declares messages of which the tests read a single message field.
macro_rules! nested {
    ($($outer:ident { $field:ident: $inner:ident = $tag:literal })*) => {
        $(
            #[derive(Message)]
            pub(crate) struct $outer {
                #[prost(message, repeated, tag = $tag)]
                pub(crate) $field: Vec<$inner>,
            }
        )*
    };
}

// The fields of `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest` that the tests read.
nested! {
    ExportRequest { resources: ResourceMetrics = "1" }
    ResourceMetrics { scopes: ScopeMetrics = "2" }
    ScopeMetrics { metrics: OtlpMetric = "2" }
    Sum { points: Point = "1" }
}

#[derive(Message)]
pub(crate) struct OtlpMetric {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "7")]
    pub(crate) sum: Option<Sum>,
}

#[derive(Message)]
pub(crate) struct Point {
    #[prost(sfixed64, tag = "6")]
    pub(crate) value: i64,
}

/// Returns the value of `pushed_total` in an OTLP request.
pub(crate) fn otlp_total(request: &Request) -> Option<f64> {
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(request.body.as_slice()).read_to_end(&mut body).expect("gzip");
    let request = ExportRequest::decode(body.as_slice()).expect("a request");
    let mut metrics = request.resources.iter().flat_map(|resource| &resource.scopes).flat_map(|scope| &scope.metrics);
    let metric = metrics.find(|metric| metric.name == "pushed_total")?;
    metric.sum.as_ref()?.points.first().map(|point| point.value as f64)
}
