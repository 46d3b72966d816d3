//! An empty list, for platforms on which the linker cannot collect declarations.

use super::DeclaredRef;

/// Identifies nothing, because declarations are not collected.
pub(crate) struct Owner;

impl Owner {
    pub(crate) const fn new() -> Self {
        Self
    }
}

pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    std::iter::empty()
}

/// Expands to nothing, because the list is always empty.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_declared {
    ($declared:ident) => {};
}

/// Defines the site of a function.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident, $function:literal, $parts:expr) => {
        static $site: $crate::__private::Site = $crate::__private::Site::new(::core::module_path!(), $function, $parts);
    };
}
