//! The catalog: all declared families, as data for generating documentation, dashboards and alerting rules.

use std::panic::Location;

use super::Registry;
use super::declared::UserCode;
use super::members::Member;
use crate::family::FamilyCore;
use crate::kind::Kind;

/// One declared family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeclaredFamily {
    /// The name under which it is exported.
    pub name: String,
    /// The type.
    pub kind: Kind,
    /// The help text.
    pub help: String,
    /// The unit, where one was declared.
    pub unit: Option<String>,
    /// The labels, in their order.
    pub labels: Vec<DeclaredLabel>,
    /// Labels that have the same value on every series.
    pub const_labels: Vec<(String, String)>,
    /// Upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
    /// How many series it may have.
    pub max_series: usize,
    /// Where it is declared; for what annotated functions feed, the first of them.
    pub location: &'static Location<'static>,
}

/// One label of a declared family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DeclaredLabel {
    /// The name.
    pub name: String,
    /// The values that are known before their first use; empty where none are.
    pub known_values: Vec<String>,
}

impl Registry {
    /// Every family that is declared here, by name; those of collectors are not, since only a scrape shows them.
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
        self.initialize(UserCode::Now);
        let members = self.read().members.all();
        members.iter().map(Member::core).map(describe).collect()
    }
}

fn describe(core: &FamilyCore) -> DeclaredFamily {
    let declaration = &core.declaration;
    let labels = declaration.label_names.iter().enumerate();
    DeclaredFamily {
        name: declaration.name.clone(),
        kind: declaration.kind(),
        help: declaration.help.clone(),
        unit: declaration.unit.clone(),
        labels: labels
            .map(|(position, name)| DeclaredLabel { name: name.clone(), known_values: core.known_values(position) })
            .collect(),
        const_labels: declaration.const_labels.clone(),
        buckets: declaration.bounds,
        max_series: core.max_series(),
        location: declaration.location,
    }
}
