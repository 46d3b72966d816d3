//! Configuration for monitoring systems, generated from the catalog: a dashboard for Grafana and rules for Prometheus.

pub(crate) mod dashboard;
mod endpoint;
mod json;
pub(crate) mod rules;
