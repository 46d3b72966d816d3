//! Fuzz targets. Each module that a file in `targets` names checks one kind of input or output.

// The source files of `metrics-macros`, because a macro crate exports only its macros. Its modules refer to each other
// by paths from the crate root, so they are declared here.
#[path = "../../../metrics-macros/src"]
mod macros {
    pub(crate) mod errors;
    pub(crate) mod instrument;
    pub(crate) mod krate;
    pub(crate) mod label_value;
    pub(crate) mod literal;
    pub(crate) mod metrics;
    pub(crate) mod options;
}
pub mod attribute;
pub mod configuration;
pub mod derives;
pub mod exposition;
mod filled;
pub mod graphite;
pub mod headers;
mod input;
mod model;
pub mod names;
pub mod pushes;
mod reader;
pub mod requests;
pub mod responses;
mod statsd;
mod tokens;

use macros::{errors, instrument, krate, label_value, literal, metrics, options};
