//! Test helpers: snapshots of a registry, and the differences between them.
//!
//! All tests in a process share the global registry, and run at the same time. [`Snapshot::of_current_thread`] contains only
//! what the thread of the test has recorded, so take one before and one after the code under test.
//!
//! # Example: testing a handler
//!
//! ```
//! use metrics_core::testing::Snapshot;
//! use metrics_core::{Registry, instrument};
//!
//! #[instrument("/foo", prefix = "shop")]
//! fn foo(fails: bool) -> Result<(), ()> {
//!     if fails { Err(()) } else { Ok(()) }
//! }
//!
//! let before = Snapshot::of_current_thread(Registry::global());
//! foo(true).ok();
//! foo(false).ok();
//! let change = Snapshot::of_current_thread(Registry::global()).since(&before);
//! change.assert("shop_request_latency_seconds_count", &[("path", "/foo")], 2.0);
//! change.assert("shop_request_exceptions_total", &[("path", "/foo")], 1.0);
//! ```

use std::collections::BTreeMap;
use std::fmt;

use crate::cell;
use crate::encode::number::push_float;
use crate::registry::Registry;
use crate::sample::{FamilyInfo, Labels, Value, Visitor};

/// Names of samples, label sets in the order of their names, and values.
type Samples = BTreeMap<String, BTreeMap<Vec<(String, String)>, f64>>;

/// All samples of a registry at one time, by the names they have in the exposition (`_total`, `_count`, `_sum`,
/// `_bucket`).
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    samples: Samples,
    /// Other tests of the process record into it, too.
    is_shared: bool,
}

/// What has changed from one snapshot to a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    samples: Samples,
    is_shared: bool,
}

impl Snapshot {
    /// Everything that `registry` exposes now, recorded by any thread.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let mut recorder = Recorder { family: String::new(), samples: Samples::new() };
        registry.scrape().visit(&mut recorder);
        Self { samples: recorder.samples, is_shared: registry.is_global() }
    }

    /// Like [`Snapshot::of`], but counters, summaries and histograms contain only what the current thread has recorded.
    ///
    /// Compare two snapshots of one thread: a thread continues with the counts of an earlier thread that has ended. Tests that
    /// run at the same time on other threads do not change the difference. It contains what an `async` test on a
    /// single-threaded runtime records, but not what the code under test records on other threads, such as the workers of a
    /// multi-threaded runtime.
    ///
    /// Gauges, callbacks, collectors and `metrics_core_internal_errors_total` belong to no thread, so they have the values of the
    /// whole process. After
    /// [`limit_thread_local_cells`](crate::limit_thread_local_cells), the counts of threads beyond the limit are in no
    /// snapshot of a thread.
    #[must_use]
    pub fn of_current_thread(registry: &Registry) -> Self {
        Self { is_shared: false, ..cell::reading_own_block(|| Self::of(registry)) }
    }

    /// The value of a sample, if it is there; labels in any order.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.samples.get(name)?.get(&sorted(labels)).copied()
    }

    /// What has changed since an earlier snapshot. A series that was not there then counts from 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Difference {
        let mut samples = self.samples.clone();
        for (name, series) in &mut samples {
            for (labels, value) in series {
                let before = earlier.samples.get(name).and_then(|series| series.get(labels)).unwrap_or(&0.0);
                *value = if is_same(*value, *before) { 0.0 } else { *value - before };
            }
        }
        Difference { samples, is_shared: self.is_shared || earlier.is_shared }
    }
}

impl Difference {
    /// All that has changed, as lines of the exposition with the change as their value.
    fn changed(&self) -> impl Iterator<Item = String> + '_ {
        self.samples.iter().flat_map(|(name, series)| {
            let changed = series.iter().filter(|(_, change)| **change != 0.0);
            changed.map(move |(labels, change)| format!("{name}{} {change:+}", LabelSetText(labels)))
        })
    }
}

