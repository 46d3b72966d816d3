//! Detects a layer that is applied to an axum router before the routes are added and therefore never sees requests to
//! those routes.
//!
//! `Router::layer` passes each of the router's existing services to the layer: those of its routes, and a fixed number
//! of services for the fallback. A layer on a router without routes therefore receives a known number of services. A
//! router that only has a fallback, such as a file server, passes the same number. To avoid false reports, a layer is
//! reported only if it has also seen ten responses with status 404, no other status, and no matched route.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The number of responses with status 404 after which a layer is reported if it has seen no other status.
const MISSES: usize = 10;

/// The number of services that a layer was applied to, and the number of 404 responses that it has seen.
#[derive(Default)]
pub(super) struct LayerPlacement {
    services: AtomicUsize,
    misses: AtomicUsize,
    /// `true` once the layer is known to be placed correctly or has been reported.
    is_settled: AtomicBool,
}

#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only axum layers can precede routes"))]
impl LayerPlacement {
    /// Counts a service to which a router applies the layer.
    pub(super) fn add_service(&self) {
        self.services.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a request has matched a route or has received a status other than 404.
    pub(super) fn settle(&self) {
        if !self.is_settled.load(Ordering::Relaxed) {
            self.is_settled.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request with status 404 that matched no route. Returns true, once, if the layer precedes the routes.
    ///
    /// `of_fallback` returns the number of services of a router without routes.
    pub(super) fn miss(&self, of_fallback: impl FnOnce() -> usize) -> bool {
        !self.is_settled.load(Ordering::Relaxed)
            && self.misses.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES
            && self.services.load(Ordering::Relaxed) == of_fallback()
            && !self.is_settled.swap(true, Ordering::Relaxed)
    }
}
