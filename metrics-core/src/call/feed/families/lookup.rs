//! The lookup of a call's series in all families of its function.

use super::{BoundTarget, FUNCTION, Families};
use crate::cache::{self, Dense};
use crate::call::declaration::label_source::{LabelSource, MAX_LABELS, Role};
use crate::call::feed::series::{Handles, Series, Values};
use crate::call::feed::target::{OwnedTarget, TargetRef};
use crate::cell::Handle;
use crate::family::FamilyCore;
use crate::family::core::Found;
use crate::internal::InternalError;
use crate::label_value::Label;
use crate::labels::{CANCELLED, OTHER};

/// The maximum number of combinations of closed-set values in the dense cache. A function with more uses only the
/// per-thread cache.
const MAX_DENSE: usize = 1024;

impl Families {
    /// Returns the series for these roles and values, or `None` if a family is at its cap or a value is too long. Label
    /// sets with only fixed values are exempt from the cap.
    pub(crate) fn within_cap(&self, all: &Values<'_>, roles: &[Role]) -> Option<Handles> {
        let mut is_complete = true;
        let found = self.each(all, roles, |core, values, is_capped| match core.look_up(values, is_capped) {
            Found::Series(handle) => Some(handle),
            Found::Nothing => {
                is_complete = false;
                Some(Handle::NONE)
            }
            Found::NoRoom => None,
        })?;
        if is_complete {
            return Some(found);
        }
        // Only now, because no family should create a series that no call uses.
        self.each(all, roles, FamilyCore::find_or_create_up_to)
    }

    /// Calls `find` with each family for these roles, its label values, and whether its cap applies to them. Returns
    /// `None` if `find` does.
    fn each(
        &self,
        all: &Values<'_>,
        roles: &[Role],
        mut find: impl FnMut(&FamilyCore, &[&str], bool) -> Option<Handle>,
    ) -> Option<Handles> {
        let mut handles = [Handle::NONE; Role::COUNT];
        for role in roles {
            handles[*role as usize] = match &self.targets[*role as usize] {
                None => continue,
                Some(BoundTarget { target: OwnedTarget::Unlabeled { handle, .. }, .. }) => *handle,
                Some(BoundTarget { target: OwnedTarget::Family(core), order }) => {
                    let mut values = [""; MAX_LABELS];
                    for (value, at) in values.iter_mut().zip(order) {
                        *value = self.value_for(*role, *at, all);
                    }
                    let is_capped = order.iter().any(|at| self.fixed[*at].is_none());
                    find(core, &values[..order.len()], is_capped)?
                }
            };
        }
        Some(handles)
    }

    /// Like [`Families::within_cap`], but if a series has been removed since `epoch`, looks up all families again.
    /// Otherwise, a call could count an exception in a new series and its latency in one that has ended. Also returns
    /// the epoch of the lookup.
    pub(crate) fn within_cap_at_once(&self, epoch: u64, all: &Values<'_>, roles: &[Role]) -> Option<(u64, Handles)> {
        let handles = self.within_cap(all, roles)?;
        let now = self.epoch();
        if now == epoch { Some((epoch, handles)) } else { Some((now, self.within_cap(all, roles)?)) }
    }

    #[cold]
    #[inline(never)]
    fn resolve_fixed(&self) -> Handles {
        self.find_fixed().unwrap_or_else(|| self.overflow(&Role::ALL))
    }

    /// Creates the series that all calls share.
    pub(crate) fn create_fixed(&self) {
        if self.known_fixed().is_none() {
            self.find_fixed();
        }
    }

    fn find_fixed(&self) -> Option<Handles> {
        let (epoch, handles) = self.within_cap_at_once(self.epoch(), &self.all_values(&[]), &Role::ALL)?;
        self.series.set(epoch, handles);
        Some(handles)
    }

    /// Returns the series that all calls share, looking them up if necessary.
    pub(crate) fn fixed(&self) -> Series {
        let handles = self.known_fixed().unwrap_or_else(|| self.resolve_fixed());
        Series { handles, buckets: self.buckets }
    }

    /// Returns the handles that all calls share, without looking them up; `None` if they must be looked up.
    #[inline]
    pub(crate) fn known_fixed(&self) -> Option<Handles> {
        self.series.all()
    }

