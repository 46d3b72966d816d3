//! Support for `#[derive(Metrics)]`: groups of metrics, their fields, and the scope in which they are declared.
//!
//! Declaring a struct cannot fail. Every field gets a working metric, and the scope collects the errors. `register`
//! reports them as problems of the global registry; `register_in` returns the first one. If there are no errors,
//! `register_in` registers all families under one lock, or none of them. If another thread registers one of the
//! families concurrently, the struct is declared again. `global()` declares without holding a lock, because a logger
//! may call it.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::builder::{BuildTarget, Builder};
use crate::counter::Counter;
use crate::error::{Error, Owner};
use crate::family::{Family, FamilyCore};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::label_value::Label;
use crate::lint::StyleRule;
use crate::metric::Metric;
use crate::metric::sealed::Metric as _;
use crate::registry::declared::{Attempts, Declared, UserCode};
use crate::registry::{Problem, ProblemKind, Registry};
use crate::summary::Summary;

/// A struct of metrics. Derive it: `#[derive(Metrics)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no struct of metrics",
    label = "no struct of metrics",
    note = "`#[metric(flatten)]` is for a struct that derives `Metrics`; a single metric needs no attribute"
)]
pub trait MetricGroup: Sized {
    /// Declares all metrics of the struct. What goes wrong is kept in the scope; the metrics count in any case.
    fn declare(scope: &mut Scope<'_>) -> Self;
}

/// Where the metrics of a struct are declared: a registry and a prefix of names.
pub struct Scope<'r> {
    registry: &'r Registry,
    prefix: String,
    const_labels: Vec<(&'static str, &'static str)>,
    /// Whether each metric is registered by itself, and not all of them or none.
    lenient: bool,
    /// What was declared, beside the family that it is.
    families: Vec<(Arc<FamilyCore>, Arc<FamilyCore>)>,
    /// What cannot be registered.
    errors: Vec<(Arc<FamilyCore>, Error)>,
}

impl<'r> Scope<'r> {
    fn new(registry: &'r Registry, lenient: bool) -> Self {
        Self {
            registry,
            prefix: String::new(),
            const_labels: Vec::new(),
            lenient,
            families: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Declares what `declare` does with names that begin with this prefix, and with these constant labels.
    #[doc(hidden)]
    pub fn within<T>(
        &mut self,
        prefix: &str,
        const_labels: &[(&'static str, &'static str)],
        declare: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let (outer, labels) = (self.prefix.len(), self.const_labels.len());
        if !prefix.is_empty() {
            self.prefix.push_str(prefix);
            self.prefix.push('_');
        }
        self.const_labels.extend_from_slice(const_labels);
        let declared = declare(self);
        self.prefix.truncate(outer);
        self.const_labels.truncate(labels);
        declared
    }

    /// A field without labels, to be declared.
    #[doc(hidden)]
    pub fn field(&mut self, field: FieldDeclaration) -> FieldBuilder<'_, 'r> {
        FieldBuilder { scope: self, field, labels: &[] }
    }

    /// A field with labels, to be declared: their names, and all their values where they are a closed set.
    #[doc(hidden)]
    pub fn labelled_field<'a>(
        &'a mut self,
        field: FieldDeclaration,
        labels: &'a [(&'static str, Option<&'static [&'static str]>)],
    ) -> FieldBuilder<'a, 'r> {
        FieldBuilder { scope: self, field, labels }
    }

    /// The family of a field; one that cannot be registered counts by itself.
    fn register(&mut self, core: FamilyCore) -> Arc<FamilyCore> {
        let core = Arc::new(core);
        match self.find_or_register(&core) {
            Ok(family) => {
                self.families.push((core, Arc::clone(&family)));
                family
            }
            Err(error) => {
                self.errors.push((Arc::clone(&core), error));
                core
            }
        }
    }

    fn find_or_register(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        let name = &core.declaration.name;
        if self.families.iter().any(|(declared, _)| declared.declaration.name == *name) {
            return Err(Error::NameTaken { name: name.clone(), sample: name.clone(), owner: Owner::Field });
        }
        if self.lenient { self.registry.register_shared(core) } else { self.registry.find_shared(core) }
    }

    /// Tells the registry what could not be registered; this logs, so what was declared should be in its place.
    fn report(self) {
        for (core, error) in self.errors {
            let declaration = &core.declaration;
            self.registry.add_problem(Problem::declaration(&declaration.name, &error, declaration.location));
        }
    }
}

