//! The list of declarations, collected by `linkme`.

pub use linkme;

use super::DeclaredRef;

/// Identifies nothing, because each copy of this crate has its own list.
pub(crate) struct Owner;

impl Owner {
    pub(crate) const fn new() -> Self {
        Self
    }
}

/// All declarations that the linker kept. If the linker drops a declaration, its series are exported only after their
/// first use.
#[linkme::distributed_slice]
pub static DECLARED: [DeclaredRef];

pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    DECLARED.iter().copied()
}

/// Adds a declaration to the list, so that its series are exported before their first use.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_declared {
    ($declared:ident) => {
        #[$crate::__private::linked::linkme::distributed_slice($crate::__private::linked::DECLARED)]
        #[linkme(crate = $crate::__private::linked::linkme)]
        static __METRICS_DECLARED: $crate::__private::DeclaredRef = &$declared;
    };
}

/// Defines the site of a function and adds it to the list, so that its series are exported before the function is first
/// called.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident, $function:literal, $parts:expr) => {
        static $site: $crate::__private::Site = $crate::__private::Site::new(::core::module_path!(), $function, $parts);
        $crate::__private::declared!($site);
    };
}
