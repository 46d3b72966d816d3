//! Guides, for what no single item can tell. They hold documentation only.

#[doc = include_str!("guide/declaring.md")]
pub mod declaring {}
