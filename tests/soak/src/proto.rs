//! The protobuf messages of exposition, remote write and OTLP, declared for the decoder of another crate.

use prost::{Message, Oneof};

use crate::samples::{Sample, Samples, Series, add_histogram};

/// Declares messages.
macro_rules! messages {
    ($($name:ident { $($field:ident: $kind:ty = { $($options:tt)+ })* })*) => {
        $(
            #[derive(Clone, PartialEq, Message)]
            pub(crate) struct $name {
                $(#[prost($($options)+)] pub(crate) $field: $kind,)*
            }
        )*
    };
}

// `io.prometheus.client`.
messages! {
    MetricFamily {
        name: String = { string, tag = "1" }
        kind: i32 = { int32, tag = "3" }
        metrics: Vec<Metric> = { message, repeated, tag = "4" }
    }
    Metric {
        labels: Vec<Pair> = { message, repeated, tag = "1" }
        gauge: Option<Simple> = { message, optional, tag = "2" }
        counter: Option<Simple> = { message, optional, tag = "3" }
        summary: Option<Summary> = { message, optional, tag = "4" }
        untyped: Option<Simple> = { message, optional, tag = "5" }
        histogram: Option<Histogram> = { message, optional, tag = "7" }
    }
    Pair {
        name: String = { string, tag = "1" }
        value: String = { string, tag = "2" }
    }
    Simple {
        value: f64 = { double, tag = "1" }
    }
    Summary {
        count: u64 = { uint64, tag = "1" }
        sum: f64 = { double, tag = "2" }
        quantiles: Vec<Quantile> = { message, repeated, tag = "3" }
    }
    Quantile {
        quantile: f64 = { double, tag = "1" }
        value: f64 = { double, tag = "2" }
    }
    Histogram {
        count: u64 = { uint64, tag = "1" }
        sum: f64 = { double, tag = "2" }
        buckets: Vec<Bucket> = { message, repeated, tag = "3" }
        schema: Option<i32> = { sint32, optional, tag = "5" }
        zero_count: u64 = { uint64, tag = "7" }
        negative_deltas: Vec<i64> = { sint64, repeated, tag = "10" }
        positive_deltas: Vec<i64> = { sint64, repeated, tag = "13" }
    }
    Bucket {
        count: u64 = { uint64, tag = "1" }
        bound: f64 = { double, tag = "2" }
    }
}

// `prometheus.WriteRequest`.
messages! {
    WriteRequest {
        series: Vec<TimeSeries> = { message, repeated, tag = "1" }
    }
    TimeSeries {
        labels: Vec<Pair> = { message, repeated, tag = "1" }
        samples: Vec<WrittenSample> = { message, repeated, tag = "2" }
        natives: Vec<WrittenNative> = { message, repeated, tag = "4" }
    }
    WrittenSample {
        value: f64 = { double, tag = "1" }
        time: i64 = { int64, tag = "2" }
    }
    WrittenNative {
        count: u64 = { uint64, tag = "1" }
        sum: f64 = { double, tag = "3" }
        zero_count: u64 = { uint64, tag = "6" }
        negative_deltas: Vec<i64> = { sint64, repeated, tag = "9" }
        positive_deltas: Vec<i64> = { sint64, repeated, tag = "12" }
    }
}

// `opentelemetry.proto.collector.metrics.v1`.
messages! {
    ExportRequest {
        resources: Vec<ResourceMetrics> = { message, repeated, tag = "1" }
    }
    ResourceMetrics {
        scopes: Vec<ScopeMetrics> = { message, repeated, tag = "2" }
    }
    ScopeMetrics {
        metrics: Vec<OtlpMetric> = { message, repeated, tag = "2" }
    }
    OtlpMetric {
        name: String = { string, tag = "1" }
        data: Option<Data> = { oneof = "Data", tags = "5, 7, 9, 10, 11" }
    }
    Numbers {
        points: Vec<NumberPoint> = { message, repeated, tag = "1" }
        temporality: i32 = { int32, tag = "2" }
    }
    NumberPoint {
        time: u64 = { fixed64, tag = "3" }
        double: Option<f64> = { double, optional, tag = "4" }
        int: Option<i64> = { sfixed64, optional, tag = "6" }
        attributes: Vec<KeyValue> = { message, repeated, tag = "7" }
    }
    Histograms {
        points: Vec<HistogramPoint> = { message, repeated, tag = "1" }
        temporality: i32 = { int32, tag = "2" }
    }
    HistogramPoint {
        time: u64 = { fixed64, tag = "3" }
        count: u64 = { fixed64, tag = "4" }
        sum: Option<f64> = { double, optional, tag = "5" }
        counts: Vec<u64> = { fixed64, repeated, tag = "6" }
        bounds: Vec<f64> = { double, repeated, tag = "7" }
        attributes: Vec<KeyValue> = { message, repeated, tag = "9" }
    }
    Exponentials {
        points: Vec<ExponentialPoint> = { message, repeated, tag = "1" }
        temporality: i32 = { int32, tag = "2" }
    }
    ExponentialPoint {
        attributes: Vec<KeyValue> = { message, repeated, tag = "1" }
        time: u64 = { fixed64, tag = "3" }
        count: u64 = { fixed64, tag = "4" }
        sum: Option<f64> = { double, optional, tag = "5" }
        zero_count: u64 = { fixed64, tag = "7" }
        positive: Option<ExponentialBuckets> = { message, optional, tag = "8" }
        negative: Option<ExponentialBuckets> = { message, optional, tag = "9" }
    }
    ExponentialBuckets {
        counts: Vec<u64> = { uint64, repeated, tag = "2" }
    }
    Summaries {
        points: Vec<SummaryPoint> = { message, repeated, tag = "1" }
    }
    SummaryPoint {
        time: u64 = { fixed64, tag = "3" }
        count: u64 = { fixed64, tag = "4" }
        sum: f64 = { double, tag = "5" }
        quantiles: Vec<Quantile> = { message, repeated, tag = "6" }
        attributes: Vec<KeyValue> = { message, repeated, tag = "7" }
    }
    KeyValue {
        key: String = { string, tag = "1" }
        value: Option<AnyValue> = { message, optional, tag = "2" }
    }
    AnyValue {
        string: Option<String> = { string, optional, tag = "1" }
    }
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Data {
    #[prost(message, tag = "5")]
    Gauge(Numbers),
    #[prost(message, tag = "7")]
    Sum(Numbers),
    #[prost(message, tag = "9")]
    Histogram(Histograms),
    #[prost(message, tag = "10")]
    Exponential(Exponentials),
    #[prost(message, tag = "11")]
    Summary(Summaries),
}

/// Returns an error if the native buckets do not add up to the count.
pub(crate) fn check_native(name: &str, count: u64, zeros: u64, signs: [&[i64]; 2]) -> Result<(), String> {
    let sum: i64 = signs
        .iter()
        .flat_map(|deltas| {
            deltas.iter().scan(0, |count, delta| {
                *count += delta;
                Some(*count)
            })
        })
        .sum();
    let sum = zeros as i64 + sum;
    if sum == count as i64 { Ok(()) } else { Err(format!("{name}: {sum} in native buckets, the count is {count}")) }
}

/// Decodes delimited families.
pub(crate) fn exposition(mut bytes: &[u8]) -> Result<Samples, String> {
    /// The type `counter` of a family.
    const COUNTER: i32 = 0;
    let mut samples = Samples::new();
    while !bytes.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut bytes).map_err(|error| error.to_string())?;
        for metric in &family.metrics {
            let pairs = metric.labels.iter().map(|pair| (&*pair.name, &*pair.value));
            let series = Series::new(&*family.name, pairs);
            let simple = metric.gauge.as_ref().or(metric.counter.as_ref()).or(metric.untyped.as_ref());
            if let Some(simple) = simple {
                let grows = family.kind == COUNTER;
                samples.insert(series, Sample { value: simple.value, grows });
            } else if let Some(summary) = &metric.summary {
                add_summary(&mut samples, &series, (summary.count, summary.sum), &summary.quantiles);
            } else if let Some(histogram) = &metric.histogram {
                if histogram.schema.is_some() {
                    let signs = [&*histogram.negative_deltas, &*histogram.positive_deltas];
                    check_native(&family.name, histogram.count, histogram.zero_count, signs)?;
                }
                let buckets = histogram.buckets.iter().map(|bucket| (bucket.bound, bucket.count));
                add_histogram(&mut samples, &series, (histogram.count, histogram.sum), buckets);
            }
        }
    }
    Ok(samples)
}

/// Adds the samples of a summary.
pub(crate) fn add_summary(samples: &mut Samples, series: &Series, (count, sum): (u64, f64), quantiles: &[Quantile]) {
    for Quantile { quantile, value } in quantiles {
        let labels = series.labels.iter().cloned().chain([("quantile".to_owned(), quantile.to_string())]);
        samples.insert(Series::new(&*series.name, labels), Sample { value: *value, grows: false });
    }
    for (suffix, value) in [("_count", count as f64), ("_sum", sum)] {
        samples.insert(series.related(format!("{}{suffix}", series.name), ""), Sample { value, grows: true });
    }
}
