//! An empty list, for platforms on which the linker cannot collect declarations.

use super::DeclaredRef;

pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    std::iter::empty()
}

/// Expands to nothing, because there is no list.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {};
}
