//! Collectors that show what metrics of our own cannot, or that misbehave.

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

/// Registers what a function shows.
pub(crate) fn register(
    registry: &Registry,
    names: &[&str],
    collect: impl Fn(&mut dyn Visitor) -> Result<(), Failure> + Send + Sync + 'static,
) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    registry.register_collector(Collector { names, collect }).expect("valid names");
}

/// Shows one family with these values, each with a label `n` of its position.
pub(crate) fn show(visitor: &mut dyn Visitor, name: &str, kind: Kind, values: &[Value<'_>]) {
    visitor.family(&FamilyInfo::new(name, "Shown.", kind));
    for (n, value) in values.iter().enumerate() {
        visitor.series(Labels::of(&[("n", &n.to_string())]).borrow(), value);
    }
}