    /// Copies the series of a label set to the dense cache, if this thread has cached them in this epoch.
    pub(crate) fn cache_dense(&self, epoch: u64, labels: &[Label<'_>], values: &[&str]) {
        let dense = self.dense.get_or_init(|| {
            let sets = labels.iter().map(|label| Some(label.closed()?.0)).collect::<Option<_>>()?;
            Dense::new(sets, MAX_DENSE)
        });
        if let Some(fixed) = dense.as_ref().and_then(|dense| dense.find(labels))
            && let Some(handles) = cache::get(&self.cache, epoch, values)
        {
            fixed.set(epoch, handles);
        }
    }

    /// Replaces each value that is not in its label's closed set with `other`.
    pub(crate) fn within_sets<'v>(&self, values: &'v [&'v str], replaced: &'v mut Values<'v>) -> &'v [&'v str] {
        if !self.declaration.has_known_values() {
            return values;
        }
        let known = self.known_values();
        if known.is_none() {
            InternalError::LabelList.record(&self.declaration.location);
        }
        for (position, (slot, value)) in replaced.iter_mut().zip(values).enumerate() {
            let at = self.position_of_given(position).unwrap_or_default();
            *slot = match known {
                // The call was not an exception, so it has no kind.
                _ if value.is_empty() && matches!(self.sources()[at], LabelSource::Kind(_)) => value,
                Some(known) => known.closed_value(at, value),
                // The list is being evaluated by code that calls this function.
                None if self.sources()[at].list().is_some_and(|list| list.closed) => OTHER,
                None => value,
            };
        }
        &replaced[..values.len()]
    }

    /// Returns the value that this role's family uses for the label at this position.
    fn value_for<'v>(&self, role: Role, at: usize, all: &Values<'v>) -> &'v str {
        match (role, self.sources[at]) {
            (Role::Cancelled, LabelSource::Result(_)) => CANCELLED,
            _ => all[at],
        }
    }

    /// Returns the overflow series of every family for these roles, so that the families all count the same calls.
    pub(crate) fn overflow(&self, roles: &[Role]) -> Handles {
        let mut handles = [Handle::NONE; Role::COUNT];
        for role in roles {
            handles[*role as usize] = match &self.targets[*role as usize] {
                None => Handle::NONE,
                Some(BoundTarget { target: OwnedTarget::Unlabeled { handle, .. }, .. }) => *handle,
                Some(BoundTarget { target: OwnedTarget::Family(core), .. }) => core.overflow(),
            };
        }
        handles
    }

    /// Finds the series for these values in a per-call target, or determines whether the target has room for it.
    /// Returns `None` if the target's labels do not match.
    pub(crate) fn find_in(&self, role: Role, target: TargetRef<'_>, all: &Values<'_>) -> Option<Found> {
        let core = match target {
            TargetRef::Unlabeled { handle, .. } => return Some(Found::Series(handle)),
            TargetRef::Family(core) => core,
        };
        let mut values = [""; MAX_LABELS];
        Some(core.look_up_cached(self.values_in(role, core, all, &mut values)?))
    }

    /// Creates the series that [`Families::find_in`] has not found. Returns `None` if there is no room left for it.
    #[cold]
    pub(crate) fn create_in(&self, role: Role, target: TargetRef<'_>, all: &Values<'_>) -> Option<Handle> {
        let TargetRef::Family(core) = target else { return None };
        let mut values = [""; MAX_LABELS];
        core.resolve_within_cap(self.values_in(role, core, all, &mut values)?)
    }

    /// Returns the values of the labels of a per-call family; `None` if its labels do not match.
    fn values_in<'a, 'v>(
        &self,
        role: Role,
        core: &FamilyCore,
        all: &Values<'v>,
        values: &'a mut Values<'v>,
    ) -> Option<&'a [&'v str]> {
        let labels = &core.declaration.label_names;
        let needed = self.sources.iter().filter(|source| source.belongs_to(role)).count();
        if labels.len() < needed && !(labels.is_empty() && self.names == [FUNCTION]) {
            return None;
        }
        for (value, label) in values.iter_mut().zip(labels) {
            let at = self.names.iter().position(|name| name == label)?;
            if !self.sources[at].may_be_of(role) {
                return None;
            }
            *value = self.value_for(role, at, all);
        }
        values.get(..labels.len())
    }

    /// Returns the values of all labels: the fixed values, and the call's values known so far.
    pub(crate) fn all_values<'v>(&'v self, given: &[&'v str]) -> Values<'v> {
        let mut all = [""; MAX_LABELS];
        for (value, fixed) in all.iter_mut().zip(&self.fixed) {
            *value = fixed.as_deref().unwrap_or_default();
        }
        for (value, at) in given.iter().zip(&self.given) {
            all[*at] = value;
        }
        all
    }
}
