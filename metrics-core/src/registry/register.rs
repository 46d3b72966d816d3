//! Registration of the metrics and families that builders create.

use std::sync::Arc;

use super::collect::runs::Runs;
use super::members::{Callback, Member};
use super::problem::Problem;
use super::{Registry, RegistryState};
use crate::builder::{BuildTarget, Builder};
use crate::counter::Counter;
use crate::error::{Error, Owner};
use crate::family::{FamilyCore, FamilyDeclaration};
use crate::gauge::Gauge;
use crate::metric::Metric;
use crate::sample::{Number, Value};

impl<M: Metric, T: BuildTarget> Builder<M, T> {
    /// Registers the metric or family in the global registry, from which every exporter takes it.
    ///
    /// Registering the same again gives the same: type, labels, help, unit and buckets must be equal; the larger
    /// `max_series` holds. Where they are not, or a name is invalid, this gives a metric that counts but is not
    /// exported, logs why, and [`Registry::check`] lists it. Use [`Builder::register_in`] to handle that as an error.
    pub fn register(self) -> T {
        T::from_core(Registry::global().register_or_detach(self.into_core()))
    }

    /// Like [`Builder::register`], but a family with the same name and other labels does not conflict, as for annotated
    /// functions.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn register_variant(self) -> T {
        let global = Registry::global();
        let core = Arc::new(self.into_core());
        T::from_core(global.register_variant(&core).unwrap_or_else(|error| global.detach(core, &error)))
    }

    /// Like [`Builder::register_variant`], in `registry`.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn register_variant_in(self, registry: &Registry) -> Result<T, Error> {
        registry.register_variant(&Arc::new(self.within(registry).into_core())).map(T::from_core)
    }

    /// Registers the metric or family in `registry`, or gives back the one that is there already.
    ///
    /// # Errors
    ///
    /// Where a name, label or bucket is invalid, or something else has the name; the registry is as before.
    pub fn register_in(self, registry: &Registry) -> Result<T, Error> {
        registry.register_shared(&Arc::new(self.within(registry).into_core())).map(T::from_core)
    }
}

impl Builder<Gauge> {
    /// Registers a gauge in the global registry whose value `value` tells at each scrape.
    ///
    /// Errors are treated as by [`Builder::register`]. No lock is held while `value` runs; if it panics the gauge is
    /// left out of that scrape, and it counts in `metrics_core_internal_errors_total{kind="collector_panic"}`.
    ///
    /// # Example: a queue that knows its length
    ///
    /// ```
    /// use metrics_core::{Gauge, Registry};
    ///
    /// Gauge::builder("queue_length", "Jobs that wait.").register_callback(|| 3.0);
    /// assert!(Registry::global().to_text().contains("queue_length 3\n"));
    /// ```
    pub fn register_callback(self, value: impl Fn() -> f64 + Send + Sync + 'static) {
        register_globally(self.into_callback(move || Value::Gauge(value())));
    }

    /// As [`Builder::<Gauge>::register_callback`], in `registry`.
    ///
    /// # Errors
    ///
    /// Where the name is invalid or taken: also by the same gauge, since two functions cannot be one.
    pub fn register_callback_in(
        self,
        registry: &Registry,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), Error> {
        registry.register_callback(self.within(registry).into_callback(move || Value::Gauge(value())))
    }
}

impl Builder<Counter> {
    /// Registers a counter in the global registry whose total `value` tells at each scrape; it must never go down.
    ///
    /// As [`Builder::<Gauge>::register_callback`] otherwise.
    pub fn register_callback(self, value: impl Fn() -> u64 + Send + Sync + 'static) {
        register_globally(self.into_callback(move || Value::Counter(Number::Whole(value()))));
    }

    /// As [`Builder::<Counter>::register_callback`], in `registry`.
    ///
    /// # Errors
    ///
    /// Where the name is invalid or taken: also by the same counter, since two functions cannot be one.
    pub fn register_callback_in(
        self,
        registry: &Registry,
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let callback = self.within(registry).into_callback(move || Value::Counter(Number::Whole(value())));
        registry.register_callback(callback)
    }
}

impl<M: Metric, T: BuildTarget> Builder<M, T> {
    /// The builder with the constant labels of `registry` added.
    pub(crate) fn within(mut self, registry: &Registry) -> Self {
        self.const_labels.extend(registry.inner.const_labels.iter().cloned());
        self
    }

    fn into_callback(self, value: impl Fn() -> Value<'static> + Send + Sync + 'static) -> Callback {
        Callback { core: self.into_core(), value: Box::new(value), runs: Runs::default() }
    }
}

fn register_globally(callback: Callback) {
    let FamilyDeclaration { name, location, .. } = &callback.core.declaration;
    let (name, location) = (name.clone(), *location);
    let global = Registry::global();
    if let Err(error) = global.register_callback(callback) {
        global.add_problem(Problem::declaration(&name, &error, location));
    }
}

impl Registry {
    /// As [`Registry::register_shared`]; where that is an error, `core` itself, with the problem noted.
    fn register_or_detach(&self, core: FamilyCore) -> Arc<FamilyCore> {
        let core = Arc::new(core);
        self.register_shared(&core).unwrap_or_else(|error| self.detach(core, &error))
    }

