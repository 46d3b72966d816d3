//! The families of one annotated function, looked up or registered once and resolved together for each label set.
//!
//! If a label set would exceed the cap of one family, all of the function's families count it in their overflow series,
//! so that they all count the same calls. Exception and cancellation families whose names sort after the latency
//! family's are marked for early reading, so that a scrape never reports more exceptions or cancellations than calls.

mod known_series;
mod lookup;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::known_values::KnownValues;
use super::reentrant_once::ReentrantOnce;
use super::target::{OwnedTarget, TargetRef};
use crate::cache::{CacheId, Dense, Dependent, FixedSeries};
use crate::call::declaration::Declaration;
use crate::call::declaration::label_source::{LabelSource, Role};
use crate::cell::Buckets;
use crate::family::FamilyCore;
use crate::internal::InternalError;
use crate::logging::guarded;

/// The families of an annotated function, and the labels of its calls.
pub(crate) struct Families {
    pub(crate) declaration: Declaration,
    /// The names of the labels, in the order of the attribute, preceded by `function` if the function has that label.
    names: Vec<&'static str>,
    sources: Vec<LabelSource>,
    /// The values of fixed labels; `None` for a label whose value differs between calls.
    fixed: Vec<Option<String>>,
    /// The positions of the labels whose values come from the arguments, then from the result, then from the error.
    given: Vec<usize>,
    /// The targets, indexed by [`Role`]; `None` if the function does not record the role, or if each call evaluates its
    /// target.
    targets: [Option<BoundTarget>; Role::COUNT],
    /// The targets that are families, kept so that their caps can be read.
    cores: Vec<Arc<FamilyCore>>,
    /// The buckets of the latency; `None` for a plain summary.
    buckets: Option<&'static Buckets>,
    pub(crate) cache: CacheId,
    /// The cache for the beginnings of calls; `None` unless [`begins_with_labels`] returns true.
    pub(crate) beginnings: Option<CacheId>,
    /// The cache for calls that evaluate some of their families.
    pub(crate) per_call: Option<CacheId>,
    /// The values listed after `in`, evaluated once.
    pub(crate) known: ReentrantOnce<KnownValues>,
    /// The epoch in which the series of known values were created last, if [`Families::beginnings`] is `None`.
    pub(crate) known_epoch: AtomicU64,
    /// The series for each label set, if all labels of the first call have closed sets with few enough
    /// combinations.
    pub(crate) dense: OnceLock<Option<Dense<{ Role::COUNT }>>>,
    /// The epoch of all families, and the series that all calls share if all labels are fixed.
    pub(crate) series: FixedSeries<{ Role::COUNT }>,
    /// A bit mask of the roles whose mismatched labels have been reported.
    pub(crate) noted: AtomicU8,
}

/// A target, and the position of each of its labels in `names`.
struct BoundTarget {
    target: OwnedTarget,
    order: Vec<usize>,
}

