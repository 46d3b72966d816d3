//! Exponential buckets: the layout of native histograms in Prometheus and of exponential histograms in OpenTelemetry.
//!
//! With schema `s`, bucket `i` covers the values above `2^((i - 1) / 2^s)` and up to `2^(i / 2^s)`. Every bucket of a
//! schema is the union of two buckets of the next one, so the resolution of a distribution can be halved without an
//! error. An index is therefore always computed for [`MAX_SCHEMA`] first.

/// The finest schema: 256 buckets for each factor of 2, which is also the finest schema of Prometheus.
pub(crate) const MAX_SCHEMA: i32 = 8;
/// The coarsest schema: one bucket for each factor of 65,536, which is also the coarsest schema of Prometheus.
pub(crate) const MIN_SCHEMA: i32 = -4;
/// The schema of the chunks that hold values outside of the fine chunks: one bucket for each factor of 2.
pub(crate) const COARSE_SCHEMA: i32 = 0;
/// Values whose magnitude is at most this count as zero: 2^-128.
pub(crate) const ZERO_THRESHOLD: f64 = f64::from_bits(((1023 - 128) as u64) << MANTISSA_BITS);

const MANTISSA_BITS: u32 = 52;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
/// The number of buckets for each factor of 2.
const BUCKETS: usize = 1 << MAX_SCHEMA;
/// The number of equal parts of the range from 1 to 2 that are looked up. A part is shorter than every bucket, so at
/// most one bound lies inside it.
const PARTS: usize = 2 * BUCKETS;

/// The mantissa of each bound `2^(i / 256)` from 1 to 2. The last one, 2, is larger than every mantissa.
static BOUNDS: [u64; BUCKETS + 1] = bounds();
/// For each part, one more than the number of bounds from 1 to the start of the part, and, in the low bits, the largest
/// mantissa below the next bound.
static PART_BOUNDS: [u64; PARTS] = part_bounds();

const fn bounds() -> [u64; BUCKETS + 1] {
    /// The number 1 as a fixed-point number with 63 binary digits after the point.
    const ONE: u128 = 1 << 63;
    // 2^(1/2), 2^(1/4), .., 2^(1/256)
    let mut roots = [0; MAX_SCHEMA as usize];
    let (mut at, mut root) = (0, 2 * ONE);
    while at < roots.len() {
        root = (root * ONE).isqrt();
        roots[at] = root;
        at += 1;
    }
    let mut bounds = [0; BUCKETS + 1];
    let mut i = 0;
    while i < BUCKETS {
        let (mut bound, mut at) = (ONE, 0);
        while at < roots.len() {
            if i & (BUCKETS >> (at + 1)) != 0 {
                bound = bound * roots[at] / ONE;
            }
            at += 1;
        }
        bounds[i] = rounded_to_mantissa(bound - ONE, 63);
        i += 1;
    }
    bounds[BUCKETS] = 1 << MANTISSA_BITS;
    bounds
}

/// Rounds a fixed-point fraction with `digits` binary digits to the digits of a mantissa.
#[expect(clippy::cast_possible_truncation, reason = "fractions are less than 1")]
const fn rounded_to_mantissa(fraction: u128, digits: u32) -> u64 {
    let excess = digits - MANTISSA_BITS;
    ((fraction + (1 << (excess - 1))) >> excess) as u64
}

const fn part_bounds() -> [u64; PARTS] {
    let bounds = bounds();
    let mut parts = [0; PARTS];
    let (mut part, mut passed) = (0, 0);
    while part < PARTS {
        while bounds[passed + 1] <= (part as u64) << (MANTISSA_BITS - PARTS.trailing_zeros()) {
            passed += 1;
        }
        // Shifted left, the lower bits can be compared without a mask.
        parts[part] = (passed as u64 + BUCKETS as u64) << MANTISSA_BITS | (bounds[passed + 1] - 1);
        part += 1;
    }
    parts
}

