//! Annotated functions and other recordings whose instructions are counted. The bodies do almost nothing.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use metrics_core::{Counter, Family, LabelValue, Registry, RequestMetrics, Summary, instrument};
use tower::util::service_fn;
use tower::{Layer, Service};

/// A recording that is counted, and the name of the function that contains it.
pub(crate) struct Counted {
    /// The end of a row's ID, and the argument of the child process.
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    /// The function whose instructions, including those of all callees, are counted.
    pub(crate) function: &'static str,
    /// Returns a function that records once.
    pub(crate) prepare: fn() -> Box<dyn Fn(bool)>,
}

/// Everything that is counted.
pub(crate) const ALL: [Counted; 13] = [
    Counted {
        id: "literal",
        what: "`#[instrument(\"/foo\")]`",
        function: "literal",
        prepare: || Box::new(|fails| drop(literal(fails))),
    },
    Counted {
        id: "path",
        what: "`#[instrument(path)]`, 10 paths",
        function: "by_path",
        prepare: || {
            let paths: Vec<_> = (0..10).map(|number| format!("/path/{number}")).collect();
            let next = Cell::new(0);
            Box::new(move |fails| {
                next.set((next.get() + 1) % paths.len());
                drop(by_path(&paths[next.get()], fails));
            })
        },
    },
    Counted {
        id: "three_labels",
        what: "three labels",
        function: "by_three",
        prepare: || Box::new(|fails| drop(by_three("/path", "GET", "eu-west", fails))),
    },
    Counted { id: "kind", what: "`kind`", function: "with_kind", prepare: || Box::new(|fails| drop(with_kind(fails))) },
    Counted { id: "async", what: "async", function: "polled", prepare: || Box::new(|fails| drop(polled(fails))) },
    Counted {
        id: "in_flight",
        what: "`in_flight`",
        function: "in_flight",
        prepare: || Box::new(|fails| drop(in_flight(fails))),
    },
    Counted {
        id: "of_self",
        what: "families of `self`",
        function: "handle",
        prepare: || {
            let handler = Handler::new();
            Box::new(move |fails| drop(handle(&handler, fails)))
        },
    },
    Counted {
        id: "quantiles",
        what: "`quantiles(..)`",
        function: "with_quantiles",
        prepare: || Box::new(|fails| drop(with_quantiles(fails))),
    },
    Counted {
        id: "histogram",
        what: "`histogram`: native and classic buckets",
        function: "with_histogram",
        prepare: || Box::new(|fails| drop(with_histogram(fails))),
    },
    Counted {
        id: "counter",
        what: "counter, handle held",
        function: "increment",
        prepare: || {
            let counter = Counter::builder("counted_total", "Counted.").build();
            Box::new(move |_| increment(&counter))
        },
    },
    Counted {
        id: "summary",
        what: "summary, handle held",
        function: "observe",
        prepare: || {
            let summary = Summary::builder("counted_seconds", "Counted.").build();
            Box::new(move |_| observe(&summary))
        },
    },
    Counted {
        id: "layer",
        what: "request through the tower layer",
        function: "request",
        prepare: || {
            let layer = RequestMetrics::builder("counted").known_routes([("GET", "/foo")]);
            let layer = layer.build_in(&Registry::new()).expect("the registry is empty");
            let service = layer.layer(service_fn(respond));
            Box::new(move |_| request(service.clone()))
        },
    },
    Counted {
        id: "no_layer",
        what: "the same request without the layer",
        function: "request",
        prepare: || Box::new(|_| request(service_fn(respond))),
    },
];

/// The error of all functions.
#[derive(Debug, LabelValue)]
pub(crate) enum Failed {
    /// The only kind.
    Always,
}

type Done = Result<u64, Failed>;

fn answer(fails: bool) -> Done {
    if fails { Err(Failed::Always) } else { Ok(1) }
}

#[inline(never)]
#[instrument("/foo", prefix = "counted_literal")]
fn literal(fails: bool) -> Done {
    answer(fails)
}

#[inline(never)]
#[instrument(path, prefix = "counted_path")]
fn by_path(path: &str, fails: bool) -> Done {
    answer(fails)
}

#[inline(never)]
#[instrument(path, method, region, prefix = "counted_three")]
fn by_three(path: &str, method: &str, region: &str, fails: bool) -> Done {
    answer(fails)
}

#[inline(never)]
#[instrument("/foo", kind, prefix = "counted_kind")]
fn with_kind(fails: bool) -> Done {
    answer(fails)
}

#[instrument("/foo", prefix = "counted_async")]
async fn later(fails: bool) -> Done {
    answer(fails)
}

#[inline(never)]
fn polled(fails: bool) -> Poll<Done> {
    pin!(later(fails)).poll(&mut Context::from_waker(Waker::noop()))
}

#[inline(never)]
#[instrument("/foo", in_flight, prefix = "counted_in_flight")]
fn in_flight(fails: bool) -> Done {
    answer(fails)
}

#[inline(never)]
#[instrument("/foo", quantiles(0.5, 0.9, 0.99), prefix = "counted_quantiles")]
fn with_quantiles(fails: bool) -> Done {
    answer(fails)
}

#[inline(never)]
#[instrument("/foo", histogram, prefix = "counted_histogram")]
fn with_histogram(fails: bool) -> Done {
    answer(fails)
}

/// A service that owns its families.
struct Handler {
    latency: Family<Summary, 1>,
    exceptions: Family<Counter, 1>,
}

impl Handler {
    fn new() -> Self {
        Self {
            latency: Summary::builder("handler_latency_seconds", "Latency.").labels(["path"]).build(),
            exceptions: Counter::builder("handler_exceptions_total", "Failures.").labels(["path"]).build(),
        }
    }

    #[instrument("/foo", latency = self.latency, exceptions = self.exceptions, prefix = "counted_self")]
    fn of_self(&self, fails: bool) -> Done {
        answer(fails)
    }
}

#[inline(never)]
fn handle(handler: &Handler, fails: bool) -> Done {
    handler.of_self(fails)
}

#[inline(never)]
fn increment(counter: &Counter) {
    counter.inc();
}

#[inline(never)]
fn observe(summary: &Summary) {
    summary.observe(0.5);
}

async fn respond(_: Request<Body>) -> Result<Response<String>, Infallible> {
    Ok(Response::new(String::new()))
}

/// Sends a request, and reads the whole response.
#[inline(never)]
fn request<B: HttpBody>(mut service: impl Service<Request<Body>, Response = Response<B>, Error = Infallible>) {
    let mut cx = Context::from_waker(Waker::noop());
    let request = Request::builder().uri("/foo").body(Body::empty()).expect("a valid request");
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut cx) else { return };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut cx) {}
}
