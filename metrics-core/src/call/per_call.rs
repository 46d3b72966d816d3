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
        let (series, is_within_cap) =
            self.with_per_call(values, per_call, &Role::ALL, || self.resolve_within_cap(values));
        if is_within_cap
            && let Some((families, epoch)) = families
            && let Some(id) = &families.per_call
            // Otherwise, values of closed sets are recorded as `other` for now.
            && (families.known.get().is_some() || !families.declaration.has_known_values())
        {
            cache::insert_only_first_level(id, epoch, &identities, values, series.handles);
        }
        series
    }

    /// Returns the series for these roles: those in the per-call families, and otherwise those that `others` returns.
    /// The flag, like that of `others`, is true if each family has its own series for these values. If one of the
    /// families has no room, all of them use their overflow series, so that they all count the same calls.
    pub(super) fn with_per_call(
        &self,
        values: &[&str],
        per_call: &PerCall<'_>,
        roles: &[Role],
        others: impl FnOnce() -> (Series, bool),
    ) -> (Series, bool) {
        let given = || roles.iter().filter_map(|role| Some((*role, per_call[*role as usize]?)));
        if given().next().is_none() {
            return others();
        }
        let (mut series, mut is_within_cap) = others();
        let Some(families) = self.families() else { return (series, false) };
        let mut replaced = [""; MAX_LABELS];
        let all = families.all_values(families.within_sets(values, &mut replaced));
        if is_within_cap && given().any(|(role, target)| families.is_full(role, target, &all)) {
            is_within_cap = false;
            series.handles = families.overflow(roles);
        }
        let mut has_own = is_within_cap;
        for (role, target) in given() {
            if let Role::Exceptions | Role::Cancelled = role {
                target.mark_read_early();
            }
            let (handle, is_own) = families.resolve_in(role, target, &all, !is_within_cap).unwrap_or_else(|| {
                note_mismatch(families, role, target);
                (Handle::NONE, false)
            });
            series.handles[role as usize] = handle;
            has_own &= is_own;
            if role == Role::Latency {
                series.buckets = target.buckets();
            }
        }
        (series, has_own)
    }

    /// Returns the series of an ended call with late labels. See [`Site::record_late`] for the values.
    #[inline(never)]
    pub(super) fn resolve_end_with(&self, values: &LateValues<'_>, per_call: &PerCall<'_>) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let values = &texts(values)[..families.given_len()];
        self.with_per_call(values, per_call, families.roles_at_end(values), || families.resolve_at_end(values)).0
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
