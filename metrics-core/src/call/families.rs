//! The families of one site: found or registered once, and resolved together for each set of label values.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::feeds::{Target, TargetRef};
use super::site::{MAX_LABELS, Role, Site};
use crate::builder::Builder;
use crate::cache::CacheId;
use crate::cell::Handle;
use crate::counter::Counter;
use crate::error::{Error, Field};
use crate::family::FamilyCore;
use crate::gauge::Gauge;
use crate::histogram::Histogram;
use crate::internal::InternalError;
use crate::metric::Metric;
use crate::registry::{Problem, ProblemKind, Registry};
use crate::summary::Summary;

/// The series of one call, by [`Role`].
pub(super) type Handles = [Handle; Role::COUNT];

/// What a site feeds, and the labels it feeds it with.
pub(super) struct Families {
    /// Names of the labels, in the order of the attribute; `function` alone where it has none.
    names: Vec<&'static str>,
    /// Values that are the same for every call; `None` where each call has its own.
    fixed: Vec<Option<String>>,
    /// By [`Role`]; `None` where the site does not feed it, or each call names its own.
    fed: [Option<Bound>; Role::COUNT],
    pub(super) cache: CacheId,
}

/// A target, and for each of its labels the position of that label at the site.
struct Bound {
    target: Target,
    order: Vec<usize>,
}

impl Families {
    /// Finds or registers everything; what does not fit is replaced by a family that is not exported.
    pub(super) fn of(site: &Site) -> Self {
        let (names, fixed) = site.names_and_fixed_values();
        let mut families = Self { names, fixed, fed: [const { None }; Role::COUNT], cache: CacheId::permanent() };
        for role in Role::ALL {
            if site.feeds(role) {
                families.fed[role as usize] = Some(families.bind(site, role));
            }
        }
        families
    }

    fn bind(&self, site: &Site, role: Role) -> Bound {
        let target = match site.given(role) {
            None => Target::Family(self.default_family(site, role)),
            Some(expression) => match catch_unwind(AssertUnwindSafe(expression)) {
                Ok(fed) => fed.0,
                Err(_) => self.detached(site, role, "its expression panicked"),
            },
        };
        if let Role::Exceptions | Role::Cancelled = role {
            target.as_ref().read_first();
        }
        match self.order_for(target.label_names()) {
            Some(order) => Bound { target, order },
            None => {
                let labels = target.label_names().to_vec();
                let why = format!("its labels are {labels:?}, those of the function {:?}", self.names);
                Bound { target: self.detached(site, role, &why), order: (0..self.names.len()).collect() }
            }
        }
    }

    /// Where each of these labels stands at the site; `None` if they are not the same labels.
    fn order_for(&self, labels: &[String]) -> Option<Vec<usize>> {
        // A function without labels of its own can feed a metric without labels.
        let enough = labels.len() == self.names.len() || labels.is_empty() && self.names == [FUNCTION];
        let position = |label: &String| self.names.iter().position(|name| name == label);
        labels.iter().map(position).collect::<Option<Vec<_>>>().filter(|_| enough)
    }

    /// The order of labels in which a family is registered, if it is another than `tried`, of the same labels.
    fn other_order(&self, name: &str, tried: &[String]) -> Option<Vec<String>> {
        let (names, _) = Registry::global().declared(name)?;
        let same = names.len() == tried.len() && self.order_for(&names).is_some();
        (same && names != tried).then_some(names)
    }

