//! Problems in a registry: failed or conflicting declarations, misplaced layers, skipped collector families, and style
//! violations.

use super::Registry;
use super::collect::context::DEFAULT_COLLECT_TIMEOUT;
use super::declared::{self, UserCode};
use super::problem::{Problem, ProblemKind};
use super::scrape::gathering::Gathering;
use crate::lint::StyleRule;

impl Registry {
    /// Returns the problems that are known without running collectors or initializing anything. Style problems are not
    /// included.
    #[cfg(feature = "exposition")]
    pub(crate) fn known_problems(&self) -> Vec<Problem> {
        let mut problems = self.read().problems.all().to_vec();
        problems.extend(declared::problems(self.inner.is_global));
        problems
    }

    /// Returns all problems in this registry, each with its code location if known.
    ///
    /// Problems with declarations, layers and collector families are listed first, followed by violations of style
    /// rules, most of which come from `promtool check metrics`. A metric whose declaration conflicts with an earlier
    /// one still records values but is not exported.
    ///
    /// This method runs the collectors, as a scrape does. On the global registry, it also initializes annotated
    /// functions and global structs, as [`init`](crate::init) does, and therefore reports label value lists and family
    /// expressions that panic.
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
