#![deny(warnings, missing_docs, unreachable_pub)]
#![forbid(unsafe_code)]
#![no_implicit_prelude]
//! A caller of the derives that denies everything and shadows the rest.

#[allow(dead_code)]
mod core {}
#[allow(dead_code)]
mod std {}

/// What was asked for.
#[derive(::metrics_core::LabelValue)]
pub enum Method {
    /// To get.
    Get,
    /// To put.
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
}

fn main() {
    Shop::global().requests_total("/foo", Method::Get).inc();
    Shop::global().requests_total("/foo", Method::Put).inc();
    Shop::global().items.inc();
}
