//! Detects a layer that is applied to an axum router before its routes, whose requests it then never sees.
//!
//! `Router::layer` gives a layer each service that the router has at that time: those of its routes, and those of the
//! fallback, of which a router without routes has a fixed number. A router that has only a fallback, such as one that serves
//! files, gives as many. So a layer is reported only if, in addition, it has seen nothing but responses with status 404, ten of
//! them, and no request that matched a route.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The responses with status 404, and none with another one, after which a layer is reported.
const MISSES: usize = 10;

/// The services that a layer was given, and the responses that it has seen.
#[derive(Default)]
pub(super) struct LayerPlacement {
    services: AtomicUsize,
    misses: AtomicUsize,
    /// Set once the layer has seen a request that it cannot see before the routes, or was reported.
    is_settled: AtomicBool,
}

#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only axum's layers have a place among routes"))]
impl LayerPlacement {
    /// Counts a service of a router that the layer is applied to.
    pub(super) fn add_service(&self) {
        self.services.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a request has matched a route, or has got another status than 404.
    pub(super) fn settle(&self) {
        if !self.is_settled.load(Ordering::Relaxed) {
            self.is_settled.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request that matched no route and got status 404. Returns true, once, if the layer is before the routes.
    ///
    /// `of_fallback` returns the number of services of a router without routes.
    pub(super) fn miss(&self, of_fallback: impl FnOnce() -> usize) -> bool {
        !self.is_settled.load(Ordering::Relaxed)
            && self.misses.fetch_add(1, Ordering::Relaxed) + 1 >= MISSES
            && self.services.load(Ordering::Relaxed) == of_fallback()
            && !self.is_settled.swap(true, Ordering::Relaxed)
    }
}
