//! Guides to topics that span more than one item. These modules contain documentation only.

#[doc = include_str!("guide/declaring.md")]
pub mod declaring {}

#[doc = include_str!("guide/shapes.md")]
pub mod shapes {}

#[doc = include_str!("guide/expansion.md")]
pub mod expansion {}

#[doc = include_str!("guide/exposing.md")]
pub mod exposing {}

#[doc = include_str!("guide/axum.md")]
pub mod axum {}

#[doc = include_str!("guide/actix.md")]
pub mod actix {}

#[doc = include_str!("guide/tower.md")]
pub mod tower {}

#[doc = include_str!("guide/promql.md")]
pub mod promql {}

#[doc = include_str!("guide/graphite.md")]
pub mod graphite {}
