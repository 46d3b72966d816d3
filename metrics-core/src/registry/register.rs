//! Registration of the metrics and families that builders create.

use std::sync::Arc;

use super::collect::runs::Runs;
use super::members::{Callback, Member};
use super::problem::Problem;
use super::{Registry, RegistryState};
use crate::builder::{BuildTarget, Builder};
use crate::counter::Counter;
use crate::error::{Error, Owner};
use crate::family::{Family, FamilyCore, FamilyDeclaration};
use crate::gauge::Gauge;
use crate::metric::Metric;
use crate::sample::{Number, Value};

impl<M: Metric, T: BuildTarget> Builder<M, T> {
    /// Registers the metric or family in the global registry, which every exporter uses by default.
    ///
    /// If the name is already registered with the same type, labels, help, unit and buckets, this method returns the
    /// registered metric or family, and the larger `max_series` applies. If one of these properties differs, or if a
    /// name is invalid, the method logs an error and returns a metric or family that counts but is not exported.
    /// [`Registry::check`] then lists the problem. Use [`Builder::register_in`] to handle the error.
    pub fn register(self) -> T {
        T::from_core(Registry::global().register_or_detach(self.into_core()))
    }

    /// Like [`Builder::register`], but allows families with the same name and different labels, as annotated functions
    /// do.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn register_variant(self) -> T {
        let global = Registry::global();
        let core = Arc::new(self.into_core());
        T::from_core(global.register_variant(&core).unwrap_or_else(|error| global.detach(core, &error)))
    }

    /// Like [`Builder::register_variant`], but registers in `registry` and returns errors. The flag is true if the
    /// family was not registered before.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn register_variant_in(self, registry: &Registry) -> Result<(T, bool), Error> {
        let core = Arc::new(self.within(registry).into_core());
        let registered = registry.register_variant(&core)?;
        let is_new = Arc::ptr_eq(&registered, &core);
        Ok((T::from_core(registered), is_new))
    }

    /// Registers the metric or family in `registry`, or returns an equal one that is already registered.
    ///
    /// # Errors
    ///
    /// Returns an error, and leaves the registry unchanged, if a name, label or bucket is invalid, or if a different
    /// metric or family has taken the name.
    pub fn register_in(self, registry: &Registry) -> Result<T, Error> {
        registry.register_shared(&Arc::new(self.within(registry).into_core())).map(T::from_core)
    }
}

impl Builder<Gauge> {
    /// Registers a gauge in the global registry. Each scrape calls `value` to obtain the gauge's value.
    ///
    /// Errors are handled as in [`Builder::register`]. No lock is held while `value` runs. If it panics, the scrape
    /// skips the gauge and counts the panic in `metrics_core_internal_errors_total{kind="collector_panic"}`.
    ///
    /// # Example: the length of a queue
    ///
    /// ```
    /// use metrics_core::{Gauge, Registry};
    ///
    /// Gauge::builder("queue_length", "Jobs waiting.").register_callback(|| 3.0);
    /// assert!(Registry::global().to_text().contains("queue_length 3\n"));
    /// ```
    pub fn register_callback(self, value: impl Fn() -> f64 + Send + Sync + 'static) {
        register_globally(self.into_callback(move || Value::Gauge(value())));
    }

    /// Like [`Builder::<Gauge>::register_callback`], but registers the gauge in `registry`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is invalid or taken, even by an equal gauge, since callbacks cannot be compared.
    pub fn register_callback_in(
        self,
        registry: &Registry,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), Error> {
        registry.register_callback(self.within(registry).into_callback(move || Value::Gauge(value())))
    }
}

impl Builder<Counter> {
    /// Registers a counter in the global registry. Each scrape calls `value` to obtain the total, which must never
    /// decrease.
    ///
    /// Errors and panics are handled as in [`Builder::<Gauge>::register_callback`].
    pub fn register_callback(self, value: impl Fn() -> u64 + Send + Sync + 'static) {
        register_globally(self.into_callback(move || Value::Counter(Number::Whole(value()))));
    }

