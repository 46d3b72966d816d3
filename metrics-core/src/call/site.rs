//! The static that `#[instrument]` adds to a function: the parts of its declaration, and its families.
//!
//! The compiler processes every field of this static once per annotated function. To keep compile times low, the
//! declaration is built at run time, the families are allocated by the first call, and the static itself is the element
//! that the linker collects.

use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{Location, RefUnwindSafe};
use std::sync::Arc;

use super::declaration::{Declaration, Part};
use super::feed::families::Families;
use super::feed::reentrant_once::ReentrantOnce;
use crate::registry::declared::linked::Owner;

/// An annotated function.
// The owner must come first, because it is all that other copies of this crate may read.
#[repr(C)]
pub struct Site {
    owner: Owner,
    module: &'static str,
    function: &'static str,
    pub(super) location: &'static Location<'static>,
    parts: &'static [Part],
    /// Never dropped, because a site is a static. `ManuallyDrop` saves the compiler from analyzing drop code for each
    /// function. Allocated, because most functions of a large service are never called.
    pub(super) families: ManuallyDrop<ReentrantOnce<Arc<Families>>>,
}

impl Site {
    /// Creates the site of `function` in `module`.
    #[must_use]
    #[track_caller]
    pub const fn new(module: &'static str, function: &'static str, parts: &'static [Part]) -> Self {
        let location = Location::caller();
        Self { owner: Owner::new(), module, function, location, parts, families: Self::NO_FAMILIES }
    }

    /// Builds the declaration. Runs no user code.
    pub(super) fn declaration(&self) -> Declaration {
        Declaration::new(self.module, self.function, self.location, self.parts)
    }

    /// A constant, so that the compiler evaluates it once per crate.
    #[expect(clippy::declare_interior_mutable_const, reason = "only copied into new sites")]
    const NO_FAMILIES: ManuallyDrop<ReentrantOnce<Arc<Families>>> = ManuallyDrop::new(ReentrantOnce::new());
}

#[cfg(all(test, target_os = "linux"))]
impl Site {
    /// Creates a site that belongs to another copy of this crate.
    pub(crate) const fn owned_by(
        owner: Owner,
        module: &'static str,
        function: &'static str,
        parts: &'static [Part],
    ) -> Self {
        Self { owner, ..Self::new(module, function, parts) }
    }
}

/// A panic cannot leave a site in a broken state: families are replaced as a whole, and their expressions are
/// evaluated again. Guards refer to sites, so futures of annotated functions stay unwind-safe.
impl RefUnwindSafe for Site {}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("location", self.location).finish_non_exhaustive()
    }
}
