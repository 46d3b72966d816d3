//! The static part of an annotated function: its labels and options, and what they were resolved to.

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

use super::claim::Claim;
use super::families::{FUNCTION, Families, Handles};
use super::feeds::Fed;
use super::function_name;
use super::guard::{Call, Entering, EnteringWith};
use super::known::{self, KnownValues};
use crate::cache;
use crate::cell::{Handle, lock};
use crate::internal::InternalError;
use crate::label_value::{Label, LabelValue};
use crate::registry::declared::Declared;
use crate::registry::{Problem, ProblemKind, Registry};

/// Labels an annotated function can have.
pub(super) const MAX_LABELS: usize = 8;

/// What a family counts of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Latency,
    Exceptions,
    Cancelled,
    InFlight,
}

impl Role {
    pub(super) const COUNT: usize = 4;
    pub(super) const ALL: [Self; Self::COUNT] = [Self::Latency, Self::Exceptions, Self::Cancelled, Self::InFlight];

    /// The name of the option that gives its family.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Exceptions => "exceptions",
            Self::Cancelled => "cancelled",
            Self::InFlight => "in_flight",
        }
    }
}

/// How a label of a function gets its value.
#[derive(Clone, Copy)]
enum Source {
    Fixed(&'static str),
    Call,
    /// From the call; the values are those, or `other` where the set is closed.
    Known {
        values: fn() -> Vec<String>,
        closed: bool,
    },
}

/// Where the family of a role comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// The site does not feed this role.
    None,
    /// The family with the default name.
    Default,
    /// An expression that is evaluated once.
    Static(fn() -> Fed),
    /// An expression that each call evaluates.
    PerCall,
}

/// An annotated function.
pub struct Site {
    module: &'static str,
    function: &'static str,
    closure: Option<fn() -> &'static str>,
    location: &'static Location<'static>,
    prefix: Option<&'static str>,
    labels: [Option<(&'static str, Source)>; MAX_LABELS],
    origins: [Origin; Role::COUNT],
    buckets: Option<&'static [f64]>,
    max_series: Option<usize>,
    families: Claim<Families>,
    known: Claim<KnownValues>,
    fixed: FixedHandles,
    /// A bit for each role whose mismatch is noted.
    noted: AtomicU8,
}

impl Site {
    /// The site of function `function` in `module`.
    #[must_use]
    #[track_caller]
    pub const fn new(module: &'static str, function: &'static str) -> Self {
        Self {
            module,
            function,
            closure: None,
            location: Location::caller(),
            prefix: None,
            labels: [None; MAX_LABELS],
            origins: [Origin::Default, Origin::Default, Origin::None, Origin::None],
            buckets: None,
            max_series: None,
            families: Claim::new(),
            known: Claim::new(),
            fixed: FixedHandles::new(),
            noted: AtomicU8::new(0),
        }
    }

    /// Without labels of its own: label `function` is the path of the function, read from the closure's type.
    #[must_use]
    pub const fn named_by<F: Fn()>(mut self, _: &F) -> Self {
        self.closure = Some(std::any::type_name::<F>);
        self
    }

    /// The future of the function can be dropped before it ends.
    #[must_use]
    pub const fn cancellable(mut self) -> Self {
        self.origins[Role::Cancelled as usize] = Origin::Default;
        self
    }

    /// Option `prefix`.
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// A label whose value comes with each call.
    #[must_use]
    pub const fn label(self, name: &'static str) -> Self {
        self.with_label(name, Source::Call)
    }

    /// A label with one value.
    #[must_use]
    pub const fn fixed_label(self, name: &'static str, value: &'static str) -> Self {
        self.with_label(name, Source::Fixed(value))
    }

    /// A label with a closed set of values.
    #[must_use]
    pub const fn label_in(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Known { values, closed: true })
    }

    /// A label some of whose values are known.
    #[must_use]
    pub const fn label_in_open(self, name: &'static str, values: fn() -> Vec<String>) -> Self {
        self.with_label(name, Source::Known { values, closed: false })
    }

    const fn with_label(mut self, name: &'static str, source: Source) -> Self {
        let mut at = 0;
        while at < MAX_LABELS && self.labels[at].is_some() {
            at += 1;
        }
        // The macro refuses more labels.
        if at < MAX_LABELS {
            self.labels[at] = Some((name, source));
        }
        self
    }

    /// Option `latency`, evaluated once.
    #[must_use]
    pub const fn latency(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::Latency, Origin::Static(family))
    }

