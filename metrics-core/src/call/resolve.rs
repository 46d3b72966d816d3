//! What a site feeds, found once: its families, its known values, and the series of a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use super::families::{Families, Handles};
use super::known::{self, KnownValues};
use super::site::{MAX_LABELS, Role, Site, Source};
use crate::cache;
use crate::cell::Handle;
use crate::internal::InternalError;
use crate::registry::declared::Declared;
use crate::registry::{Problem, ProblemKind, Registry};

impl Site {
    /// `None` only while the families are just being made by the expressions they are given by.
    #[inline]
    pub(super) fn families(&self) -> Option<&Families> {
        self.families.get().or_else(|| self.families.get_or_make(|| Families::of(self)))
    }

    /// The values after `in`; making them for the first time creates their series at 0.
    fn known(&self, families: &Families) -> Option<&KnownValues> {
        self.known.get().or_else(|| {
            self.known.get_or_make(|| {
                let values = self.labels.iter().flatten().filter_map(|(_, source)| match source {
                    Source::Fixed(_) => None,
                    Source::Call => Some(None),
                    Source::Known { values, closed } => Some(Some((self.evaluate(*values), *closed))),
                });
                let known = KnownValues::new(values);
                known::create_series(&known, families, self.location());
                known
            })
        })
    }

    fn evaluate(&self, values: fn() -> Vec<String>) -> Vec<String> {
        catch_unwind(AssertUnwindSafe(values)).unwrap_or_else(|_| {
            InternalError::LabelValues.record(&self.location());
            Vec::new()
        })
    }

    /// The series for the values that come with a call.
    #[inline]
    pub(super) fn resolve(&self, values: &[&str]) -> (Handles, &'static [f64]) {
        let Some(families) = self.families() else { return self.unresolved() };
        let epoch = families.epoch();
        match cache::get(&families.cache, epoch, values) {
            Some(handles) => (handles, families.bounds()),
            None => (self.resolve_new(families, epoch, values), families.bounds()),
        }
    }

    #[cold]
    fn resolve_new(&self, families: &Families, epoch: u64, values: &[&str]) -> Handles {
        let mut replaced = [""; MAX_LABELS];
        let values = self.within_sets(families, values, &mut replaced);
        if let Some(handles) = cache::get(&families.cache, epoch, values) {
            return handles;
        }
        let Some(handles) = families.within_cap(values) else { return families.overflow() };
        if families.feeds_anything() {
            cache::insert(&families.cache, epoch, values, handles);
        }
        handles
    }

    /// The values with `other` for those that are not in their closed set.
    pub(super) fn within_sets<'v>(
        &self,
        families: &Families,
        values: &'v [&'v str],
        replaced: &'v mut [&'v str; MAX_LABELS],
    ) -> &'v [&'v str] {
        if !self.has_known_values() {
            return values;
        }
        let known = self.known(families);
        if known.is_none() {
            InternalError::LabelValues.record(&self.location());
        }
        for (position, (slot, value)) in replaced.iter_mut().zip(values).enumerate() {
            *slot = match known {
                Some(known) => known.closed_value(position, value),
                // The list is just being made, by code that calls this very function.
                None if self.is_closed(position) => crate::labels::OTHER,
                None => value,
            };
        }
        &replaced[..values.len()]
    }

    /// Whether the label at this position, among those that calls give, has a closed set of values.
    fn is_closed(&self, position: usize) -> bool {
        let mut own = self.labels.iter().flatten().filter(|(_, source)| !matches!(source, Source::Fixed(_)));
        matches!(own.nth(position), Some((_, Source::Known { closed: true, .. })))
    }

    /// A call named a family that has other labels; it is not fed.
    #[cold]
    pub(super) fn note_mismatch(&self, role: Role) {
        InternalError::SiteConflict.record(&self.location());
        if self.noted.fetch_or(1 << role as u8, Ordering::Relaxed) & 1 << role as u8 == 0 {
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
    pub(super) fn unresolved(&self) -> (Handles, &'static [f64]) {
        InternalError::SiteConflict.record(&self.location());
        ([Handle::NONE; Role::COUNT], &[])
    }

    #[inline]
    pub(super) fn fixed_handles(&self) -> (Handles, &'static [f64]) {
        let Some(families) = self.families() else { return self.unresolved() };
        let epoch = families.epoch();
        let handles = self.fixed.get(epoch).unwrap_or_else(|| {
            let Some(handles) = families.within_cap(&[]) else { return families.overflow() };
            self.fixed.set(epoch, handles);
            handles
        });
        (handles, families.bounds())
    }
}

impl Declared for Site {
    fn claim(&self) {
        if let (false, Some(families)) = (self.is_claimed(), self.families()) {
            self.known(families);
        }
    }

    fn is_claimed(&self) -> bool {
        self.known.get().is_some()
    }
}