    /// A family that counts for a site whose own cannot be used, with the problem noted.
    fn detached(&self, site: &Site, role: Role, why: &str) -> Target {
        let name = site.default_name(role);
        InternalError::SiteConflict.record(&site.location());
        Registry::global().add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: name.clone(),
            message: format!("the family given as `{}` cannot be used: {why}", role.option()),
            location: Some(site.location()),
        });
        Target::Family(Arc::new(new_core(site, role, name, self.names.iter().map(|s| (*s).to_owned()))))
    }

    fn default_family(&self, site: &Site, role: Role) -> Arc<FamilyCore> {
        let name = site.default_name(role);
        let own: Vec<String> = self.names.iter().map(|name| (*name).to_owned()).collect();
        let global = Registry::global();
        let mut names = own.clone();
        let (core, error) = loop {
            let core = Arc::new(new_core(site, role, name.clone(), names.iter().cloned()));
            match global.register_shared(&core) {
                Ok(family) => return family,
                // Labels meet a family by name: another site has brought it up with them in another order.
                Err(Error::Conflict { field: Field::LabelNames, .. })
                    if let Some(order) = self.other_order(&name, &names) =>
                {
                    names = order;
                }
                Err(error) => break (core, error),
            }
        };
        InternalError::SiteConflict.record(&site.location());
        let message = match (&error, global.declared(&name)) {
            (Error::Conflict { field: Field::LabelNames, .. }, Some((names, first))) => format!(
                "this function and the one at {}:{} both feed {name}, with labels {own:?} and {names:?}: set `prefix` on one of them",
                first.file(),
                first.line(),
            ),
            (_, Some((_, first))) => {
                format!("{error} at {}:{}: set `prefix` on one of them", first.file(), first.line())
            }
            _ => error.to_string(),
        };
        global.add_problem(Problem {
            kind: ProblemKind::Declaration,
            family: name,
            message,
            location: Some(site.location()),
        });
        core
    }

    /// Changes when a series of any of the families is removed; never 0.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.fed.iter().flatten().fold(1, |sum, bound| match &bound.target {
            Target::Family(core) => sum.wrapping_add(core.epoch()),
            Target::Alone { .. } => sum,
        })
    }

    /// Bounds of the latency's buckets, where it is a histogram.
    #[inline]
    pub(super) fn bounds(&self) -> &'static [f64] {
        self.fed[Role::Latency as usize].as_ref().map_or(&[], |bound| bound.target.as_ref().bounds())
    }

    /// All series for the values of those labels that each call has its own of; `None` if a family has no room for them.
    pub(super) fn within_cap(&self, own: &[&str]) -> Option<Handles> {
        let all = self.all_values(own);
        let mut handles = [Handle::NONE; Role::COUNT];
        for (handle, bound) in handles.iter_mut().zip(&self.fed) {
            *handle = match bound {
                None => continue,
                Some(Bound { target: Target::Alone { handle, .. }, .. }) => *handle,
                Some(Bound { target: Target::Family(core), order }) => {
                    let mut values = [""; MAX_LABELS];
                    for (value, position) in values.iter_mut().zip(order) {
                        *value = all[*position];
                    }
                    core.within_cap(&values[..order.len()])?
                }
            };
        }
        Some(handles)
    }

    /// The overflow series of all families: of all, so that each shows the same calls.
    pub(super) fn overflow(&self) -> Handles {
        self.fed.each_ref().map(|bound| match bound {
            None => Handle::NONE,
            Some(Bound { target: Target::Alone { handle, .. }, .. }) => *handle,
            Some(Bound { target: Target::Family(core), .. }) => core.overflow(),
        })
    }

    /// Tells the families which values of their labels are known: those of a call's own labels, in order, and the fixed.
    pub(super) fn know_values<'v>(&self, own: impl Fn(usize) -> Option<&'v [String]>) {
        let mut calls = 0..;
        let known: Vec<Vec<String>> = self
            .fixed
            .iter()
            .map(|fixed| match fixed {
                Some(value) => vec![value.clone()],
                None => calls.next().and_then(&own).unwrap_or_default().to_vec(),
            })
            .collect();
        for bound in self.fed.iter().flatten() {
            if let Target::Family(core) = &bound.target {
                for (position, at) in bound.order.iter().enumerate() {
                    core.know_values(position, known[*at].iter().cloned());
                }
            }
        }
    }

    /// Whether there is anything to look up.
    pub(super) fn feeds_anything(&self) -> bool {
        self.fed.iter().any(Option::is_some)
    }

    /// The series for these values in a target that a call has named; `None` if its labels are others.
    pub(super) fn resolve_in(&self, target: TargetRef<'_>, own: &[&str]) -> Option<Handle> {
        let core = match target {
            TargetRef::Alone { handle, .. } => return Some(handle),
            TargetRef::Family(core) => core,
        };
        let all = self.all_values(own);
        let mut values = [""; MAX_LABELS];
        let labels = &core.declaration.label_names;
        if labels.len() != self.names.len() && !(labels.is_empty() && self.names == [FUNCTION]) {
            return None;
        }
        for (value, label) in values.iter_mut().zip(labels) {
            *value = all[self.names.iter().position(|name| name == label)?];
        }
        Some(core.resolve(&values[..labels.len()]))
    }

    fn all_values<'v>(&'v self, own: &[&'v str]) -> [&'v str; MAX_LABELS] {
        let mut all = [""; MAX_LABELS];
        let mut own = own.iter();
        for (value, fixed) in all.iter_mut().zip(&self.fixed) {
            *value = match fixed {
                Some(fixed) => fixed,
                None => own.next().copied().unwrap_or_default(),
            };
        }
        all
    }

    /// The smallest cap of the families, and the name of the one that has it.
    pub(super) fn cap(&self) -> Option<(usize, &str)> {
        let cores = self.fed.iter().flatten().filter_map(|bound| match &bound.target {
            Target::Family(core) => Some(core),
            Target::Alone { .. } => None,
        });
        cores.map(|core| (core.max_series(), core.declaration.name.as_str())).min()
    }
}

/// The label of functions that have no others.
pub(super) const FUNCTION: &str = "function";

impl Target {
    fn label_names(&self) -> &[String] {
        match self {
            Self::Family(core) => &core.declaration.label_names,
            Self::Alone { .. } => &[],
        }
    }
}

fn new_core(site: &Site, role: Role, name: String, labels: impl Iterator<Item = String>) -> FamilyCore {
    match role {
        Role::Latency if site.bucket_bounds().is_some() => core::<Histogram>(site, role, name, labels),
        Role::Latency => core::<Summary>(site, role, name, labels),
        Role::Exceptions | Role::Cancelled => core::<Counter>(site, role, name, labels),
        Role::InFlight => core::<Gauge>(site, role, name, labels),
    }
}

fn core<M: Metric>(site: &Site, role: Role, name: String, labels: impl Iterator<Item = String>) -> FamilyCore {
    let mut builder = Builder::<M>::new(name, site.help(role).to_owned());
    builder.label_names = labels.collect();
    builder.location = site.location();
    builder.bounds = site.bucket_bounds().map(<[f64]>::to_vec);
    if let Some(max_series) = site.cap() {
        builder.max_series = max_series;
    }
    builder.into_core()
}
