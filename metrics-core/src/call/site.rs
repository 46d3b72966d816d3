//! The static that `#[instrument]` adds to a function: the function that builds its declaration, and its families.
//!
//! The compiler processes every field of this static once per annotated function. To keep compile times low, the labels
//! and options are built by a function at run time, the families are allocated by the first call, and the static itself
//! is the element that the linker collects.

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::declaration::Declaration;
use super::feed::families::Families;
use super::feed::reentrant_once::ReentrantOnce;
use crate::registry::declared::linked::Owner;

/// An annotated function.
// The owner must come first, because it is all that other copies of this crate may read.
#[repr(C)]
pub struct Site {
    owner: Owner,
    /// Builds the declaration. Runs no user code.
    pub(super) declare: fn() -> Declaration,
    /// Never dropped, because a site is a static. `ManuallyDrop` saves the compiler from analyzing drop code for each
    /// function. Allocated, because most functions of a large service are never called.
    pub(super) families: ManuallyDrop<ReentrantOnce<Arc<Families>>>,
}

impl Site {
    /// Creates the site of the function that `declare` describes.
    #[must_use]
    pub const fn new(declare: fn() -> Declaration) -> Self {
        Self { owner: Owner::new(), declare, families: Self::NO_FAMILIES }
    }

    /// A constant, so that the compiler evaluates it once per crate.
    #[expect(clippy::declare_interior_mutable_const, reason = "only copied into new sites")]
    const NO_FAMILIES: ManuallyDrop<ReentrantOnce<Arc<Families>>> = ManuallyDrop::new(ReentrantOnce::new());
}

#[cfg(test)]
impl Site {
    /// Creates a site that belongs to another copy of this crate.
    pub(crate) const fn owned_by(owner: Owner, declare: fn() -> Declaration) -> Self {
        Self { owner, declare, families: ManuallyDrop::new(ReentrantOnce::new()) }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("location", self.location()).finish_non_exhaustive()
    }
}
