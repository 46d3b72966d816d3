//! What an annotated function declares: where its labels come from, and its path.

pub(crate) mod function_name;
pub(crate) mod label_source;
