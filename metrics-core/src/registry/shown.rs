//! Families reported by collectors.

pub(crate) mod from_prometheus;
pub(crate) mod merge;
pub(crate) mod recorded;
pub(crate) mod skipped;

use std::sync::Arc;

use prometheus::proto::MetricFamily;

use crate::error::Error;
use crate::kind::Kind;
use crate::labels;
use crate::sample::{FamilyInfo, Visitor};
use recorded::Recorded;
use skipped::SkipReason;

/// The families that a collector has reported.
pub(crate) struct Collected {
    /// The collector's name, for use in messages.
    pub(crate) by: String,
    /// The families, each with the reason why it cannot be exported, if any.
    pub(crate) families: Vec<(CollectedFamily, Option<Arc<SkipReason>>)>,
}

/// A family that a collector has reported.
pub(crate) enum CollectedFamily {
    /// A family from one of this crate's collectors.
    Own(Recorded),
    /// A family from collectors of the `prometheus` crate, possibly reported in several parts.
    Prometheus(Vec<MetricFamily>),
}

impl CollectedFamily {
    /// Converts families from the `prometheus` crate, dropping repeated series.
    pub(crate) fn all_of(families: Vec<MetricFamily>) -> Vec<Self> {
        families.into_iter().map(|family| Self::Prometheus(from_prometheus::without_repeats(family))).collect()
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Own(family) => &family.name,
            Self::Prometheus(parts) => parts.first().map_or("", MetricFamily::name),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Own(family) => family.kind,
            Self::Prometheus(parts) => parts.first().map_or(Kind::Untyped, from_prometheus::kind_of),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Own(family) => family.is_empty(),
            Self::Prometheus(parts) => parts.iter().all(|part| part.get_metric().is_empty()),
        }
    }

    /// Returns an error if writing the family would invalidate the whole scrape.
    pub(crate) fn check(&self) -> Result<(), SkipReason> {
        if !labels::is_metric_name(self.name()) {
            return Err(SkipReason::Invalid(Error::InvalidName { name: self.name().to_owned() }));
        }
        match self {
            Self::Own(family) => family.check(),
            Self::Prometheus(parts) => parts.iter().try_for_each(from_prometheus::check_labels),
        }
    }

    /// Passes the family to a visitor, without its series.
    pub(crate) fn begin(&self, visitor: &mut dyn Visitor) {
        match self {
            Self::Own(family) => visitor.family(&family.info()),
            Self::Prometheus(parts) => {
                let Some(first) = parts.first() else { return };
                visitor.family(&FamilyInfo::new(first.name(), first.help(), from_prometheus::kind_of(first)));
            }
        }
    }

    /// Passes at most `most` series, starting at position `from`, to `visitor`. Returns true if more series may follow.
    pub(crate) fn show(&self, from: usize, most: usize, visitor: &mut dyn Visitor) -> bool {
        match self {
            Self::Own(family) => family.show(from, most, visitor),
            Self::Prometheus(parts) => from_prometheus::show(parts, from, most, visitor),
        }
    }
}
