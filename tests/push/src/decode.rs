//! Decoders for the formats that targets send.

use std::io::Read;

use messages::exposition::{Counter, MetricFamily};
use messages::otlp::{Data, ExportMetricsServiceRequest};
use messages::remote_write::{Label, WriteRequest};
use prost::Message;

use crate::receiver::Request;

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
        if family.name() == "pushed_total" {
            return family.metric[0].counter.as_ref().map(Counter::value);
        }
    }
    None
}

/// Returns the value of `pushed_total` in a remote write request, unless it only contains stale markers.
pub(crate) fn written_total(request: &Request) -> Option<f64> {
    let body = snap::raw::Decoder::new().decompress_vec(&request.body).expect("snappy");
    let request = WriteRequest::decode(body.as_slice()).expect("a request");
    let is_pushed = |label: &Label| label.name == "__name__" && label.value == "pushed_total";
    let series = request.timeseries.iter().find(|series| series.labels.iter().any(is_pushed))?;
    series.samples.first().map(|sample| sample.value).filter(|value| !value.is_nan())
}

/// Returns the value of `pushed_total` in an OTLP request.
pub(crate) fn otlp_total(request: &Request) -> Option<f64> {
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(request.body.as_slice()).read_to_end(&mut body).expect("gzip");
    let request = ExportMetricsServiceRequest::decode(body.as_slice()).expect("a request");
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut metrics = scopes.flat_map(|scope| &scope.metrics);
    let metric = metrics.find(|metric| metric.name == "pushed_total")?;
    let Some(Data::Sum(sum)) = &metric.data else { return None };
    sum.data_points.first().map(|point| point.as_int.unwrap_or_default() as f64)
}
