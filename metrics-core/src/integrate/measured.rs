//! One measured request on its way through an adapter: the service's future, the head of the response, and its body.
//!
//! Frameworks differ in their types and in how a service fails; what is recorded at each stage is the same, and is
//! here. A request lasts until the last byte of its body, so the guard moves on with the response. A body that the
//! server will not poll (of HEAD, 101, 204, 304, or of length 0) ends with the head. One of known length ends with its
//! last byte, since servers do not poll for the end.

use super::recording::{Recording, RequestOutcome};
use super::requests::RequestMetrics;

/// A request before its response.
pub(super) struct MeasuredRequest {
    /// None if the path is excluded, and once the request has ended.
    recording: Option<Recording>,
    /// False for HEAD.
    allows_body: bool,
}

/// The head of a response, as far as it tells what becomes of the body.
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// The response is an exposition, which is not measured.
    pub(super) is_exposition: bool,
    /// The length of the body in bytes, where it is known.
    pub(super) length: Option<u64>,
    /// The body has ended before it began.
    pub(super) is_end: bool,
    /// The head says that the request failed, whatever its status: a gRPC response that is trailers only.
    pub(super) is_fault: bool,
}

/// The body of a response.
#[derive(Debug, Default)]
pub(super) struct MeasuredBytes {
    recording: Option<Recording>,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
}

impl MeasuredRequest {
    pub(super) fn begin(metrics: &RequestMetrics, path: &str, route: Option<&str>, method: &str) -> Self {
        Self { recording: Recording::begin(metrics, path, route, method), allows_body: method != "HEAD" }
    }

    /// Runs the call that makes the service's future.
    pub(super) fn before<R>(&mut self, f: impl FnOnce() -> R) -> R {
        match &mut self.recording {
            Some(recording) => recording.before(f),
            None => f(),
        }
    }

    /// Runs a poll of the service's future.
    pub(super) fn during<R>(&mut self, f: impl FnOnce() -> R) -> R {
        during(&mut self.recording, f)
    }

    /// Ends the request with an error of the service, and the status that the server makes of it.
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

    /// Goes on with the body of the response.
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
                // The server will not ask for it.
                recording.end(RequestOutcome::Done);
            }
        }
        MeasuredBytes { recording, left: head.length }
    }
}

impl MeasuredBytes {
    /// Runs a poll of the body.
    pub(super) fn during<R>(&mut self, f: impl FnOnce() -> R) -> R {
        during(&mut self.recording, f)
    }

    /// Notes bytes that were read from the body, which ends with the last one if their number is known.
    pub(super) fn read(&mut self, len: u64) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(len);
            if *left == 0 {
                self.end(RequestOutcome::Done);
            }
        }
    }

    /// Ends the request, unless it has ended.
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
