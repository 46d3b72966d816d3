//! Native buckets in OTLP's form: the index of the first bucket, and the counts of consecutive buckets.
//!
//! Bucket `i` of a native histogram is bucket `i - 1` in OTLP, which numbers a bucket by its lower bound instead of its
//! upper one. Native buckets may be far apart, so neighboring buckets are merged until few enough counts remain.

use crate::cell::varint;
use crate::encode::wire::{push_bytes, push_sint};
use crate::sample::NativeHistogram;

/// The largest number of counts for each sign, which is also the default limit of the OpenTelemetry SDKs.
const MAX_COUNTS: i64 = 160;

/// Returns the number of times to halve the resolution so that both signs have at most [`MAX_COUNTS`] counts.
pub(super) fn halvings(native: &NativeHistogram<'_>) -> u8 {
    let fits = |halvings: u8| {
        [native.positive, native.negative].iter().all(|list| match list {
            [(first, _), .., (last, _)] => index(*last, halvings) - index(*first, halvings) < MAX_COUNTS,
            _ => true,
        })
    };
    (0..32).find(|halvings| fits(*halvings)).unwrap_or(32)
}

/// Appends the buckets of one sign, as a field of type `Buckets`. Without buckets, appends nothing.
pub(super) fn push_buckets(out: &mut Vec<u8>, field: u8, buckets: &[(i32, u64)], halvings: u8) {
    let Some((first, _)) = buckets.first() else { return };
    let offset = index(*first, halvings);
    let mut counts: Vec<u64> = Vec::new();
    for (at, count) in buckets {
        // The list is sorted, so this position is that of the last count or follows it.
        let at = usize::try_from(index(*at, halvings) - offset).unwrap_or_default();
        if counts.len() <= at {
            counts.resize(at + 1, 0);
        }
        if let Some(total) = counts.last_mut() {
            *total = total.saturating_add(*count);
        }
    }
    let mut packed = Vec::with_capacity(2 * counts.len());
    for count in counts {
        varint::push(&mut packed, count);
    }
    let mut message = Vec::with_capacity(packed.len() + 8);
    push_sint(&mut message, 1, offset);
    push_bytes(&mut message, 2, &packed);
    push_bytes(out, field, &message);
}

/// Returns the index in OTLP of a native bucket, after the resolution has been halved.
fn index(native: i32, halvings: u8) -> i64 {
    (i64::from(native) - 1) >> halvings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native<'a>(positive: &'a [(i32, u64)], negative: &'a [(i32, u64)]) -> NativeHistogram<'a> {
        NativeHistogram { schema: 3, zero_threshold: 0.0, zero_count: 0, positive, negative }
    }

    /// The offset and the counts in a field of type `Buckets`.
    fn decoded(buckets: &[(i32, u64)], halvings: u8) -> (i64, Vec<u64>) {
        let mut out = Vec::new();
        push_buckets(&mut out, 8, buckets, halvings);
        let mut rest = &out[..];
        assert_eq!(varint::pop(&mut rest), 8 << 3 | 2);
        assert_eq!(varint::pop(&mut rest), rest.len() as u64);
        assert_eq!(varint::pop(&mut rest), 1 << 3);
        let offset = varint::pop(&mut rest);
        assert_eq!(varint::pop(&mut rest), 2 << 3 | 2);
        assert_eq!(varint::pop(&mut rest), rest.len() as u64);
        let mut counts = Vec::new();
        while !rest.is_empty() {
            counts.push(varint::pop(&mut rest));
        }
        ((offset >> 1).cast_signed() ^ -(offset & 1).cast_signed(), counts)
    }

    #[test]
    fn absent_buckets_between_others_are_zero() {
        assert_eq!(decoded(&[(-2, 3), (-1, 5), (2, 300)], 0), (-3, vec![3, 5, 0, 0, 300]));
        assert_eq!(decoded(&[(1, 7)], 0), (0, vec![7]));
    }

    #[test]
    fn halving_merges_the_buckets_that_share_a_coarser_one() {
        // With one bucket for each factor of 2, the buckets (1, 2], (2, 4] and (4, 8] have the indexes 1, 2 and 3.
        // With one for each factor of 4, (1, 4] and (4, 16] remain.
        assert_eq!(decoded(&[(1, 1), (2, 2), (3, 4)], 1), (0, vec![3, 4]));
        assert_eq!(decoded(&[(-1, 1), (0, 2), (1, 4)], 1), (-1, vec![3, 4]));
        assert_eq!(decoded(&[(0, 1), (1, 2)], 5), (-1, vec![1, 2]));
    }

    #[test]
    fn the_resolution_is_halved_only_if_the_counts_do_not_fit() {
        for (last, expected) in [(160, 0), (161, 1), (320, 1), (321, 2)] {
            assert_eq!(halvings(&native(&[(1, 1), (last, 1)], &[])), expected, "{last}");
            assert_eq!(halvings(&native(&[(5, 1)], &[(1, 1), (last, 1)])), expected, "{last}");
        }
        assert_eq!(halvings(&native(&[], &[])), 0);
        let extreme = [(i32::MIN, 1), (i32::MAX, 1)];
        let halvings = halvings(&native(&extreme, &[]));
        let (_, counts) = decoded(&extreme, halvings);
        assert!((81..=160).contains(&counts.len()), "{}", counts.len());
        assert_eq!(counts.iter().sum::<u64>(), 2);
    }
}
