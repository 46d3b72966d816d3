//! The default latency family, which several annotated functions and a layer may feed.
//!
//! If any of them asks for a histogram, the family is a histogram; otherwise, it has the quantiles of all of them. The
//! options of all annotated functions are known before the first call, so the order of the calls does not matter. A
//! layer's options are known once it is built. If the family is already registered with other options, observations are
//! counted in it nevertheless, and `check()` reports the difference.

use std::panic::Location;
use std::sync::Arc;

use super::declared::{self, LatencyOptions, LatencyRequest};
use super::members::Member;
use super::{Problem, ProblemKind, Registry};
use crate::buckets::{BucketOptions, MAX_QUANTILES};
use crate::builder::{BuildTarget, Builder};
use crate::error::{Error, Field};
use crate::family::{FamilyCore, FamilyDeclaration};
use crate::histogram::Histogram;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::metric::{MetricVTable, sealed::Metric};
use crate::summary::Summary;

impl<T: BuildTarget + Clone> Builder<Summary, T> {
    /// Sets the options that determine the type of a default latency family.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn latency_options(
        mut self,
        bounds: Option<Vec<f64>>,
        native: bool,
        quantiles: Option<Vec<f64>>,
    ) -> Self {
        self.buckets = BucketOptions { bounds, quantiles, native, ..BucketOptions::default() };
        self
    }

    /// Registers a default latency family globally, or finds the one that is registered. The result records into a
    /// histogram if the family is one. If it cannot be registered, reports a problem and returns a family that is not
    /// exported.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn register_latency(self) -> T {
        let global = Registry::global();
        let registered = self.clone().register_latency_core(global);
        T::from_core(registered.unwrap_or_else(|error| global.detach(Arc::new(self.into_core()), &error)))
    }

    /// Like [`Builder::register_latency`], but registers in `registry` and returns errors.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only the layers use it"))]
    pub(crate) fn register_latency_in(self, registry: &Registry) -> Result<T, Error> {
        self.register_latency_core(registry).map(T::from_core)
    }

    /// Registers a default latency family, or finds the one that is registered.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is invalid or belongs to another type of metric, if labels or help texts differ, or
    /// if the options are invalid and no annotated function has others.
    pub(crate) fn register_latency_core(self, registry: &Registry) -> Result<Arc<FamilyCore>, Error> {
        let mut this = self;
        if let (_, Some(invalid)) = this.buckets.resolve(metric_for(&this.buckets).kind) {
            let error = invalid.error(&this.name);
            this.buckets = BucketOptions::default();
            let (of_others, _) = Requested(BucketOptions::default()).united(&this.name, registry.inner.is_global);
            if !is_histogram(&of_others) && of_others.quantiles.is_none() {
                return Err(error);
            }
            report(registry, &this.name, &error, this.location);
        }
        this.register_valid(registry)
    }

    /// Like [`Builder::register_latency_core`], for options that are valid on their own.
    fn register_valid(self, registry: &Registry) -> Result<Arc<FamilyCore>, Error> {
        let requested = Requested(self.buckets.clone());
        let (united, others) = requested.united(&self.name, registry.inner.is_global);
        if let Some((bounds, location)) = others {
            let registered = format!("{bounds:?}");
            let given = format!("{:?}", self.buckets.bounds.as_deref().unwrap_or_default());
            let error = Error::Conflict { name: self.name.clone(), field: Field::Buckets, registered, location, given };
            report(registry, &self.name, &error, self.location);
        }
        let missing = |own: &&f64| !is_histogram(&united) && !united.quantiles.iter().flatten().any(|one| one == *own);
        if self.buckets.quantiles.iter().flatten().any(|own| missing(&own)) {
            let given = format!("{:?}", self.buckets.quantiles.as_deref().unwrap_or_default());
            let expected = "the functions and layers of a prefix can have 32 quantiles in total";
            let error = Error::InvalidOption { metric: self.name.clone(), option: "quantiles", given, expected };
            report(registry, &self.name, &error, self.location);
        }
        let mut builder = self.clone();
        builder.buckets = united.clone();
        let core = Arc::new(builder.within(registry).into_core_of(metric_for(&united)));
        let error = match registry.register_variant(&core) {
            Ok(family) => return Ok(family),
            Err(error) => error,
        };
        if !matches!(
            error,
            Error::Conflict { field: Field::Type | Field::Buckets | Field::Quantiles | Field::NativeBuckets, .. }
        ) {
            return Err(error);
        }
        let Some(registered) = registry.latency_family(&self.name) else { return Err(error) };
        let declaration = &registered.declaration;
        let (name, location) = (self.name.clone(), self.location);
        let mut same = self.within(registry).into_core_of(declaration.metric);
        same.declaration.buckets = declaration.buckets;
        let family = registry.register_variant(&Arc::new(same))?;
        if !requested.are_met_by(declaration) {
            report(registry, &name, &error, location);
        }
        Ok(family)
    }
}

