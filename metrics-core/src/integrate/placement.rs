//! Detects a layer that is applied to an axum router before its routes, whose requests it then never sees.
//!
//! `Router::layer` gives a layer each service that the router has at that time: those of its routes, and those of the
//! fallback, of which a router without routes has a fixed number. A layer that was given just that number, and has seen
//! requests that matched no route but none that matched one, was applied to a router without routes. A layer for the
//! routes only (`route_layer`) may be given the same number, but it sees no request that matches none.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a layer has been given and has seen.
#[derive(Default)]
pub(super) struct LayerPlacement {
    services: AtomicUsize,
    has_routes: AtomicBool,
    is_reported: AtomicBool,
}

#[cfg_attr(not(feature = "axum"), allow(dead_code, reason = "only axum's layers have a place among routes"))]
impl LayerPlacement {
    /// Counts a service of a router that the layer is applied to.
    pub(super) fn add_service(&self) {
        self.services.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a request has matched a route.
    pub(super) fn match_route(&self) {
        if !self.has_routes.load(Ordering::Relaxed) {
            self.has_routes.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true, once, if the layer is before the routes. To be called when a request has matched no route;
    /// `of_fallback` is the number of services of a router without routes.
    pub(super) fn is_before_routes(&self, of_fallback: impl FnOnce() -> usize) -> bool {
        !self.has_routes.load(Ordering::Relaxed)
            && self.services.load(Ordering::Relaxed) == of_fallback()
            && !self.is_reported.swap(true, Ordering::Relaxed)
    }
}
