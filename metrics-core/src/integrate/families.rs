//! The families that a layer records requests into, independent of the framework.
//!
//! Only `<prefix>_responses_total` has the `status` label. The other series of a route are created at 0 on its first
//! request, or from the start if the route is known. `rate()` over these series therefore does not miss the first
//! request with a new status. Exceptions and requests have the same label sets, so an error ratio can be calculated for
//! each label set.
//!
//! The series of a route, except those with a status, are looked up together. If one family has no room for a route,
//! all of these families count the route's requests as overflow. Each label set therefore has at most as many
//! exceptions as requests.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::{Builder, Counter, Error, Family, Gauge, Registry, Summary};

/// The status of the response series that is exported for a known route before its first request.
const OK: &str = "200";
/// The cap on `<prefix>_responses_total`, as a multiple of the other families' cap. It allows for about this many
/// statuses per route.
const STATUSES: usize = 10;
/// The default cap of the other families.
const ROUTES: usize = 2_000;

/// The families of a layer.
pub(super) struct RequestFamilies {
    /// May be a histogram, if the layer or an annotated function asks for one.
    latency: Family<Summary, 2>,
    exceptions: Family<Counter, 2>,
    cancelled: Family<Counter, 2>,
    in_flight: Family<Gauge, 2>,
    responses: Family<Counter, 3>,
}

/// The series of one route and method.
#[derive(Debug)]
pub(super) struct Route {
    latency: Summary,
    exceptions: Counter,
    cancelled: Counter,
    pub(super) in_flight: Gauge,
    /// `true` if these are the overflow series.
    is_overflow: bool,
    /// The labels of the trace that was current when the service responded, if an exemplar was due then.
    trace: Vec<(String, String)>,
}

impl Route {
    /// Keeps the labels of the current trace if an exemplar is due. When the body ends, the trace may no longer be
    /// current.
    pub(super) fn keep_trace(&mut self, begin: Instant, is_exception: impl FnOnce() -> bool) {
        self.trace = self.latency.trace_if_due(|| begin.elapsed().as_secs_f64());
        if self.trace.is_empty() {
            self.trace = self.exceptions.trace_if_due(is_exception);
        }
    }
}

/// The end of a request, which determines the counter to increment in addition to recording the latency and status.
#[derive(Clone, Copy)]
pub(super) enum RequestEnd {
    Ok,
    Exception,
    Cancelled,
}

/// The options of the families.
pub(super) struct FamilyOptions<'a> {
    pub(super) prefix: &'a str,
    /// The classic buckets, which make the latency a histogram.
    pub(super) buckets: Option<Vec<f64>>,
    /// `true` if the latency is a histogram with native buckets.
    pub(super) histogram: bool,
    pub(super) quantiles: Option<Vec<f64>>,
    pub(super) max_series: Option<usize>,
    pub(super) location: &'static Location<'static>,
}

impl RequestFamilies {
    pub(super) fn register<R: Register>(options: FamilyOptions<'_>, register: &mut R) -> Result<Self, R::Error> {
        const ROUTE: [&str; 2] = ["path", "method"];
        const RESPONSE: [&str; 3] = ["path", "method", "status"];
        let FamilyOptions { prefix, buckets, histogram, quantiles, max_series, location } = options;
        let most = max_series.unwrap_or(ROUTES);
        let mut registered = Registered { register, location };
        let name = |rest: &str| format!("{prefix}_{rest}");
        let (latency, help) = (name("request_latency_seconds"), "Latency of requests, in seconds.");
        let latency = Summary::builder(latency, help).labels(ROUTE).latency_options(buckets, histogram, quantiles);
        let counter = |rest, help| Counter::builder(name(rest), help).labels(ROUTE);
        let exceptions = counter("request_exceptions_total", "Requests that ended with an error or a panic.");
        let cancelled = counter("request_cancelled_total", "Requests that were dropped before they ended.");
        let in_flight = Gauge::builder(name("requests_in_flight"), "Requests in flight.").labels(ROUTE);
        let responses = Counter::builder(name("responses_total"), "Requests by the status of their response.");
        Ok(Self {
            exceptions: registered.family(exceptions, most)?,
            cancelled: registered.family(cancelled, most)?,
            in_flight: registered.family(in_flight, most)?,
            responses: registered.family(responses.labels(RESPONSE), most.saturating_mul(STATUSES))?,
            // Last, because it is never withdrawn.
            latency: registered.latency(latency, most)?,
        })
    }

