//! Stores of remote write, OTLP and the Pushgateway, which keep the last totals.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use messages::otlp::{Data, ExportMetricsServiceRequest, KeyValue};
use messages::remote_write::{self, WriteRequest};
use prost::Message;

use super::server::Request;
use crate::proto::{add_summary, check_native};
use crate::samples::{Sample, Samples, Series, add_histogram, violations};
use crate::scrapes::Format;

/// The metrics of the last request to a Pushgateway, which replace the earlier ones.
pub(super) fn pushgateway(request: &Request, samples: &mut Samples) -> Result<(), String> {
    let is_text = request.head.contains("content-type: text/plain");
    *samples = if is_text { Format::Text } else { Format::Protobuf }.decode(&request.body)?;
    violations(samples).pop().map_or(Ok(()), Err)
}

/// The state of a store of remote write.
#[derive(Default)]
pub(super) struct WrittenStore {
    samples: BTreeMap<Series, remote_write::Sample>,
    /// The time of the newest sample, in milliseconds.
    newest: i64,
}

impl WrittenStore {
    /// Stores the last sample of each series, or its stale marker.
    pub(super) fn store(&mut self, request: &Request) -> Result<(), String> {
        let body = snap::raw::Decoder::new().decompress_vec(&request.body).map_err(|error| error.to_string())?;
        let request = WriteRequest::decode(&*body).map_err(|error| error.to_string())?;
        for written in &request.timeseries {
            let is_name = |name: &str| name == "__name__";
            let name = written.labels.iter().find(|pair| is_name(&pair.name)).ok_or("a series without a name")?;
            let labels = written.labels.iter().filter(|pair| !is_name(&pair.name) && pair.name != "job");
            let series = Series::new(&*name.value, labels.map(|pair| (&*pair.name, &*pair.value)));
            for native in written.histograms.iter().filter(|native| !native.sum.is_nan()) {
                let signs = [&*native.negative_deltas, &*native.positive_deltas];
                check_native(&series.name, native.count_int, native.zero_count_int, signs)?;
            }
            if let Some(sample) = written.samples.last() {
                // Prometheus rejects such samples.
                if self.samples.get(&series).is_some_and(|last| last.timestamp >= sample.timestamp) {
                    return Err(format!("{series}: a sample that is not newer than the last one"));
                }
                self.newest = self.newest.max(sample.timestamp);
                self.samples.insert(series, sample.clone());
            }
        }
        // Without this, an ended series would use memory forever, because its marker is its last sample.
        let newest = self.newest;
        self.samples.retain(|_, sample| newest - sample.timestamp <= LOOKBACK);
        Ok(())
    }

    /// Returns the samples that a query for current values returns.
    pub(super) fn current(&self) -> Samples {
        /// The NaN that ends a series.
        const STALE: u64 = 0x7ff0_0000_0000_0002;
        let current = self.samples.iter().filter(|(_, sample)| sample.value.to_bits() != STALE);
        current.map(|(series, sample)| (series.clone(), Sample { value: sample.value, grows: false })).collect()
    }
}

/// The age at which the last sample of a series stops being a current value, in milliseconds.
const LOOKBACK: i64 = 5 * 60 * 1_000;

/// The state of a store of OTLP.
#[derive(Default)]
pub(super) struct OtlpStore {
    pub(super) samples: Samples,
    /// The time of the current push, which consists of several requests.
    time: u64,
    pub(super) is_delta: bool,
}

impl OtlpStore {
    /// Adds increases to totals. Without them, the totals of a push replace those of the previous one.
    pub(super) fn store(&mut self, request: &Request) -> Result<(), String> {
        let mut body = Vec::new();
        GzDecoder::new(&*request.body).read_to_end(&mut body).map_err(|error| error.to_string())?;
        let request = ExportMetricsServiceRequest::decode(&*body).map_err(|error| error.to_string())?;
        let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics) {
            self.metric(&metric.name, metric.data.as_ref().ok_or("a metric without data")?)?;
        }
        Ok(())
    }

    fn begin(&mut self, time: u64) {
        if self.time != time && !self.is_delta {
            self.samples.clear();
        }
        self.time = time;
    }

    fn metric(&mut self, name: &str, data: &Data) -> Result<(), String> {
        /// Delta temporality.
        const DELTA: i32 = 1;
        match data {
            Data::Gauge(numbers) | Data::Sum(numbers) => {
                for point in &numbers.data_points {
                    self.begin(point.time_unix_nano);
                    let value =
                        point.as_double.or(point.as_int.map(|int| int as f64)).ok_or("a point without a value")?;
                    let mut samples = Samples::new();
                    samples.insert(series(name, &point.attributes), Sample { value, grows: false });
                    self.add(samples, numbers.aggregation_temporality == DELTA);
                }
            }
            Data::Histogram(histograms) => {
                for point in &histograms.data_points {
                    self.begin(point.time_unix_nano);
                    let mut samples = Samples::new();
                    let cumulative = point.bucket_counts.iter().scan(0, |sum, count| {
                        *sum += count;
                        Some(*sum)
                    });
                    let last = cumulative.clone().last().unwrap_or_default();
                    if last != point.count {
                        return Err(format!("{name}: {last} in buckets, the count is {}", point.count));
                    }
                    let buckets = point.explicit_bounds.iter().copied().zip(cumulative);
                    let sum = point.sum.unwrap_or_default();
                    add_histogram(&mut samples, &series(name, &point.attributes), (point.count, sum), buckets);
                    self.add(samples, histograms.aggregation_temporality == DELTA);
                }
            }
            Data::ExponentialHistogram(exponentials) => {
                for point in &exponentials.data_points {
                    self.begin(point.time_unix_nano);
                    let signs = [&point.positive, &point.negative].into_iter().flatten();
                    let sum: u64 = signs.flat_map(|buckets| &buckets.bucket_counts).sum::<u64>() + point.zero_count;
                    if sum != point.count {
                        return Err(format!("{name}: {sum} in native buckets, the count is {}", point.count));
                    }
                    let (mut samples, sum) = (Samples::new(), point.sum.unwrap_or_default());
                    let series = series(name, &point.attributes);
                    add_histogram(&mut samples, &series, (point.count, sum), [].into_iter());
                    self.add(samples, exponentials.aggregation_temporality == DELTA);
                }
            }
            Data::Summary(summaries) => {
                for point in &summaries.data_points {
                    self.begin(point.time_unix_nano);
                    let (mut samples, series) = (Samples::new(), series(name, &point.attributes));
                    let quantiles = point.quantile_values.iter().map(|one| (one.quantile, one.value));
                    add_summary(&mut samples, &series, (point.count, point.sum), quantiles);
                    self.add(samples, false);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, samples: Samples, are_increases: bool) {
        for (series, mut sample) in samples {
            if are_increases {
                sample.value += self.samples.get(&series).map_or(0.0, |total| total.value);
            }
            self.samples.insert(series, sample);
        }
    }
}

fn series(name: &str, attributes: &[KeyValue]) -> Series {
    let value = |attribute: &KeyValue| attribute.string_value().unwrap_or_default().to_owned();
    Series::new(name, attributes.iter().map(|attribute| (&*attribute.key, value(attribute))))
}