    /// A family that counts and is not exported, with the problem noted.
    fn detach(&self, core: Arc<FamilyCore>, error: &Error) -> Arc<FamilyCore> {
        let FamilyDeclaration { name, location, .. } = &core.declaration;
        self.add_problem(Problem::declaration(name, error, location));
        core
    }

    /// The registered family that `core` declares: `core` itself if it is new.
    pub(crate) fn register_shared(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        core.declaration.check(core.max_series())?;
        if self.inner.is_global && !core.declaration.label_names.is_empty() {
            // Exported at 0 before its first use, as everything is.
            core.overflow_counter();
        }
        let mut state = self.write();
        match state.find_same(core)? {
            Some(Member::Family(same)) => {
                // What creates series may log, and a logger is user code.
                drop(state);
                same.adopt(core);
                Ok(same)
            }
            Some(member @ Member::Callback(_)) => Err(already_there(&member)),
            None => {
                state.members.add(Member::Family(Arc::clone(core)));
                Ok(Arc::clone(core))
            }
        }
    }

    /// Like [`Registry::register_shared`], but a family with the same name and other labels does not conflict: both are
    /// exported as one family. Labels in another order are the same.
    pub(crate) fn register_variant(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        let declaration = &core.declaration;
        declaration.check(core.max_series())?;
        if self.inner.is_global && !declaration.label_names.is_empty() {
            core.overflow_counter();
        }
        // One lock for all of it: functions with different labels may be called for the first time at once.
        let mut state = self.write();
        let main = match state.members.get(&declaration.name).cloned() {
            Some(Member::Family(main)) => main,
            Some(member @ Member::Callback(_)) => return Err(already_there(&member)),
            None => {
                state.find_same(core)?;
                state.members.add(Member::Family(Arc::clone(core)));
                return Ok(Arc::clone(core));
            }
        };
        main.declaration.compare_except_labels(declaration)?;
        let mut parts = std::iter::once(&main).chain(state.members.variants(&declaration.name));
        if let Some(same) = parts.find(|part| part.declaration.has_labels(&declaration.label_names)).cloned() {
            // What creates series may log, and a logger is user code.
            drop(state);
            same.adopt(core);
            return Ok(same);
        }
        state.members.add_variant(Arc::clone(core));
        Ok(Arc::clone(core))
    }

    /// The registered family that `core` declares: `core` itself, which stays unregistered, if there is none.
    pub(crate) fn find_shared(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        core.declaration.check(core.max_series())?;
        match self.read().find_same(core)? {
            Some(Member::Family(same)) => Ok(same),
            Some(member @ Member::Callback(_)) => Err(already_there(&member)),
            None => Ok(Arc::clone(core)),
        }
    }

    /// Registers families that [`Registry::find_shared`] gave, each behind its declaration: all or none.
    ///
    /// False, and none of them is registered, if one is no longer the family to count in.
    pub(crate) fn register_all(&self, families: &[(Arc<FamilyCore>, Arc<FamilyCore>)]) -> Result<bool, Error> {
        let labelled = families.iter().filter(|(_, family)| !family.declaration.label_names.is_empty());
        for (_, family) in labelled.filter(|_| self.inner.is_global) {
            family.overflow_counter();
        }
        let mut state = self.write();
        let mut added = Vec::new();
        for (_, family) in families {
            match state.find_same(family) {
                Ok(Some(Member::Family(same))) if Arc::ptr_eq(&same, family) => {}
                Ok(None) => {
                    state.members.add(Member::Family(Arc::clone(family)));
                    added.push(&family.declaration.name);
                }
                taken => {
                    for name in added {
                        state.members.remove(name);
                    }
                    return taken.map(|_| false);
                }
            }
        }
        drop(state);
        for (declared, family) in families {
            family.adopt(declared);
        }
        Ok(true)
    }

    fn register_callback(&self, callback: Callback) -> Result<(), Error> {
        callback.core.declaration.check(usize::MAX)?;
        let mut state = self.write();
        match state.find_same(&callback.core)? {
            Some(member) => Err(already_there(&member)),
            None => {
                state.members.add(Member::Callback(Arc::new(callback)));
                Ok(())
            }
        }
    }

    /// Takes a family out of the registry; false if there is none of this name.
    ///
    /// The family goes on counting for those who hold it, but is not exported, and its name is free.
    pub fn unregister(&self, name: &str) -> bool {
        let removed = self.write().members.remove(name);
        // Dropped after the lock is given back: a callback is user code.
        removed.is_some()
    }
}

impl RegistryState {
    fn find_same(&self, core: &FamilyCore) -> Result<Option<Member>, Error> {
        let declaration = &core.declaration;
        if let Some(same) = self.members.same_as(declaration)? {
            return Ok(Some(same.clone()));
        }
        match declaration.sample_names().find(|sample| self.collectors.describes(sample)) {
            Some(sample) => Err(Error::NameTaken { name: declaration.name.clone(), sample, owner: Owner::Collector }),
            None => Ok(None),
        }
    }
}

fn already_there(member: &Member) -> Error {
    let name = &member.core().declaration.name;
    Error::NameTaken { name: name.clone(), sample: name.clone(), owner: member.owner() }
}
