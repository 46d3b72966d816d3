//! Decodes expositions in the protobuf format, and checks native buckets.

use messages::exposition::{Counter, Gauge, MetricFamily, Untyped};
use prost::Message;

use crate::samples::{Sample, Samples, Series, add_histogram};

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
        for metric in &family.metric {
            let pairs = metric.label.iter().map(|pair| (pair.name(), pair.value()));
            let series = Series::new(family.name(), pairs);
            let gauge = metric.gauge.as_ref().map(Gauge::value);
            let counter = metric.counter.as_ref().map(Counter::value);
            let untyped = metric.untyped.as_ref().map(Untyped::value);
            if let Some(value) = gauge.or(counter).or(untyped) {
                let grows = family.kind() == COUNTER;
                samples.insert(series, Sample { value, grows });
            } else if let Some(summary) = &metric.summary {
                let quantiles = summary.quantile.iter().map(|quantile| (quantile.quantile(), quantile.value()));
                add_summary(&mut samples, &series, (summary.sample_count(), summary.sample_sum()), quantiles);
            } else if let Some(histogram) = &metric.histogram {
                let (count, sum) = (histogram.sample_count(), histogram.sample_sum());
                if histogram.schema.is_some() {
                    let signs = [&*histogram.negative_delta, &*histogram.positive_delta];
                    check_native(family.name(), count, histogram.zero_count(), signs)?;
                }
                let buckets = histogram.bucket.iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
                add_histogram(&mut samples, &series, (count, sum), buckets);
            }
        }
    }
    Ok(samples)
}

/// Adds the samples of a summary.
pub(crate) fn add_summary(
    samples: &mut Samples,
    series: &Series,
    (count, sum): (u64, f64),
    quantiles: impl Iterator<Item = (f64, f64)>,
) {
    for (quantile, value) in quantiles {
        let labels = series.labels.iter().cloned().chain([("quantile".to_owned(), quantile.to_string())]);
        samples.insert(Series::new(&*series.name, labels), Sample { value, grows: false });
    }
    for (suffix, value) in [("_count", count as f64), ("_sum", sum)] {
        samples.insert(series.related(format!("{}{suffix}", series.name), ""), Sample { value, grows: true });
    }
}