    /// Returns the series of a route, creating missing series at 0.
    ///
    /// Returns the overflow series of all families if any family has no room.
    pub(super) fn route(&self, path: &str, method: &str) -> Route {
        let Self { latency, exceptions, cancelled, in_flight, .. } = self;
        let labels = [path, method];
        let within_cap = || {
            let latency = latency.within_cap(labels)?;
            let (exceptions, cancelled) = (exceptions.within_cap(labels)?, cancelled.within_cap(labels)?);
            let in_flight = in_flight.within_cap(labels)?;
            Some(Route { latency, exceptions, cancelled, in_flight, is_overflow: false, trace: Vec::new() })
        };
        within_cap().unwrap_or_else(|| Route {
            latency: latency.overflow(),
            exceptions: exceptions.overflow(),
            cancelled: cancelled.overflow(),
            in_flight: in_flight.overflow(),
            is_overflow: true,
            trace: Vec::new(),
        })
    }

    /// Creates the series of a known route at 0. They do not count toward the cap.
    pub(super) fn create_route(&self, path: &str, method: &str) {
        let labels = [path, method];
        self.latency.create_exempt(labels);
        self.exceptions.create_exempt(labels);
        self.cancelled.create_exempt(labels);
        self.in_flight.create_exempt(labels);
        self.responses.create_exempt([path, method, OK]);
    }

    /// Records a request. A scrape reads exceptions, latency and responses in this order. Recording in the opposite
    /// order ensures that a scrape never contains more exceptions than requests or more requests than responses.
    pub(super) fn record(&self, route: &Route, labels: [&str; 3], latency: Duration, end: RequestEnd) {
        let trace = &route.trace;
        let response = if route.is_overflow { None } else { self.responses.within_cap(labels) };
        response.unwrap_or_else(|| self.responses.overflow()).inc();
        route.latency.observe_in_trace(latency.as_secs_f64(), trace);
        match end {
            RequestEnd::Ok => {}
            RequestEnd::Exception => route.exceptions.inc_in_trace(trace),
            RequestEnd::Cancelled => route.cancelled.inc(),
        }
    }

    /// Returns true if `other` records into at least one of these families. The others may not be exported, because
    /// their names are taken.
    pub(super) fn overlap(&self, other: &Self) -> bool {
        self.latency.is(&other.latency)
            || self.exceptions.is(&other.exceptions)
            || self.cancelled.is(&other.cancelled)
            || self.in_flight.is(&other.in_flight)
            || self.responses.is(&other.responses)
    }

    /// Returns the name of the latency family, which identifies the layer in messages.
    pub(super) fn latency_name(&self) -> &str {
        self.latency.name()
    }
}

/// A way to register families: globally, or in a given registry.
pub(super) trait Register {
    type Error;

    fn registry(&self) -> &Registry;

    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
    ) -> Result<Family<M, N>, Self::Error>;

    /// Registers the latency family, which annotated functions may feed as well.
    fn latency(&mut self, builder: Builder<Summary, Family<Summary, 2>>) -> Result<Family<Summary, 2>, Self::Error>;
}

pub(super) struct Globally;

impl Register for Globally {
    type Error = std::convert::Infallible;

    fn registry(&self) -> &Registry {
        Registry::global()
    }

    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
    ) -> Result<Family<M, N>, Self::Error> {
        Ok(builder.register_variant())
    }

    fn latency(&mut self, builder: Builder<Summary, Family<Summary, 2>>) -> Result<Family<Summary, 2>, Self::Error> {
        Ok(builder.register_latency())
    }
}

pub(super) struct In<'r> {
    registry: &'r Registry,
    /// Unregister the families that were not registered before, except the latency.
    undo: Vec<Undo>,
}

