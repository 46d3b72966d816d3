//! Annotated functions, which together use all options except `crate`, and their counterparts in the model.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use metrics_core::{Counter, Family, LabelValue, Summary, instrument};

use crate::metrics::Soak;
use crate::model::{Function, Shared, Tally, Value, lock};

/// The message of all planned panics.
pub(crate) const PLANNED: &str = "planned";

#[derive(Clone, Copy, LabelValue)]
pub(crate) enum Failure {
    NotFound,
    Refused,
}

/// A way in which a call can end.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    Value,
    NotFound,
    Refused,
    Panic,
    /// The future is dropped after its first poll.
    Cancelled,
}

/// The endings of a function that is not a future.
pub(crate) const ENDS: [End; 4] = [End::Value, End::NotFound, End::Refused, End::Panic];

impl End {
    fn result(self) -> Result<u64, Failure> {
        match self {
            Self::Value | Self::Cancelled => Ok(1),
            Self::NotFound => Err(Failure::NotFound),
            Self::Refused => Err(Failure::Refused),
            Self::Panic => panic!("{PLANNED}"),
        }
    }

    /// The value of the label `kind` if the call is an exception.
    fn kind(self) -> Option<&'static str> {
        match self {
            Self::Value | Self::Cancelled => None,
            Self::NotFound => Some("not_found"),
            Self::Refused => Some("refused"),
            Self::Panic => Some("panic"),
        }
    }
}

macro_rules! function {
    ($prefix:literal) => {
        Function {
            calls: concat!($prefix, "_latency_seconds_count"),
            exceptions: concat!($prefix, "_exceptions_total"),
            cancelled: concat!($prefix, "_cancelled_total"),
        }
    };
}

pub(crate) const PATHS: [&str; 3] = ["/cart", "/pay", "/a \"quoted\\path\""];

/// A closed label, kinds, calls in flight, and native buckets.
#[instrument(path in PATHS, kind, in_flight, histogram, prefix = "soak_router")]
pub(crate) fn route(path: &str, end: End) -> Result<u64, Failure> {
    end.result()
}

pub(crate) fn count_route(tally: &mut Tally, path: &'static str, end: End) {
    const NAMES: Function = function!("soak_router_request");
    let path = ("path", if PATHS.contains(&path) { path.into() } else { "other".into() });
    tally.count(NAMES.calls, [path]);
    if let Some(kind) = end.kind() {
        tally.count(NAMES.exceptions, [path, ("kind", kind.into())]);
    }
}

/// More label sets than the families may have, and classic buckets.
#[instrument(user, buckets(0.001, 1), max_series = 48, prefix = "soak_users")]
pub(crate) fn user(user: u64, end: End) -> Result<u64, Failure> {
    end.result()
}

pub(crate) fn count_user(tally: &mut Tally, user: u64, end: End) {
    const NAMES: Function = function!("soak_users_request");
    tally.count(NAMES.calls, [("user", user.into())]);
    if end.kind().is_some() {
        tally.count(NAMES.exceptions, [("user", user.into())]);
    }
}

/// A label from the result that has more values than the families may have.
#[instrument(
    size = |out: &Result<u64, Failure>| out.as_ref().copied().unwrap_or_default() + size,
    max_series = 24,
    prefix = "soak_late"
)]
pub(crate) fn late(size: u64, end: End) -> Result<u64, Failure> {
    end.result()
}

pub(crate) fn count_late(tally: &mut Tally, end: End) {
    const NAMES: Function = function!("soak_late_function");
    tally.count(NAMES.calls, []);
    if end.kind().is_some() {
        tally.count(NAMES.exceptions, []);
    }
}

/// A label expression that panics.
#[instrument(path = path.expect("planned"), prefix = "soak_labels")]
pub(crate) fn labeled(path: Option<&'static str>) {}

pub(crate) fn count_labeled(tally: &mut Tally, path: Option<&'static str>) {
    const NAMES: Function = function!("soak_labels_request");
    tally.count(NAMES.calls, [("path", path.unwrap_or("__overflow__").into())]);
    if path.is_none() {
        tally.count(NAMES.exceptions, [("path", "__overflow__".into())]);
    }
}

pub(crate) struct Shop;

/// The label `function`, an excluded method, and options of a method.
#[instrument(prefix = "soak_shop")]
impl Shop {
    pub(crate) fn put(&self, end: End) -> Result<u64, Failure> {
        self.unmeasured(end)
    }

    #[instrument("/find", exception_if = |out: &Option<u64>| out.is_none())]
    pub(crate) fn find(&self, end: End) -> Option<u64> {
        self.unmeasured(end).ok()
    }

    #[instrument(skip)]
    fn unmeasured(&self, end: End) -> Result<u64, Failure> {
        end.result()
    }
}

pub(crate) fn count_put(tally: &mut Tally, end: End) {
    const NAMES: Function = function!("soak_shop_function");
    let label = ("function", "soak::functions::Shop::put".into());
    tally.count(NAMES.calls, [label]);
    if end.kind().is_some() {
        tally.count(NAMES.exceptions, [label]);
    }
}

pub(crate) fn count_find(tally: &mut Tally, end: End) {
    const NAMES: Function = function!("soak_shop_request");
    tally.count(NAMES.calls, [("path", "/find".into())]);
    if end.kind().is_some() {
        tally.count(NAMES.exceptions, [("path", "/find".into())]);
    }
}

/// Families of `self`, which each call evaluates.
pub(crate) struct Branch {
    pub(crate) latency: Family<Summary, 1>,
    pub(crate) failures: Family<Counter, 1>,
}

impl Branch {
    #[instrument(path, latency = self.latency, exceptions = self.failures)]
    pub(crate) fn serve(&self, path: &str, end: End) -> Result<u64, Failure> {
        end.result()
    }
}

/// Named families whose series are removed.
#[instrument(
    tenant,
    latency = Soak::global().tenant_latency_seconds,
    exceptions = Soak::global().tenant_failures_total
)]
pub(crate) fn tenant(tenant: &str, end: End) -> Result<u64, Failure> {
    end.result()
}