    /// Option `exceptions`, evaluated once.
    #[must_use]
    pub const fn exceptions(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::Exceptions, Origin::Static(family))
    }

    /// Option `cancelled`, evaluated once.
    #[must_use]
    pub const fn cancelled(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::Cancelled, Origin::Static(family))
    }

    /// Option `in_flight` with a family, evaluated once.
    #[must_use]
    pub const fn in_flight(self, family: fn() -> Fed) -> Self {
        self.with_origin(Role::InFlight, Origin::Static(family))
    }

    /// Option `in_flight` without a family.
    #[must_use]
    pub const fn in_flight_default(self) -> Self {
        self.with_origin(Role::InFlight, Origin::Default)
    }

    /// Option `latency`, evaluated by each call.
    #[must_use]
    pub const fn latency_per_call(self) -> Self {
        self.with_origin(Role::Latency, Origin::PerCall)
    }

    /// Option `exceptions`, evaluated by each call.
    #[must_use]
    pub const fn exceptions_per_call(self) -> Self {
        self.with_origin(Role::Exceptions, Origin::PerCall)
    }

    /// Option `cancelled`, evaluated by each call.
    #[must_use]
    pub const fn cancelled_per_call(self) -> Self {
        self.with_origin(Role::Cancelled, Origin::PerCall)
    }

    /// Option `in_flight`, evaluated by each call.
    #[must_use]
    pub const fn in_flight_per_call(self) -> Self {
        self.with_origin(Role::InFlight, Origin::PerCall)
    }

    const fn with_origin(mut self, role: Role, origin: Origin) -> Self {
        self.origins[role as usize] = origin;
        self
    }

    /// Option `buckets`.
    #[must_use]
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.buckets = Some(bounds);
        self
    }

    /// Option `max_series`.
    #[must_use]
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = Some(max_series);
        self
    }

    /// Begins a call of a function all of whose labels are fixed.
    #[inline]
    pub fn start(&'static self) -> Call {
        let (handles, bounds) = self.fixed_handles();
        Call::new(crate::clock::Moment::now(), handles, bounds)
    }

    /// Begins a call whose labels are evaluated next.
    #[inline]
    pub fn enter(&'static self) -> Entering {
        Entering::new(self)
    }

    /// Begins a call whose families and labels are evaluated next.
    #[inline]
    pub fn enter_with<'a>(&'static self) -> EnteringWith<'a> {
        EnteringWith::new(self)
    }
}

