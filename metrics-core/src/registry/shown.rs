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

/// The families that a collector has shown.
pub(crate) struct Collected {
    /// Which collector, as messages name it.
    pub(crate) by: String,
    /// Families, each with the reason for which it cannot be exported, if there is one.
    pub(crate) families: Vec<(CollectedFamily, Option<Arc<SkipReason>>)>,
}

/// One family that a collector showed.
pub(crate) enum CollectedFamily {
    /// By a collector of ours.
    Own(Recorded),
    /// By collectors of the `prometheus` crate, several of which may each have a part of it.
    Prometheus(Vec<MetricFamily>),
}

impl CollectedFamily {
    /// The families of a collector of the `prometheus` crate, each by itself.
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

    /// Returns an error if writing the family would spoil the scrape for all others.
    pub(crate) fn check(&self) -> Result<(), SkipReason> {
        if !labels::is_metric_name(self.name()) {
            return Err(SkipReason::Invalid(Error::InvalidName { name: self.name().to_owned() }));
        }
        match self {
            Self::Own(family) => family.check(),
            Self::Prometheus(parts) => parts.iter().try_for_each(from_prometheus::check_labels),
        }
    }

    /// Shows the family to a visitor, without its series.
    pub(crate) fn begin(&self, visitor: &mut dyn Visitor) {
        match self {
            Self::Own(family) => visitor.family(&family.info()),
            Self::Prometheus(parts) => {
                let Some(first) = parts.first() else { return };
                visitor.family(&FamilyInfo::new(first.name(), first.help(), from_prometheus::kind_of(first)));
            }
        }
    }

    /// Shows so many of the series; false if there are no more behind them.
    pub(crate) fn show(&self, from: usize, most: usize, visitor: &mut dyn Visitor) -> bool {
        match self {
            Self::Own(family) => family.show(from, most, visitor),
            Self::Prometheus(parts) => from_prometheus::show(parts, from, most, visitor),
        }
    }
}
