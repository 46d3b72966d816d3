//! The lookup of a call's series. The families and known values of a function are initialized once; the handles for
//! each set of label values are then looked up and cached.
//!
//! On a cache miss, values outside a closed set are replaced with `other`, each family returns its series within the
//! cap, and the handles are cached under the epoch that was read before the lookup.

use std::sync::atomic::Ordering;

use super::declaration::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use super::feed::families::Families;
use super::feed::known_values::KnownValues;
use super::feed::series::{Handles, Series, Values};
use super::feed::target::{PerCall, TargetRef};
use super::site::Site;
use crate::cache::{self, CacheId};
use crate::cell::Handle;
use crate::internal::InternalError;
use crate::labels::{CANCELLED, OTHER, PANIC};
use crate::logging::guarded;
use crate::registry::declared::{Declared, UserCode};
use crate::registry::{Problem, ProblemKind, Registry};

/// A look-up of label values: the cache that remembers it, and the roles that it is for.
struct Lookup<'f> {
    cache: &'f CacheId,
    roles: &'static [Role],
    /// The other labels come when the call ends.
    completes_later: bool,
}

impl Site {
    /// `None` only while the families are just being made by the expressions they are given by.
    #[inline]
    pub(super) fn families(&self) -> Option<&Families> {
        self.families.get().map(Box::as_ref).or_else(|| self.make_families(UserCode::Due))
    }

    fn make_families(&self, user_code: UserCode) -> Option<&Families> {
        self.families.get_or_make(user_code, || Families::of(&self.declaration)).map(Box::as_ref)
    }

