//! Readers of the formats that targets send.

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
pub(crate) fn exposed_total(request: &Request) -> f64 {
    if request.header("content-type").expect("a type").starts_with("text/plain") {
        let text = std::str::from_utf8(&request.body).expect("UTF-8");
        let value = text.lines().find_map(|line| line.strip_prefix("pushed_total "));
        return value.expect("pushed").parse().expect("a number");
    }
    let mut rest = request.body.as_slice();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("a family");
        if family.name == "pushed_total" {
            return family.metrics[0].counter.as_ref().expect("a counter").value;
        }
    }
    panic!("pushed_total was not pushed");
}
