//! The guard for a running call, and the ways a call can end.

pub(crate) mod error_kind;
pub(crate) mod future;
pub(crate) mod guard;
pub(crate) mod lifecycle;
pub(crate) mod returned;
pub(crate) mod untracked;
