//! Declarations that the linker collects, so that their series are at 0 before their first use.
//!
//! `#[instrument]` and `#[metrics(global)]` add a pointer to their static to a list that the linker assembles. A scrape
//! initializes the entries that are not initialized yet. On Linux, the list is a dedicated linker section; on other
//! platforms, `linkme` collects it, or it is empty if `linkme` does not support the platform.

#[cfg(any(
    target_os = "android",
    target_os = "freebsd",
    target_os = "fuchsia",
    target_os = "illumos",
    target_os = "ios",
    target_os = "macos",
    target_os = "openbsd",
    target_os = "tvos",
    target_os = "windows",
))]
#[path = "declared/linkme.rs"]
pub mod linked;

#[cfg(target_os = "linux")]
#[path = "declared/section.rs"]
pub mod linked;

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
#[path = "declared/nothing.rs"]
pub mod linked;

use linked::declared;

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
    declared().all(Declared::is_claimed)
}

/// Brings all declarations up, before a scrape of the global registry. Runs user code, so no lock may be held.
pub(crate) fn claim_all(of_global: bool) {
    if of_global {
        for declaration in declared() {
            declaration.claim();
        }
    }
}
