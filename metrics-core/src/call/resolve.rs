//! Looks up a call's series. The families and known values of a function are initialized once; the handles for each
//! label set are then looked up and cached.
//!
//! On a cache miss, values outside a closed set are replaced with `other`, and each family looks up or creates its
//! series. If no family is at its cap, the handles are cached under the epoch that was read before the lookup.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::declaration::label_source::{LabelList, LabelSource, MAX_LABELS, Role};
use super::declaration::{Declaration, Origin};
use super::feed::families::Families;
use super::feed::known_values::KnownValues;
use super::feed::series::{Handles, Series, Values};
use super::late_labels::{LateValues, texts};
use super::site::Site;
use crate::cache::{self, CacheId};
use crate::cell::Handle;
use crate::internal::InternalError;
use crate::labels::{CANCELLED, OTHER, PANIC};
use crate::logging::guarded;
use crate::registry::declared::{Declared, LatencyOptions, UserCode};
use crate::registry::{Problem, ProblemKind, Registry};

/// The cache for a lookup of label values, and the roles to resolve.
struct Lookup<'f> {
    cache: &'f CacheId,
    roles: &'static [Role],
    /// True if the remaining labels are known only when the call ends.
    completes_later: bool,
}

impl Site {
    /// Returns the function's families, initializing them if necessary.
    ///
    /// Returns `None` only if called by one of the expressions that initialize them.
    #[inline]
    pub(super) fn families(&self) -> Option<&Families> {
        self.families.get().map(Arc::as_ref).or_else(|| self.make_families(UserCode::Due))
    }

    /// Returns the families if they are initialized, or else the provisional ones. Evaluates nothing.
    #[inline]
    pub(super) fn usable_families(&self) -> Option<&Families> {
        self.families.usable().map(Arc::as_ref)
    }

    fn make_families(&self, user_code: UserCode) -> Option<&Families> {
        self.families.get_or_make(user_code, || Families::of(&self.declaration)).map(Arc::as_ref)
    }