impl Families {
    /// Looks up or registers the families, replacing each unusable family with one that is not exported.
    ///
    /// Returns the families as an `Err` if an expression panicked. The family for that expression's role is then not
    /// exported.
    pub(crate) fn of(declaration: Declaration) -> Result<Arc<Self>, Arc<Self>> {
        let path = declaration.function_path();
        let function = path.as_ref().map(|_| (FUNCTION, LabelSource::Fixed("")));
        let (names, sources): (Vec<_>, Vec<_>) = function.into_iter().chain(declaration.own_labels()).unzip();
        let fixed_value = |source: &LabelSource| match source {
            LabelSource::Fixed(value) => Some(path.clone().unwrap_or_else(|| (*value).to_owned())),
            LabelSource::Call(_) | LabelSource::Result(_) | LabelSource::Kind(_) => None,
        };
        let mut families = Self {
            fixed: sources.iter().map(fixed_value).collect(),
            given: given(&sources),
            targets: [const { None }; Role::COUNT],
            cores: Vec::new(),
            buckets: None,
            cache: CacheId::permanent(),
            beginnings: begins_with_labels(&sources, &declaration).then(CacheId::permanent),
            per_call: Role::ALL.iter().any(|role| declaration.is_per_call(*role)).then(CacheId::permanent),
            known: ReentrantOnce::new(),
            known_epoch: AtomicU64::new(0),
            dense: OnceLock::new(),
            series: FixedSeries::new(),
            noted: AtomicU8::new(0),
            names,
            sources,
            declaration,
        };
        let mut has_panicked = false;
        for role in Role::ALL {
            if families.declaration.feeds(role) {
                let bound = families.bind(role).unwrap_or_else(|provisional| {
                    has_panicked = true;
                    provisional
                });
                match &bound.target {
                    OwnedTarget::Family(core) => families.cores.push(Arc::clone(core)),
                    OwnedTarget::Unlabeled { .. } => {}
                }
                if role == Role::Latency {
                    families.buckets = bound.target.as_ref().buckets();
                }
                families.targets[role as usize] = Some(bound);
            }
        }
        families.mark_read_early();
        let families = Arc::new(families);
        for core in &families.cores {
            let dependent: Weak<dyn Dependent> = Arc::downgrade(&families) as _;
            core.add_dependent(dependent);
        }
        if has_panicked { Err(families) } else { Ok(families) }
    }

    /// Makes scrapes read exception and cancellation counters before the latency, unless name order guarantees this.
    fn mark_read_early(&self) {
        let target = |role: Role| self.targets[role as usize].as_ref().map(|bound| bound.target.as_ref());
        // A single series of a family does not know the name of the family.
        let calls = target(Role::Latency).and_then(TargetRef::name);
        // Calls may record into a family with any name.
        let is_unknown = self.declaration.is_per_call(Role::Latency);
        for share in [Role::Exceptions, Role::Cancelled].into_iter().filter_map(target) {
            if is_unknown || calls.is_none_or(|calls| share.name().is_none_or(|name| name > calls)) {
                share.mark_read_early();
            }
        }
    }

    /// Resolves the target for this role. If its expression panics, the error is a target that is not exported.
    fn bind(&self, role: Role) -> Result<BoundTarget, BoundTarget> {
        let detached = || {
            let order = (0..self.names.len()).filter(|at| self.sources[*at].belongs_to(role)).collect();
            BoundTarget { target: self.detached(role), order }
        };
        let target = match self.declaration.given(role) {
            None => OwnedTarget::Family(self.default_family(role)),
            Some(expression) => match guarded(expression) {
                Some(target) => {
                    if let OwnedTarget::Unlabeled { owner: None, .. } = target.0 {
                        self.declaration.note_single_series(role);
                    }
                    target.0
                }
                None => {
                    InternalError::InstrumentConflict.record(&self.declaration.location);
                    return Err(detached());
                }
            },
        };
        Ok(match self.order_for(role, target.label_names()) {
            Some(order) => BoundTarget { target, order },
            None => {
                let labels = target.label_names().to_vec();
                let why = format!("its labels are {labels:?}, but the function's are {:?}", self.labels_of(role));
                self.declaration.note_unusable(role, &why);
                detached()
            }
        })
    }

    /// The labels of the default family for this role.
    pub(crate) fn labels_of(&self, role: Role) -> Vec<String> {
        let labels = self.names.iter().zip(&self.sources).filter(|(_, source)| source.belongs_to(role));
        labels.map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Returns the position of each of these labels; `None` if they do not match the labels for this role.
    pub(crate) fn order_for(&self, role: Role, labels: &[String]) -> Option<Vec<usize>> {
        // A function with no label other than `function` can record into a metric without labels.
        if labels.is_empty() && self.names == [FUNCTION] {
            return Some(Vec::new());
        }
        let may_be = |label: &String| {
            let at = self.names.iter().position(|name| name == label)?;
            self.sources[at].may_be_of(role).then_some(at)
        };
        let order: Vec<usize> = labels.iter().map(may_be).collect::<Option<_>>()?;
        let mut needed = (0..self.names.len()).filter(|at| self.sources[*at].belongs_to(role));
        needed.all(|at| order.contains(&at)).then_some(order)
    }

    /// A number that changes when a series of any of the families is removed; never 0.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.series.epoch()
    }

