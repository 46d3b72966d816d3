//! What the linker collected: declarations that want their series at 0 before their first use.

pub use linked::DECLARED;

/// A static declaration that can bring its series up by itself.
pub trait Declared: Sync {
    /// Registers its families and creates the series that are known, unless that was done before.
    fn claim(&self);

    /// Whether that was done before.
    fn is_claimed(&self) -> bool;
}

/// A declaration as the linker collects it.
pub type Entry = &'static dyn Declared;

/// Whether there is nothing left to bring up.
pub(crate) fn all_claimed() -> bool {
    DECLARED.iter().all(|declared| declared.is_claimed())
}

/// Brings all declarations up, before a scrape of the global registry. Runs user code, so no lock may be held.
pub(crate) fn claim_all(of_global: bool) {
    if of_global {
        DECLARED.iter().for_each(|declared| declared.claim());
    }
}

#[cfg(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "fuchsia",
    target_os = "illumos",
    target_os = "ios",
    target_os = "linux",
    target_os = "macos",
    target_os = "openbsd",
    target_os = "tvos",
    target_os = "windows",
))]
mod linked {
    use super::Entry;

    /// All declarations that the linker kept. Losing one may only cost its export before first use.
    #[linkme::distributed_slice]
    pub static DECLARED: [Entry];

    /// Tells the linker of a site, so that its series are exported before its function is first called.
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __metrics_core_site {
        ($site:ident) => {
            #[$crate::__private::linkme::distributed_slice($crate::__private::DECLARED)]
            #[linkme(crate = $crate::__private::linkme)]
            static __METRICS_DECLARED: $crate::__private::Entry = &$site;
        };
    }
}

#[cfg(not(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "fuchsia",
    target_os = "illumos",
    target_os = "ios",
    target_os = "linux",
    target_os = "macos",
    target_os = "openbsd",
    target_os = "tvos",
    target_os = "windows",
)))]
mod linked {
    use super::Entry;

    /// Nothing: on this platform the linker collects nothing.
    pub static DECLARED: [Entry; 0] = [];

    /// Nothing, likewise.
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __metrics_core_site {
        ($site:ident) => {};
    }
}
