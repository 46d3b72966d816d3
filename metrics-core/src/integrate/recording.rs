//! The guard of one request, which detects how the request ends and records it.
//!
//! If a guard is dropped before the request ends, it records a panic if user code was running, and a canceled request
//! if user code was waiting. It records nothing if the service's future was never polled. The guard of an instrumented
//! call makes the same distinction.

use std::time::Instant;

use super::families::{RequestEnd, Route};
use super::requests::{RequestMetrics, method_label};
use crate::label_text::LabelText;
use crate::{CANCELLED, InFlight, OTHER, PANIC};

/// The status of a request whose service ended with an error instead of a response.
const ERROR: &str = "error";

/// The guard of one request, which exists from the call to the service until the end of the response body.
///
/// If the guard is dropped earlier, the request was canceled or the user code panicked.
#[derive(Debug)]
pub(super) struct Recording {
    metrics: RequestMetrics,
    begin: Instant,
    path: LabelText,
    method: &'static str,
    route: Route,
    in_flight: Option<InFlight>,
    status: Option<u16>,
    stage: RequestStage,
    /// `true` once the whole response has been sent, except trailers that may report a failure.
    is_complete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum RequestStage {
    /// The service's future has not been polled, so there is nothing to record.
    Waiting,
    /// User code is running.
    Running,
    /// User code is waiting for its next poll.
    Paused,
    /// The request was recorded or discarded.
    Over,
}

/// The outcome of a request.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum RequestOutcome {
    /// The service returned a response, and its whole body was sent.
    Done,
    /// The service or the body returned an error.
    Failed,
    Panicked,
    Cancelled,
}

impl Recording {
    /// Begins recording a request. Returns `None` if `path`, the path that the client sent, is excluded.
    pub(super) fn begin(metrics: &RequestMetrics, path: &str, route: Option<&str>, method: &str) -> Option<Self> {
        if metrics.excludes(path) {
            return None;
        }
        let (path, method) = (route.unwrap_or_else(|| metrics.known_path(path)), method_label(method));
        let route = metrics.families().route(path, method);
        Some(Self {
            metrics: metrics.clone(),
            begin: Instant::now(),
            path: LabelText::new(path),
            method,
            in_flight: Some(route.in_flight.track_in_flight()),
            route,
            status: None,
            stage: RequestStage::Waiting,
            is_complete: false,
        })
    }

    pub(super) fn metrics(&self) -> &RequestMetrics {
        &self.metrics
    }

    /// Runs the call that creates the service's future. If the call panics, the request counts as panicked.
    pub(super) fn before<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let result = self.during(f);
        self.stage = RequestStage::Waiting;
        result
    }

    /// Runs user code. If the code panics, the request counts as panicked.
    pub(super) fn during<R>(&mut self, f: impl FnOnce() -> R) -> R {
        if self.stage == RequestStage::Over {
            return f();
        }
        self.stage = RequestStage::Running;
        let result = f();
        self.stage = RequestStage::Paused;
        result
    }

    /// Moves the request to another route, including its in-flight gauge.
    #[cfg(feature = "actix")]
    pub(super) fn route_again(&mut self, path: &str) {
        if path.as_bytes() != self.path.as_bytes() {
            self.route = self.metrics.families().route(path, self.method);
            self.path = LabelText::new(path);
            self.in_flight = Some(self.route.in_flight.track_in_flight());
        }
    }

    /// Records the status of the response.
    pub(super) fn respond(&mut self, status: u16) {
        self.status = Some(status);
        self.route.keep_trace(self.begin, || self.metrics.is_exception(status));
    }

    /// Records that only trailers can follow. If the guard is then dropped, the request was not canceled.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Records the end of the request. Dropping the guard later records nothing.
    pub(super) fn end(&mut self, outcome: RequestOutcome) {
        if std::mem::replace(&mut self.stage, RequestStage::Over) == RequestStage::Over {
            return;
        }
        let latency = self.begin.elapsed();
        self.in_flight = None;
        let mut digits = itoa::Buffer::new();
        let status = match (self.status, outcome) {
            (Some(status), _) => digits.format(status),
            (None, RequestOutcome::Panicked) => PANIC,
            (None, RequestOutcome::Cancelled) => CANCELLED,
            (None, RequestOutcome::Failed) => ERROR,
            (None, RequestOutcome::Done) => OTHER,
        };
        let end = match outcome {
            RequestOutcome::Done if !self.status.is_some_and(|status| self.metrics.is_exception(status)) => {
                RequestEnd::Ok
            }
            RequestOutcome::Done | RequestOutcome::Failed | RequestOutcome::Panicked => RequestEnd::Exception,
            RequestOutcome::Cancelled => RequestEnd::Cancelled,
        };
        let path = str::from_utf8(self.path.as_bytes()).unwrap_or_default();
        self.metrics.families().record(&self.route, [path, self.method, status], latency, end);
    }

    /// Discards the request without recording it.
    pub(super) fn discard(mut self) {
        self.stage = RequestStage::Over;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        match self.stage {
            RequestStage::Running => self.end(RequestOutcome::Panicked),
            RequestStage::Paused if self.is_complete => self.end(RequestOutcome::Done),
            RequestStage::Paused => self.end(RequestOutcome::Cancelled),
            RequestStage::Waiting | RequestStage::Over => {}
        }
    }
}
