//! What a site feeds, found once: its families, its known values, and the series of a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::declaration::label_source::{List, MAX_LABELS, Role, Source};
use super::entering::PerCall;
use super::feed::families::Families;
use super::feed::known_values::KnownValues;
use super::feed::series::{Handles, Series, Values};
use super::run::guard::Call;
use super::site::Site;
use crate::cache::{self, CacheId};
use crate::cell::Handle;
use crate::clock::Moment;
use crate::internal::InternalError;
use crate::label_value::Label;
use crate::labels::{CANCELLED, OTHER, PANIC};
use crate::registry::declared::Declared;
use crate::registry::{Problem, ProblemKind, Registry};

impl Site {
    /// `None` only while the families are just being made by the expressions they are given by.
    #[inline]
    pub(super) fn families(&self) -> Option<&Families> {
        self.families.get().or_else(|| self.families.get_or_make(|| Box::new(Families::of(self)))).map(Box::as_ref)
    }

    /// Whether no call has found the families yet: what the first one makes is no part of it.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        self.families.get().is_none()
    }

    /// The values after `in`; making them for the first time creates their series at 0.
    fn known<'f>(&self, families: &'f Families) -> Option<&'f KnownValues> {
        families.known.get().or_else(|| {
            families.known.get_or_make(|| {
                let known = KnownValues::new(families.sources().iter().map(|source| self.known_of(*source)));
                families.know_values(&known);
                if !families.create_known(&known, &[]) {
                    self.note_too_many(families);
                }
                known
            })
        })
    }

    /// The values of one label that are known, and whether there are no others.
    fn known_of(&self, source: Source) -> Option<(Vec<String>, bool)> {
        let list = source.list().map(|List { values, closed }| (self.evaluate(values), closed));
        match source {
            Source::Fixed(_) | Source::Call(_) => list,
            Source::Result(_) => list.map(|(mut values, closed)| {
                values.push(PANIC.to_owned());
                if self.is_cancellable() {
                    values.push(CANCELLED.to_owned());
                }
                (values, closed)
            }),
            Source::Kind(_) => {
                let (mut kinds, closed) = list.unwrap_or_default();
                kinds.push(PANIC.to_owned());
                Some((kinds, closed))
            }
        }
    }

    fn evaluate(&self, values: fn() -> Vec<String>) -> Vec<String> {
        catch_unwind(AssertUnwindSafe(values)).unwrap_or_else(|_| {
            InternalError::LabelValues.record(&self.location());
            Vec::new()
        })
    }

    #[cold]
    fn note_too_many(&self, families: &Families) {
        let Some((cap, family)) = families.cap() else { return };
        Registry::global().add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: family.to_owned(),
            message: format!(
                "the known label sets are more than {family} has room for: those beyond its max_series of {cap} are not exported at 0; raise `max_series`"
            ),
            location: Some(self.location()),
        });
    }

    /// Begins a call with the values that come with it. Not inlined: it would be all the code of most functions.
    pub(super) fn begin(&self, start: Moment, values: &[&str]) -> Call {
        if let Some(families) = self.families.get()
            && let Some(handles) = cache::get_near(&families.cache, families.epoch(), values)
        {
            return Call::begin(start, Series { handles, bounds: families.bounds() });
        }
        self.begin_far(start, values)
    }

    #[inline(never)]
    fn begin_far(&self, start: Moment, values: &[&str]) -> Call {
        if let Some(families) = self.families.get()
            && let Some(handles) = cache::get_far(&families.cache, families.epoch(), values)
        {
            return Call::begin(start, Series { handles, bounds: families.bounds() });
        }
        let series = self.resolve(values);
        // What was made for the first call is no part of it.
        Call::begin(Moment::now(), series)
    }

    /// As [`Site::begin`], with values that are all of closed sets: nothing is looked up.
    pub(super) fn begin_closed(&self, start: Moment, labels: &[Label<'_>]) -> Call {
        if let Some(families) = self.families.get()
            && let Some(closed) = families.closed.get()
            && let Some(place) = closed.as_ref().and_then(|closed| closed.find(labels))
            && let Some(handles) = place.get(families.epoch())
        {
            return Call::begin(start, Series { handles, bounds: families.bounds() });
        }
        self.begin_closed_first(labels)
    }

    #[cold]
    #[inline(never)]
    fn begin_closed_first(&self, labels: &[Label<'_>]) -> Call {
        let mut values = [""; MAX_LABELS];
        for (value, label) in values.iter_mut().zip(labels) {
            *value = label.as_str();
        }
        let values = &values[..labels.len().min(MAX_LABELS)];
        let Some(families) = self.families() else { return Call::begin(Moment::now(), self.unresolved()) };
        let epoch = families.epoch();
        let series = self.resolve(values);
        families.keep_closed(epoch, labels, values);
        Call::begin(Moment::now(), series)
    }

    /// The series for the values that come with a call.
    pub(super) fn resolve(&self, values: &[&str]) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        // Each call names all of its families.
        if !families.feeds_anything() {
            return Series { bounds: families.bounds(), ..Series::NONE };
        }
        let epoch = families.epoch();
        let known = cache::get(&families.cache, epoch, values);
        let handles = known.unwrap_or_else(|| self.resolve_new(families, epoch, values));
        Series { handles, bounds: families.bounds() }
    }

    #[cold]
    fn resolve_new(&self, families: &Families, epoch: u64, values: &[&str]) -> Handles {
        let mut replaced = [""; MAX_LABELS];
        let values = self.within_sets(families, values, &mut replaced);
        if let Some(handles) = cache::get(&families.cache, epoch, values) {
            return handles;
        }
        let Some(handles) = families.within_cap(&families.all_values(values), &Role::ALL) else {
            return families.overflow(&Role::ALL);
        };
        cache::insert(&families.cache, epoch, values, handles);
        handles
    }

    /// The series of a call that begins, whose other labels come with its end: those are created at 0 if they are known.
    #[inline]
    pub(super) fn resolve_beginning(&self, values: &[&str]) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let Some(id) = &families.beginnings else { return Series::NONE };
        let epoch = families.epoch();
        let known = cache::get(id, epoch, values);
        let handles = known.unwrap_or_else(|| self.resolve_new_beginning(families, id, epoch, values));
        Series { handles, ..Series::NONE }
    }

    #[cold]
    fn resolve_new_beginning(&self, families: &Families, id: &CacheId, epoch: u64, values: &[&str]) -> Handles {
        let mut replaced = [""; MAX_LABELS];
        let values = self.within_sets(families, values, &mut replaced);
        if let Some(handles) = cache::get(id, epoch, values) {
            return handles;
        }
        // Zeros for what may come leave room for what does come.
        if let Some(known) = self.known(families).filter(|_| families.is_half_empty()) {
            families.create_known(known, values);
        }
        let roles = [Role::InFlight];
        let Some(handles) = families.within_cap(&families.all_values(values), &roles) else {
            return families.overflow(&roles);
        };
        cache::insert(id, epoch, values, handles);
        handles
    }

    /// The series of a call that has ended; `values` are those from its arguments, its result, and its kind of exception,
    /// which is empty where it was none.
    #[inline]
    pub(super) fn resolve_end(&self, values: &[&str]) -> Series {
        let Some(families) = self.families() else { return self.unresolved() };
        let epoch = families.epoch();
        let known = cache::get(&families.cache, epoch, values);
        let handles = known.unwrap_or_else(|| self.resolve_new_end(families, epoch, values));
        Series { handles, bounds: families.bounds() }
    }

    /// The roles whose series such values are for: without a kind it was no exception.
    pub(super) fn roles_at_end(&self, values: &[&str]) -> &'static [Role] {
        let has_kinds = self.labels.iter().flatten().any(|(_, source)| matches!(source, Source::Kind(_)));
        match values.last() {
            Some(&"") if has_kinds => &[Role::Latency, Role::Cancelled],
            _ => &[Role::Latency, Role::Exceptions, Role::Cancelled],
        }
    }

    #[cold]
    fn resolve_new_end(&self, families: &Families, epoch: u64, values: &[&str]) -> Handles {
        let mut replaced = [""; MAX_LABELS];
        let values = self.within_sets(families, values, &mut replaced);
        if let Some(handles) = cache::get(&families.cache, epoch, values) {
            return handles;
        }
        let roles = self.roles_at_end(values);
        let Some(handles) = families.within_cap(&families.all_values(values), roles) else {
            return families.overflow(roles);
        };
        cache::insert(&families.cache, epoch, values, handles);
        handles
    }

    /// The values with `other` for those that are not in their closed set.
    pub(super) fn within_sets<'v>(
        &self,
        families: &Families,
        values: &'v [&'v str],
        replaced: &'v mut Values<'v>,
    ) -> &'v [&'v str] {
        if !self.has_known_values() {
            return values;
        }
        let known = self.known(families);
        if known.is_none() {
            InternalError::LabelValues.record(&self.location());
        }
        for (position, (slot, value)) in replaced.iter_mut().zip(values).enumerate() {
            let at = families.position_of_given(position).unwrap_or_default();
            *slot = match known {
                // No exception, and so of no kind.
                _ if value.is_empty() && matches!(families.sources()[at], Source::Kind(_)) => value,
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
                self.note_mismatch(families, *role);
                Handle::NONE
            });
            if *role == Role::Latency {
                series.bounds = target.bounds();
            }
        }
    }

    /// A call named a family that has other labels; it is not fed.
    #[cold]
    fn note_mismatch(&self, families: &Families, role: Role) {
        InternalError::SiteConflict.record(&self.location());
        if families.noted.fetch_or(1 << role as u8, Ordering::Relaxed) & 1 << role as u8 == 0 {
            Registry::global().add_problem(Problem {
                kind: ProblemKind::Declaration,
                family: self.default_name(role),
                message: format!(
                    "the family given as `{}` has other labels than the function; it is not fed",
                    role.option()
                ),
                location: Some(self.location()),
            });
        }
    }

    /// Nothing to write to: a family's own expression calls the function that feeds it.
    #[cold]
    pub(super) fn unresolved(&self) -> Series {
        InternalError::SiteConflict.record(&self.location());
        Series::NONE
    }

    /// Begins a call of a function whose labels are all fixed.
    pub(super) fn begin_fixed(&self, start: Moment) -> Call {
        if let Some(families) = self.families.get()
            && let Some(handles) = families.series.get(families.epoch())
        {
            return Call::begin(start, Series { handles, bounds: families.bounds() });
        }
        self.begin_first()
    }

    #[cold]
    #[inline(never)]
    fn begin_first(&self) -> Call {
        let series = self.resolve_fixed();
        Call::begin(Moment::now(), series)
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
    fn claim(&self) {
        if let (false, Some(families)) = (self.is_claimed(), self.families()) {
            self.known(families);
        }
    }

    fn is_claimed(&self) -> bool {
        self.families.get().is_some_and(|families| families.known.get().is_some())
    }
}