/// The position of the bucket with index 1 of [`MAX_SCHEMA`].
const ORIGIN: i32 = 1024 << MAX_SCHEMA;
/// The position of the first bucket above [`ZERO_THRESHOLD`].
const FIRST: u32 = (1024 - 128) << MAX_SCHEMA;
/// The number of positions.
const POSITIONS: u32 = (1024 + 128) << MAX_SCHEMA;

/// The position of the bucket of [`MAX_SCHEMA`] that contains `value`, which must be finite; `None` for the zero bucket
/// and for negative values.
///
/// Positions are consecutive and not negative. Dividing a position by 2, rounded down, yields the position in the next
/// coarser schema.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the leading bits of the mantissa and the exponent are small")]
pub(crate) fn position(value: f64) -> Option<u32> {
    // A bucket includes its upper bound, but a part includes its start. For 0, the position is out of range.
    let bits = value.to_bits().wrapping_sub(1);
    let part = PART_BOUNDS[(bits >> (MANTISSA_BITS - PARTS.trailing_zeros())) as usize % PARTS];
    let is_above = bits << (64 - MANTISSA_BITS) > part << (64 - MANTISSA_BITS);
    let octave = (bits >> MANTISSA_BITS << MAX_SCHEMA) as u32;
    let position = octave + (part >> MANTISSA_BITS) as u32 + u32::from(is_above);
    (position.wrapping_sub(FIRST) < POSITIONS).then_some(position)
}

/// Like [`position`], but for linear buckets: the range between two powers of 2 is divided into parts of equal length.
/// Such a bucket includes its lower bound instead of its upper bound.
///
/// The position of a linear bucket takes a third of the instructions, and its relative error is only half as large
/// again. Prometheus has no such buckets.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the leading bits of the mantissa and the exponent are small")]
pub(crate) fn linear_position(value: f64) -> Option<u32> {
    let position = (value.to_bits() >> (MANTISSA_BITS - BUCKETS.trailing_zeros())) as u32 + BUCKETS as u32;
    (position.wrapping_sub(FIRST) < POSITIONS).then_some(position)
}

/// The index of the bucket at a position of this schema.
#[inline]
pub(crate) fn index_at(position: u32, schema: i32) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX) - (ORIGIN >> (MAX_SCHEMA - schema)) + 1
}

/// The index of the bucket of schema `to` that contains bucket `index` of schema `from`, which must not be coarser.
#[inline]
pub(crate) fn coarser(index: i32, from: i32, to: i32) -> i32 {
    let halvings = from - to;
    (index + (1 << halvings) - 1) >> halvings
}

/// The upper bound of a bucket: at most [`f64::MAX`], and at least the smallest normal number.
pub(crate) fn upper_bound(index: i32, schema: i32) -> f64 {
    let (octave, part) = if schema < 0 {
        (i64::from(index) << -schema, 0)
    } else {
        let part = (index << (MAX_SCHEMA - schema)) & ((1 << MAX_SCHEMA) - 1);
        (i64::from(index >> schema), part)
    };
    match u64::try_from(octave + 1023) {
        Ok(exponent @ 1..=2046) => f64::from_bits(exponent << MANTISSA_BITS | BOUNDS[part.unsigned_abs() as usize]),
        Ok(1..) => f64::MAX,
        _ => f64::MIN_POSITIVE,
    }
}

/// Like [`upper_bound`], but for linear buckets. The schema must not be negative.
fn linear_upper_bound(index: i32, schema: i32) -> f64 {
    let finest = (1023 << MAX_SCHEMA) + (i64::from(index) << (MAX_SCHEMA - schema));
    let largest = f64::MAX.to_bits();
    let bits = u64::try_from(finest).unwrap_or(0) << (MANTISSA_BITS - BUCKETS.trailing_zeros());
    f64::from_bits(bits.min(largest)).max(f64::MIN_POSITIVE)
}

