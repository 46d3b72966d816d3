//! An empty list, for platforms on which the linker cannot collect declarations.

use super::DeclaredRef;

pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    std::iter::empty()
}

/// Expands to nothing, because the list is always empty.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {};
}
