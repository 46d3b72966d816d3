//! What annotated functions feed: targets, the families of a site, and the series of a call.

mod default_family;
pub(crate) mod families;
pub(crate) mod known_values;
pub(crate) mod reentrant_once;
pub(crate) mod series;
pub(crate) mod target;
