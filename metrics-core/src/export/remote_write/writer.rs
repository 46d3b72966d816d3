//! The visitor that encodes the samples of a scrape.

use std::collections::BTreeMap;

use super::super::push::PushContext;
use super::batches::Batches;
use super::message::{self, SharedLabels};
use super::sent::SentSeries;
use crate::encode::number::push_canonical;
use crate::sample::{Exemplar, FamilyInfo, Labels, NativeHistogram, SeriesDetails, Value, Visitor};

const SAME_LABELS: &str = "has the same labels as another series";

/// The name and the value of the label that distinguishes the samples of a series.
type Bound = (&'static str, f64);

/// Encodes the samples of one push.
pub(super) struct Writer<'w, 'p> {
    push: &'p PushContext<'p>,
    external: &'p BTreeMap<String, String>,
    batches: &'w mut Batches<'p>,
    sent: &'w mut SentSeries,
    sends_natives: bool,
    /// The timestamp of all samples, in milliseconds.
    time: i64,
    family: String,
    labels: SharedLabels,
    /// The name of the current sample.
    name: String,
    bound: Vec<u8>,
    /// The message of the current sample's series. It begins with the labels.
    series: Vec<u8>,
}

impl<'w, 'p> Writer<'w, 'p> {
    pub(super) fn new(
        push: &'p PushContext<'p>,
        external: &'p BTreeMap<String, String>,
        sends_natives: bool,
        batches: &'w mut Batches<'p>,
        sent: &'w mut SentSeries,
        time: i64,
    ) -> Self {
        Self {
            push,
            external,
            batches,
            sent,
            sends_natives,
            time,
            family: String::new(),
            labels: SharedLabels::default(),
            name: String::new(),
            bound: Vec::new(),
            series: Vec::new(),
        }
    }

    /// Returns true if nothing more can be sent.
    pub(super) fn is_down(&self) -> bool {
        self.batches.is_down()
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<Bound>,
        value: f64,
        exemplar: Option<&Exemplar<'_>>,
    ) {
        if self.begin_series(suffix, labels, bound, false) {
            message::push_sample(&mut self.series, message::live(value), self.time);
            if let Some(exemplar) = exemplar {
                self.exemplar(exemplar);
            }
            self.batches.add(&self.series);
        }
    }

    fn native(
        &mut self,
        labels: Labels<'_>,
        (count, sum): (u64, f64),
        native: &NativeHistogram<'_>,
        exemplars: &[Exemplar<'_>],
    ) {
        if !self.sends_natives || !self.begin_series("", labels, None, true) {
            return;
        }
        let end_of_labels = self.series.len();
        message::push_histogram(&mut self.series, count, message::live(sum), native, self.time);
        self.batches.add_native(&self.series, Some(&self.name));
        // Prometheus reads the exemplars of a message before its histograms, and drops those of a series that it does
        // not know yet.
        let mut exemplars: Vec<&Exemplar<'_>> = exemplars.iter().collect();
        exemplars.sort_by_key(|exemplar| exemplar.timestamp);
        self.series.truncate(end_of_labels);
        for exemplar in exemplars {
            self.exemplar(exemplar);
        }
        if self.series.len() > end_of_labels {
            self.batches.add_native_exemplars(&self.series);
        }
    }

    /// Writes the labels of a sample. Returns false if the sample cannot be sent.
    fn begin_series(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<Bound>, is_native: bool) -> bool {
        if self.batches.is_down() {
            return false;
        }
        self.name.clone_from(&self.family);
        self.name.push_str(suffix);
        self.bound.clear();
        self.series.clear();
        if let Some((name, value)) = bound {
            // The form that Prometheus stores when it scrapes.
            push_canonical(&mut self.bound, value);
            let value = String::from_utf8_lossy(&self.bound);
            self.labels.push_to(&mut self.series, &self.name, Some((name, &value)));
        } else {
            self.labels.push_to(&mut self.series, &self.name, None);
        }
        let is_new = self.sent.insert(&self.series, is_native);
        if !is_new {
            let labels = labels.escaped().collect::<Vec<_>>().join(",");
            self.push.skip(SAME_LABELS, &format!("{}{{{labels}}}", self.name));
        }
        is_new
    }

    /// Writes an exemplar, unless an earlier push has sent it.
    fn exemplar(&mut self, exemplar: &Exemplar<'_>) {
        // Receivers expect the exemplars of a series in order of time.
        if self.sent.last_success.is_none_or(|time| message::milliseconds(exemplar.timestamp) > time) {
            message::push_exemplar(&mut self.series, exemplar);
        }
    }
}

impl Visitor for Writer<'_, '_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        family.name.clone_into(&mut self.family);
        self.batches.add_metadata(&message::metadata(family));
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        self.series_with_details(labels, value, &SeriesDetails::default());
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        let bound = if matches!(value, Value::Histogram { .. }) { "le" } else { "quantile" };
        self.labels.set(labels, self.external, bound);
        match *value {
            Value::Counter(total) => self.sample("", labels, None, total.as_f64(), details.exemplars.first()),
            Value::Gauge(value) | Value::Untyped(value) => self.sample("", labels, None, value, None),
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.sample("", labels, Some((bound, *quantile)), *value, None);
                }
                self.sample("_sum", labels, None, sum, None);
                self.sample("_count", labels, None, count as f64, None);
            }
            Value::Histogram { count, sum, buckets, native } => {
                let mut exemplars = details.exemplars.iter().peekable();
                for (at, (upper, count)) in buckets.iter().enumerate() {
                    let exemplar = exemplars.next_if(|exemplar| exemplar.bucket == at);
                    self.sample("_bucket", labels, Some((bound, *upper)), *count as f64, exemplar);
                }
                self.sample("_sum", labels, None, sum, None);
                self.sample("_count", labels, None, count as f64, None);
                if let Some(native) = native {
                    self.native(labels, (count, sum), &native, details.exemplars);
                }
            }
        }
    }
}
