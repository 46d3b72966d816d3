//! Guides, for what no single item can tell. They hold documentation only.

#[doc = include_str!("guide/declaring.md")]
pub mod declaring {}

#[doc = include_str!("guide/shapes.md")]
pub mod shapes {}

#[doc = include_str!("guide/expansion.md")]
pub mod expansion {}
