//! The OpenMetrics text format, version 1.0.0.
//!
//! Sample names are the same in all formats. A counter therefore has type `unknown` here if its name does not end in
//! `_total`, or if its name without `_total` is taken; likewise, an info is a gauge. Values that the format forbids are
//! skipped; see [`Format::OpenMetrics`](super::Format::OpenMetrics).

use std::collections::HashSet;

use super::lines::Lines;
use super::number::push_canonical;
use super::{About, Encode, ends_in_unit};
use crate::kind::Kind;
use crate::registry::scrape::sources::Sources;
use crate::sample::{FamilyInfo, Labels, SeriesDetails, Value, Visitor};

pub(super) const ABOUT: About = About {
    name: "openmetrics",
    content_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
    encoder: |sources| {
        Box::new(Encoder {
            lines: Lines::new(push_canonical),
            suffix: "",
            beside_base: beside_base(sources),
            created: created(sources),
            is_left_out: false,
            exports_created: sources.exports_created,
        })
    },
};

/// Encodes a scrape. If possible, a counter's family name omits the `_total` suffix of its samples; see the module
/// docs.
struct Encoder {
    lines: Lines,
    /// The suffix for samples of counters and infos: `_total`, `_info`, or empty if the family has another type
    /// instead.
    suffix: &'static str,
    /// Counters and infos that must keep their full name as the family name.
    beside_base: HashSet<String>,
    /// Families whose names are reserved for another family's `_created` sample. Only collectors can report such
    /// families.
    created: HashSet<String>,
    /// `true` if the current family is in `created` and is therefore skipped.
    is_left_out: bool,
    /// True if the creation times of series are exported.
    exports_created: bool,
}

const TOTAL: &str = "_total";

const INFO: &str = "_info";

const CREATED: &str = "_created";

/// Returns the names of counters and infos that would share a name with another family if `_total` or `_info` were
/// removed.
fn beside_base(sources: &Sources) -> HashSet<String> {
    let beside_info = |base: &str| is_taken(base, sources) || sources.kind_of(&format!("{base}{TOTAL}")).is_some();
    let beside = |name: &&str| {
        name.strip_suffix(TOTAL).is_some_and(|base| is_taken(base, sources))
            || name.strip_suffix(INFO).is_some_and(beside_info)
    };
    sources.names().filter(beside).map(str::to_owned).collect()
}

/// Returns true if a counter family cannot be named `base` because that name or its `_created` sample may be taken.
fn is_taken(base: &str, sources: &Sources) -> bool {
    let is_sample = |suffix: &&str| {
        let of = base.strip_suffix(suffix).and_then(|name| sources.kind_of(name));
        of.is_some_and(|kind| kind != Kind::Counter && kind.suffixes().contains(suffix))
    };
    let is_of_counter = |of: &str| sources.kind_of(&format!("{of}{TOTAL}")) == Some(Kind::Counter);
    sources.kind_of(base).is_some()
        || sources.kind_of(&format!("{base}{CREATED}")).is_some()
        || base.strip_suffix(CREATED).is_some_and(is_of_counter)
        || Kind::Histogram.suffixes().iter().any(is_sample)
}

/// Returns the names of families that collide with the `_created` sample of a summary or histogram.
fn created(sources: &Sources) -> HashSet<String> {
    let kept = |name: &&str| {
        let kind = name.strip_suffix(CREATED).and_then(|base| sources.kind_of(base));
        matches!(kind, Some(Kind::Summary | Kind::Histogram))
    };
    sources.names().filter(kept).map(str::to_owned).collect()
}

impl Encode for Encoder {
    fn out(&mut self) -> &mut Vec<u8> {
        &mut self.lines.out
    }

    fn end(&mut self) {
        self.lines.push(&["# EOF\n"]);
    }
}