    /// Returns true if the families are not initialized yet. The latency of the first call excludes the initialization.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.families.get().is_none()
    }

    /// Returns the known values, evaluating them if necessary. The first evaluation also creates their series at 0.
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

    /// Returns the known values of one label, and true if they are a closed set.
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
                "the known label sets exceed the `max_series` of {family} ({cap}); those beyond it are not exported at 0; raise `max_series`"
            ),
            location: Some(self.declaration.location),
        });
    }

    /// Returns the series for a call's label values.
    pub(super) fn resolve(&self, values: &[&str]) -> Series {
        self.resolve_within_cap(values).0
    }

    /// Like [`Site::resolve`]. The flag is false if these are the overflow series.
    pub(super) fn resolve_within_cap(&self, values: &[&str]) -> (Series, bool) {
        let Some(families) = self.families() else { return (self.unresolved(), false) };
        // All families are evaluated per call.
        if !families.feeds_anything() {
            return (Series { buckets: families.buckets(), ..Series::NONE }, true);
        }
        let lookup = Lookup { cache: &families.cache, roles: &Role::ALL, completes_later: false };
        let (handles, is_within_cap) = self.look_up(families, &lookup, values);
        (Series { handles, buckets: families.buckets() }, is_within_cap)
    }

    /// Returns the in-flight series of a call that is beginning and whose remaining labels are known only when it ends.
    ///
    /// Also creates the series at 0 for the known values of those labels.
    #[inline(never)]
    pub(super) fn resolve_beginning(&self, values: &[&str]) -> Handle {
        let Some(families) = self.families() else { return self.unresolved().handles[Role::InFlight as usize] };
        let Some(cache) = &families.beginnings else {
            // All calls begin alike, so only the first one, and the first one after a removal, create known series.
            if families.known_epoch.load(Ordering::Relaxed) != families.epoch() {
                self.create_known_again(families);
            }
            return Handle::NONE;
        };
        let lookup = Lookup { cache, roles: &[Role::InFlight], completes_later: true };
        self.look_up(families, &lookup, values).0[Role::InFlight as usize]
    }

    #[cold]
    #[inline(never)]
    fn create_known_again(&self, families: &Families) {
        let epoch = families.epoch();
        let Some(known) = self.known(families) else { return };
        if families.is_half_empty() {
            families.create_known(known, &[]);
        }
        families.known_epoch.store(epoch, Ordering::Relaxed);
    }

    /// Returns the series of an ended call with late labels. See [`Site::record_late`] for the values.
    #[inline]
    pub(super) fn resolve_end(&self, values: &LateValues<'_>) -> Series {
        let Some(families) = self.families.get() else { return self.resolve_end_second_level(values) };
        let handles = match &values[..families.given_len()] {
            [only] => cache::get_one_first_level(&families.cache, families.epoch(), only),
            // The most common number of values, for which the loops are unrolled.
            [first, second] => cache::get_first_level(&families.cache, families.epoch(), &[first, second]),
            given => cache::get_first_level(&families.cache, families.epoch(), given),
        };
        match handles {
            Some(handles) => Series { handles, buckets: families.buckets() },
            None => self.resolve_end_second_level(values),
        }
    }

    #[inline(never)]
    fn resolve_end_second_level(&self, values: &LateValues<'_>) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let values = &texts(values)[..families.given_len()];
        let roles = self.roles_at_end(values);
        let lookup = Lookup { cache: &families.cache, roles, completes_later: false };
        Series { handles: self.look_up(families, &lookup, values).0, buckets: families.buckets() }
    }

    /// Returns the roles to resolve for these values. An empty kind means that the call was not an exception.
    pub(super) fn roles_at_end(&self, values: &[&str]) -> &'static [Role] {
        match values.last() {
            Some(&"") if self.declaration.late_labels().kind => &[Role::Latency, Role::Cancelled],
            _ => &[Role::Latency, Role::Exceptions, Role::Cancelled],
        }
    }

    /// Returns the series for these values. The flag is false if these are the overflow series.
    #[inline]
    fn look_up(&self, families: &Families, lookup: &Lookup<'_>, values: &[&str]) -> (Handles, bool) {
        let epoch = families.epoch();
        match cache::get(lookup.cache, epoch, values) {
            Some(handles) => (handles, true),
            None => self.look_up_new(families, lookup, epoch, values),
        }
    }

    #[cold]
    fn look_up_new(&self, families: &Families, lookup: &Lookup<'_>, epoch: u64, values: &[&str]) -> (Handles, bool) {
        let mut replaced = [""; MAX_LABELS];
        let values = self.within_sets(families, values, &mut replaced);
        // The caller has searched the cache for the values as they were given.
        if self.declaration.has_known_values()
            && let Some(handles) = cache::get(lookup.cache, epoch, values)
        {
            return (handles, true);
        }
        // Label sets are created in advance only until half of the cap is used, to leave room for those that calls
        // actually use.
        if lookup.completes_later
            && let Some(known) = self.known(families)
            && families.is_half_empty()
        {
            families.create_known(known, values);
        }
        let Some((epoch, handles)) = families.within_cap_at_once(epoch, &families.all_values(values), lookup.roles)
        else {
            return (families.overflow(lookup.roles), false);
        };
        cache::insert(lookup.cache, epoch, values, handles);
        (handles, true)
    }

    /// Replaces each value that is not in its label's closed set with `other`.
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
                // The call was not an exception, so it has no kind.
                _ if value.is_empty() && matches!(families.sources()[at], LabelSource::Kind(_)) => value,
                Some(known) => known.closed_value(at, value),
                // The list is being evaluated by code that calls this function.
                None if families.sources()[at].list().is_some_and(|list| list.closed) => OTHER,
                None => value,
            };
        }
        &replaced[..values.len()]
    }

    /// Returns no series and records an error, because a family's expression calls the function that uses the family.
    #[cold]
    pub(super) fn unresolved(&self) -> Series {
        InternalError::InstrumentConflict.record(&self.declaration.location);
        Series::NONE
    }

    /// Returns the series of a function whose labels are all fixed.
    pub(super) fn resolve_fixed(&self) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        families.fixed()
    }
}

impl Declared for Site {
    fn initialize(&self, user_code: UserCode) {
        if user_code == UserCode::Never && self.declaration.runs_user_code() {
            return;
        }
        // Another thread's evaluation may take a long time, so only calls wait for it.
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

    fn latency_options(&self, name: &str) -> Option<(LatencyOptions, &'static Location<'static>)> {
        let Declaration { latency, location, .. } = &self.declaration;
        let feeds_default = matches!(self.declaration.origins[Role::Latency as usize], Origin::Default);
        (feeds_default && self.declaration.is_default_name(Role::Latency, name)).then_some((*latency, *location))
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
