//! Handles for families and functions whose label values all come from closed sets. They are stored in an array indexed
//! by the positions of the values, so no lookup is needed.

use super::Fixed;
use crate::label_value::Label;

/// The handles for every combination of label values from closed sets.
pub(crate) struct Dense<const N: usize> {
    sets: Vec<&'static [&'static str]>,
    /// Ordered by position. The position in the last set varies fastest.
    handles: Box<[Fixed<N>]>,
}

impl<const N: usize> Dense<N> {
    /// Returns `None` if the labels have more than `max` combinations, there are no labels, or memory is exhausted.
    pub(crate) fn new(sets: Vec<&'static [&'static str]>, max: usize) -> Option<Self> {
        let combinations = sets.iter().try_fold(1_usize, |product, set| product.checked_mul(set.len()))?;
        if sets.is_empty() || combinations > max {
            return None;
        }
        let mut handles = Vec::new();
        handles.try_reserve_exact(combinations).ok()?;
        handles.resize_with(combinations, Fixed::new);
        Some(Self { handles: handles.into_boxed_slice(), sets })
    }

    /// Returns the slot for this combination of values if each value is in its label's set.
    #[inline]
    pub(crate) fn find(&self, labels: &[Label<'_>]) -> Option<&Fixed<N>> {
        let position = labels.iter().zip(&self.sets).try_fold(0, |position, (label, set)| {
            let (values, at) = label.closed()?;
            // The sets are nearly always identical. Another set is accepted if it has the same value at that position.
            let same = std::ptr::eq(values, *set) || *set.get(at)? == label.as_str();
            same.then_some(position * set.len() + at)
        })?;
        self.handles.get(position)
    }

    /// Calls `each` with the values of every combination.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&[&str])) {
        let mut values = vec![""; self.sets.len()];
        for combination in 0..self.handles.len() {
            let mut rest = combination;
            for (value, set) in values.iter_mut().zip(&self.sets).rev() {
                *value = set[rest % set.len()];
                rest /= set.len();
            }
            each(&values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Handle;
    use crate::label_value::closed;

    const ONE: &[&str] = &["a", "b"];
    const OTHER: &[&str] = &["x", "y", "z"];

    #[test]
    fn each_combination_has_separate_handles() {
        let all: Dense<1> = Dense::new(vec![ONE, OTHER], 6).expect("6 combinations");
        let labels = |one, other| [closed(ONE, one), closed(OTHER, other)];
        for n in 0..6 {
            let found = all.find(&labels(n / 3, n % 3)).expect("all values are in their sets");
            found.set(1, [Handle::from_word(n as u64 + 7)]);
        }
        for n in 0..6 {
            let found = all.find(&labels(n / 3, n % 3)).and_then(|fixed| fixed.get(1));
            assert_eq!(found.map(|[handle]| handle.word()), Some(n as u64 + 7));
        }
        let mut seen = Vec::new();
        all.for_each(|values| seen.push(values.concat()));
        assert_eq!(seen, ["ax", "ay", "az", "bx", "by", "bz"]);
    }

    #[test]
    fn a_value_of_another_set_is_not_found() {
        let all: Dense<1> = Dense::new(vec![ONE], 2).expect("2 combinations");
        assert!(all.find(&[closed(OTHER, 0)]).is_none());
        assert!(all.find(&[closed(OTHER, 2)]).is_none());
        assert!(all.find(&[Label::from("a")]).is_none());
        // A different type with the same text at the same position is accepted.
        assert!(all.find(&[closed(&["a", "c"], 0)]).is_some());
        assert!(Dense::<1>::new(vec![ONE, OTHER], 5).is_none());
        assert!(Dense::<1>::new(Vec::new(), 5).is_none());
    }
}
