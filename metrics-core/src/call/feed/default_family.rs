//! A function's default family, which is looked up or registered by name unless the attribute specifies another family.

use std::sync::Arc;

use super::families::Families;
use super::target::OwnedTarget;
use crate::builder::Builder;
use crate::call::declaration::Declaration;
use crate::call::declaration::label_source::Role;
use crate::counter::Counter;
use crate::error::Error;
use crate::family::FamilyCore;
use crate::gauge::Gauge;
use crate::internal::InternalError;
use crate::metric::Metric;
use crate::registry::declared::LatencyOptions;
use crate::registry::{Problem, ProblemKind, Registry};
use crate::summary::Summary;

impl Families {
    /// Returns the family with the default name, registering it if necessary. If that fails, reports a problem and
    /// returns an unregistered family.
    pub(crate) fn default_family(&self, role: Role) -> Arc<FamilyCore> {
        let declaration = &self.declaration;
        let name = declaration.default_name(role);
        let global = Registry::global();
        let labels = || self.labels_of(role).into_iter();
        let unregistered = || new_core(declaration, role, name.clone(), labels());
        let registered = match role {
            Role::Latency => {
                builder::<Summary>(declaration, role, name.clone(), labels()).register_latency_core(global)
            }
            Role::Exceptions | Role::Cancelled | Role::InFlight => global.register_variant(&Arc::new(unregistered())),
        };
        let error = match registered {
            Ok(family) => return family,
            Err(error) => error,
        };
        let core = Arc::new(unregistered());
        let equal = if matches!(error, Error::Conflict { .. }) { "make them equal, " } else { "" };
        InternalError::InstrumentConflict.increment();
        global.add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: name,
            message: format!("{error}; {equal}set another `prefix`, or name a family with `{}`", role.option()),
            location: Some(declaration.location),
        });
        core
    }

    /// Creates an unregistered family for a role whose family cannot be used.
    pub(crate) fn detached(&self, role: Role) -> OwnedTarget {
        let name = self.declaration.default_name(role);
        OwnedTarget::Family(Arc::new(new_core(&self.declaration, role, name, self.labels_of(role).into_iter())))
    }
}

impl Declaration {
    /// Reports that the family given for this role cannot be used.
    pub(crate) fn note_unusable(&self, role: Role, why: &str) {
        InternalError::InstrumentConflict.increment();
        Registry::global().add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: self.default_name(role),
            message: format!("the family given as `{}` cannot be used: {why}", role.option()),
            location: Some(self.location),
        });
    }

    /// Reports that a single series of a family was given for this role. It is not created again once it is removed,
    /// and it does not know its family, which would have to be read before the latency.
    pub(crate) fn note_single_series(&self, role: Role) {
        let option = role.option();
        Registry::global().add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: self.default_name(role),
            message: format!(
                "`{option}` is a single series of a family: once it is removed, calls are no longer recorded in it; \
                 name the family instead, and give the function its labels"
            ),
            location: Some(self.location),
        });
    }
}

/// Creates an unregistered family for `role`.
fn new_core(declaration: &Declaration, role: Role, name: String, labels: impl Iterator<Item = String>) -> FamilyCore {
    match role {
        Role::Latency => builder::<Summary>(declaration, role, name, labels).into_core(),
        Role::Exceptions | Role::Cancelled => builder::<Counter>(declaration, role, name, labels).into_core(),
        Role::InFlight => builder::<Gauge>(declaration, role, name, labels).into_core(),
    }
}

fn builder<M: Metric>(
    declaration: &Declaration,
    role: Role,
    name: String,
    labels: impl Iterator<Item = String>,
) -> Builder<M> {
    let mut builder = Builder::<M>::new(name, declaration.help(role).to_owned());
    builder.label_names = labels.collect();
    builder.location = declaration.location;
    let LatencyOptions { histogram, buckets, quantiles } = declaration.latency;
    builder.buckets.native = histogram;
    builder.buckets.bounds = buckets.map(<[f64]>::to_vec);
    builder.buckets.quantiles = quantiles.map(<[f64]>::to_vec);
    if let Some(max_series) = declaration.max_series {
        builder.max_series = max_series;
    }
    builder
}
