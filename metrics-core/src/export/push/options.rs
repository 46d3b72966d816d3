//! The options that all push targets share, and the methods that set them.

use std::time::Duration;

#[cfg(feature = "pushgateway")]
use super::{PushContext, schedule::deadline};
use super::{PushTarget, Pusher, PusherBuilder, TIMEOUT};
use crate::registry::Registry;

/// The registry and the timeout of a push target.
#[derive(Clone, Debug)]
pub(crate) struct PushOptions {
    pub(crate) registry: Option<Registry>,
    pub(crate) timeout: Duration,
}

impl PushOptions {
    /// Returns a builder for a pusher to this target.
    pub(crate) fn pusher(&self, target: impl PushTarget) -> PusherBuilder {
        let pusher = Pusher::builder(target).timeout(self.timeout);
        match &self.registry {
            Some(registry) => pusher.registry(registry),
            None => pusher,
        }
    }

    /// Returns the context of a request that begins now and is not a push.
    #[cfg(feature = "pushgateway")]
    pub(crate) fn context<'a>(&self, registry: &'a Registry, target: &'a str) -> PushContext<'a> {
        PushContext::new(registry, target, deadline(self.timeout))
    }
}

impl Default for PushOptions {
    fn default() -> Self {
        Self { registry: None, timeout: TIMEOUT }
    }
}

/// Implements the methods that all push targets share.
///
/// The type must have the fields `options`, a [`PushOptions`], and `target`, a [`PushTarget`] that can be cloned, has a
/// `name` field, and has a `check` method that returns an error if an option is invalid. If pushes of a target depend
/// on earlier ones, `state` is the field with the state, which clones share.
macro_rules! push_methods {
    ($target:ident, default name: $name:literal $(, state: $state:ident)?) => {
        impl $target {
            /// Sets the registry whose metrics are pushed. The default is the global registry.
            pub fn registry(mut self, registry: &$crate::Registry) -> Self {
                self.options.registry = Some(registry.clone());
                $(self.target.$state = std::sync::Arc::default();)?
                self
            }

            /// Sets the timeout for each push. The default is 10 seconds.
            pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
                self.options.timeout = timeout;
                self
            }

            /// Sets the value of the `target` label in the pusher's metrics.
            #[doc = concat!("The default is `", $name, "`.")]
            ///
            /// If several pushers have the same kind of target, set a different name for each to distinguish them.
            pub fn name(mut self, name: impl Into<String>) -> Self {
                self.target.name = name.into();
                self
            }

            /// Pushes once on the calling thread. A failed push is neither retried nor logged.
            ///
            /// # Errors
            ///
            /// Returns an error if an option is invalid or if the push fails.
            pub fn push(&self) -> Result<(), $crate::PushError> {
                self.options.pusher(self.target.clone()).push()
            }

            /// Starts a pusher that pushes from a background thread, immediately and then once per interval.
            ///
            /// [`Pusher`]($crate::Pusher) documents the schedule and the retries.
            ///
            /// # Errors
            ///
            /// Returns an error if an option is invalid, if the interval or the timeout is 0, or if no thread can be
            /// spawned. An unreachable target is not an error, because it may become reachable later.
            pub fn start(&self, interval: std::time::Duration) -> std::io::Result<$crate::Pusher> {
                self.target.check()?;
                self.options.pusher(self.target.clone()).interval(interval).start()
            }
        }
    };
}
pub(crate) use push_methods;
