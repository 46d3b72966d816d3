//! The families of one annotated function, looked up or registered once and resolved together for each label set.
//!
//! If a label set would exceed the cap of one family, all of the function's families count it in their overflow series,
//! so that they all count the same calls. Exception and cancellation families whose names sort after the latency
//! family's are marked for early reading, so that a scrape never reports more exceptions or cancellations than calls.

use std::sync::atomic::{AtomicU8, AtomicU64};
use std::sync::{Arc, OnceLock, Weak};

use super::known_values::KnownValues;
use super::reentrant_once::ReentrantOnce;
use super::series::{Handles, Series, Values};
use super::target::{OwnedTarget, TargetRef};
use crate::cache::{self, CacheId, Dense, Dependent, FixedSeries};
use crate::call::declaration::Declaration;
use crate::call::declaration::label_source::{LabelSource, MAX_LABELS, Role};
use crate::cell::{Buckets, Handle};
use crate::family::FamilyCore;
use crate::internal::InternalError;
use crate::label_value::Label;
use crate::labels::{CANCELLED, PANIC};
use crate::logging::guarded;

/// The maximum number of combinations of closed-set values in the dense cache. A function with more uses only the
/// per-thread cache.
const MAX_DENSE: usize = 1024;

/// The families of an annotated function, and the labels of its calls.
pub(crate) struct Families {
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
    /// The series for each label set, if all labels of the first call have closed sets with at most `MAX_DENSE`
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
    pub(crate) fn of(declaration: &Declaration) -> Result<Arc<Self>, Arc<Self>> {
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
            beginnings: begins_with_labels(&sources, declaration).then(CacheId::permanent),
            per_call: Role::ALL.iter().any(|role| declaration.is_per_call(*role)).then(CacheId::permanent),
            known: ReentrantOnce::new(),
            known_epoch: AtomicU64::new(0),
            dense: OnceLock::new(),
            series: FixedSeries::new(),
            noted: AtomicU8::new(0),
            names,
            sources,
        };
        let mut has_panicked = false;
        for role in Role::ALL {
            if declaration.feeds(role) {
                let bound = families.bind(declaration, role).unwrap_or_else(|provisional| {
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
        let calls = target(Role::Latency).and_then(TargetRef::name);
        for share in [Role::Exceptions, Role::Cancelled].into_iter().filter_map(target) {
            if calls.is_some_and(|calls| share.name().is_none_or(|name| name > calls)) {
                share.mark_read_early();
            }
        }
    }

    /// Resolves the target for this role. If its expression panics, the error is a target that is not exported.
    fn bind(&self, declaration: &Declaration, role: Role) -> Result<BoundTarget, BoundTarget> {
        let detached = || {
            let order = (0..self.names.len()).filter(|at| self.sources[*at].belongs_to(role)).collect();
            BoundTarget { target: self.detached(declaration, role), order }
        };
        let target = match declaration.given(role) {
            None => OwnedTarget::Family(self.default_family(declaration, role)),
            Some(expression) => match guarded(expression) {
                Some(target) => target.0,
                None => {
                    InternalError::InstrumentConflict.record(&declaration.location);
                    return Err(detached());
                }
            },
        };
        Ok(match self.order_for(role, target.label_names()) {
            Some(order) => BoundTarget { target, order },
            None => {
                let labels = target.label_names().to_vec();
                let why = format!("its labels are {labels:?}, but the function's are {:?}", self.labels_of(role));
                declaration.note_unusable(role, &why);
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

    /// The buckets of the latency; `None` for a plain summary.
    #[inline]
    pub(crate) fn buckets(&self) -> Option<&'static Buckets> {
        self.buckets
    }

    /// Returns the series for these roles and values, or `None` if a family is at its cap or a value is too long. Label
    /// sets with only fixed values are exempt from the cap.
    pub(crate) fn within_cap(&self, all: &Values<'_>, roles: &[Role]) -> Option<Handles> {
        let mut handles = [Handle::NONE; Role::COUNT];
        for role in roles {
            handles[*role as usize] = match &self.targets[*role as usize] {
                None => continue,
                Some(BoundTarget { target: OwnedTarget::Unlabeled { handle, .. }, .. }) => *handle,
                Some(BoundTarget { target: OwnedTarget::Family(core), order }) => {
                    let mut values = [""; MAX_LABELS];
                    for (value, at) in values.iter_mut().zip(order) {
                        *value = self.value_for(*role, *at, all);
                    }
                    let values = &values[..order.len()];
                    let is_fixed = order.iter().all(|at| self.fixed[*at].is_some());
                    if is_fixed { core.exempt_from_cap(values)? } else { core.within_cap(values)? }
                }
            };
        }
        Some(handles)
    }

    /// Like [`Families::within_cap`], but if a series has been removed since `epoch`, looks up all families again.
    /// Otherwise, a call could count an exception in a new series and its latency in one that has ended. Also returns
    /// the epoch of the lookup.
    pub(crate) fn within_cap_at_once(&self, epoch: u64, all: &Values<'_>, roles: &[Role]) -> Option<(u64, Handles)> {
        let handles = self.within_cap(all, roles)?;
        let now = self.epoch();
        if now == epoch { Some((epoch, handles)) } else { Some((now, self.within_cap(all, roles)?)) }
    }

    #[cold]
    #[inline(never)]
    fn resolve_fixed(&self) -> Handles {
        self.find_fixed().unwrap_or_else(|| self.overflow(&Role::ALL))
    }

    /// Creates the series that all calls share.
    pub(crate) fn create_fixed(&self) {
        if self.known_fixed().is_none() {
            self.find_fixed();
        }
    }

    fn find_fixed(&self) -> Option<Handles> {
        let (epoch, handles) = self.within_cap_at_once(self.epoch(), &self.all_values(&[]), &Role::ALL)?;
        self.series.set(epoch, handles);
        Some(handles)
    }

    /// Returns the series that all calls share, looking them up if necessary.
    pub(crate) fn fixed(&self) -> Series {
        let handles = self.known_fixed().unwrap_or_else(|| self.resolve_fixed());
        Series { handles, buckets: self.buckets }
    }

    /// Returns the handles that all calls share, without looking them up; `None` if one of them must be looked up.
    #[inline]
    pub(crate) fn known_fixed(&self) -> Option<Handles> {
        // The latency last: if another handle is newer than a removal, so is the latency.
        let mut handles = [Handle::NONE; Role::COUNT];
        for (at, handle) in handles.iter_mut().enumerate().rev() {
            *handle = self.series.handle(at);
        }
        let is_known = |(handle, target): (&Handle, &Option<BoundTarget>)| target.is_none() || !handle.is_none();
        handles.iter().zip(&self.targets).all(is_known).then_some(handles)
    }

    /// Copies the series of a label set to the dense cache, if this thread has cached them in this epoch.
    pub(crate) fn cache_dense(&self, epoch: u64, labels: &[Label<'_>], values: &[&str]) {
        let dense = self.dense.get_or_init(|| {
            let sets = labels.iter().map(|label| Some(label.closed()?.0)).collect::<Option<_>>()?;
            Dense::new(sets, MAX_DENSE)
        });
        if let Some(fixed) = dense.as_ref().and_then(|dense| dense.find(labels))
            && let Some(handles) = cache::get(&self.cache, epoch, values)
        {
            fixed.set(epoch, handles);
        }
    }

    /// Returns the value that this role's family uses for the label at this position.
    fn value_for<'v>(&self, role: Role, at: usize, all: &Values<'v>) -> &'v str {
        match (role, self.sources[at]) {
            (Role::Cancelled, LabelSource::Result(_)) => CANCELLED,
            _ => all[at],
        }
    }

    /// Returns the overflow series of every family for these roles, so that the families all count the same calls.
    pub(crate) fn overflow(&self, roles: &[Role]) -> Handles {
        let mut handles = [Handle::NONE; Role::COUNT];
        for role in roles {
            handles[*role as usize] = match &self.targets[*role as usize] {
                None => Handle::NONE,
                Some(BoundTarget { target: OwnedTarget::Unlabeled { handle, .. }, .. }) => *handle,
                Some(BoundTarget { target: OwnedTarget::Family(core), .. }) => core.overflow(),
            };
        }
        handles
    }

    /// Adds the labels' known values to the families.
    pub(crate) fn know_values(&self, known: &KnownValues) {
        let values = |at: usize| match &self.fixed[at] {
            Some(value) => std::slice::from_ref(value),
            None => known.values(at).unwrap_or_default(),
        };
        for bound in self.targets.iter().flatten() {
            if let OwnedTarget::Family(core) = &bound.target {
                for (position, at) in bound.order.iter().enumerate() {
                    core.know_values(position, values(*at).iter().cloned());
                }
            }
        }
    }

    /// Creates the series at 0 for all combinations of `begun_with` (values from a call's arguments) and known values.
    ///
    /// Skips families that have another label without known values. Returns false if a family reaches its cap.
    pub(crate) fn create_known(&self, known: &KnownValues, begun_with: &[&str]) -> bool {
        let begun = self.all_values(begun_with);
        let lists: Vec<Option<Vec<&str>>> = (0..self.names.len())
            .map(|at| match self.given.iter().position(|given| *given == at) {
                Some(given) if given >= begun_with.len() => {
                    known.values(at).map(|values| values.iter().map(String::as_str).collect())
                }
                _ => Some(vec![begun[at]]),
            })
            .collect();
        Role::ALL.into_iter().all(|role| self.create_all(role, &lists))
    }

    fn create_all(&self, role: Role, lists: &[Option<Vec<&str>>]) -> bool {
        let Some(BoundTarget { order, .. }) = &self.targets[role as usize] else { return true };
        let ours = |at: usize| if order.contains(&at) { lists[at].as_deref() } else { Some([""].as_slice()) };
        let Some(lists) = (0..lists.len()).map(ours).collect::<Option<Vec<_>>>() else { return true };
        let combinations = lists.iter().fold(1_usize, |product, list| product.saturating_mul(list.len()));
        let mut all = [""; MAX_LABELS];
        (0..combinations).all(|combination| {
            let mut rest = combination;
            for (value, list) in all.iter_mut().zip(&lists).rev() {
                *value = list[rest % list.len()];
                rest /= list.len();
            }
            !self.can_be(role, &all) || self.within_cap(&all, &[role]).is_some()
        })
    }

    /// Returns true if a call can end with these values. After a panic, all late labels are `panic`. After a
    /// cancellation, which is not an exception, they are all `cancelled`.
    fn can_be(&self, role: Role, all: &Values<'_>) -> bool {
        let values_of = |role: Role| {
            let late =
                self.sources.iter().zip(all).filter(move |(source, _)| source.is_late() && source.belongs_to(role));
            late.map(|(_, value)| *value)
        };
        // In a family for canceled calls, all labels from the result have the value `cancelled`.
        let agree = |what: &str| {
            role == Role::Cancelled || {
                let are = values_of(role).filter(|value| *value == what).count();
                are == 0 || are == values_of(role).count()
            }
        };
        agree(PANIC)
            && agree(CANCELLED)
            && (role != Role::Exceptions || values_of(role).all(|value| value != CANCELLED))
    }

    #[cfg(test)]
    pub(crate) fn cores(&self) -> &[Arc<FamilyCore>] {
        &self.cores
    }

    /// Returns true if the function has a target that is not evaluated per call.
    pub(crate) fn feeds_anything(&self) -> bool {
        self.targets.iter().any(Option::is_some)
    }

    /// Returns the series for these values in a per-call target, and true unless it is the overflow series. Returns
    /// `None` if the target's labels do not match.
    pub(crate) fn resolve_in(&self, role: Role, target: TargetRef<'_>, all: &Values<'_>) -> Option<(Handle, bool)> {
        let core = match target {
            TargetRef::Unlabeled { handle, .. } => return Some((handle, true)),
            TargetRef::Family(core) => core,
        };
        let mut values = [""; MAX_LABELS];
        let labels = &core.declaration.label_names;
        let needed = self.sources.iter().filter(|source| source.belongs_to(role)).count();
        if labels.len() < needed && !(labels.is_empty() && self.names == [FUNCTION]) {
            return None;
        }
        for (value, label) in values.iter_mut().zip(labels) {
            let at = self.names.iter().position(|name| name == label)?;
            if !self.sources[at].may_be_of(role) {
                return None;
            }
            *value = self.value_for(role, at, all);
        }
        Some(match core.resolve_within_cap(&values[..labels.len()]) {
            Some(handle) => (handle, true),
            None => (core.overflow(), false),
        })
    }

    /// Returns the values of all labels: the fixed values, and the call's values known so far.
    pub(crate) fn all_values<'v>(&'v self, given: &[&'v str]) -> Values<'v> {
        let mut all = [""; MAX_LABELS];
        for (value, fixed) in all.iter_mut().zip(&self.fixed) {
            *value = fixed.as_deref().unwrap_or_default();
        }
        for (value, at) in given.iter().zip(&self.given) {
            all[*at] = value;
        }
        all
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

    /// Returns true if no family uses more than half of its cap.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.cores.iter().all(|core| core.is_half_empty())
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
