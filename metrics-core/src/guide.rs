//! Guides to topics that span more than one item. These modules contain documentation only.
//!
//! Code blocks are complete and have no hidden lines, because the pages are also read outside of rustdoc. Doctests need
//! the default features. A page whose code needs other features is compiled as a doctest only if they are enabled.

#[doc = include_str!("guide/declaring.md")]
pub mod declaring {}

#[doc = include_str!("guide/shapes.md")]
pub mod shapes {}

#[doc = include_str!("guide/expansion.md")]
pub mod expansion {}

#[cfg_attr(any(not(doctest), all(feature = "tls", feature = "auth")), doc = include_str!("guide/exposing.md"))]
pub mod exposing {}

#[cfg_attr(any(not(doctest), feature = "http"), doc = include_str!("guide/seeing.md"))]
pub mod seeing {}

#[cfg_attr(any(not(doctest), feature = "axum"), doc = include_str!("guide/axum.md"))]
pub mod axum {}

#[cfg_attr(any(not(doctest), feature = "actix"), doc = include_str!("guide/actix.md"))]
pub mod actix {}

#[cfg_attr(any(not(doctest), feature = "tower"), doc = include_str!("guide/tower.md"))]
pub mod tower {}

#[cfg_attr(any(not(doctest), feature = "macros"), doc = include_str!("guide/distributions.md"))]
pub mod distributions {}

#[cfg_attr(any(not(doctest), all(feature = "tracing", feature = "macros")), doc = include_str!("guide/exemplars.md"))]
pub mod exemplars {}

#[doc = include_str!("guide/promql.md")]
pub mod promql {}

#[cfg_attr(
    any(
        not(doctest),
        all(feature = "otlp", feature = "pushgateway", feature = "remote-write", feature = "statsd")
    ),
    doc = include_str!("guide/pushing.md")
)]
pub mod pushing {}

#[cfg_attr(any(not(doctest), feature = "push"), doc = include_str!("guide/graphite.md"))]
pub mod graphite {}

#[cfg_attr(any(not(doctest), all(feature = "testing", feature = "macros")), doc = include_str!("guide/testing.md"))]
pub mod testing {}

#[cfg_attr(any(not(doctest), feature = "macros"), doc = include_str!("guide/libraries.md"))]
pub mod libraries {}

#[cfg_attr(any(not(doctest), all(feature = "http", feature = "macros")), doc = include_str!("guide/migrating.md"))]
pub mod migrating {}

#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("guide/faq.md")]
pub mod faq {}
