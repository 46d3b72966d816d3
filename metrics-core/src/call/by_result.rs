//! Calls some of whose labels are known only when they end.

use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicBool;

use super::entering::{EnteringWith, PerCall};
use super::families::Handles;
use super::feeds::Fed;
use super::guard::{self, Outcome, Running};
use super::held::Held;
use super::measured::{Begun, Unbegun};
use super::site::Site;
use super::source::{MAX_LABELS, Role, Source};
use crate::clock::Moment;
use crate::label_value::Label;
use crate::labels::{CANCELLED, OTHER, PANIC};

/// As [`Entering`](super::Entering), for such a call.
#[must_use = "the call begins when `start` is called"]
pub struct EnteringByResult<'a>(pub(super) EnteringWith<'a>);

impl EnteringByResult<'_> {
    /// Begins the call with the values of those labels that come from its arguments.
    #[inline]
    pub fn start<const N: usize>(self, labels: [Label<'_>; N]) -> CallByResult<N> {
        self.prepare(labels).begin_back_then()
    }

    /// As [`EnteringByResult::start`], for a call that begins later.
    #[inline]
    pub fn prepare<const N: usize>(self, labels: [Label<'_>; N]) -> PreparedByResult<N> {
        let (site, start, per_call) = self.0.into_parts();
        let values: [&str; N] = std::array::from_fn(|at| labels[at].as_str());
        let mut resolved = (site.resolve_beginning(&values), [].as_slice());
        site.resolve_per_call(&values, &per_call, &[Role::InFlight], &mut resolved);
        PreparedByResult(State {
            site,
            start,
            labels: labels.map(Held::of),
            per_call: per_call.map(|target| Some(target?.to_fed())),
            handles: resolved.0,
        })
    }
}

/// What is known of the call until it ends.
#[derive(Debug)]
struct State<const N: usize> {
    site: &'static Site,
    start: Moment,
    /// Values of the labels that come from the arguments.
    labels: [Held; N],
    per_call: [Option<Fed>; Role::COUNT],
    /// Of these roles only the calls in flight.
    handles: Handles,
}

/// As [`Prepared`](super::guard::Prepared), for such a call.
#[must_use = "the call is recorded by what it measures"]
#[derive(Debug)]
pub struct PreparedByResult<const N: usize>(State<N>);

impl<const N: usize> Unbegun for PreparedByResult<N> {
    type Call = CallByResult<N>;

    #[inline]
    fn begin(self) -> CallByResult<N> {
        Self(State { start: Moment::now(), ..self.0 }).begin_back_then()
    }

    #[inline]
    fn begin_back_then(self) -> CallByResult<N> {
        guard::enter(self.0.handles);
        CallByResult { state: self.0, running: AtomicBool::new(true), ended: false }
    }
}

/// As [`Call`](super::Call), for such a call.
#[must_use = "dropping the guard says that the call has panicked or was cancelled"]
pub struct CallByResult<const N: usize> {
    state: State<N>,
    running: AtomicBool,
    ended: bool,
}

/// What is known of such a call when it has returned.
#[derive(Debug)]
pub struct Ending<const R: usize> {
    exception: bool,
    labels: [Held; R],
    kind: Option<Held>,
}

impl<const R: usize> Ending<R> {
    /// Whether it is an exception, and the labels from the result.
    #[inline]
    pub fn new(exception: bool, labels: [Held; R]) -> Self {
        Self { exception, labels, kind: None }
    }

    /// The kind of the error, if one was returned.
    #[inline]
    #[must_use]
    pub fn kind(self, kind: Option<Held>) -> Self {
        Self { kind, ..self }
    }
}

impl<const N: usize> CallByResult<N> {
    /// Runs the body of a function.
    #[inline]
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        body()
    }

    /// Runs the body of an `async` function.
    #[inline]
    pub fn run_async<F: Future>(&self, body: F) -> Running<'_, F> {
        Running::new(&self.running, body)
    }

    /// Runs the body of an `async` function that never returns.
    pub async fn run_never<F: Future>(&self, body: F) -> ! {
        self.run_async(body).await;
        unreachable!("the type of the function says that its body never ends")
    }

    /// Ends a call that has returned.
    #[inline]
    pub fn finish<const R: usize>(mut self, Ending { exception, labels, kind }: Ending<R>) {
        self.ended = true;
        let results: [&str; R] = std::array::from_fn(|at| labels[at].as_str());
        let kind = match (&kind, exception) {
            (_, false) => "",
            // The rule says so where no error was returned, or it is an error without a name.
            (None, true) => OTHER,
            (Some(kind), true) if kind.as_str().is_empty() => OTHER,
            (Some(kind), true) => kind.as_str(),
        };
        self.record(Outcome::returned(exception), |at| results.get(at).copied().unwrap_or_default(), kind);
    }

    /// Records the call with the label of each result, by its position, and its kind of exception if it was one.
    fn record<'v>(&'v self, outcome: Outcome, result: impl Fn(usize) -> &'v str, kind: &'v str) {
        let State { site, start, labels, per_call, handles: begun } = &self.state;
        let mut values = [""; MAX_LABELS];
        let mut count = 0;
        let late = site.labels.iter().flatten().map(|(_, source)| source);
        let results = late.clone().filter(|source| matches!(source, Source::Result(_))).enumerate();
        let kinds = late.filter(|source| matches!(source, Source::Kind(_))).map(|_| kind);
        let all = labels.iter().map(Held::as_str).chain(results.map(|(at, _)| result(at))).chain(kinds);
        for (slot, value) in values.iter_mut().zip(all) {
            *slot = value;
            count += 1;
        }
        let mut resolved = site.resolve_end(&values[..count]);
        let per_call: PerCall<'_> = per_call.each_ref().map(|fed| Some(fed.as_ref()?.target()));
        site.resolve_per_call(&values[..count], &per_call, site.roles_at_end(&values[..count]), &mut resolved);
        let (mut handles, bounds) = resolved;
        handles[Role::InFlight as usize] = begun[Role::InFlight as usize];
        guard::record(*start, handles, bounds, outcome);
    }
}

impl<const N: usize, const R: usize> Begun<Ending<R>> for CallByResult<N> {
    #[inline]
    fn running(&self) -> &AtomicBool {
        &self.running
    }

    #[inline]
    fn finish(self, ending: Ending<R>) {
        self.finish(ending);
    }
}

impl<const N: usize> Drop for CallByResult<N> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let outcome = Outcome::dropped(*self.running.get_mut());
        let (result, kind) = match outcome {
            Outcome::Cancelled => (CANCELLED, ""),
            Outcome::Ok | Outcome::Exception => (PANIC, PANIC),
        };
        self.record(outcome, |_| result, kind);
    }
}

impl<const N: usize> fmt::Debug for CallByResult<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallByResult").field("start", &self.state.start).finish_non_exhaustive()
    }
}
