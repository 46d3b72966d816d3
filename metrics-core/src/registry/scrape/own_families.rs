//! The families that the global registry reports about itself: internal errors, overflowed lookups and problems. Their
//! values are computed on each scrape.

use crate::cell::counter;
use crate::counter::number;
use crate::family::overflow;
use crate::internal::InternalError;
use crate::kind::Kind;
use crate::labels;
use crate::sample::{FamilyInfo, Labels, Number, Value, Visitor};

pub(crate) const INTERNAL_ERRORS: &str = "metrics_core_internal_errors_total";
pub(crate) const OVERFLOWED: &str = "metrics_core_overflowed_total";
pub(crate) const PROBLEMS: &str = "metrics_core_problems";

/// The families that the global registry reports about itself.
pub(crate) const OWN_FAMILIES: [(&str, Kind); 3] =
    [(INTERNAL_ERRORS, Kind::Counter), (OVERFLOWED, Kind::Counter), (PROBLEMS, Kind::Gauge)];

// Each of these functions visits its family in a single step, and returns false because no steps are left.

pub(crate) fn overflowed(visitor: &mut dyn Visitor) -> bool {
    let mut counters = overflow::counters().into_iter().peekable();
    if counters.peek().is_none() {
        return false;
    }
    visitor.family(&FamilyInfo {
        name: OVERFLOWED,
        help: "Lookups of label sets that were counted in the overflow series of their family.",
        kind: Kind::Counter,
        unit: None,
    });
    for (family, handle) in counters {
        let total = number(counter::read(handle));
        labeled("family", &family, |labels| visitor.series(labels, &Value::Counter(total)));
    }
    false
}

pub(crate) fn internal_errors(visitor: &mut dyn Visitor) -> bool {
    visitor.family(&FamilyInfo {
        name: INTERNAL_ERRORS,
        help: "Internal errors of the instrumentation, by kind.",
        kind: Kind::Counter,
        unit: None,
    });
    for kind in InternalError::ALL {
        let total = Value::Counter(Number::Whole(kind.count()));
        labeled("kind", kind.as_str(), |labels| visitor.series(labels, &total));
    }
    false
}

pub(crate) fn problems(count: usize, visitor: &mut dyn Visitor) -> bool {
    visitor.family(&FamilyInfo {
        name: PROBLEMS,
        help: "Problems with declarations, collected families and layers; the log and `Registry::check` list them.",
        kind: Kind::Gauge,
        unit: None,
    });
    visitor.series(Labels::default(), &Value::Gauge(count as f64));
    false
}

fn labeled(name: &str, value: &str, visit: impl FnOnce(Labels<'_>)) {
    let mut text = String::new();
    labels::push_pair(&mut text, 0, name, value);
    visit(Labels::new("", &text));
}
