//! The stages of one measured request in an adapter: the service's future, the response head, and the response body.
//!
//! Frameworks differ in their types and in how a service can fail, but each stage is recorded in the same way. This
//! module implements the recording.
//!
//! A request lasts until the last byte of its response body, so the recording guard moves to the body. If the server
//! will not poll the body (HEAD requests, status 1xx, 204 or 304, a 2xx response to CONNECT, or length 0), the request
//! ends with the head. If the length is known, the request ends with the last byte, because servers do not poll the
//! body again after that. If trailers may follow that byte and report a failure, the request ends with them, or when
//! the body is dropped.

use std::iter;
use std::sync::Arc;

use super::recording::{Recording, RequestOutcome};
use super::requests::RequestMetrics;

/// A measured request whose response head is not available yet.
pub(super) struct MeasuredRequest {
    /// `None` if the path is excluded, an outer layer measures the request, or the request has ended.
    recording: Option<Recording>,
    method: RequestMethod,
}

/// The request method, as far as it determines whether the server reads the body of a response.
#[derive(Clone, Copy)]
enum RequestMethod {
    Head,
    Connect,
    Other,
}

impl RequestMethod {
    fn of(method: &str) -> Self {
        match method {
            "HEAD" => Self::Head,
            "CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Returns true if the server polls the body of a response with this status.
    fn allows_body(self, status: u16) -> bool {
        match (self, status) {
            (_, 100..=199 | 204 | 304) | (Self::Head, _) | (Self::Connect, 200..=299) => false,
            (Self::Connect | Self::Other, _) => true,
        }
    }
}

/// Marks a request that one or more layers measure, so that another layer with the same families does not count it
/// again.
#[derive(Clone)]
pub(super) struct MeasuredBy {
    metrics: RequestMetrics,
    /// The mark of the layers around this one, which record into other families.
    outer: Option<Arc<MeasuredBy>>,
}

/// The parts of a response head that determine how the request ends.
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// `true` if the response is an exposition. Expositions are not measured.
    pub(super) is_exposition: bool,
    /// The length of the body in bytes, if known.
    pub(super) length: Option<u64>,
    /// `true` if there is no body to poll.
    pub(super) is_end: bool,
    pub(super) verdict: Verdict,
}

/// The part of a response that, besides the end of the body, determines whether the request has failed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// The HTTP status.
    Status,
    /// The trailers, if any, as in a gRPC response.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "actix-web has no trailers"))]
    Trailers,
    /// The head, which reports a failure regardless of the HTTP status, as in a trailers-only gRPC response.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "actix-web does not serve gRPC"))]
    Fault,
}

/// A measured response body.
#[derive(Debug, Default)]
pub(super) struct MeasuredBytes {
    recording: Option<Recording>,
    /// The number of body bytes not yet read, if the length is known.
    left: Option<u64>,
    /// `true` if trailers may report a failure after the last byte.
    awaits_trailers: bool,
}

impl MeasuredRequest {
    /// Begins measuring a request, unless it carries the mark of an outer layer with the same families.
    pub(super) fn begin(
        metrics: &RequestMetrics,
        outer: Option<&MeasuredBy>,
        path: &str,
        route: Option<&str>,
        method: &str,
    ) -> Self {
        let mut marks = iter::successors(outer, |mark| mark.outer.as_deref());
        let is_repeated = marks.any(|mark| metrics.repeats(&mark.metrics));
        let recording = if is_repeated { None } else { Recording::begin(metrics, path, route, method) };
        Self { recording, method: RequestMethod::of(method) }
    }

    /// Returns the mark to attach to the request in place of `outer`, if this layer measures it.
    pub(super) fn mark(&self, outer: Option<&MeasuredBy>) -> Option<MeasuredBy> {
        let metrics = self.recording.as_ref()?.metrics().clone();
        Some(MeasuredBy { metrics, outer: outer.cloned().map(Arc::new) })
    }

    /// Measures the body of a response to CONNECT. actix-web sends it, unlike hyper.
    #[cfg(feature = "actix")]
    pub(super) fn reads_connect_bodies(mut self) -> Self {
        if matches!(self.method, RequestMethod::Connect) {
            self.method = RequestMethod::Other;
        }
        self
    }

    /// Returns the layer that measures the request, if any.
    #[cfg(feature = "axum")]
    pub(super) fn metrics(&self) -> Option<&RequestMetrics> {
        self.recording.as_ref().map(Recording::metrics)
    }

    /// Runs `f`, which creates the service's future.
    pub(super) fn before<R>(&mut self, f: impl FnOnce() -> R) -> R {
        match &mut self.recording {
            Some(recording) => recording.before(f),
            None => f(),
        }
    }

    /// Runs `f`, which polls the service's future.
    pub(super) fn during<R>(&mut self, f: impl FnOnce() -> R) -> R {
        during(&mut self.recording, f)
    }

    /// Moves the request to the route that has responded, if it differs from the expected route.
    #[cfg(feature = "actix")]
    pub(super) fn route_again(&mut self, route: Option<&str>) {
        if let (Some(recording), Some(route)) = (&mut self.recording, route) {
            recording.route_again(route);
        }
    }

    /// Ends the request with a service error and, if known, the status that the server sends for it.
    pub(super) fn fail(&mut self, status: Option<u16>) {
        let Some(mut recording) = self.recording.take() else { return };
        match status {
            Some(status) => {
                recording.respond(status);
                recording.end(RequestOutcome::Done);
            }
            None => recording.end(RequestOutcome::Failed),
        }
    }

    /// Records the response head and returns the guard for the body.
    pub(super) fn respond(&mut self, head: &ResponseHead) -> MeasuredBytes {
        let mut recording = self.recording.take();
        if head.is_exposition {
            recording.take().into_iter().for_each(Recording::discard);
        }
        if let Some(recording) = &mut recording {
            recording.respond(head.status);
            if head.verdict == Verdict::Fault {
                recording.end(RequestOutcome::Failed);
            } else if !self.method.allows_body(head.status) || head.is_end {
                // The server will not poll the body.
                recording.end(RequestOutcome::Done);
            }
        }
        let awaits_trailers = head.verdict == Verdict::Trailers;
        let mut bytes = MeasuredBytes { recording, left: head.length, awaits_trailers };
        bytes.read(0);
        bytes
    }
}

impl MeasuredBytes {
    /// Runs `f`, which polls the body.
    pub(super) fn during<R>(&mut self, f: impl FnOnce() -> R) -> R {
        during(&mut self.recording, f)
    }

    /// Records that `len` bytes of the body were read. If the length is known, the last byte completes the response.
    pub(super) fn read(&mut self, len: u64) {
        let (Some(left), Some(recording)) = (&mut self.left, &mut self.recording) else { return };
        *left = left.saturating_sub(len);
        match (*left, self.awaits_trailers) {
            (0, true) => recording.complete(),
            (0, false) => recording.end(RequestOutcome::Done),
            _ => {}
        }
    }

    /// Ends the request unless it has already ended.
    pub(super) fn end(&mut self, outcome: RequestOutcome) {
        if let Some(recording) = &mut self.recording {
            recording.end(outcome);
        }
    }
}

fn during<R>(recording: &mut Option<Recording>, f: impl FnOnce() -> R) -> R {
    match recording {
        Some(recording) => recording.during(f),
        None => f(),
    }
}
