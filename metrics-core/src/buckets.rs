//! Bucket options: defaults, helpers that compute bounds, and validation.

use std::sync::Mutex;
use std::time::Duration;

use crate::cell::buckets::{Exponential, Native, Quantiles};
use crate::cell::{self, Buckets, exponential};
use crate::error::Error;
use crate::kind::Kind;
use crate::lock::lock;

/// The default upper bounds of a histogram's buckets, for latencies in seconds; `+Inf` is implied.
///
/// These are the bounds that OpenTelemetry's semantic conventions recommend for `http.server.request.duration`.
pub const DEFAULT_BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The maximum number of bounds. Each bound adds a series in Prometheus.
const MAX_BUCKETS: usize = 512;

/// Returns `count` bucket bounds for [`Builder::buckets`](crate::Builder::buckets): the first is `start`, and each
/// subsequent one is `width` higher.
///
/// Bounds are rounded to 15 significant digits. If the bounds do not increase, or if `count` is 0 or above 512, the
/// histogram cannot be registered. Returns at most 513 bounds.
///
/// # Example: the age of a cached item
///
/// ```
/// use metrics_core::{Histogram, linear_buckets};
///
/// let ages = Histogram::builder("cache_age_seconds", "Age of cached items.").buckets(linear_buckets(0.1, 0.1, 5)).build();
/// assert_eq!(linear_buckets(0.1, 0.1, 5), [0.1, 0.2, 0.3, 0.4, 0.5]);
/// ages.observe(0.25);
/// ```
#[must_use]
pub fn linear_buckets(start: f64, width: f64, count: usize) -> Vec<f64> {
    let bound = |n: usize| {
        let above = width * n as f64;
        rounded(start + above, start.abs().max(above.abs()))
    };
    (0..count.min(MAX_BUCKETS + 1)).map(bound).collect()
}

/// Returns `count` bucket bounds for [`Builder::buckets`](crate::Builder::buckets): the first is `start`, and each
/// subsequent one is `factor` times the previous one.
///
/// Bounds are rounded to 15 significant digits. If the bounds do not increase, or if `count` is 0 or above 512, the
/// histogram cannot be registered. Returns at most 513 bounds.
///
/// # Example: sizes from 1 KiB to 1 MiB
///
/// ```
/// use metrics_core::{Histogram, exponential_buckets};
///
/// let bounds = exponential_buckets(1_024.0, 4.0, 6);
/// let sizes = Histogram::builder("image_size_bytes", "Size of images.").buckets(bounds).build();
/// assert_eq!(exponential_buckets(1_024.0, 4.0, 6), [1_024.0, 4_096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0]);
/// sizes.observe(20_000);
/// ```
#[must_use]
pub fn exponential_buckets(start: f64, factor: f64, count: usize) -> Vec<f64> {
    let powers = std::iter::successors(Some(1.0), |power| Some(power * factor));
    let bounds = powers.map(|power| start * power).map(|bound| rounded(bound, bound.abs()));
    bounds.take(count.min(MAX_BUCKETS + 1)).collect()
}

/// Rounds a bound to 15 significant digits of the larger number that it was calculated from, so that three times 0.1 is
/// 0.3, and -0.3 plus three times 0.1 is 0. Integers are not rounded.
fn rounded(bound: f64, larger: f64) -> f64 {
    let digits = 14.0 - larger.log10().floor();
    if bound.fract() == 0.0 || !(0.0..400.0).contains(&digits) {
        return bound;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range has been checked")]
    let digits = digits as usize;
    // Adding 0 turns -0 into 0.
    format!("{bound:.digits$}").parse::<f64>().unwrap_or(bound) + 0.0
}

/// The bucket options set on a builder.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketOptions {
    /// The upper bounds of a histogram's classic buckets.
    pub(crate) bounds: Option<Vec<f64>>,
    pub(crate) quantiles: Option<Vec<f64>>,
    pub(crate) relative_error: Option<f64>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) native: bool,
    pub(crate) native_factor: Option<f64>,
    pub(crate) max_native_buckets: Option<usize>,
}

/// An invalid option of a metric's buckets.
#[derive(Clone, Debug)]
pub(crate) enum InvalidOption {
    Bounds(Vec<f64>),
    /// Another option: its name, its value, and what to write instead.
    Other(&'static str, String, &'static str),
}