    /// Like [`Builder::<Counter>::register_callback`], but registers the counter in `registry`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is invalid or taken, even by an equal counter, since callbacks cannot be compared.
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
    /// Adds the constant labels of `registry`.
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
    /// Like [`Registry::register_shared`], but adds a problem and returns `core`, unregistered, if registration fails.
    fn register_or_detach(&self, core: FamilyCore) -> Arc<FamilyCore> {
        let core = Arc::new(core);
        self.register_shared(&core).unwrap_or_else(|error| self.detach(core, &error))
    }

    /// Adds a problem, and returns the family, which counts but is not exported.
    pub(super) fn detach(&self, core: Arc<FamilyCore>, error: &Error) -> Arc<FamilyCore> {
        let FamilyDeclaration { name, location, .. } = &core.declaration;
        self.add_problem(Problem::declaration(name, error, location));
        core
    }

    /// Returns the registered family that equals `core`, or registers `core` if its names are free.
    pub(crate) fn register_shared(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        core.declaration.check(core.max_series())?;
        if self.inner.is_global && !core.declaration.label_names.is_empty() {
            // Created now, so that the counter of overflowed lookups is exported at 0 before the first overflow.
            core.overflow_counter();
        }
        let mut state = self.write();
        match state.find_same(core)? {
            Some(Member::Family(same)) => {
                // The lock is released first, because creating series may log, and a logger is user code.
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

    /// Like [`Registry::register_shared`], but families with the same name and different labels do not conflict; they
    /// are exported as one family. The order of the labels does not matter.
    pub(crate) fn register_variant(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        let declaration = &core.declaration;
        declaration.check(core.max_series())?;
        if self.inner.is_global && !declaration.label_names.is_empty() {
            core.overflow_counter();
        }
        // The lock covers the whole operation, because functions with different labels may register concurrently.
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
            // The lock is released first, because creating series may log, and a logger is user code.
            drop(state);
            same.adopt(core);
            return Ok(same);
        }
        state.members.add_variant(Arc::clone(core));
        Ok(Arc::clone(core))
    }

    /// Returns the registered family that equals `core`, or `core` itself, without registering it, if its names are
    /// free.
    pub(crate) fn find_shared(&self, core: &Arc<FamilyCore>) -> Result<Arc<FamilyCore>, Error> {
        core.declaration.check(core.max_series())?;
        match self.read().find_same(core)? {
            Some(Member::Family(same)) => Ok(same),
            Some(member @ Member::Callback(_)) => Err(already_there(&member)),
            None => Ok(Arc::clone(core)),
        }
    }

    /// Registers all or none of these families. Each pair holds a declaration and the family that
    /// [`Registry::find_shared`] returned for it.
    ///
    /// Returns false, and registers none of them, if one of the names has since been registered for another family.
    pub(crate) fn register_all(&self, families: &[(Arc<FamilyCore>, Arc<FamilyCore>)]) -> Result<bool, Error> {
        let labeled = families.iter().filter(|(_, family)| !family.declaration.label_names.is_empty());
        for (_, family) in labeled.filter(|_| self.inner.is_global) {
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

    /// Unregisters a family that was just registered, because another family of the same layer could not be.
    #[cfg_attr(not(any(feature = "tower", feature = "actix")), allow(dead_code, reason = "only layers use it"))]
    pub(crate) fn withdraw<M: Metric, const N: usize>(&self, family: &Family<M, N>) {
        self.write().members.withdraw(&family.core);
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

    /// Removes a family from the registry. Returns false if no family has this name.
    ///
    /// Existing handles to the family keep counting, but the family is no longer exported, and its name becomes
    /// available.
    pub fn unregister(&self, name: &str) -> bool {
        let removed = self.write().members.remove(name);
        // The family is dropped after the lock is released, because dropping a callback runs user code.
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
