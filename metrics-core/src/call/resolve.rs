//! Looks up a call's series. The families and known values of a function are initialized once; the handles for each
//! label set are then looked up and cached.
//!
//! On a cache miss, values outside a closed set are replaced with `other`, and each family looks up or creates its
//! series. If no family is at its cap, the handles are cached under the epoch that was read before the lookup.

use std::sync::Arc;

use super::declaration::label_source::{MAX_LABELS, Role};
use super::declaration::{Declaration, Origin};
use super::feed::families::Families;
use super::feed::series::{Handles, Series};
use super::feed::target::PerCall;
use super::late_labels::{LateValues, texts};
use super::site::Site;
use crate::cache::{self, CacheId};
use crate::cell::Handle;
use crate::internal::InternalError;
use crate::registry::declared::{Declared, LatencyRequest, UserCode};
use crate::registry::{Problem, ProblemKind};

/// The cache for a lookup of label values, and the roles to resolve.
struct Lookup<'f> {
    families: &'f Families,
    cache: &'f CacheId,
    roles: &'static [Role],
    /// True if the remaining labels are known only when the call ends.
    completes_later: bool,
    /// The families that the call evaluates, if it begins.
    per_call: Option<&'f PerCall<'f>>,
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
        self.families.get_or_make(user_code, || Families::of(self.declaration())).map(Arc::as_ref)
    }

    /// Returns true if the families are not initialized yet. The latency of the first call excludes the initialization.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.families.get().is_none()
    }

    fn is_initialized(&self) -> bool {
        self.families.get().is_some_and(|families| families.known.get().is_some())
    }

    /// Returns true if initializing the families or the known values evaluates user expressions.
    fn runs_user_code(&self) -> bool {
        match self.usable_families() {
            Some(families) => families.declaration.runs_user_code(),
            None => self.declaration().runs_user_code(),
        }
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
        let lookup =
            Lookup { families, cache: &families.cache, roles: &Role::ALL, completes_later: false, per_call: None };
        let (handles, is_within_cap) = lookup.find(values);
        (Series { handles, buckets: families.buckets() }, is_within_cap)
    }

    /// Returns the in-flight series of a call that is beginning and whose remaining labels are known only when it ends.
    ///
    /// Also creates the series at 0 for the known values of those labels.
    #[inline(never)]
    pub(super) fn resolve_beginning(&self, values: &[&str], per_call: Option<&PerCall<'_>>) -> Handle {
        let Some(families) = self.families() else { return self.unresolved().handles[Role::InFlight as usize] };
        let Some(cache) = &families.beginnings else {
            // All calls begin alike, so only the first one, and the first one after a removal, create known series.
            if !families.begins_without_effects() {
                families.create_known_again();
            }
            return Handle::NONE;
        };
        let lookup = Lookup { families, cache, roles: &[Role::InFlight], completes_later: true, per_call };
        lookup.find(values).0[Role::InFlight as usize]
    }

    /// Returns the series of an ended call with late labels. See [`Site::record_late`] for the values.
    #[inline]
    pub(super) fn resolve_end(&self, values: &LateValues<'_>) -> Series {
        let Some(families) = self.families.get() else { return self.resolve_end_second_level(values) };
        let handles = match &values[..families.given_len()] {
            [only] if only.len() < cache::TOO_LONG_FOR_ONE => {
                cache::get_one_first_level(&families.cache, families.epoch(), only)
            }
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
        families.resolve_at_end(&texts(values)[..families.given_len()]).0
    }

    /// Returns no series and records an error, because a family's expression calls the function that uses the family.
    #[cold]
    pub(super) fn unresolved(&self) -> Series {
        InternalError::InstrumentConflict.record(&self.location);
        Series::NONE
    }

    /// Returns the series of a function whose labels are all fixed.
    pub(super) fn resolve_fixed(&self) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        families.fixed()
    }
}

impl Families {
    /// Returns the series of an ended call with late labels. The flag is false if these are the overflow series.
    pub(super) fn resolve_at_end(&self, values: &[&str]) -> (Series, bool) {
        let roles = self.roles_at_end(values);
        let lookup = Lookup { families: self, cache: &self.cache, roles, completes_later: false, per_call: None };
        let (handles, is_within_cap) = lookup.find(values);
        (Series { handles, buckets: self.buckets() }, is_within_cap)
    }
}

impl Lookup<'_> {
    /// Returns the series for these values. The flag is false if these are the overflow series.
    #[inline]
    fn find(&self, values: &[&str]) -> (Handles, bool) {
        let epoch = self.families.epoch();
        match cache::get(self.cache, epoch, values) {
            Some(handles) => (handles, true),
            None => self.find_new(epoch, values),
        }
    }

    #[cold]
    fn find_new(&self, epoch: u64, values: &[&str]) -> (Handles, bool) {
        let Self { families, cache, roles, completes_later, per_call } = *self;
        let mut replaced = [""; MAX_LABELS];
        let values = families.within_sets(values, &mut replaced);
        // The caller has searched the cache for the values as they were given.
        if families.declaration.has_known_values()
            && let Some(handles) = cache::get(cache, epoch, values)
        {
            return (handles, true);
        }
        // Label sets are created in advance only until half of the cap is used, to leave room for those that calls
        // actually use. Once the lookup is cached, this is not checked again, even if later calls evaluate other
        // families.
        if completes_later
            && let Some(known) = families.known_values()
            && families.is_half_empty()
            && per_call.into_iter().flatten().flatten().all(|target| target.is_half_empty())
        {
            families.create_known(known, values);
        }
        let Some((epoch, handles)) = families.within_cap_at_once(epoch, &families.all_values(values), roles) else {
            return (families.overflow(roles), false);
        };
        cache::insert(cache, epoch, values, handles);
        (handles, true)
    }
}

impl Declared for Site {
    fn initialize(&self, user_code: UserCode) {
        // First, because each scrape checks all sites, and almost all of them are initialized.
        if self.is_initialized() || user_code == UserCode::Never && self.runs_user_code() {
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
            families.make_known(user_code);
        }
    }

    fn is_ready_for_scrape(&self) -> bool {
        self.is_initialized() || self.runs_user_code()
    }

    fn latency_request(&self) -> Option<LatencyRequest> {
        let declaration = self.declaration();
        let feeds_default = matches!(declaration.origins[Role::Latency as usize], Origin::Default);
        let Declaration { latency: options, location, .. } = declaration;
        (feeds_default && !options.is_default()).then(|| LatencyRequest {
            family: declaration.default_name(Role::Latency),
            options,
            location,
        })
    }

    fn problem(&self) -> Option<Problem> {
        let (families, expression) = match self.families.get() {
            None => (self.families.provisional()?, "the expression of a family"),
            Some(families) => families.known.provisional().map(|_| (families, "the list after `in`"))?,
        };
        Some(Problem {
            kind: ProblemKind::Declaration,
            family: families.declaration.default_name(Role::Latency),
            message: format!("{expression} panicked; it is evaluated again by later calls and by `metrics_core::init`"),
            location: Some(families.declaration.location),
        })
    }
}