/// An asynchronous call: the number of times that it yields, and its ending.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub(crate) yields: u32,
    pub(crate) end: End,
}

/// Records the end of a body in the model. A body that is dropped before it ends was canceled.
struct Witness {
    tally: Arc<Shared>,
    path: &'static str,
    end: End,
    count: fn(&mut Tally, &'static str, End),
}

impl Witness {
    /// Yields, and then ends like the planned call.
    async fn run(mut self, how: How) -> Result<u64, Failure> {
        let mut yields = 0;
        poll_fn(|context| {
            yields += 1;
            if yields > how.yields {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.end = how.end;
        drop(self);
        how.end.result()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        (self.count)(&mut lock(&self.tally), self.path, self.end);
    }
}

pub(crate) struct Response(u64);

pub(crate) const ORDERS: [&str; 4] = ["/new", "/status", "/refund", "/list"];

/// An open list, a label from the result, a condition for exceptions, calls in flight, and quantiles.
#[instrument(
    path in ORDERS[..2].iter().copied(), open,
    status = |out: &Response| out.0 in [200, 404, 500],
    exception_if = |out: &Response| out.0 >= 500,
    in_flight,
    quantiles(0.5, 0.99),
    prefix = "soak_orders"
)]
pub(crate) async fn order(path: &'static str, how: How, tally: Arc<Shared>) -> Response {
    let witness = Witness { tally, path, end: End::Cancelled, count: count_order };
    match witness.run(how).await {
        Ok(_) => Response(200),
        Err(Failure::NotFound) => Response(404),
        Err(Failure::Refused) => Response(503),
    }
}

fn count_order(tally: &mut Tally, path: &'static str, end: End) {
    const NAMES: Function = function!("soak_orders_request");
    let status = match end {
        End::Value => "200",
        End::NotFound => "404",
        End::Refused => "other",
        End::Panic => "panic",
        End::Cancelled => "cancelled",
    };
    let labels = [("path", path.into()), ("status", status.into())];
    tally.count(NAMES.calls, labels);
    match end {
        End::Refused | End::Panic => tally.count(NAMES.exceptions, labels),
        End::Cancelled => tally.count(NAMES.cancelled, [("path", path.into())]),
        End::Value | End::NotFound => {}
    }
}

/// Named families of every kind.
#[instrument(
    path in ["/own"],
    latency = Soak::global().own_latency_seconds,
    exceptions = Soak::global().own_failures_total,
    cancelled = Soak::global().own_cancelled_total,
    in_flight = Soak::global().own_in_flight
)]
pub(crate) async fn own(path: &'static str, how: How, tally: Arc<Shared>) -> Result<u64, Failure> {
    Witness { tally, path, end: End::Cancelled, count: count_own }.run(how).await
}

fn count_own(tally: &mut Tally, path: &'static str, end: End) {
    let label = ("path", if path == "/own" { path.into() } else { "other".into() });
    count_future(
        tally,
        label,
        end,
        ["soak_own_latency_seconds_count", "soak_own_failures_total", "soak_own_cancelled_total"],
    );
}

/// A boxed future.
#[instrument("/boxed", prefix = "soak_boxed")]
pub(crate) fn boxed(how: How, tally: Arc<Shared>) -> Pin<Box<dyn Future<Output = Result<u64, Failure>> + Send>> {
    Box::pin(async move { Witness { tally, path: "/boxed", end: End::Cancelled, count: count_boxed }.run(how).await })
}

fn count_boxed(tally: &mut Tally, path: &'static str, end: End) {
    const NAMES: Function = function!("soak_boxed_request");
    count_future(tally, ("path", path.into()), end, [NAMES.calls, NAMES.exceptions, NAMES.cancelled]);
}

fn count_future(tally: &mut Tally, label: (&'static str, Value), end: End, names: [&'static str; 3]) {
    let [calls, exceptions, cancelled] = names;
    tally.count(calls, [label]);
    if end.kind().is_some() {
        tally.count(exceptions, [label]);
    }
    if end == End::Cancelled {
        tally.count(cancelled, [label]);
    }
}
