//! Test helpers: snapshots of a registry, and the differences between them.
//!
//! All tests in a process share the global registry and run concurrently. [`Snapshot::of_current_thread`] contains only
//! values that the test's own thread has recorded. Take one snapshot before and one after the code under test.
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

/// Values by sample name and label set. Labels within a set are sorted by name.
type Samples = BTreeMap<String, BTreeMap<Vec<(String, String)>, f64>>;

/// All samples of a registry at one point in time.
///
/// Samples have the same names as in the exposition, including suffixes such as `_total`, `_count`, `_sum` and
/// `_bucket`.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    samples: Samples,
    /// True if other tests in the process may record into the same series.
    is_shared: bool,
}

/// The changes from one snapshot to a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    samples: Samples,
    is_shared: bool,
}

impl Snapshot {
    /// Takes a snapshot of all samples that `registry` exposes, regardless of which thread recorded them.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let mut recorder = Recorder { family: String::new(), samples: Samples::new() };
        registry.scrape().visit(&mut recorder);
        Self { samples: recorder.samples, is_shared: registry.is_global() }
    }

    /// Like [`Snapshot::of`], but counters, summaries and histograms contain only values that the current thread has
    /// recorded.
    ///
    /// Compare only snapshots of the same thread, because a new thread may continue the counts of a thread that ended.
    /// Tests that run concurrently on other threads do not affect the difference. The difference includes everything
    /// that an `async` test records on a single-threaded runtime. It does not include values that the code under test
    /// records on other threads, such as the workers of a multi-threaded runtime.
    ///
    /// Gauges, callbacks, collectors and `metrics_core_internal_errors_total` are not kept per thread, so their values
    /// cover the whole process. If the current thread shares cells (see
    /// [`limit_thread_local_cells`](crate::limit_thread_local_cells)), its first snapshot gives it dedicated cells. The
    /// snapshot does not contain values that the thread recorded before.
    #[must_use]
    pub fn of_current_thread(registry: &Registry) -> Self {
        Self { is_shared: false, ..cell::reading_own_block(|| Self::of(registry)) }
    }

    /// Returns the value of a sample, or `None` if the snapshot does not contain it. Labels may be in any order.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.samples.get(name)?.get(&sorted(labels)).copied()
    }

    /// Returns the changes since an earlier snapshot. Series that are missing from the earlier snapshot count from 0.
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
    /// Returns the samples that have changed, as exposition lines whose values are the changes.
    fn changed(&self) -> impl Iterator<Item = String> + '_ {
        self.samples.iter().flat_map(|(name, series)| {
            let changed = series.iter().filter(|(_, change)| **change != 0.0);
            changed.map(move |(labels, change)| format!("{name}{} {change:+}", LabelSetText(labels)))
        })
    }
}

/// A hint added to the failure message of an assertion if other tests may have changed the value.
const HINT: &str = "\n  Other tests in this process may have recorded into the series at the same time: \
    `Snapshot::of_current_thread` contains only what the test's own thread has recorded.";

/// Implements lookups of samples in a snapshot or a difference.
macro_rules! lookups {
    ($samples:ty, $value:literal, $snapshot:literal) => {
        impl $samples {
            #[doc = concat!("Returns ", $value, ". Labels may be in any order.")]
            ///
            /// # Panics
            ///
            #[doc = concat!("Panics if the ", $snapshot, " has no sample with this name and these labels. The message lists the existing samples.")]
            #[must_use]
            #[track_caller]
            pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
                find(&self.samples, name, labels)
            }

            #[doc = concat!("Asserts that ", $value, " is `expected`. Labels may be in any order.")]
            ///
            /// # Panics
            ///
            #[doc = concat!("Panics if the value differs, or if the ", $snapshot, " has no such sample. In the latter case, the message lists the existing samples.")]
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
lookups!(Snapshot, "the value of a sample", "snapshot");
lookups!(Difference, "the change of a sample", "later snapshot");

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
            panic!("there is no sample {name}; existing samples:\n  {}", names.join("\n  "))
        }
        Some(series) => series.get(&labels).copied().unwrap_or_else(|| {
            let sets: Vec<String> = series.keys().map(|labels| format!("{name}{}", LabelSetText(labels))).collect();
            panic!("there is no sample {name}{}; existing samples:\n  {}", LabelSetText(&labels), sets.join("\n  "))
        }),
    }
}

/// Returns true if the values are equal or both are NaN.
fn is_same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

fn sorted(labels: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut labels: Vec<_> = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    labels.sort();
    labels
}

/// Displays a label set as it appears in the exposition.
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

/// A visitor that splits series into samples.
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
            Value::Histogram { count, sum, buckets, .. } => {
                for (bound, count) in buckets {
                    self.add("_bucket", labels, Some(("le", *bound)), *count as f64);
                }
                self.add("_count", labels, None, count as f64);
                self.add("_sum", labels, None, sum);
            }
        }
    }
}