impl InvalidOption {
    pub(crate) fn error(&self, metric: &str) -> Error {
        let metric = metric.to_owned();
        match self {
            Self::Bounds(bounds) => Error::InvalidBuckets { metric, bounds: bounds.clone() },
            Self::Other(option, given, expected) => {
                Error::InvalidOption { metric, option, given: given.clone(), expected }
            }
        }
    }
}

/// The relative error of quantiles, unless the builder sets another one.
const DEFAULT_RELATIVE_ERROR: f64 = 0.01;
/// The age at which observations no longer affect quantiles, unless the builder sets another one.
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(10 * 60);
/// The factor between the bounds of native buckets, unless the builder sets another one.
const DEFAULT_NATIVE_FACTOR: f64 = 1.1;
const DEFAULT_MAX_NATIVE_BUCKETS: usize = 160;
/// The maximum number of quantiles. Each one is a series in Prometheus.
pub(crate) const MAX_QUANTILES: usize = 32;

impl BucketOptions {
    /// Returns the buckets for a metric of this kind, and the first invalid option, if any. Invalid options are
    /// corrected or replaced by their defaults.
    pub(crate) fn resolve(&self, kind: Kind) -> (Option<&'static Buckets>, Option<InvalidOption>) {
        match kind {
            Kind::Summary => self.of_summary(),
            Kind::Histogram => self.of_histogram(),
            Kind::Counter | Kind::Gauge | Kind::Info | Kind::StateSet | Kind::Untyped => (None, None),
        }
    }

    fn of_summary(&self) -> (Option<&'static Buckets>, Option<InvalidOption>) {
        let mut invalid = Invalid::default();
        let mut quantiles = self.quantiles.clone().unwrap_or_default();
        let is_quantile = |quantile: &f64| (0.0..=1.0).contains(quantile);
        quantiles.sort_by(f64::total_cmp);
        let are_valid = (1..=MAX_QUANTILES).contains(&quantiles.len())
            && quantiles.iter().all(is_quantile)
            && quantiles.is_sorted_by(|one, next| one < next);
        if let Some(given) = self.quantiles.as_ref().filter(|_| !are_valid) {
            invalid.note("quantiles", format!("{given:?}"), "write 1 to 32 distinct numbers from 0 to 1");
            quantiles.retain(is_quantile);
            quantiles.dedup();
            quantiles.truncate(MAX_QUANTILES);
        }
        let relative_error = self.relative_error.unwrap_or(DEFAULT_RELATIVE_ERROR);
        let schema = Some(relative_error).filter(|error| *error < 0.5).and_then(exponential::schema_for_error);
        if schema.is_none() {
            let expected = "write a number from 0.002 up to, but not including, 0.5";
            invalid.note("relative_error", format!("{relative_error:?}"), expected);
        }
        let max_age = self.max_age.unwrap_or(DEFAULT_MAX_AGE);
        let is_age = (MIN_AGE..=MAX_AGE).contains(&max_age);
        if !is_age {
            invalid.note("max_age", format!("{max_age:?}"), "write a duration from one second to one year");
        }
        if self.quantiles.is_none() && (self.relative_error.is_some() || self.max_age.is_some()) {
            let (option, given) = match self.relative_error {
                Some(error) => ("relative_error", format!("{error:?}")),
                None => ("max_age", format!("{max_age:?}")),
            };
            invalid.note(option, given, "add `quantiles`, or remove this option");
        }
        if quantiles.is_empty() {
            return (None, invalid.first);
        }
        let max_age = if is_age { max_age } else { DEFAULT_MAX_AGE };
        let quantiles = Some(Quantiles { quantiles, max_age });
        let schema = schema.or_else(|| exponential::schema_for_error(DEFAULT_RELATIVE_ERROR)).unwrap_or_default();
        let exponential = Some(Exponential { schema, native: None, quantiles });
        (Some(intern(Vec::new(), exponential)), invalid.first)
    }

