//! Samples as a receiver holds them, and the invariants that hold for every set of samples that was taken at one time.

use std::collections::BTreeMap;
use std::fmt;

/// A name and labels, sorted by name. Bounds and quantiles have one form in all formats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    /// True if the value never decreases.
    pub(crate) grows: bool,
}

pub(crate) type Samples = BTreeMap<Series, Sample>;

impl Series {
    pub(crate) fn new<N: Into<String>, V: Into<String>>(
        name: impl Into<String>,
        labels: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut labels: Vec<_> = labels
            .map(|(name, value): (String, String)| {
                let is_number = name == "le" || name == "quantile";
                let number = value.parse::<f64>().ok().filter(|_| is_number);
                (name, number.map_or(value, |number| number.to_string()))
            })
            .collect();
        labels.sort();
        Self { name: name.into(), labels }
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the series with another name and without a label.
    pub(crate) fn related(&self, name: String, without: &str) -> Self {
        let labels = self.labels.iter().filter(|(name, _)| name != without).cloned().collect();
        Self { name, labels }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        f.debug_map().entries(self.labels.iter().map(|(name, value)| (name, value))).finish()
    }
}

/// Adds the samples of a histogram with cumulative buckets, except for the bucket without a bound.
pub(crate) fn add_histogram(
    samples: &mut Samples,
    series: &Series,
    (count, sum): (u64, f64),
    buckets: impl Iterator<Item = (f64, u64)>,
) {
    let mut add = |suffix: &str, bound: Option<f64>, value: f64| {
        let name = format!("{}{suffix}", series.name);
        let bound = bound.map(|bound| ("le".to_owned(), bound.to_string()));
        samples.insert(Series::new(name, series.labels.iter().cloned().chain(bound)), Sample { value, grows: true });
    };
    for (bound, count) in buckets.filter(|(bound, _)| *bound < f64::INFINITY) {
        add("_bucket", Some(bound), count as f64);
    }
    add("_bucket", Some(f64::INFINITY), count as f64);
    add("_count", None, count as f64);
    add("_sum", None, sum);
}

/// Returns the violations of the invariants of each histogram, function, info and state set.
pub(crate) fn violations(samples: &Samples) -> Vec<String> {
    let mut found = Vec::new();
    // The buckets of each histogram, in the order of their bounds.
    let mut histograms: BTreeMap<Series, Vec<(f64, f64)>> = BTreeMap::new();
    let mut states: BTreeMap<Series, f64> = BTreeMap::new();
    let mut leaders = 0.0;
    for (series, sample) in samples {
        if let Some(base) = series.name.strip_suffix("_bucket") {
            let bound = series.label("le").and_then(|bound| bound.parse().ok()).unwrap_or(f64::NAN);
            histograms.entry(series.related(base.to_owned(), "le")).or_default().push((bound, sample.value));
        }
        if series.name.ends_with("_in_flight") && sample.value < 0.0 {
            found.push(format!("{series} is {}", sample.value));
        }
        match series.name.as_str() {
            "soak_phase" => {
                *states.entry(series.related(series.name.clone(), "soak_phase")).or_default() += sample.value
            }
            "soak_leader_info" => leaders += sample.value,
            _ => {}
        }
    }
    for (series, mut buckets) in histograms {
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        if !buckets.is_sorted_by_key(|(_, count)| *count) {
            found.push(format!("{series}: buckets are not cumulative: {buckets:?}"));
        }
        let count = samples.get(&series.related(format!("{}_count", series.name), "")).map(|sample| sample.value);
        let last = buckets.last().copied();
        if last.map(|(bound, count)| (bound, Some(count))) != Some((f64::INFINITY, count)) {
            found.push(format!("{series}: the last bucket is {last:?}, the count is {count:?}"));
        }
    }
    let has_states = |(series, sum): (Series, f64)| (sum != 1.0).then(|| format!("{series}: {sum} states are set"));
    found.extend(states.into_iter().filter_map(has_states));
    if leaders > 1.0 {
        found.push(format!("soak_leader_info has {leaders} series"));
    }
    found
}