impl Visitor for Encoder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        let suffix = match family.kind {
            Kind::Counter => TOTAL,
            Kind::Info => INFO,
            _ => "",
        };
        let base = family.name.strip_suffix(suffix).filter(|base| !suffix.is_empty() && !base.is_empty());
        let base = base.filter(|_| !self.beside_base.contains(family.name));
        let (name, kind) = match (family.kind, base) {
            (Kind::Counter, Some(base)) => (base, "counter"),
            (Kind::Counter | Kind::Untyped, _) => (family.name, "unknown"),
            (Kind::Info, Some(base)) => (base, "info"),
            (Kind::StateSet, _) => (family.name, "stateset"),
            (kind, _) => (family.name, kind.as_str()),
        };
        self.suffix = if base.is_some() { suffix } else { "" };
        self.is_left_out = self.created.contains(family.name);
        if self.is_left_out {
            return;
        }
        let Self { lines, .. } = self;
        lines.begin(name, family.name);
        lines.push(&["# TYPE ", name, " ", kind, "\n"]);
        let has_unit = !matches!(kind, "info" | "stateset");
        if let Some(unit) = family.unit.filter(|unit| has_unit && ends_in_unit(name, unit)) {
            lines.push(&["# UNIT ", name, " ", unit, "\n"]);
        }
        lines.help(family.help, true);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        self.series_with_details(labels, value, &SeriesDetails::default());
    }

    fn series_with_details(&mut self, labels: Labels<'_>, value: &Value<'_>, details: &SeriesDetails<'_>) {
        let created = details.created.filter(|_| self.exports_created);
        let Self { lines, suffix, .. } = self;
        match *value {
            _ if self.is_left_out => {}
            Value::Counter(total) if suffix.is_empty() || is_total(total.as_f64()) => {
                lines.number(labels, total);
                // Samples of type `unknown` must not have exemplars or creation times.
                if *suffix == TOTAL {
                    if let [exemplar, ..] = details.exemplars {
                        lines.exemplar(exemplar);
                    }
                    lines.created(labels, created);
                }
            }
            // Only collectors report negative counters. The format cannot represent them.
            Value::Counter(_) => {}
            Value::Gauge(value) | Value::Untyped(value) => lines.float("", labels, None, value),
            Value::Summary { count, sum, quantiles } => {
                for (at, (quantile, value)) in quantiles.iter().enumerate() {
                    // The format requires quantiles between 0 and 1 and nonnegative values.
                    if (0.0..=1.0).contains(quantile) && (*value >= 0.0 || value.is_nan()) {
                        lines.float("", labels, Some(("quantile", *quantile, at)), *value);
                    }
                }
                if is_total(sum) {
                    lines.float("_sum", labels, None, sum);
                }
                lines.whole("_count", labels, None, count);
                lines.created(labels, created);
            }
            // Only collectors report unsorted buckets. The format cannot represent them.
            Value::Histogram { buckets, .. } if !buckets.is_sorted_by(|(one, _), (next, _)| one < next) => {}
            Value::Histogram { sum, buckets, .. } => {
                // If a collector reads cumulative counts while they change, they may decrease, which the format
                // forbids.
                let mut count = 0;
                let mut exemplars = details.exemplars.iter().peekable();
                for (at, (bound, cumulative)) in buckets.iter().enumerate() {
                    count = count.max(*cumulative);
                    lines.whole("_bucket", labels, Some(("le", *bound, at)), count);
                    if let Some(exemplar) = exemplars.next_if(|exemplar| exemplar.bucket == at) {
                        lines.exemplar(exemplar);
                    }
                }
                // The format forbids a count without a sum. The last bucket still contains the count.
                if is_total(sum) && buckets.first().is_none_or(|(bound, _)| *bound >= 0.0) {
                    lines.float("_sum", labels, None, sum);
                    lines.whole("_count", labels, None, count);
                }
                lines.created(labels, created);
            }
        }
    }
}

/// Returns true if the format allows this value for a counter or sum. Negative observations can make a sum negative.
fn is_total(value: f64) -> bool {
    value >= 0.0
}
