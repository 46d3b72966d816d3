//! The groups of families in a catalog, with their declarations.

use std::collections::BTreeSet;

use crate::registry::DeclaredFamily;
use crate::registry::groups::{Group, groups};

/// The families of the annotated functions and layers with one prefix.
pub(super) struct EndpointGroup<'a> {
    pub(super) names: Group<'a>,
    pub(super) latency: &'a DeclaredFamily,
    /// The labels that identify an endpoint.
    pub(super) labels: Vec<&'a str>,
    /// True if the exceptions have the `kind` label.
    pub(super) has_kind: bool,
}

/// Returns the groups in a catalog, sorted by prefix.
pub(super) fn endpoint_groups(catalog: &[DeclaredFamily]) -> Vec<EndpointGroup<'_>> {
    let names: BTreeSet<&str> = catalog.iter().map(|family| family.name.as_str()).collect();
    let family = |name: &str| catalog.iter().find(|family| family.name == name);
    let all = groups(&names).into_iter().filter_map(|names| {
        let latency = family(names.latency)?;
        let has_kind = names.exceptions.and_then(family).is_some_and(|family| has_label(family, "kind"));
        Some(EndpointGroup { names, latency, labels: endpoint_labels(latency), has_kind })
    });
    all.collect()
}

impl EndpointGroup<'_> {
    /// The work that the families count, for texts.
    pub(super) fn noun(&self) -> &'static str {
        if self.names.work == "request" { "requests" } else { "function calls" }
    }
}

/// Returns the name that Prometheus gives to a label. It renames a label that the scrape target has, too.
pub(super) fn scraped_label(name: &str, job_label: &str) -> String {
    let is_taken = ["instance", "job", job_label].contains(&name);
    if is_taken { format!("exported_{name}") } else { name.to_owned() }
}

fn has_label(family: &DeclaredFamily, name: &str) -> bool {
    family.labels.iter().any(|label| label.name == name)
}

/// Returns the labels that identify an endpoint: the path and the method, or the function, or else all labels but those
/// that usually come from the result.
fn endpoint_labels(latency: &DeclaredFamily) -> Vec<&str> {
    let usual: Vec<&str> = ["path", "method", "function"].into_iter().filter(|name| has_label(latency, name)).collect();
    if !usual.is_empty() {
        return usual;
    }
    let labels = latency.labels.iter().map(|label| label.name.as_str());
    labels.filter(|label| !["status", "kind"].contains(label)).collect()
}
