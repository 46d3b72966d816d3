//! Support for `#[derive(Metrics)]`: groups of metrics, their fields, and the scope in which they are declared.
//!
//! Declaring a struct cannot fail. Every field gets a working metric, and the scope collects the errors. `register`
//! reports them as problems of the global registry; `register_in` returns the first error. If there are no errors,
//! `register_in` registers all families at once, under one lock. If another thread has registered one of the families
//! concurrently, `register_in` registers nothing and declares the struct again. `global()` declares the struct without
//! holding a lock, because a logger may call `global()`.

mod global;

use std::panic::Location;
use std::sync::Arc;

pub use global::Global;

use crate::builder::{BuildTarget, Builder};
use crate::counter::Counter;
use crate::error::{Error, Owner};
use crate::family::{Family, FamilyCore};
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::info::Info;
use crate::kind::Kind;
use crate::label_value::{Label, LabelValue};
use crate::lint::StyleRule;
use crate::metric::Metric;
use crate::metric::sealed::Metric as _;
use crate::registry::{Problem, Registry};
use crate::state_set::StateSet;
use crate::summary::Summary;

/// A struct whose fields are metrics. `#[derive(Metrics)]` implements this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not derive `Metrics`",
    label = "expected a struct that derives `Metrics`",
    note = "`#[metric(flatten)]` declares the metrics of another struct; a field that is a metric itself does not need it"
)]
pub trait MetricGroup: Sized {
    /// Declares all metrics of the struct. The scope collects the errors. Metrics that cannot be registered still work.
    fn declare(scope: &mut Scope<'_>) -> Self;

    /// Registers all metrics in the global registry.
    ///
    /// Metrics that cannot be registered still record values but are not exported, and [`Registry::check`] lists them.
    #[must_use]
    fn register() -> Self {
        let mut scope = Scope::new(Registry::global(), true);
        let group = Self::declare(&mut scope);
        scope.report();
        group
    }

    /// Registers all metrics in `registry`.
    ///
    /// # Errors
    ///
    /// Returns an error, and registers nothing, if a metric is invalid or its name is taken.
    fn register_in(registry: &Registry) -> Result<Self, Error> {
        loop {
            let mut scope = Scope::new(registry, false);
            let group = Self::declare(&mut scope);
            if let Some((_, error)) = scope.errors.into_iter().next() {
                return Err(error);
            }
            if registry.register_all(&scope.families)? {
                return Ok(group);
            }
            // Another thread has just registered one of the families. The next declaration uses that family.
        }
    }
}

/// The scope in which a struct's metrics are declared: a registry, a name prefix and constant labels.
pub struct Scope<'r> {
    registry: &'r Registry,
    prefix: String,
    const_labels: Vec<(&'static str, &'static str)>,
    /// True if each metric is registered individually; false if either all metrics or none are registered.
    lenient: bool,
    /// The declared families, each with the family that it resolved to.
    families: Vec<(Arc<FamilyCore>, Arc<FamilyCore>)>,
    /// The families that cannot be registered.
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

    /// Runs `declare` with this prefix and these constant labels added to the scope.
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

    /// Begins the declaration of a field without labels.
    #[doc(hidden)]
    pub fn field(&mut self, field: FieldDeclaration) -> FieldBuilder<'_, 'r> {
        FieldBuilder { scope: self, field, labels: &[] }
    }

    /// Begins the declaration of a field with labels. Each label has a name and, if its values are a closed set, the
    /// list of those values.
    #[doc(hidden)]
    pub fn labeled_field<'a>(
        &'a mut self,
        field: FieldDeclaration,
        labels: &'a [(&'static str, Option<&'static [&'static str]>)],
    ) -> FieldBuilder<'a, 'r> {
        FieldBuilder { scope: self, field, labels }
    }

    /// Returns the family of a field. If the family cannot be registered, it records values but is not exported.
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

    /// Reports the errors to the registry. Each report is logged, and a logger may use the struct, so a global struct
    /// must be stored before this call.
    fn report(self) {
        for (core, error) in self.errors {
            let declaration = &core.declaration;
            self.registry.add_problem(Problem::declaration(&declaration.name, &error, declaration.location));
        }
    }
}

