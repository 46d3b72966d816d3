//! A call that runs: its guard, its future, and how it ended.

pub(crate) mod error_kind;
pub(crate) mod future;
pub(crate) mod guard;
pub(crate) mod lifecycle;
pub(crate) mod returned;