    /// Returns true if beginning a call has no effects: nothing depends on its labels, and the series of known values
    /// exist in this epoch.
    #[inline]
    pub(crate) fn begins_without_effects(&self) -> bool {
        self.beginnings.is_none() && self.known_epoch.load(Ordering::Relaxed) == self.epoch()
    }

    /// The buckets of the latency; `None` for a plain summary.
    #[inline]
    pub(crate) fn buckets(&self) -> Option<&'static Buckets> {
        self.buckets
    }

    #[cfg(test)]
    pub(crate) fn cores(&self) -> &[Arc<FamilyCore>] {
        &self.cores
    }

    /// Returns the roles to resolve when a call ends with these values. An empty kind means that the call was not an
    /// exception.
    pub(crate) fn roles_at_end(&self, values: &[&str]) -> &'static [Role] {
        match values.last() {
            Some(&"") if self.declaration.late_labels().kind => &[Role::Latency, Role::Cancelled],
            _ => &[Role::Latency, Role::Exceptions, Role::Cancelled],
        }
    }

    /// Returns true if the function has a target that is not evaluated per call.
    pub(crate) fn feeds_anything(&self) -> bool {
        self.targets.iter().any(Option::is_some)
    }

    /// The number of labels that are not fixed.
    #[inline]
    pub(crate) fn given_len(&self) -> usize {
        self.given.len()
    }

    /// The position in `names` of the label whose value a call passes at `position`.
    pub(crate) fn position_of_given(&self, position: usize) -> Option<usize> {
        self.given.get(position).copied()
    }

    pub(crate) fn sources(&self) -> &[LabelSource] {
        &self.sources
    }

    /// The smallest cap among the families, and the name of the family that has it.
    pub(crate) fn cap(&self) -> Option<(usize, &str)> {
        self.cores.iter().map(|core| (core.max_series(), core.declaration.name.as_str())).min()
    }
}

impl Dependent for Families {
    fn invalidate(&self) {
        self.series.invalidate();
    }
}

/// Returns true if some labels are known only when a call ends, and the beginning of a call has effects that depend on
/// its labels: the call is counted in flight, or series with known values of the late labels are created.
fn begins_with_labels(sources: &[LabelSource], declaration: &Declaration) -> bool {
    let late = || sources.iter().filter(|source| source.is_late());
    let is_known = declaration.is_cancellable() || late().any(|source| !matches!(source, LabelSource::Result(None)));
    let has_arguments = sources.iter().any(|source| matches!(source, LabelSource::Call(_)));
    late().next().is_some() && (declaration.feeds(Role::InFlight) || has_arguments && is_known)
}

/// The positions of the labels that are not fixed, in the order in which their values become known.
fn given(sources: &[LabelSource]) -> Vec<usize> {
    let phases: [fn(&LabelSource) -> bool; 3] = [
        |source| matches!(source, LabelSource::Call(_)),
        |source| matches!(source, LabelSource::Result(_)),
        |source| matches!(source, LabelSource::Kind(_)),
    ];
    let of_phase = |phase: fn(&LabelSource) -> bool| (0..sources.len()).filter(move |at| phase(&sources[*at]));
    phases.into_iter().flat_map(of_phase).collect()
}

/// The label of functions whose other labels, if any, are all known only when a call ends.
pub(crate) const FUNCTION: &str = "function";

impl OwnedTarget {
    fn label_names(&self) -> &[String] {
        self.as_ref().label_names()
    }
}