/// The exponent of the smallest power of 2 that is not less than `magnitude`, which must be positive and normal.
#[allow(clippy::cast_possible_truncation, reason = "the exponent has 11 bits")]
pub(crate) fn octave(magnitude: f64) -> i32 {
    let bits = magnitude.to_bits();
    (bits >> MANTISSA_BITS) as i32 - 1023 + i32::from(bits & MANTISSA != 0)
}

/// The value that represents a linear bucket. Its relative distance from every value in the bucket is at most
/// [`relative_error`].
pub(crate) fn representative(index: i32, schema: i32) -> f64 {
    let (lower, upper) = (linear_upper_bound(index - 1, schema), linear_upper_bound(index, schema));
    // The harmonic mean of the bounds, which has the same relative distance from both.
    lower / (lower / upper + 1.0) * 2.0
}

/// The factor between the bounds of a bucket.
pub(crate) fn growth(schema: i32) -> f64 {
    (-f64::from(schema)).exp2().exp2()
}

/// The coarsest schema whose buckets grow by at most this factor, which must be above 1.
pub(crate) fn schema_for_growth(factor: f64) -> i32 {
    (MIN_SCHEMA..MAX_SCHEMA).find(|schema| growth(*schema) <= factor).unwrap_or(MAX_SCHEMA)
}

/// The coarsest schema, from 0, whose relative error is at most this; `None` if no schema is fine enough.
pub(crate) fn schema_for_error(error: f64) -> Option<i32> {
    (0..=MAX_SCHEMA).find(|schema| relative_error(*schema) <= error)
}

