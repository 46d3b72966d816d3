//! An empty list, for platforms on which the linker collects nothing.

use super::DeclaredRef;

pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    std::iter::empty()
}

/// Nothing, likewise.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {};
}
