//! PromQL expressions for one service.

use crate::kind::Kind;
use crate::monitor::endpoint::scraped_label;
use crate::registry::DeclaredFamily;

/// The percentiles that are shown, with their quantiles.
pub(super) const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// Selects the series of the chosen job and instances.
pub(super) struct Selector<'a> {
    job_label: &'a str,
}

impl<'a> Selector<'a> {
    pub(super) fn new(job_label: &'a str) -> Self {
        Self { job_label }
    }

    /// The series with this name.
    pub(super) fn series(&self, name: &str) -> String {
        self.series_with(name, "")
    }

    /// The series with this name and an additional matcher.
    pub(super) fn series_with(&self, name: &str, matcher: &str) -> String {
        let separator = if matcher.is_empty() { "" } else { ", " };
        format!("{name}{{{}=\"$job\", instance=~\"$instance\"{separator}{matcher}}}", self.job_label)
    }

    pub(super) fn rate(&self, name: &str) -> String {
        format!("rate({}[$__rate_interval])", self.series(name))
    }

    /// The name that Prometheus gives to a label.
    pub(super) fn label(&self, name: &str) -> String {
        scraped_label(name, self.job_label)
    }

    /// The legend for series with these labels.
    pub(super) fn legend(&self, labels: &[&str], otherwise: &str) -> String {
        if labels.is_empty() {
            return otherwise.to_owned();
        }
        let labels: Vec<String> = labels.iter().map(|label| format!("{{{{{}}}}}", self.label(label))).collect();
        labels.join(" ")
    }

    pub(super) fn aggregate(&self, function: &str, labels: &[&str], expr: &str) -> String {
        if labels.is_empty() {
            return format!("{function}({expr})");
        }
        let labels: Vec<String> = labels.iter().map(|label| self.label(label)).collect();
        format!("{function} by ({}) ({expr})", labels.join(", "))
    }

    pub(super) fn total(&self, labels: &[&str], expr: &str) -> String {
        self.aggregate("sum", labels, expr)
    }

    /// The rate of a counter by these labels.
    pub(super) fn total_rate(&self, labels: &[&str], name: &str) -> String {
        self.total(labels, &self.rate(name))
    }

    /// The observations per second of a summary or histogram. Prometheus may store a native histogram without its
    /// classic series.
    pub(super) fn observations(&self, family: &DeclaredFamily, labels: &[&str]) -> String {
        self.classic_or_native(family, labels, "_count", "histogram_count")
    }

    /// The sum of the observations per second of a summary or histogram.
    fn sums(&self, family: &DeclaredFamily, labels: &[&str]) -> String {
        self.classic_or_native(family, labels, "_sum", "histogram_sum")
    }

    fn classic_or_native(&self, family: &DeclaredFamily, labels: &[&str], suffix: &str, function: &str) -> String {
        let classic = self.rate(&format!("{}{suffix}", family.name));
        if !family.native {
            return self.total(labels, &classic);
        }
        // Instances can differ, so the choice is made for each series.
        self.total(labels, &format!("{classic} or {function}({})", self.rate(&family.name)))
    }

    pub(super) fn mean(&self, family: &DeclaredFamily, labels: &[&str]) -> String {
        share(&self.sums(family, labels), &self.observations(family, labels))
    }

    /// The observations per second in each bucket of a histogram. Grafana 10.3 and newer also draw native buckets.
    pub(super) fn buckets(&self, family: &DeclaredFamily) -> String {
        let classic = self.total_rate(&["le"], &format!("{}_bucket", family.name));
        if !family.native {
            return classic;
        }
        format!("{classic} or ({} unless on () {classic})", self.total_rate(&[], &family.name))
    }

    /// A quantile of a histogram. Without observations, it has no value, because NaN is not larger than -Inf.
    pub(super) fn quantile(&self, family: &DeclaredFamily, quantile: f64, labels: &[&str]) -> String {
        let with_bound = [labels, &["le"]].concat();
        let classic = self.total_rate(&with_bound, &format!("{}_bucket", family.name));
        let classic = format!("histogram_quantile({quantile}, {classic})");
        if !family.native {
            return format!("{classic} > -Inf");
        }
        let native = self.total_rate(labels, &family.name);
        format!("({classic} > -Inf) or (histogram_quantile({quantile}, {native}) > -Inf)")
    }
}

/// A ratio that has no value, instead of NaN, if the whole is 0.
pub(super) fn share(part: &str, whole: &str) -> String {
    format!("{part} / ({whole} > 0)")
}

/// The names of a family's labels, without those that a state set adds.
pub(super) fn labels(family: &DeclaredFamily) -> Vec<&str> {
    let names = family.labels.iter().map(|label| label.name.as_str());
    names.filter(|name| family.kind != Kind::StateSet || *name != family.name).collect()
}
