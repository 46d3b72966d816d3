#![deny(warnings, missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]
#![no_implicit_prelude]
//! Uses the derives in a crate that denies all warnings and shadows the crates that generated code refers to.

#[allow(dead_code)]
mod core {}
#[allow(dead_code)]
mod std {}

/// The method of a request.
#[derive(::metrics_core::LabelValue)]
pub enum Method {
    /// Reads a resource.
    Get,
    /// Writes a resource.
    Put,
}

/// All metrics.
#[derive(::metrics_core::Metrics)]
#[metrics(prefix = "shop", global, strict, crate = ::metrics_core)]
pub struct Shop {
    /// Requests.
    #[metric(labels(path: &str, method: Method))]
    pub requests_total: ::metrics_core::Family<::metrics_core::Counter, 2>,
    /// Items.
    pub items: ::metrics_core::Gauge,
    /// Metrics of the primary database.
    #[metric(flatten, prefix = "primary")]
    pub primary: Db,
    /// Metrics of the replica.
    #[metric(flatten, prefix = "replica", const_labels(role = "replica"))]
    pub replica: Db,
}

/// Metrics of a database.
#[derive(::metrics_core::Metrics)]
pub struct Db {
    /// Queries.
    #[metric(labels(type: &str, match: bool))]
    pub queries_total: ::metrics_core::Family<::metrics_core::Counter, 2>,
}

fn main() {
    Shop::global().requests_total("/foo", Method::Get).inc();
    Shop::global().requests_total("/foo", Method::Put).inc();
    Shop::global().items.inc();
    Shop::global().replica.queries_total("select", true).inc();
}