/// A label's name, and all its values where they are a closed set.
pub(crate) type KnownLabel = (&'static str, Option<&'static [&'static str]>);

/// What the attributes of a field say.
#[doc(hidden)]
#[must_use]
pub struct FieldDeclaration {
    name: &'static str,
    help: &'static str,
    unit: Option<&'static str>,
    bounds: Option<&'static [f64]>,
    max_series: Option<usize>,
    const_labels: &'static [(&'static str, &'static str)],
    allowed: &'static [StyleRule],
    location: &'static Location<'static>,
}

impl FieldDeclaration {
    /// A field by its exported name, without the prefix, and its help text.
    #[track_caller]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            unit: None,
            bounds: None,
            max_series: None,
            const_labels: &[],
            allowed: &[],
            location: Location::caller(),
        }
    }

    /// Option `unit`.
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Option `buckets`.
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.bounds = Some(bounds);
        self
    }

    /// Option `max_series`.
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = Some(max_series);
        self
    }

    /// Option `allow`.
    pub const fn allow(mut self, rules: &'static [StyleRule]) -> Self {
        self.allowed = rules;
        self
    }

    /// Option `const_labels`.
    pub const fn const_labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.const_labels = labels;
        self
    }
}

/// One field that is being declared; the type of the field takes it on to the metric that it is.
pub struct FieldBuilder<'a, 'r> {
    scope: &'a mut Scope<'r>,
    field: FieldDeclaration,
    labels: &'a [KnownLabel],
}

impl FieldBuilder<'_, '_> {
    fn build<M: Metric, T: BuildTarget>(self) -> T {
        let Self { scope, field, labels } = self;
        let mut builder = Builder::<M>::new(format!("{}{}", scope.prefix, field.name), field.help.to_owned());
        builder.label_names = labels.iter().map(|(name, _)| (*name).to_owned()).collect();
        builder.label_values = labels.iter().map(|(_, values)| *values).collect();
        builder.unit = field.unit.map(str::to_owned);
        builder.bounds = field.bounds.map(<[f64]>::to_vec);
        builder.allowed = field.allowed;
        builder.location = field.location;
        if let Some(max_series) = field.max_series {
            builder.max_series = max_series;
        }
        for (name, value) in scope.const_labels.iter().chain(field.const_labels) {
            builder = builder.const_label(*name, *value);
        }
        T::from_core(scope.register(builder.within(scope.registry).into_core()))
    }
}

/// What a field without labels of a derived struct can be: a metric, or a type of yours that holds one.
///
/// `declare` may run more than once for one struct, and must not ask for the struct that it is run for. If it panics for a
/// `global` struct, that struct is skipped, the panic is counted in
/// `metrics_core_internal_errors_total{kind="collector_panic"}`, and [`init`](crate::init) tries again.
///
/// # Example: a field type of one's own
///
/// ```
/// use metrics_core::{Counter, FieldBuilder, Kind, MetricField, Metrics, Registry};
///
/// /// Counts money, in cents.
/// struct Revenue(Counter);
///
/// impl MetricField for Revenue {
///     const KIND: Kind = Counter::KIND;
///
///     fn declare(field: FieldBuilder<'_, '_>) -> Self {
///         Self(Counter::declare(field))
///     }
/// }
///
/// #[derive(Metrics)]
/// struct Shop {
///     /// Money earned.
///     revenue_cents_total: Revenue,
/// }
///
/// let shop = Shop::register_in(&Registry::new())?;
/// shop.revenue_cents_total.0.inc_by(250);
/// # Ok::<(), metrics_core::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no metric without labels",
    label = "no metric without labels",
    note = "a field is a `Counter`, `Gauge`, `Summary` or `Histogram`; a `Family<_, N>` needs `#[metric(labels(..))]`; another derived struct needs `#[metric(flatten)]`"
)]
pub trait MetricField: Sized {
    /// The type of the metric.
    const KIND: Kind;

    /// Declares the metric.
    fn declare(field: FieldBuilder<'_, '_>) -> Self;
}