/// The maximum relative error of a quantile that is read from linear buckets of this schema.
pub(crate) fn relative_error(schema: i32) -> f64 {
    1.0 / (f64::from(schema + 1).exp2() + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns true if `magnitude` is in this bucket, by comparison with its bounds.
    fn is_in(magnitude: f64, index: i32, schema: i32) -> bool {
        upper_bound(index - 1, schema) < magnitude && magnitude <= upper_bound(index, schema)
    }

    /// Deterministic numbers that look random.
    fn random() -> impl Iterator<Item = u64> {
        std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |x| {
            let x = x ^ (x << 13);
            let x = x ^ (x >> 7);
            Some(x ^ (x << 17))
        })
    }

    #[test]
    fn the_bounds_are_powers_of_two_with_fractional_exponents() {
        for schema in 0..=MAX_SCHEMA {
            for index in -300..300 {
                let (bound, exact) = (upper_bound(index, schema), (f64::from(index) / growth_exponent(schema)).exp2());
                // `exp2` itself may be wrong in the last place.
                assert!((bound / exact - 1.0).abs() <= 2.0 * f64::EPSILON, "{index} {schema}: {bound} {exact}");
            }
        }
        assert_eq!(upper_bound(0, 3), 1.0);
        assert_eq!(upper_bound(-8, 3), 0.5);
        assert_eq!(upper_bound(1, -4), 65_536.0);
        assert_eq!(upper_bound(4, 2), 2.0);
        assert!(BOUNDS.is_sorted_by(|one, next| one < next));
    }

    /// The index of the bucket of [`MAX_SCHEMA`] that contains `magnitude`.
    fn index(magnitude: f64) -> i32 {
        index_at(position(magnitude).expect("not close to 0"), MAX_SCHEMA)
    }

    fn growth_exponent(schema: i32) -> f64 {
        f64::from(schema).exp2()
    }

    #[test]
    fn each_value_is_in_its_bucket() {
        let smallest = ZERO_THRESHOLD.next_up();
        let powers = (-127..1024).map(|exponent| f64::from(exponent).exp2());
        let near = powers.flat_map(|power| [power.next_down(), power, power.next_up()]);
        let bounds = (-1_000..1_000).map(|index| upper_bound(index, MAX_SCHEMA));
        let near_bounds = bounds.flat_map(|bound| [bound.next_down(), bound, bound.next_up()]);
        let any = random().take(200_000).map(|bits| f64::from_bits(bits >> 1));
        let all = near.chain(near_bounds).chain(any).chain([smallest, f64::MAX, 1.0, 3.0]);
        let mut checked = 0;
        for magnitude in all.filter(|magnitude| magnitude.is_finite() && *magnitude >= smallest) {
            let finest = index(magnitude);
            for schema in MIN_SCHEMA..=MAX_SCHEMA {
                let index = coarser(finest, MAX_SCHEMA, schema);
                assert!(is_in(magnitude, index, schema), "{magnitude:e} in bucket {index} of schema {schema}");
            }
            checked += 1;
        }
        assert!(checked > 100_000, "{checked}");
    }

    #[test]
    fn indexes_do_not_decrease() {
        let mut last = i32::MIN;
        for step in 0..2_000_000_u64 {
            // All magnitudes from 2^-60 to 2^60 in small steps.
            let magnitude =
                f64::from_bits(((1023 - 60) << MANTISSA_BITS) + step * ((120 << MANTISSA_BITS) / 2_000_000));
            let index = index(magnitude);
            assert!(index >= last);
            last = index;
        }
    }

    #[test]
    fn halving_twice_is_the_same_as_quartering() {
        for index in -1_000..1_000 {
            assert_eq!(coarser(coarser(index, 8, 7), 7, 6), coarser(index, 8, 6));
            assert_eq!(coarser(index, 5, 5), index);
        }
    }

    #[test]
    fn each_value_is_in_its_linear_bucket() {
        let smallest = ZERO_THRESHOLD.next_up();
        let powers = (-127..1024).map(|exponent| f64::from(exponent).exp2());
        let near = powers.flat_map(|power| [power.next_down(), power, power.next_up(), power * 1.5, power * 1.25]);
        let any = random().take(200_000).map(|bits| f64::from_bits(bits >> 1));
        for magnitude in near.chain(any).chain([smallest, f64::MAX]).filter(|value| value.is_finite()) {
            let Some(position) = linear_position(magnitude) else {
                assert!(magnitude < ZERO_THRESHOLD, "{magnitude:e}");
                continue;
            };
            let finest = index_at(position, MAX_SCHEMA);
            for schema in 0..=MAX_SCHEMA {
                let index = coarser(finest, MAX_SCHEMA, schema);
                let (lower, upper) = (linear_upper_bound(index - 1, schema), linear_upper_bound(index, schema));
                assert!(
                    lower <= magnitude && (magnitude < upper || upper == f64::MAX),
                    "{magnitude:e} in {index} of schema {schema}"
                );
            }
        }
        for outside in [0.0, -0.0, 5e-324, ZERO_THRESHOLD, -1.0, f64::MIN] {
            assert_eq!(position(outside), None);
        }
        for outside in [0.0, -0.0, 5e-324, ZERO_THRESHOLD.next_down(), -1.0, f64::MIN, f64::INFINITY, f64::NAN] {
            assert_eq!(linear_position(outside), None);
        }
    }

    #[test]
    fn representatives_keep_the_error_bound() {
        let errors = [(3, 0.0588), (5, 0.01538), (6, 0.00775), (7, 0.00389)];
        for (schema, expected) in errors {
            assert!((relative_error(schema) / expected - 1.0).abs() < 1e-2, "{schema}: {}", relative_error(schema));
            for index in -500..500 {
                let representative = representative(index, schema);
                for bound in [linear_upper_bound(index - 1, schema), linear_upper_bound(index, schema)] {
                    let error = (representative - bound).abs() / bound;
                    assert!(error <= relative_error(schema) * (1.0 + 1e-9), "{index} {schema}: {error}");
                }
            }
        }
        // Bounds outside of the range of `f64` are limited to it, which does not overflow.
        let largest = representative(index(f64::MAX), MAX_SCHEMA);
        assert!(largest > 1e308 && largest.is_finite());
    }
}
