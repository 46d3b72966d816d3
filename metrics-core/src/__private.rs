//! All that generated code may name. Not part of the public interface: anything here may change at any time.

pub use linkme;

pub use crate::__metrics_core_site as site;
pub use crate::call::{
    Call, Entering, Fed, NoResult, Returned, Site, cancelled, exception_if, exceptions, in_flight, label, latency,
    output, values,
};
pub use crate::registry::declared::{DECLARED, Declared, Entry};

/// Tells the linker of a site, so that its series are exported before its function is first called.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {
        #[cfg(not(target_family = "wasm"))]
        #[$crate::__private::linkme::distributed_slice($crate::__private::DECLARED)]
        #[linkme(crate = $crate::__private::linkme)]
        static __METRICS_DECLARED: $crate::__private::Entry = &$site;
    };
}