/// What a field with `N` labels of a derived struct can be: a [`Family`], or a type of yours that holds one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no family with {N} labels",
    label = "no family with as many labels as the attribute names",
    note = "write `Family<M, N>` with the number of names in `labels(..)`"
)]
pub trait LabelledField<const N: usize>: Sized {
    /// The type of the metric.
    const KIND: Kind;

    /// What one series is.
    type Metric;

    /// Declares the family.
    fn declare(field: FieldBuilder<'_, '_>) -> Self;

    /// The series with these label values.
    fn series(&self, labels: [Label<'_>; N]) -> Self::Metric;
}

macro_rules! fields {
    ($($metric:ident)*) => {$(
        impl MetricField for $metric {
            const KIND: Kind = $metric::VTABLE.kind;

            fn declare(field: FieldBuilder<'_, '_>) -> Self {
                field.build::<Self, Self>()
            }
        }
    )*};
}
fields! { Counter Gauge Summary Histogram }

impl<M: Metric, const N: usize> LabelledField<N> for Family<M, N> {
    const KIND: Kind = M::VTABLE.kind;

    type Metric = M;

    fn declare(field: FieldBuilder<'_, '_>) -> Self {
        field.build::<M, Self>()
    }

    #[inline]
    fn series(&self, labels: [Label<'_>; N]) -> M {
        Family::series(self, labels)
    }
}

/// The struct, in the global registry.
#[doc(hidden)]
pub fn register<G: MetricGroup>() -> G {
    let mut scope = Scope::new(Registry::global(), true);
    let group = G::declare(&mut scope);
    scope.report();
    group
}

/// The struct, in `registry`; nothing of it is there if a part of it cannot be registered.
#[doc(hidden)]
pub fn register_in<G: MetricGroup>(registry: &Registry) -> Result<G, Error> {
    loop {
        let mut scope = Scope::new(registry, false);
        let group = G::declare(&mut scope);
        if let Some((_, error)) = scope.errors.into_iter().next() {
            return Err(error);
        }
        if registry.register_all(&scope.families)? {
            return Ok(group);
        }
        // Somebody else has just registered a family of it: that one is to be counted in.
    }
}

/// A struct that is registered globally at its first use, or by [`init`](crate::init) and everything that exposes.
#[doc(hidden)]
pub struct Global<G> {
    group: OnceLock<G>,
    attempts: Attempts,
    has_panicked: AtomicBool,
}

impl<G: MetricGroup> Global<G> {
    #[must_use]
    pub const fn new() -> Self {
        Self { group: OnceLock::new(), attempts: Attempts::new(), has_panicked: AtomicBool::new(false) }
    }

    pub fn get(&self) -> &G {
        self.group.get().unwrap_or_else(|| self.declare())
    }

    /// No lock is held while user code runs. Threads that do this at once all get the families of the first.
    #[cold]
    fn declare(&self) -> &G {
        let mut scope = Scope::new(Registry::global(), true);
        let declared = G::declare(&mut scope);
        let group = self.group.get_or_init(|| declared);
        scope.report();
        group
    }
}

impl<G: MetricGroup> Default for Global<G> {
    fn default() -> Self {
        Self::new()
    }
}

impl<G: MetricGroup + Send + Sync> Declared for Global<G> {
    fn initialize(&self, user_code: UserCode) {
        if self.group.get().is_some() || !self.attempts.allow(user_code) {
            return;
        }
        let has_panicked = catch_unwind(AssertUnwindSafe(|| _ = self.get())).is_err();
        self.has_panicked.store(has_panicked, Ordering::Relaxed);
        if has_panicked {
            InternalError::CollectorPanic.record(&type_name::<G>());
        }
    }

    fn is_ready_for_scrape(&self) -> bool {
        // The fields may be types of the user.
        true
    }

    fn problem(&self) -> Option<Problem> {
        let is_missing = self.group.get().is_none() && self.has_panicked.load(Ordering::Relaxed);
        is_missing.then(|| Problem {
            kind: ProblemKind::Declaration,
            family: type_name::<G>().to_owned(),
            message: format!("declaring {} panicked; its metrics are exported once that succeeds", type_name::<G>()),
            location: None,
        })
    }
}