/// The name of a label, and all its values if they are a closed set.
pub(crate) type KnownLabel = (&'static str, Option<&'static [&'static str]>);

/// The attributes of a field.
#[doc(hidden)]
#[must_use]
pub struct FieldDeclaration {
    name: &'static str,
    help: &'static str,
    /// True if the help text is a doc comment, of which only the first paragraph is used.
    is_docs: bool,
    unit: Option<&'static str>,
    buckets: Option<&'static [f64]>,
    quantiles: Option<&'static [f64]>,
    native: bool,
    max_series: Option<usize>,
    const_labels: &'static [(&'static str, &'static str)],
    allowed: &'static [StyleRule],
    location: &'static Location<'static>,
}

impl FieldDeclaration {
    /// Creates a field declaration with this exported name (without the prefix) and this help text.
    #[track_caller]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            is_docs: false,
            unit: None,
            buckets: None,
            quantiles: None,
            native: false,
            max_series: None,
            const_labels: &[],
            allowed: &[],
            location: Location::caller(),
        }
    }

    /// Reduces the help text to its first paragraph, as one line. Derived code calls this for doc comments that contain
    /// macros.
    pub const fn from_docs(mut self) -> Self {
        self.is_docs = true;
        self
    }

    /// Sets the `unit` option.
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Sets the `buckets` option.
    pub const fn buckets(mut self, bounds: &'static [f64]) -> Self {
        self.buckets = Some(bounds);
        self
    }

    /// Sets the `quantiles` option.
    pub const fn quantiles(mut self, quantiles: &'static [f64]) -> Self {
        self.quantiles = Some(quantiles);
        self
    }

    /// Sets the `native` option.
    pub const fn native(mut self) -> Self {
        self.native = true;
        self
    }

    /// Sets the `max_series` option.
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = Some(max_series);
        self
    }

    /// Sets the `allow` option.
    pub const fn allow(mut self, rules: &'static [StyleRule]) -> Self {
        self.allowed = rules;
        self
    }

    /// Sets the `const_labels` option.
    pub const fn const_labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.const_labels = labels;
        self
    }
}

/// A builder for a field of a derived struct. A custom field type passes it on to the metric that it wraps; see
/// [`MetricField`].
pub struct FieldBuilder<'a, 'r> {
    scope: &'a mut Scope<'r>,
    field: FieldDeclaration,
    labels: &'a [KnownLabel],
}

impl FieldBuilder<'_, '_> {
    fn build<M: Metric, T: BuildTarget>(self) -> T {
        let Self { scope, field, labels } = self;
        let help = if field.is_docs { first_paragraph(field.help) } else { field.help.to_owned() };
        let mut builder = Builder::<M>::new(format!("{}{}", scope.prefix, field.name), help);
        builder.label_names = labels.iter().map(|(name, _)| (*name).to_owned()).collect();
        builder.label_values = labels.iter().map(|(_, values)| *values).collect();
        builder.unit = field.unit.map(str::to_owned);
        builder.buckets.bounds = field.buckets.map(<[f64]>::to_vec);
        builder.buckets.quantiles = field.quantiles.map(<[f64]>::to_vec);
        builder.buckets.native = field.native;
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

fn first_paragraph(docs: &str) -> String {
    let lines = docs.lines().map(str::trim);
    let paragraph: Vec<&str> = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect();
    paragraph.join(" ")
}

/// A type for fields without labels in a derived struct: a metric, or a custom type that wraps a metric.
///
/// `declare` may run more than once for the same struct, and must not access that struct. If `declare` panics while
/// [`init`](crate::init) or an exporter initializes a `global` struct, the struct is skipped, the panic is counted in
/// `metrics_core_internal_errors_total{kind="collector_panic"}`, and the next initialization tries again.
///
/// # Example: a custom field type
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
    message = "a struct of metrics cannot have a field of type `{Self}`",
    label = "expected `Counter`, `Gauge`, `Summary`, `Histogram`, `Info` or `StateSet`",
    note = "a `Family` needs `#[metric(labels(..))]`, and another struct that derives `Metrics` needs `#[metric(flatten)]`; a metric cannot be optional"
)]
pub trait MetricField: Sized {
    /// The type of the metric.
    const KIND: Kind;

    /// Declares the metric.
    fn declare(field: FieldBuilder<'_, '_>) -> Self;
}

/// A type for fields with `N` labels in a derived struct: a [`Family`], or a custom type that wraps a family.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Family<_, {N}>`",
    label = "expected a `Family<_, {N}>`",
    note = "the number must equal the number of names in `labels(..)`, as in `#[metric(labels(path: &str))] requests_total: Family<Counter, 1>`"
)]
pub trait LabeledField<const N: usize>: Sized {
    /// The type of the metric.
    const KIND: Kind;

    /// The type of one series.
    type Metric;

    /// Declares the family.
    fn declare(field: FieldBuilder<'_, '_>) -> Self;

    /// Returns the series with these label values.
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
fields! { Counter Gauge Summary Histogram Info }

impl<S: LabelValue + 'static> MetricField for StateSet<S> {
    const KIND: Kind = Kind::StateSet;

    fn declare(field: FieldBuilder<'_, '_>) -> Self {
        field.build::<Self, Self>()
    }
}

impl<M: Metric, const N: usize> LabeledField<N> for Family<M, N> {
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
