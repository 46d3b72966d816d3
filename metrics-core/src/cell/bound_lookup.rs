//! The classic bucket of a value.

/// Finds the bucket of a value by its leading bits.
///
/// The numbers with the same leading bits form a part. For each part, the table has the first bound that is not below
/// the part. Most parts contain at most one bound.
pub(super) struct BoundLookup {
    /// The number of trailing bits in which the numbers of a part may differ.
    shift: u32,
    /// The leading bits of the first part, which also covers all smaller positive numbers.
    first: u64,
    /// The last part also covers all larger numbers.
    table: [u8; PARTS],
    /// The bounds, padded with infinity.
    bounds: [f64; PARTS],
    /// True if the bounds do not fit into the table. Lookups then use a binary search.
    is_search: bool,
}

/// The number of parts, and the maximum number of bounds that a table can refer to.
const PARTS: usize = 256;

impl BoundLookup {
    pub(super) fn new(bounds: &[f64]) -> Self {
        let mut lookup =
            Self { shift: 52, first: 0, table: [0; PARTS], bounds: [f64::INFINITY; PARTS], is_search: true };
        let positive = &bounds[bounds.partition_point(|bound| *bound <= 0.0)..];
        let (Some(lowest), Some(highest)) = (positive.first(), positive.last()) else { return lookup };
        let span = |shift: u32| (lowest.to_bits() >> shift) - 1..=(highest.to_bits() >> shift) + 1;
        // The narrowest parts that fit into the table.
        let fits = |shift: &u32| span(*shift).count() <= PARTS;
        if bounds.len() >= PARTS || lowest.is_subnormal() {
            return lookup;
        }
        let Some(shift) = (44..=52).find(fits) else { return lookup };
        lookup.bounds[..bounds.len()].copy_from_slice(bounds);
        let (first, last) = (*span(shift).start(), *span(shift).end());
        lookup.table.fill(u8::try_from(bounds.len()).unwrap_or(u8::MAX));
        for (part, at) in (first..=last).zip(&mut lookup.table) {
            let begin = if part == first { 0.0 } else { f64::from_bits(part << shift) };
            *at = u8::try_from(bounds.partition_point(|bound| *bound < begin)).unwrap_or(u8::MAX);
        }
        Self { shift, first, is_search: false, ..lookup }
    }

    /// The position of the first bound that is not below `value`.
    #[inline]
    pub(super) fn find(&self, bounds: &[f64], value: f64) -> usize {
        if self.is_search | value.is_sign_negative() {
            return bounds.partition_point(|bound| *bound < value);
        }
        let part = (value.to_bits() >> self.shift).saturating_sub(self.first).min(PARTS as u64 - 1);
        let mut at = self.table[usize::try_from(part).unwrap_or(PARTS - 1)];
        // Branch-free, because if the part contains a bound, both outcomes are likely.
        at += u8::from(self.bounds[usize::from(at)] < value);
        while self.bounds[usize::from(at)] < value {
            at += 1;
        }
        usize::from(at)
    }
}

impl std::fmt::Debug for BoundLookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BoundLookup").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_finds_the_bucket_that_a_search_finds() {
        let lists: [&[f64]; 9] = [
            &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
            &[1.0],
            &[-1.0, 0.0, 1.0],
            &[-2.0, -1.0],
            &[0.0],
            &[],
            // Many bounds in one part, and parts that are too far apart for a table.
            &[1.0, 1.0 + f64::EPSILON],
            &[1e-300, 1e300],
            &[f64::MIN_POSITIVE, 1.0, f64::MAX],
        ];
        let linear: Vec<f64> = (1..=512).map(f64::from).collect();
        let mut with_table = 0;
        for bounds in lists.into_iter().chain([&linear[..]]) {
            let lookup = BoundLookup::new(bounds);
            with_table += usize::from(!lookup.is_search);
            let near = bounds.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
            let others = (-400..400).flat_map(|exponent| {
                let value = 1.37_f64.powi(exponent);
                [value, -value]
            });
            let extremes = [0.0, -0.0, f64::MIN, f64::MAX, 5e-324];
            for value in near.chain(others).chain(extremes).filter(|value| value.is_finite()) {
                let expected = bounds.partition_point(|bound| *bound < value);
                assert_eq!(lookup.find(bounds, value), expected, "{value} in {bounds:?}");
            }
        }
        assert_eq!(with_table, 4);
    }
}
