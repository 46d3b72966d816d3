//! The catalog: all declared families, as data for generating documentation, dashboards and alerting rules.

use std::iter;
use std::panic::Location;
use std::sync::Arc;

use super::Registry;
use super::declared::{self, UserCode};
use crate::family::FamilyCore;
use crate::kind::Kind;

/// A declared family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeclaredFamily {
    /// The exported name.
    pub name: String,
    /// The type.
    pub kind: Kind,
    /// The help text.
    pub help: String,
    /// The unit, if one was declared.
    pub unit: Option<String>,
    /// The labels, in declaration order. If annotated functions record into the family with different labels, the list
    /// is the union of their labels.
    pub labels: Vec<DeclaredLabel>,
    /// Labels that have the same value on every series.
    pub const_labels: Vec<(String, String)>,
    /// The upper bounds of a histogram's classic buckets; empty for other types.
    pub buckets: &'static [f64],
    /// True for a histogram with native buckets.
    pub native: bool,
    /// The quantiles of a summary; empty if it has none, and for other types.
    pub quantiles: &'static [f64],
    /// The maximum number of series.
    pub max_series: usize,
    /// The location of the declaration, or of the first declaration if several annotated functions share the family.
    pub location: &'static Location<'static>,
}

/// A label of a declared family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeclaredLabel {
    /// The name.
    pub name: String,
    /// The values that are known before their first use; empty if there are none.
    pub known_values: Vec<String>,
}

impl Registry {
    /// Returns all families that are declared in this registry, sorted by name.
    ///
    /// Families from collectors are not included because only a scrape reports them. On the global registry, this
    /// method initializes annotated functions and global structs, as [`init`](crate::init) does.
    ///
    /// # Example: names and types
    ///
    /// ```
    /// use metrics_core::{Counter, Kind, Registry};
    ///
    /// let registry = Registry::new();
    /// Counter::builder("jobs_total", "Jobs done.").labels(["queue"]).register_in(&registry)?;
    /// let [jobs] = &registry.catalog()[..] else { panic!("one family") };
    /// assert_eq!((jobs.name.as_str(), jobs.kind), ("jobs_total", Kind::Counter));
    /// assert_eq!(jobs.labels[0].name, "queue");
    /// # Ok::<(), metrics_core::Error>(())
    /// ```
    #[must_use]
    pub fn catalog(&self) -> Vec<DeclaredFamily> {
        declared::initialize(self.inner.is_global, UserCode::Now);
        self.known_catalog()
    }

    /// Like [`Registry::catalog`], but does not initialize anything.
    pub(crate) fn known_catalog(&self) -> Vec<DeclaredFamily> {
        let members = self.read().members.with_variants();
        members.iter().map(|(member, variants)| describe(member.core(), variants)).collect()
    }
}

fn describe(core: &FamilyCore, variants: &[Arc<FamilyCore>]) -> DeclaredFamily {
    let declaration = &core.declaration;
    let mut labels: Vec<DeclaredLabel> = Vec::new();
    for part in iter::once(core).chain(variants.iter().map(Arc::as_ref)) {
        for (position, name) in part.declaration.label_names.iter().enumerate() {
            let known_values = part.known_values(position);
            match labels.iter_mut().find(|label| label.name == *name) {
                Some(label) => {
                    let new = known_values.into_iter().filter(|value| !label.known_values.contains(value));
                    let new: Vec<String> = new.collect();
                    label.known_values.extend(new);
                }
                None => labels.push(DeclaredLabel { name: name.clone(), known_values }),
            }
        }
    }
    let states = declaration.metric.states;
    if !states.is_empty() {
        let known_values = states.iter().map(|state| (*state).to_owned()).collect();
        labels.push(DeclaredLabel { name: declaration.name.clone(), known_values });
    }
    DeclaredFamily {
        name: declaration.name.clone(),
        kind: declaration.kind(),
        help: declaration.help.clone(),
        unit: declaration.unit.clone(),
        labels,
        const_labels: declaration.const_labels.clone(),
        buckets: declaration.bounds(),
        native: declaration.is_native(),
        quantiles: declaration.quantiles(),
        max_series: core.max_series(),
        location: declaration.location,
    }
}
