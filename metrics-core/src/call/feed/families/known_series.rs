//! The series that are created at 0 before their first use, because their label values are known.

use super::{BoundTarget, Families};
use crate::call::declaration::label_source::{MAX_LABELS, Role};
use crate::call::feed::known_values::KnownValues;
use crate::call::feed::series::Values;
use crate::call::feed::target::OwnedTarget;
use crate::labels::{CANCELLED, PANIC};

impl Families {
    /// Adds the labels' known values to the families.
    pub(crate) fn know_values(&self, known: &KnownValues) {
        let values = |at: usize| match &self.fixed[at] {
            Some(value) => std::slice::from_ref(value),
            None => known.values(at).unwrap_or_default(),
        };
        for bound in self.targets.iter().flatten() {
            if let OwnedTarget::Family(core) = &bound.target {
                for (position, at) in bound.order.iter().enumerate() {
                    core.know_values(position, values(*at).iter().cloned());
                }
            }
        }
    }

    /// Creates the series at 0 for all combinations of `begun_with` (values from a call's arguments) and known values.
    ///
    /// Skips families that have another label without known values. Returns false if a family reaches its cap.
    pub(crate) fn create_known(&self, known: &KnownValues, begun_with: &[&str]) -> bool {
        let begun = self.all_values(begun_with);
        let lists: Vec<Option<Vec<&str>>> = (0..self.names.len())
            .map(|at| match self.given.iter().position(|given| *given == at) {
                Some(given) if given >= begun_with.len() => {
                    known.values(at).map(|values| values.iter().map(String::as_str).collect())
                }
                _ => Some(vec![begun[at]]),
            })
            .collect();
        Role::ALL.into_iter().all(|role| self.create_all(role, &lists))
    }

    fn create_all(&self, role: Role, lists: &[Option<Vec<&str>>]) -> bool {
        let Some(BoundTarget { order, .. }) = &self.targets[role as usize] else { return true };
        let ours = |at: usize| if order.contains(&at) { lists[at].as_deref() } else { Some([""].as_slice()) };
        let Some(lists) = (0..lists.len()).map(ours).collect::<Option<Vec<_>>>() else { return true };
        let combinations = lists.iter().fold(1_usize, |product, list| product.saturating_mul(list.len()));
        let mut all = [""; MAX_LABELS];
        (0..combinations).all(|combination| {
            let mut rest = combination;
            for (value, list) in all.iter_mut().zip(&lists).rev() {
                *value = list[rest % list.len()];
                rest /= list.len();
            }
            !self.can_be(role, &all) || self.within_cap(&all, &[role]).is_some()
        })
    }

    /// Returns true if a call can end with these values. After a panic, all late labels are `panic`. After a
    /// cancellation, which is not an exception, they are all `cancelled`.
    fn can_be(&self, role: Role, all: &Values<'_>) -> bool {
        let values_of = |role: Role| {
            let late =
                self.sources.iter().zip(all).filter(move |(source, _)| source.is_late() && source.belongs_to(role));
            late.map(|(_, value)| *value)
        };
        // In a family for canceled calls, all labels from the result have the value `cancelled`.
        let agree = |what: &str| {
            role == Role::Cancelled || {
                let are = values_of(role).filter(|value| *value == what).count();
                are == 0 || are == values_of(role).count()
            }
        };
        agree(PANIC)
            && agree(CANCELLED)
            && (role != Role::Exceptions || values_of(role).all(|value| value != CANCELLED))
    }

    /// Returns true if no family uses more than half of its cap.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.cores.iter().all(|core| core.is_half_empty())
    }
}