/// Reports that observations are counted in a family with other options.
fn report(registry: &Registry, name: &str, error: &Error, location: &'static Location<'static>) {
    InternalError::InstrumentConflict.increment();
    registry.add_problem(Problem {
        kind: ProblemKind::Declaration,
        family: name.to_owned(),
        message: format!(
            "{error}; latencies are recorded with the registered options; use the same options everywhere, or set another `prefix`"
        ),
        location: Some(location),
    });
}

fn metric_for(options: &BucketOptions) -> &'static MetricVTable {
    if is_histogram(options) { Histogram::VTABLE } else { Summary::VTABLE }
}

fn is_histogram(options: &BucketOptions) -> bool {
    options.native || options.bounds.is_some()
}

/// The options that one function or layer requests.
struct Requested(BucketOptions);

impl Requested {
    /// Unites the options with those of all annotated functions. Also returns the bounds that were chosen, and their
    /// location, if they differ from these options' own.
    fn united(
        &self,
        name: &str,
        is_global: bool,
    ) -> (BucketOptions, Option<(&'static [f64], &'static Location<'static>)>) {
        let mut united = self.0.clone();
        let mut chosen = None;
        // In the order of the linker's list, which is the same for all functions.
        let mut of_all: Vec<f64> = Vec::new();
        for LatencyRequest { options, location, .. } in
            is_global.then(|| declared::latency_requests(name)).into_iter().flatten()
        {
            let LatencyOptions { histogram, buckets, quantiles } = *options;
            united.native |= histogram;
            if let Some(bounds) = buckets {
                chosen.get_or_insert((bounds, *location));
            }
            of_all.extend_from_slice(quantiles.unwrap_or_default());
        }
        if !of_all.is_empty() {
            of_all.extend(self.0.quantiles.iter().flatten());
            let mut distinct: Vec<f64> = Vec::new();
            for quantile in of_all {
                if distinct.len() < MAX_QUANTILES && !distinct.contains(&quantile) {
                    distinct.push(quantile);
                }
            }
            united.quantiles = Some(distinct);
        }
        if let Some((bounds, _)) = chosen {
            united.bounds = Some(bounds.to_vec());
        }
        if is_histogram(&united) {
            united.quantiles = None;
        }
        let is_other = |(bounds, _): &(&[f64], _)| self.0.bounds.as_deref().is_some_and(|own| own != *bounds);
        (united, chosen.filter(is_other))
    }

    /// Returns true if a registered family has everything that these options ask for.
    fn are_met_by(&self, registered: &FamilyDeclaration) -> bool {
        let is_native = registered.buckets.is_some_and(|buckets| buckets.exponential.is_some());
        match registered.kind() {
            Kind::Histogram => {
                let has_bounds = self.0.bounds.as_deref().is_none_or(|own| own == registered.bounds());
                has_bounds && (is_native || !self.0.native)
            }
            _ => {
                let has_all = |own: &Vec<f64>| own.iter().all(|own| registered.quantiles().contains(own));
                !is_histogram(&self.0) && self.0.quantiles.as_ref().is_none_or(has_all)
            }
        }
    }
}

impl Registry {
    /// Returns the summary or histogram with this name.
    fn latency_family(&self, name: &str) -> Option<Arc<FamilyCore>> {
        let state = self.read();
        let Member::Family(core) = state.members.get(name)? else { return None };
        matches!(core.declaration.kind(), Kind::Summary | Kind::Histogram).then(|| Arc::clone(core))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Family;

    fn builder(native: bool, quantiles: Option<Vec<f64>>) -> Builder<Summary, Family<Summary, 1>> {
        Summary::builder("shared_seconds", "Shared.").labels(["path"]).latency_options(None, native, quantiles)
    }

    #[test]
    fn whoever_comes_later_records_into_the_registered_family() {
        let registry = Registry::new();
        let histogram = builder(true, None).register_latency_in(&registry).expect("free");
        histogram.labels(["/a"]).observe(1);
        // A histogram meets every request for a summary.
        for quantiles in [None, Some(vec![0.5])] {
            builder(false, quantiles).register_latency_in(&registry).expect("joins").labels(["/a"]).observe(1);
        }
        let text = registry.to_text();
        assert!(text.contains("shared_seconds_bucket{path=\"/a\",le=\"1\"} 3\n"), "{text}");
        assert!(registry.check().is_empty(), "{:?}", registry.check());
    }

    #[test]
    fn a_request_that_is_not_met_is_reported() {
        let registry = Registry::new();
        builder(false, Some(vec![0.5])).register_latency_in(&registry).expect("free").labels(["/a"]).observe(1);
        builder(false, None).register_latency_in(&registry).expect("joins").labels(["/a"]).observe(1);
        assert!(registry.check().is_empty(), "{:?}", registry.check());
        builder(true, None).register_latency_in(&registry).expect("joins").labels(["/a"]).observe(1);
        builder(false, Some(vec![0.9])).register_latency_in(&registry).expect("joins").labels(["/a"]).observe(1);
        let text = registry.to_text();
        assert!(text.contains("shared_seconds_count{path=\"/a\"} 4\n"), "{text}");
        let problems: Vec<String> = registry.check().iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|problem| problem.contains("another type: summary")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("other quantiles: [0.5]")), "{problems:?}");
    }
}
