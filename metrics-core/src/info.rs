//! The info metric: facts about the program, as labels.

use std::fmt;

use crate::cell::{Buckets, Handle};
use crate::family::Family;
use crate::gauge::Gauge;
use crate::kind::Kind;
use crate::metric::{MetricVTable, OptionalOwner, sealed};
use crate::sample::Value;

/// A metric for non-numeric facts, such as a version. Each fact is a label of a series whose value is 1.
///
/// Names end in `_info`. In OpenMetrics, the family has the type `info`, unless the name without the suffix is taken by
/// another family. In all other formats, it is a gauge. Unlike in other families, the series of closed sets of label
/// values are not created in advance, because the mere existence of a series states that the fact is true.
///
/// # Example: facts known at startup
///
/// ```
/// use metrics_core::{Info, Registry};
///
/// let registry = Registry::new();
/// Info::builder("database_info", "The database that the service uses.")
///     .const_label("version", "17.2")
///     .const_label("region", "eu-1")
///     .register_in(&registry)?;
/// assert!(registry.to_text().contains("\ndatabase_info{region=\"eu-1\",version=\"17.2\"} 1\n"));
/// # Ok::<(), metrics_core::Error>(())
/// ```
///
/// # Example: facts that change
///
/// ```
/// use metrics_core::{Info, Registry};
///
/// let registry = Registry::new();
/// let leader = Info::builder("leader_info", "The leader of the cluster.").labels(["node"]).register_in(&registry)?;
/// leader.set(["a"]);
/// leader.set(["b"]);
/// assert!(registry.to_text().ends_with("\nleader_info{node=\"b\"} 1\n"));
/// # Ok::<(), metrics_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Info {
    _owner: OptionalOwner,
}

impl<const N: usize> Family<Info, N> {
    /// Exports these label values, and removes all others.
    ///
    /// A scrape contains either the old values or the new ones.
    pub fn set(&self, values: [&str; N]) {
        self.core.replace_all(&values);
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Info").finish_non_exhaustive()
    }
}

impl sealed::Metric for Info {
    const VTABLE: &'static MetricVTable =
        &MetricVTable { kind: Kind::Info, read: |_, _, _| {}, value: |_, _| Value::Gauge(1.0), ..*Gauge::VTABLE };

    fn from_cell(_: Handle, _: Option<&'static Buckets>, owner: OptionalOwner) -> Self {
        Self { _owner: owner }
    }
}
