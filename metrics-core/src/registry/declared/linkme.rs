//! The list of declarations, collected by `linkme`.

pub use linkme;

use super::DeclaredRef;

/// All declarations that the linker kept. If the linker drops a declaration, its series are exported only after their
/// first use.
#[linkme::distributed_slice]
pub static DECLARED: [DeclaredRef];

pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    DECLARED.iter().copied()
}

/// Adds a site to the list, so that its series are exported before its function is first called.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {
        #[$crate::__private::linked::linkme::distributed_slice($crate::__private::linked::DECLARED)]
        #[linkme(crate = $crate::__private::linked::linkme)]
        static __METRICS_DECLARED: $crate::__private::DeclaredRef = &$site;
    };
}
