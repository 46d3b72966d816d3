//! The stages of one measured request in an adapter: the service's future, the response head, and the response body.
//!
//! Frameworks differ in their types and in how a service can fail, but each stage is recorded in the same way. This
//! module implements the recording.
//!
//! A request lasts until the last byte of its response body, so the recording guard moves to the body. If the server
//! will not poll the body (HEAD requests, status 1xx, 204 or 304, or length 0), the request ends with the head. If the
//! length is known, the request ends with the last byte, because servers do not poll the body again after that.

use super::recording::{Recording, RequestOutcome};
use super::requests::RequestMetrics;

/// A measured request whose response head is not available yet.
pub(super) struct MeasuredRequest {
    /// `None` if the path is excluded, an outer layer measures the request, or the request has ended.
    recording: Option<Recording>,
    /// `false` for HEAD requests.
    allows_body: bool,
}

/// Marks a request that a layer measures, so that another layer with the same families does not count it again.
#[derive(Clone)]
pub(super) struct MeasuredBy(RequestMetrics);

/// The parts of a response head that determine how the request ends.
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// `true` if the response is an exposition. Expositions are not measured.
    pub(super) is_exposition: bool,
    /// The length of the body in bytes, if known.
    pub(super) length: Option<u64>,
    /// `true` if there is no body to poll.
    pub(super) is_end: bool,
    /// `true` if the head reports a failure regardless of the HTTP status, as in a trailers-only gRPC response.
    pub(super) is_fault: bool,
}

/// A measured response body.
#[derive(Debug, Default)]
pub(super) struct MeasuredBytes {
    recording: Option<Recording>,
    /// The number of body bytes not yet read, if the length is known.
    left: Option<u64>,
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
        let is_repeated = outer.is_some_and(|MeasuredBy(outer)| metrics.repeats(outer));
        let recording = if is_repeated { None } else { Recording::begin(metrics, path, route, method) };
        Self { recording, allows_body: method != "HEAD" }
    }

    /// Returns the mark to attach to the request, if this layer measures it.
    pub(super) fn mark(&self) -> Option<MeasuredBy> {
        self.recording.as_ref().map(|recording| MeasuredBy(recording.metrics().clone()))
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
            let has_body = self.allows_body && !matches!(head.status, 100..=199 | 204 | 304);
            if head.is_fault {
                recording.end(RequestOutcome::Failed);
            } else if !has_body || head.is_end || head.length == Some(0) {
                // The server will not poll the body.
                recording.end(RequestOutcome::Done);
            }
        }
        MeasuredBytes { recording, left: head.length }
    }
}

impl MeasuredBytes {
    /// Runs `f`, which polls the body.
    pub(super) fn during<R>(&mut self, f: impl FnOnce() -> R) -> R {
        during(&mut self.recording, f)
    }

    /// Records that `len` bytes of the body were read. If the length is known, the last byte ends the request.
    pub(super) fn read(&mut self, len: u64) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(len);
            if *left == 0 {
                self.end(RequestOutcome::Done);
            }
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
