//! Collectors that misbehave or export values that our own metrics cannot have.

use std::error::Error;

use metrics_core::{Collect, FamilyInfo, Kind, Labels, Registry, Value, Visitor};

type Failure = Box<dyn Error + Send + Sync>;

struct Collector<F> {
    names: Vec<String>,
    collect: F,
}

impl<F: Fn(&mut dyn Visitor) -> Result<(), Failure> + Send + Sync + 'static> Collect for Collector<F> {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn collect(&self, visitor: &mut dyn Visitor) -> Result<(), Failure> {
        (self.collect)(visitor)
    }
}

/// Registers a function as a collector.
pub(crate) fn register(
    registry: &Registry,
    names: &[&str],
    collect: impl Fn(&mut dyn Visitor) -> Result<(), Failure> + Send + Sync + 'static,
) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    registry.register_collector(Collector { names, collect }).expect("valid names");
}

/// Exports one family with a series for each value. The `n` label is the index of the value.
pub(crate) fn show(visitor: &mut dyn Visitor, name: &str, kind: Kind, values: &[Value<'_>]) {
    visitor.family(&FamilyInfo::new(name, "Shown.", kind));
    for (n, value) in values.iter().enumerate() {
        visitor.series(Labels::of(&[("n", &n.to_string())]).borrow(), value);
    }
}
