//! The known label values, and their series, which are created at 0 before their first use.

use std::sync::atomic::Ordering;

use super::{BoundTarget, Families};
use crate::call::declaration::Declaration;
use crate::call::declaration::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use crate::call::feed::known_values::KnownValues;
use crate::call::feed::series::Values;
use crate::call::feed::target::OwnedTarget;
use crate::internal::InternalError;
use crate::labels::{CANCELLED, PANIC};
use crate::logging::guarded;
use crate::registry::declared::UserCode;
use crate::registry::{Problem, ProblemKind, Registry};

impl Families {
    /// Returns the known values, evaluating them if necessary. The first evaluation also creates their series at 0.
    pub(crate) fn known_values(&self) -> Option<&KnownValues> {
        self.known.get().or_else(|| self.make_known(UserCode::Due))
    }

    /// Like [`Families::known_values`], if `user_code` allows evaluating the lists.
    pub(crate) fn make_known(&self, user_code: UserCode) -> Option<&KnownValues> {
        self.known.get_or_make(user_code, || {
            let mut has_panicked = false;
            let mut evaluate = |values: fn() -> Vec<String>| {
                guarded(values).unwrap_or_else(|| {
                    has_panicked = true;
                    InternalError::LabelList.record(&self.declaration.location);
                    Vec::new()
                })
            };
            let known_of = |source: &LabelSource| known_of(*source, &self.declaration, &mut evaluate);
            let labels = self.sources().iter().map(known_of);
            let known = KnownValues::new(labels);
            if has_panicked {
                return Err(known);
            }
            self.know_values(&known);
            if !self.create_known(&known, &[]) {
                self.note_too_many();
            }
            Ok(known)
        })
    }

    /// Creates the series of the known values again after a removal.
    #[cold]
    #[inline(never)]
    pub(crate) fn create_known_again(&self) {
        let epoch = self.epoch();
        let Some(known) = self.known_values() else { return };
        if self.is_half_empty() {
            self.create_known(known, &[]);
        }
        self.known_epoch.store(epoch, Ordering::Relaxed);
    }

    #[cold]
    fn note_too_many(&self) {
        let Some((cap, family)) = self.cap() else { return };
        Registry::global().add_problem_of_family(Problem {
            kind: ProblemKind::Declaration,
            family: family.to_owned(),
            message: format!(
                "the known label sets exceed the `max_series` of {family} ({cap}); those beyond it are not exported at 0; raise `max_series`"
            ),
            location: Some(self.declaration.location),
        });
    }

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

/// Returns the known values of one label, and true if they are a closed set.
fn known_of(
    source: LabelSource,
    declaration: &Declaration,
    evaluate: &mut impl FnMut(fn() -> Vec<String>) -> Vec<String>,
) -> Option<(Vec<String>, bool)> {
    let list = source.list().map(|LabelList { values, closed }| (evaluate(values), closed));
    match source {
        LabelSource::Fixed(_) | LabelSource::Call(_) => list,
        LabelSource::Result(_) => list.map(|(mut values, closed)| {
            values.push(PANIC.to_owned());
            if declaration.is_cancellable() {
                values.push(CANCELLED.to_owned());
            }
            (values, closed)
        }),
        LabelSource::Kind(_) => {
            let (mut kinds, closed) = list.unwrap_or_default();
            kinds.push(PANIC.to_owned());
            Some((kinds, closed))
        }
    }
}