impl Site {
    pub(super) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(super) fn bucket_bounds(&self) -> Option<&'static [f64]> {
        self.buckets
    }

    pub(super) fn cap(&self) -> Option<usize> {
        self.max_series
    }

    /// Whether the families of the site include one for `role`.
    pub(super) fn feeds(&self, role: Role) -> bool {
        matches!(self.origins[role as usize], Origin::Default | Origin::Static(_))
    }

    pub(super) fn given(&self, role: Role) -> Option<fn() -> Fed> {
        match self.origins[role as usize] {
            Origin::Static(family) => Some(family),
            Origin::None | Origin::Default | Origin::PerCall => None,
        }
    }

    pub(super) fn default_name(&self, role: Role) -> String {
        let prefix = self.prefix.or_else(|| self.module.split("::").next()).unwrap_or_default();
        let what = if self.closure.is_none() { "request" } else { "function" };
        match role {
            Role::Latency => format!("{prefix}_{what}_latency_seconds"),
            Role::Exceptions => format!("{prefix}_{what}_exceptions_total"),
            Role::Cancelled => format!("{prefix}_{what}_cancelled_total"),
            Role::InFlight => format!("{prefix}_{what}s_in_flight"),
        }
    }

    pub(super) fn help(&self, role: Role) -> &'static str {
        match (role, self.closure.is_none()) {
            (Role::Latency, true) => "Latency of requests, in seconds.",
            (Role::Exceptions, true) => "Requests that ended with an error or a panic.",
            (Role::Cancelled, true) => "Requests that were dropped before they ended.",
            (Role::InFlight, true) => "Requests that are running.",
            (Role::Latency, false) => "Latency of function calls, in seconds.",
            (Role::Exceptions, false) => "Function calls that ended with an error or a panic.",
            (Role::Cancelled, false) => "Function calls that were dropped before they ended.",
            (Role::InFlight, false) => "Function calls that are running.",
        }
    }

    /// Names of all labels, and the values of those that are fixed.
    pub(super) fn names_and_fixed_values(&self) -> (Vec<&'static str>, Vec<Option<String>>) {
        if let Some(closure) = self.closure {
            let path = function_name::readable(closure(), &format!("{}::{}", self.module, self.function));
            return (vec![FUNCTION], vec![Some(path)]);
        }
        let fixed = |source: &Source| match source {
            Source::Fixed(value) => Some((*value).to_owned()),
            Source::Call | Source::Known { .. } => None,
        };
        self.labels.iter().flatten().map(|(name, source)| (*name, fixed(source))).unzip()
    }

    fn has_known_values(&self) -> bool {
        self.labels.iter().flatten().any(|(_, source)| matches!(source, Source::Known { .. }))
    }

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
                known::create_series(&known, families, self.location);
                known
            })
        })
    }

    fn evaluate(&self, values: fn() -> Vec<String>) -> Vec<String> {
        catch_unwind(AssertUnwindSafe(values)).unwrap_or_else(|_| {
            InternalError::LabelValues.record(&self.location);
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
            InternalError::LabelValues.record(&self.location);
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
        InternalError::SiteConflict.record(&self.location);
        if self.noted.fetch_or(1 << role as u8, Ordering::Relaxed) & 1 << role as u8 == 0 {
            Registry::global().add_problem(Problem {
                kind: ProblemKind::Declaration,
                family: self.default_name(role),
                message: format!(
                    "the family given as `{}` has other labels than the function; it is not fed",
                    role.option()
                ),
                location: Some(self.location),
            });
        }
    }

    /// Nothing to write to: a family's own expression calls the function that feeds it.
    #[cold]
    pub(super) fn unresolved(&self) -> (Handles, &'static [f64]) {
        InternalError::SiteConflict.record(&self.location);
        ([Handle::NONE; Role::COUNT], &[])
    }

    #[inline]
    fn fixed_handles(&self) -> (Handles, &'static [f64]) {
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

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("location", &self.location).finish_non_exhaustive()
    }
}

/// The series of a site all of whose labels are fixed, for one epoch of its families.
struct FixedHandles {
    /// 0 while the handles are being changed; no family has this epoch.
    epoch: AtomicU64,
    handles: [AtomicU64; Role::COUNT],
    writer: Mutex<()>,
}

impl FixedHandles {
    const fn new() -> Self {
        Self { epoch: AtomicU64::new(0), handles: [const { AtomicU64::new(0) }; Role::COUNT], writer: Mutex::new(()) }
    }

    #[inline]
    fn get(&self, epoch: u64) -> Option<Handles> {
        if self.epoch.load(Ordering::Acquire) != epoch {
            return None;
        }
        let handles = self.handles.each_ref().map(|word| Handle::from_word(word.load(Ordering::Relaxed)));
        fence(Ordering::Acquire);
        (self.epoch.load(Ordering::Relaxed) == epoch).then_some(handles)
    }

    #[cold]
    fn set(&self, epoch: u64, handles: Handles) {
        let _writer = lock(&self.writer);
        self.epoch.store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        for (word, handle) in self.handles.iter().zip(handles) {
            word.store(handle.word(), Ordering::Relaxed);
        }
        self.epoch.store(epoch, Ordering::Release);
    }
}

/// The text of a label's value.
#[inline]
pub fn label<T: LabelValue + ?Sized>(value: &T) -> Label<'_> {
    value.label()
}

/// The values after `in`.
pub fn values<I>(values: I) -> Vec<String>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    values.into_iter().map(|value| value.as_ref().to_owned()).collect()
}
