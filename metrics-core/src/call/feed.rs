//! The families and metrics that annotated functions record into, and the series of one call.

mod default_family;
pub(crate) mod families;
pub(crate) mod known_values;
pub(crate) mod reentrant_once;
pub(crate) mod series;
pub(crate) mod target;
