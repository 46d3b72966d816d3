//! The series of calls that evaluate some of their families, such as `latency = self.latency`.
//!
//! Such a call looks up all series at once, with a key that consists of the label values and the identities of the
//! families. Only the first level of the thread's cache is used, because each removal changes the identity of a family,
//! and the keys of earlier identities would fill a table.

use std::sync::atomic::Ordering;

use super::declaration::label_source::{MAX_LABELS, Role};
use super::feed::families::Families;
use super::feed::series::Series;
use super::feed::target::{PerCall, TargetRef};
use super::late_labels::{LateValues, texts};
use super::site::Site;
use crate::cache;
use crate::cell::Handle;
use crate::family::core::Found;
use crate::internal::InternalError;
use crate::registry::{Problem, ProblemKind, Registry};

impl Site {
    /// Returns the series of a call that evaluates some of its families, if this thread has cached them.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "each function that contains it returns another guard")]
    pub(super) fn find_with<const N: usize>(&self, values: &[&str; N], per_call: &PerCall<'_>) -> Option<Series> {
        let families = self.families.get()?;
        let id = families.per_call.as_ref()?;
        let handles = cache::get_first_level_with(id, families.epoch(), &identities(per_call), values)?;
        let latency = per_call[Role::Latency as usize];
        Some(Series { handles, buckets: latency.map_or(families.buckets(), TargetRef::buckets) })
    }

    /// Like [`Site::find_with`], for series that this thread has not cached.
    #[inline(never)]
    pub(super) fn resolve_with(&self, values: &[&str], per_call: &PerCall<'_>) -> Series {
        // Read before the series are looked up.
        let identities = identities(per_call);
        // Not the provisional families of a failed evaluation, whose epochs are independent of those of the real ones.
        let families = self.families.get().map(|families| (families, families.epoch()));
        let (series, is_final) =
            self.with_per_call(values, per_call, &Role::ALL, |values| self.resolve_within_cap(values));
        if is_final
            && let Some((families, epoch)) = families
            && let Some(id) = &families.per_call
        {
            cache::insert_only_first_level(id, epoch, &identities, values, series.handles);
        }
        series
    }

    /// Returns the series for these roles: those in the per-call families, and otherwise those that `others` returns
    /// for the values, after values outside a closed set have been replaced. If one of the families has no room, all of
    /// them use their overflow series, so that they all count the same calls.
    ///
    /// The flag is true if later calls with these values have the same series. The flag that `others` returns is false
    /// for overflow series.
    pub(super) fn with_per_call(
        &self,
        values: &[&str],
        per_call: &PerCall<'_>,
        roles: &[Role],
        others: impl FnOnce(&[&str]) -> (Series, bool),
    ) -> (Series, bool) {
        let given = || roles.iter().filter_map(|role| Some((*role, per_call[*role as usize]?)));
        if given().next().is_none() {
            return (others(values).0, false);
        }
        let Some(families) = self.families() else { return (others(values).0, false) };
        // Read before the values are replaced: until the closed sets are known, their values are recorded as `other`.
        let mut is_final = families.known.get().is_some() || !families.declaration.has_known_values();
        let mut replaced = [""; MAX_LABELS];
        let values = families.within_sets(values, &mut replaced);
        let all = families.all_values(values);
        let mut found = [const { None }; Role::COUNT];
        let mut has_room = true;
        for (role, target) in given() {
            let result = families.find_in(role, target, &all);
            // If all labels are fixed, the function's other families are exempt from their caps.
            has_room &= families.given_len() == 0 || !matches!(result, Some(Found::NoRoom));
            found[role as usize] = result;
        }
        // Only now, because no family should create a series that no call uses.
        let (mut series, is_within_cap) = if has_room {
            others(values)
        } else {
            (Series { handles: families.overflow(roles), buckets: families.buckets() }, false)
        };
        for (role, target) in given() {
            if let Role::Exceptions | Role::Cancelled = role {
                target.mark_read_early();
            }
            let own = match found[role as usize] {
                None => {
                    note_mismatch(families, role, target);
                    series.handles[role as usize] = Handle::NONE;
                    is_final = false;
                    continue;
                }
                Some(_) if !is_within_cap => None,
                Some(Found::Series(handle)) => Some(handle),
                Some(Found::Nothing) => families.create_in(role, target, &all),
                Some(Found::NoRoom) => None,
            };
            is_final &= own.is_some();
            series.handles[role as usize] = own.unwrap_or_else(|| target.overflow());
            if role == Role::Latency {
                series.buckets = target.buckets();
            }
        }
        (series, is_final)
    }

    /// Returns the series of an ended call with late labels. See [`Site::record_late`] for the values.
    #[inline(never)]
    pub(super) fn resolve_end_with(&self, values: &LateValues<'_>, per_call: &PerCall<'_>) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let values = &texts(values)[..families.given_len()];
        self.with_per_call(values, per_call, families.roles_at_end(values), |values| families.resolve_at_end(values)).0
    }
}

/// Reports a per-call family whose labels do not match. The call is not recorded in that family.
#[cold]
fn note_mismatch(families: &Families, role: Role, target: TargetRef<'_>) {
    InternalError::InstrumentConflict.increment();
    if families.noted.fetch_or(1 << role as u8, Ordering::Relaxed) & 1 << role as u8 == 0 {
        Registry::global().add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: families.declaration.default_name(role),
            message: format!(
                "calls are not recorded in {}, given as `{}`: its labels are {:?}, but the function's are {:?}",
                target.name().unwrap_or_default(),
                role.option(),
                target.label_names(),
                families.labels_of(role)
            ),
            location: Some(families.declaration.location),
        });
    }
}

/// Returns the identities of the families that a call has evaluated, which are part of its cache key.
#[inline]
fn identities(per_call: &PerCall<'_>) -> [Option<u64>; Role::COUNT] {
    per_call.map(|target| Some(target?.identity()))
}
