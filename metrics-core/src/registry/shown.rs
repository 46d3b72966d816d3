//! What collectors have shown in one scrape.

pub(crate) mod merge;
pub(crate) mod recorded;