type Undo = Box<dyn FnOnce(&Registry)>;

impl<'r> In<'r> {
    pub(super) fn new(registry: &'r Registry) -> Self {
        Self { registry, undo: Vec::new() }
    }

    /// Unregisters the families that were added, after another one could not be registered.
    pub(super) fn withdraw(self) {
        self.undo.into_iter().for_each(|undo| undo(self.registry));
    }
}

impl Register for In<'_> {
    type Error = Error;

    fn registry(&self) -> &Registry {
        self.registry
    }

    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
    ) -> Result<Family<M, N>, Self::Error> {
        let (family, is_new) = builder.register_variant_in(self.registry)?;
        if is_new {
            let added = family.clone();
            self.undo.push(Box::new(move |registry| registry.withdraw(&added)));
        }
        Ok(family)
    }

    fn latency(&mut self, builder: Builder<Summary, Family<Summary, 2>>) -> Result<Family<Summary, 2>, Self::Error> {
        builder.register_latency_in(self.registry)
    }
}

struct Registered<'r, R> {
    register: &'r mut R,
    location: &'static Location<'static>,
}

impl<R: Register> Registered<'_, R> {
    /// Registers a family with this cap and with the location of the layer's builder.
    fn family<M: crate::Metric, const N: usize>(
        &mut self,
        builder: Builder<M, Family<M, N>>,
        max_series: usize,
    ) -> Result<Family<M, N>, R::Error> {
        let mut builder = builder.max_series(max_series);
        builder.location = self.location;
        self.register.family(builder)
    }

    /// Like [`Registered::family`], for the latency.
    fn latency(
        &mut self,
        builder: Builder<Summary, Family<Summary, 2>>,
        max_series: usize,
    ) -> Result<Family<Summary, 2>, R::Error> {
        let mut builder = builder.max_series(max_series);
        builder.location = self.location;
        self.register.latency(builder)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn families(registry: &Registry) -> RequestFamilies {
        let options = FamilyOptions {
            prefix: "a",
            buckets: None,
            histogram: false,
            quantiles: None,
            max_series: None,
            location: Location::caller(),
        };
        RequestFamilies::register(options, &mut In::new(registry)).expect("an empty registry")
    }

    #[test]
    fn scrapes_read_exceptions_before_requests_before_responses() {
        // A scrape reads families in name order.
        let families = families(&Registry::new());
        let latency = families.latency_name();
        assert!(families.exceptions.name() < latency && families.cancelled.name() < latency);
        assert!(latency < families.responses.name());
    }

    #[test]
    fn no_scrape_shows_more_exceptions_than_requests_or_more_requests_than_responses() {
        let registry = Registry::new();
        let families = families(&registry);
        let is_over = AtomicBool::new(false);
        let value = |text: &str, series: &str| {
            let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
            rest.map_or(0, |value| value.parse::<u64>().expect("a whole number"))
        };
        std::thread::scope(|scope| {
            // Use many threads, so that some of them are preempted in the middle of `record`.
            for _ in 0..8 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let route = families.route("/a", "GET");
                        families.record(&route, ["/a", "GET", "500"], Duration::ZERO, RequestEnd::Exception);
                    }
                });
            }
            // Count the scrapes that contain more requests than the previous one.
            let (mut scrapes, mut seen) = (0, 0);
            while scrapes < 200 {
                let text = registry.to_text();
                let of_route = |family: &str| value(&text, &format!("a_{family}{{path=\"/a\",method=\"GET\"}}"));
                let exceptions = of_route("request_exceptions_total");
                let requests = of_route("request_latency_seconds_count");
                let responses = value(&text, "a_responses_total{path=\"/a\",method=\"GET\",status=\"500\"}");
                if exceptions > requests || requests > responses {
                    is_over.store(true, Ordering::Relaxed);
                    panic!("{exceptions} exceptions, {requests} requests, {responses} responses");
                }
                scrapes += u32::from(requests > seen);
                seen = requests;
                std::thread::yield_now();
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