    /// Whether no call has found the families yet: what the first one makes is no part of it.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.families.get().is_none()
    }

    /// The values after `in`; making them for the first time creates their series at 0.
    fn known<'f>(&self, families: &'f Families) -> Option<&'f KnownValues> {
        families.known.get().or_else(|| self.make_known(families, UserCode::Due))
    }

    fn make_known<'f>(&self, families: &'f Families, user_code: UserCode) -> Option<&'f KnownValues> {
        families.known.get_or_make(user_code, || {
            let mut has_panicked = false;
            let mut evaluate = |values: fn() -> Vec<String>| {
                guarded(values).unwrap_or_else(|| {
                    has_panicked = true;
                    InternalError::LabelList.record(&self.declaration.location);
                    Vec::new()
                })
            };
            let labels = families.sources().iter().map(|source| self.known_of(*source, &mut evaluate));
            let known = KnownValues::new(labels);
            if has_panicked {
                return Err(known);
            }
            families.know_values(&known);
            if !families.create_known(&known, &[]) {
                self.note_too_many(families);
            }
            Ok(known)
        })
    }

    /// The values of one label that are known, and whether there are no others.
    fn known_of(
        &self,
        source: LabelSource,
        evaluate: &mut impl FnMut(fn() -> Vec<String>) -> Vec<String>,
    ) -> Option<(Vec<String>, bool)> {
        let list = source.list().map(|LabelList { values, closed }| (evaluate(values), closed));
        match source {
            LabelSource::Fixed(_) | LabelSource::Call(_) => list,
            LabelSource::Result(_) => list.map(|(mut values, closed)| {
                values.push(PANIC.to_owned());
                if self.declaration.is_cancellable() {
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

    #[cold]
    fn note_too_many(&self, families: &Families) {
        let Some((cap, family)) = families.cap() else { return };
        Registry::global().add_problem_of_family(Problem {
            kind: ProblemKind::Declaration,
            family: family.to_owned(),
            message: format!(
                "the known label sets are more than {family} has room for: those beyond its max_series of {cap} are not exported at 0; raise `max_series`"
            ),
            location: Some(self.declaration.location),
        });
    }

    /// The series for the values that come with a call.
    pub(super) fn resolve(&self, values: &[&str]) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        // Each call names all of its families.
        if !families.feeds_anything() {
            return Series { bounds: families.bounds(), ..Series::NONE };
        }
        let lookup = Lookup { cache: &families.cache, roles: &Role::ALL, completes_later: false };
        Series { handles: self.look_up(families, &lookup, values), bounds: families.bounds() }
    }

    /// The series of a call that begins, whose other labels come with its end: those are created at 0 if they are known.
    #[inline]
    pub(super) fn resolve_beginning(&self, values: &[&str]) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let Some(cache) = &families.beginnings else { return Series::NONE };
        let lookup = Lookup { cache, roles: &[Role::InFlight], completes_later: true };
        Series { handles: self.look_up(families, &lookup, values), ..Series::NONE }
    }

    /// The series of a call that has ended, for `roles` as [`Site::roles_at_end`] gives them; `values` are those from its
    /// arguments, its result, and its kind of exception, which is empty where it was none.
    #[inline]
    pub(super) fn resolve_end(&self, values: &[&str], roles: &'static [Role]) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let lookup = Lookup { cache: &families.cache, roles, completes_later: false };
        Series { handles: self.look_up(families, &lookup, values), bounds: families.bounds() }
    }

    /// The roles whose series such values are for: without a kind it was no exception.
    #[inline]
    pub(super) fn roles_at_end(&self, values: &[&str]) -> &'static [Role] {
        match values.last() {
            Some(&"") if self.declaration.late_labels().kind => &[Role::Latency, Role::Cancelled],
            _ => &[Role::Latency, Role::Exceptions, Role::Cancelled],
        }
    }

    #[inline]
    fn look_up(&self, families: &Families, lookup: &Lookup<'_>, values: &[&str]) -> Handles {
        let epoch = families.epoch();
        let known = cache::get(lookup.cache, epoch, values);
        known.unwrap_or_else(|| self.look_up_new(families, lookup, epoch, values))
    }

    #[cold]
    fn look_up_new(&self, families: &Families, lookup: &Lookup<'_>, epoch: u64, values: &[&str]) -> Handles {
        let mut replaced = [""; MAX_LABELS];
        let values = self.within_sets(families, values, &mut replaced);
        if let Some(handles) = cache::get(lookup.cache, epoch, values) {
            return handles;
        }
        // Zeros for what may come leave room for what does come.
        if lookup.completes_later
            && let Some(known) = self.known(families)
            && families.is_half_empty()
        {
            families.create_known(known, values);
        }
        let Some(handles) = families.within_cap(&families.all_values(values), lookup.roles) else {
            return families.overflow(lookup.roles);
        };
        cache::insert(lookup.cache, epoch, values, handles);
        handles
    }

    /// The values with `other` for those that are not in their closed set.
    pub(super) fn within_sets<'v>(
        &self,
        families: &Families,
        values: &'v [&'v str],
        replaced: &'v mut Values<'v>,
    ) -> &'v [&'v str] {
        if !self.declaration.has_known_values() {
            return values;
        }
        let known = self.known(families);
        if known.is_none() {
            InternalError::LabelList.record(&self.declaration.location);
        }
        for (position, (slot, value)) in replaced.iter_mut().zip(values).enumerate() {
            let at = families.position_of_given(position).unwrap_or_default();
            *slot = match known {
                // No exception, and so of no kind.
                _ if value.is_empty() && matches!(families.sources()[at], LabelSource::Kind(_)) => value,
                Some(known) => known.closed_value(at, value),
                // The list is just being made, by code that calls this very function.
                None if families.sources()[at].list().is_some_and(|list| list.closed) => OTHER,
                None => value,
            };
        }
        &replaced[..values.len()]
    }

    /// The series of these roles in the families that a call has named, in place of those in `series`.
    pub(super) fn resolve_per_call(
        &self,
        values: &[&str],
        per_call: &PerCall<'_>,
        roles: &[Role],
        series: &mut Series,
    ) {
        if roles.iter().all(|role| per_call[*role as usize].is_none()) {
            return;
        }
        let Some(families) = self.families() else { return };
        let mut replaced = [""; MAX_LABELS];
        let all = families.all_values(self.within_sets(families, values, &mut replaced));
        for role in roles {
            let Some(target) = per_call[*role as usize] else { continue };
            series.handles[*role as usize] = families.resolve_in(*role, target, &all).unwrap_or_else(|| {
                self.note_mismatch(families, *role, target);
                Handle::NONE
            });
            if *role == Role::Latency {
                series.bounds = target.bounds();
            }
        }
    }

    /// A call named a family that has other labels; it is not fed.
    #[cold]
    fn note_mismatch(&self, families: &Families, role: Role, target: TargetRef<'_>) {
        InternalError::InstrumentConflict.increment();
        if families.noted.fetch_or(1 << role as u8, Ordering::Relaxed) & 1 << role as u8 == 0 {
            Registry::global().add_problem(Problem {
                kind: ProblemKind::Declaration,
                family: self.declaration.default_name(role),
                message: format!(
                    "the family {} given as `{}` is not fed: its labels are {:?}, those of the function {:?}",
                    target.name().unwrap_or_default(),
                    role.option(),
                    target.label_names(),
                    families.labels_of(role)
                ),
                location: Some(self.declaration.location),
            });
        }
    }

    /// Nothing to write to: a family's own expression calls the function that feeds it.
    #[cold]
    pub(super) fn unresolved(&self) -> Series {
        InternalError::InstrumentConflict.record(&self.declaration.location);
        Series::NONE
    }

    /// The series of a function whose labels are all fixed.
    pub(super) fn resolve_fixed(&self) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let epoch = families.epoch();
        let handles = families.series.get(epoch).unwrap_or_else(|| families.resolve_fixed(epoch));
        Series { handles, bounds: families.bounds() }
    }
}

impl Declared for Site {
    fn initialize(&self, user_code: UserCode) {
        if user_code == UserCode::Never && self.declaration.runs_user_code() {
            return;
        }
        // What another thread evaluates may take long: only a call has to wait for it.
        let families = match self.families.get() {
            Some(families) => Some(families.as_ref()),
            None if self.families.is_being_made() => None,
            None => self.make_families(user_code),
        };
        if let Some(families) = families
            && families.known.get().is_none()
            && !families.known.is_being_made()
        {
            self.make_known(families, user_code);
        }
    }

    fn is_ready_for_scrape(&self) -> bool {
        self.declaration.runs_user_code() || self.families.get().is_some_and(|families| families.known.get().is_some())
    }

    fn problem(&self) -> Option<Problem> {
        let expression = match self.families.get() {
            None => self.families.provisional().map(|_| "the expression of a family")?,
            Some(families) => families.known.provisional().map(|_| "the list after `in`")?,
        };
        Some(Problem {
            kind: ProblemKind::Declaration,
            family: self.declaration.default_name(Role::Latency),
            message: format!("{expression} panicked; it is evaluated again by later calls and by `metrics_core::init`"),
            location: Some(self.declaration.location),
        })
    }
}
