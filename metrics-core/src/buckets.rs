//! The bounds of buckets: defaults, helpers that compute bounds, and their validation.

use std::sync::Mutex;

use crate::cell::Buckets;
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

/// Returns true if these are valid bounds for a histogram.
pub(crate) fn are_bounds(bounds: &[f64]) -> bool {
    (1..=MAX_BUCKETS).contains(&bounds.len())
        && bounds.iter().all(|bound| bound.is_finite())
        && bounds.windows(2).all(|pair| pair[0] < pair[1])
}

/// Returns static buckets with the valid bounds in `bounds`. Equal buckets share one copy.
pub(crate) fn intern(bounds: &[f64]) -> &'static Buckets {
    static KNOWN: Mutex<Vec<&'static Buckets>> = Mutex::new(Vec::new());
    let mut bounds: Vec<f64> = bounds.iter().copied().filter(|bound| bound.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds.truncate(MAX_BUCKETS);
    let buckets = Buckets { bounds };
    let mut known = lock(&KNOWN);
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