/// Added to a failed assertion on values that other tests may have changed.
const HINT: &str = "\n  Other tests of this process may have recorded into the series at the same time: \
    `Snapshot::of_current_thread` contains only what the thread of the test has recorded.";

/// Looks samples up, in a snapshot or in a difference.
macro_rules! lookups {
    ($samples:ty, $value:literal, $asserted:literal, $snapshot:literal) => {
        impl $samples {
            #[doc = concat!($value, "; labels in any order.")]
            ///
            /// # Panics
            ///
            #[doc = concat!("Panics if there is no sample of that name with these labels in the ", $snapshot, "; the message lists those that there are.")]
            #[must_use]
            #[track_caller]
            pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
                find(&self.samples, name, labels)
            }

            #[doc = concat!("Asserts ", $asserted, "; labels in any order.")]
            ///
            /// # Panics
            ///
            #[doc = concat!("Panics if it is not `expected`, or if there is no such sample in the ", $snapshot, "; the message lists those that there are.")]
            #[track_caller]
            pub fn assert(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
                let value = find(&self.samples, name, labels);
                assert!(
                    is_same(value, expected),
                    "{name}{}\n  is:       {value}\n  expected: {expected}{}",
                    LabelSetText(&sorted(labels)),
                    if self.is_shared { HINT } else { "" }
                );
            }
        }
    };
}
lookups!(Snapshot, "The value of a sample", "the value of a sample", "snapshot");
lookups!(Difference, "By how much a sample has changed", "by how much a sample has changed", "later snapshot");

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changed().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test fails by panicking")]
fn find(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels = sorted(labels);
    match samples.get(name) {
        None => {
            let names: Vec<&str> = samples.keys().map(String::as_str).collect();
            panic!("there is no sample {name}; there are:\n  {}", names.join("\n  "))
        }
        Some(series) => series.get(&labels).copied().unwrap_or_else(|| {
            let sets: Vec<String> = series.keys().map(|labels| format!("{name}{}", LabelSetText(labels))).collect();
            panic!("there is no sample {name}{}; there are:\n  {}", LabelSetText(&labels), sets.join("\n  "))
        }),
    }
}

/// Whether the values are equal, or both are no number.
fn is_same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

fn sorted(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    labels.sort();
    labels
}

/// A label set as the exposition shows it.
struct LabelSetText<'a>(&'a [(String, String)]);

impl fmt::Display for LabelSetText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{{{}}}", pairs.join(","))
    }
}

/// Splits what it visits into samples.
struct Recorder {
    family: String,
    samples: Samples,
}

impl Recorder {
    fn add(&mut self, suffix: &str, labels: Labels<'_>, extra: Option<(&str, f64)>, value: f64) {
        let mut labels: Vec<_> = labels.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        if let Some((name, bound)) = extra {
            let mut text = Vec::new();
            push_float(&mut text, bound);
            labels.push((name.to_owned(), String::from_utf8_lossy(&text).into_owned()));
        }
        labels.sort();
        self.samples.entry(format!("{}{suffix}", self.family)).or_default().insert(labels, value);
    }
}

impl Visitor for Recorder {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        family.name.clone_into(&mut self.family);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        match *value {
            Value::Counter(total) => self.add("", labels, None, total.as_f64()),
            Value::Gauge(value) | Value::Untyped(value) => self.add("", labels, None, value),
            Value::Summary { count, sum, quantiles } => {
                for (quantile, value) in quantiles {
                    self.add("", labels, Some(("quantile", *quantile)), *value);
                }
                self.add("_count", labels, None, count as f64);
                self.add("_sum", labels, None, sum);
            }
            Value::Histogram { count, sum, buckets } => {
                for (bound, count) in buckets {
                    self.add("_bucket", labels, Some(("le", *bound)), *count as f64);
                }
                self.add("_count", labels, None, count as f64);
                self.add("_sum", labels, None, sum);
            }
        }
    }
}
