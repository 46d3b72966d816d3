//! The comparison of the model with the samples of a scrape or a receiver.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Tally;
use crate::samples::{Samples, Series};
use crate::scrapes::may_restart;
use crate::slots::Slots;

/// The form in which a receiver holds samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum View {
    /// The names and labels of a scrape.
    Exposition,
    /// The same, but histograms with native buckets have no classic ones.
    Otlp,
    /// The same, with sums of increases, which miss those before a removal.
    OtlpDelta,
    /// Names and labels with replaced characters.
    Graphite,
    /// Sums of increases; label values with replaced characters.
    DogStatsD,
    /// Sums of increases; names and label values with replaced characters.
    StatsD,
}

impl View {
    fn has_sums_of_increases(self) -> bool {
        matches!(self, Self::OtlpDelta | Self::DogStatsD | Self::StatsD)
    }

    fn has_native_buckets_only(self) -> bool {
        matches!(self, Self::Otlp | Self::OtlpDelta)
    }

    /// Returns the series as the receiver names it.
    fn of(self, series: &Series) -> Series {
        let is_kept = |character: char| match self {
            Self::Exposition | Self::Otlp | Self::OtlpDelta => true,
            Self::DogStatsD => !character.is_control() && !"|,#".contains(character),
            Self::Graphite | Self::StatsD => character.is_ascii_alphanumeric() || "-_".contains(character),
        };
        let replace = |value: &str| -> String {
            value.chars().map(|character| if is_kept(character) { character } else { '_' }).collect()
        };
        let of_label = |(name, value): &(String, String)| {
            let is_replaced = matches!(self, Self::Graphite | Self::StatsD);
            let bound = value.parse::<f64>().ok().filter(|_| name == "le" && is_replaced);
            // A bound has the form of OpenMetrics.
            let value = match bound {
                Some(f64::INFINITY) => replace("+Inf"),
                Some(bound) => replace(&format!("{bound:?}")),
                None => replace(value),
            };
            (name.clone(), value)
        };
        Series { name: series.name.clone(), labels: series.labels.iter().map(of_label).collect() }
    }
}

/// A snapshot of the model.
pub(crate) struct Expected {
    values: BTreeMap<Series, f64>,
    absent: BTreeSet<Series>,
}

/// The families that have fewer series than label sets, and their `max_series`. The last label sets are counted under
/// `__overflow__`.
const CAPPED: [(&str, usize); 3] = [
    ("soak_seen_total", 64),
    ("soak_users_request_latency_seconds_count", 48),
    ("soak_users_request_exceptions_total", 48),
];
/// The families of which only the sum over all series is known.
const SUMS: [&str; 3] =
    ["soak_attacks_total", "soak_late_function_latency_seconds_count", "soak_late_function_exceptions_total"];

/// Returns true if the value depends on time or on the order of concurrent operations.
fn is_unknown(series: &Series) -> bool {
    let name = series.name.as_str();
    series.label("quantile").is_some()
        || ["latency_seconds_sum", "latency_seconds_bucket", "soak_timed_seconds_sum", "soak_leader_info"]
            .iter()
            .any(|end| name.ends_with(end))
}

impl Expected {
    pub(crate) fn new(tally: &Tally, slots: &Slots) -> Self {
        let (mut values, mut absent) = (tally.values(), BTreeSet::new());
        slots.expect(&mut values, &mut absent);
        Self { values, absent }
    }

    /// Returns the number of known values.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns all differences between the model and the samples.
    pub(crate) fn differences(&self, view: View, samples: &Samples) -> Vec<String> {
        let mut found = Vec::new();
        let is_special = |name: &str| CAPPED.iter().any(|(capped, _)| *capped == name) || SUMS.contains(&name);
        let is_compared = |series: &Series| {
            let is_other_bucket = view.has_native_buckets_only() && series.name == "soak_both_seconds_bucket";
            let is_partial = view.has_sums_of_increases() && may_restart(series);
            !(is_other_bucket || is_partial || is_unknown(series))
        };
        let mut known = BTreeMap::new();
        for (series, expected) in self.values.iter().filter(|(series, _)| is_compared(series)) {
            if is_special(&series.name) {
                continue;
            }
            let theirs = view.of(series);
            let value = samples.get(&theirs).map(|sample| sample.value);
            if value.unwrap_or_default() != *expected {
                found.push(format!("{theirs}: expected {expected}, got {value:?}"));
            }
            known.insert(theirs, ());
        }
        for (series, sample) in samples {
            let is_ours = series.name.starts_with("soak_") && is_compared(series) && !is_special(&series.name);
            if is_ours && !known.contains_key(series) {
                if sample.value != 0.0 {
                    found.push(format!("{series}: expected nothing or 0, got {}", sample.value));
                }
                if may_restart(series) && (self.absent.contains(series) || series.name == "soak_sessions_total") {
                    found.push(format!("{series} was removed, got {}", sample.value));
                }
            }
        }
        for (name, cap) in CAPPED {
            self.compare_capped((name, cap), view, samples, &mut found);
        }
        for name in SUMS {
            let expected = self.values.get(&Series::new(name, [("", ""); 0])).copied().unwrap_or_default();
            let sum: f64 = of(samples, name).map(|(_, value)| value).sum();
            if sum != expected {
                found.push(format!("sum of {name}: expected {expected}, got {sum}"));
            }
        }
        found
    }

    /// Compares the series that fit into a capped family, and adds up all others.
    fn compare_capped(&self, (name, cap): (&str, usize), view: View, samples: &Samples, found: &mut Vec<String>) {
        let mut model: BTreeMap<&str, f64> = self
            .values
            .iter()
            .filter(|(series, _)| series.name == name)
            .filter_map(|(series, value)| Some((series.labels.first()?.1.as_str(), *value)))
            .collect();
        let (label_sets, mut own, mut overflow) = (model.len(), 0, 0.0);
        for (series, value) in of(samples, name) {
            let user = series.label("user").unwrap_or_default();
            if user == "__overflow__" {
                overflow = value;
                continue;
            }
            own += 1;
            if value != 0.0 {
                // A series may exist at 0 because a different family of its function was full.
                let expected = model.remove(user).unwrap_or_default();
                if value != expected {
                    found.push(format!("{series}: expected {expected}, got {value}"));
                }
            }
        }
        let rest: f64 = model.values().sum();
        if rest != overflow {
            found.push(format!("overflow of {name}: expected {rest}, got {overflow}"));
        }
        // Label sets are counted under `__overflow__` only if the family is full. A series without an increase is never
        // sent as an increase, so the series of a function cannot be counted there.
        let is_full = overflow > 0.0 || label_sets > cap;
        let lists_all = name == "soak_seen_total" || !view.has_sums_of_increases();
        if own > cap || (is_full && lists_all && own < cap) {
            found.push(format!("{name} has {own} series of {label_sets} label sets, and the cap {cap}"));
        }
    }
}

fn of<'s>(samples: &'s Samples, name: &'s str) -> impl Iterator<Item = (&'s Series, f64)> {
    samples.iter().filter(move |(series, _)| series.name == name).map(|(series, sample)| (series, sample.value))
}
