//! The problems of a registry: failed declarations and conflicts, skipped families of collectors, and style.

use super::Registry;
use super::collect::context::DEFAULT_COLLECT_TIMEOUT;
use super::declared::{self, UserCode};
use super::problem::{Problem, ProblemKind};
use super::scrape::gathering::Gathering;
use crate::lint::StyleRule;

impl Registry {
    /// Returns the problems of everything that is declared, each with its place in the code if that is known: conflicts and
    /// failed declarations first, then names that break rules of style, as `promtool check metrics` has them.
    ///
    /// Declarations that lost a conflict still count, but are not exported. This initializes annotated functions and derived
    /// structs as [`init`](crate::init) does, so a list or a family whose expression panics is reported, too.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        declared::initialize(self.inner.is_global, UserCode::Now);
        let found = Gathering::begin(self, DEFAULT_COLLECT_TIMEOUT, true).wait();
        let merged = self.merge(found.collected);
        let mut problems = self.read().problems.all().to_vec();
        problems.extend(declared::problems(self.inner.is_global));
        problems.extend(merged.skipped.iter().map(|skipped| Problem {
            kind: ProblemKind::CollectedFamily,
            family: skipped.name.clone(),
            message: skipped.to_string(),
            location: None,
        }));
        let members = self.read().members.with_variants();
        for (member, variants) in &members {
            let main = &member.core().declaration;
            problems.extend(variants.iter().map(|variant| Problem {
                kind: ProblemKind::Style(StyleRule::MixedLabels),
                family: main.name.clone(),
                message: format!(
                    "{}: {}: {:?} here, {:?} at {}:{}",
                    main.name,
                    StyleRule::MixedLabels,
                    variant.declaration.label_names,
                    main.label_names,
                    main.location.file(),
                    main.location.line(),
                ),
                location: Some(variant.declaration.location),
            }));
        }
        for declaration in members.iter().map(|(member, _)| &member.core().declaration) {
            problems.extend(declaration.broken_rules().map(|rule| Problem {
                kind: ProblemKind::Style(rule),
                family: declaration.name.clone(),
                message: format!("{}: {rule}", declaration.name),
                location: Some(declaration.location),
            }));
        }
        problems
    }
}