    fn of_histogram(&self) -> (Option<&'static Buckets>, Option<InvalidOption>) {
        let mut invalid = Invalid::default();
        let given = self.bounds.as_deref().unwrap_or(DEFAULT_BUCKETS);
        if !are_bounds(given) {
            invalid.first = Some(InvalidOption::Bounds(given.to_vec()));
        }
        let mut bounds: Vec<f64> = given.iter().copied().filter(|bound| bound.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds.truncate(MAX_BUCKETS);
        let is_native = self.native || self.native_factor.is_some() || self.max_native_buckets.is_some();
        let exponential = is_native.then(|| {
            let mut factor = self.native_factor.unwrap_or(DEFAULT_NATIVE_FACTOR);
            if !(factor > 1.0 && factor.is_finite()) {
                invalid.note("native_factor", format!("{factor:?}"), "write a number above 1, such as 1.1");
                factor = DEFAULT_NATIVE_FACTOR;
            }
            let mut max_buckets = self.max_native_buckets.unwrap_or(DEFAULT_MAX_NATIVE_BUCKETS);
            if max_buckets == 0 {
                invalid.note("max_native_buckets", format!("{max_buckets:?}"), "write at least 1");
                max_buckets = DEFAULT_MAX_NATIVE_BUCKETS;
            }
            let schema = exponential::schema_for_growth(factor);
            let native = Some(Native { schema, max_buckets });
            Exponential { schema: schema.max(0), native, quantiles: None }
        });
        (Some(intern(bounds, exponential)), invalid.first)
    }
}

const MIN_AGE: Duration = Duration::from_secs(1);
const MAX_AGE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Keeps the first invalid option.
#[derive(Default)]
struct Invalid {
    first: Option<InvalidOption>,
}

impl Invalid {
    fn note(&mut self, option: &'static str, given: String, expected: &'static str) {
        self.first.get_or_insert(InvalidOption::Other(option, given, expected));
    }
}

/// Returns true if these are valid bounds for a histogram.
fn are_bounds(bounds: &[f64]) -> bool {
    (1..=MAX_BUCKETS).contains(&bounds.len())
        && bounds.iter().all(|bound| bound.is_finite())
        && bounds.windows(2).all(|pair| pair[0] < pair[1])
}

/// Returns static buckets with these options. Equal options share them, because their tables take time and memory.
fn intern(bounds: Vec<f64>, exponential: Option<Exponential>) -> &'static Buckets {
    static KNOWN: Mutex<Vec<&'static Buckets>> = Mutex::new(Vec::new());
    let equal = |known: &&&'static Buckets| known.bounds == bounds && known.exponential == exponential;
    if let Some(known) = lock(&KNOWN).iter().find(equal) {
        return known;
    }
    let buckets = cell::new_buckets(bounds, exponential);
    let mut known = lock(&KNOWN);
    // Another thread may have been faster.
    if let Some(same) = known.iter().find(|known| ***known == buckets) {
        return same;
    }
    let new: &'static Buckets = Box::leak(Box::new(buckets));
    known.push(new);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Histogram, Registry};

    #[test]
    fn bounds_are_rounded_to_decimal_numbers() {
        let tenths = |from: i32, to: i32| -> Vec<f64> { (from..=to).map(|tenths| f64::from(tenths) / 10.0).collect() };
        assert_eq!(linear_buckets(0.1, 0.1, 30), tenths(1, 30));
        // Bounds near 0 are rounded like the others, and there is no -0.
        let around_zero = linear_buckets(-0.7, 0.1, 15);
        assert_eq!(around_zero, tenths(-7, 7));
        assert!(around_zero[7].is_sign_positive());
        assert_eq!(linear_buckets(-10.0, 5.0, 4), [-10.0, -5.0, 0.0, 5.0]);
        assert_eq!(linear_buckets(1e-320, 1e-320, 2).len(), 2);
        assert_eq!(exponential_buckets(0.001, 10.0, 5), [0.001, 0.01, 0.1, 1.0, 10.0]);
        // Integers are exact, even if they have more than 15 digits.
        assert_eq!(exponential_buckets(1.0, 2.0, 61)[60], 1_152_921_504_606_846_976.0);
    }

    #[test]
    fn bounds_that_do_not_increase_are_an_error() {
        let register = |bounds| Histogram::builder("h", "Help.").buckets(bounds).register_in(&Registry::new());
        let invalid = [
            linear_buckets(1.0, 0.0, 3),
            linear_buckets(1.0, -1.0, 3),
            linear_buckets(0.0, f64::NAN, 3),
            linear_buckets(0.0, f64::INFINITY, 3),
            exponential_buckets(0.0, 2.0, 3),
            exponential_buckets(1.0, f64::INFINITY, 3),
            linear_buckets(1.0, 1.0, 0),
            linear_buckets(1.0, 1.0, usize::MAX),
            exponential_buckets(1.0, 1.01, usize::MAX),
        ];
        for bounds in invalid {
            assert!(matches!(register(bounds), Err(Error::InvalidBuckets { .. })));
        }
        assert!(register(linear_buckets(1.0, 1.0, MAX_BUCKETS)).is_ok());
    }
}
