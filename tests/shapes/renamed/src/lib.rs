//! A dependency that was renamed: `crate = path` says where it is.

#![cfg(test)]

use std::future::Future;

use measured::testing::Snapshot;
use measured::{Counter, Family, LabelValue, Metrics, Registry, instrument};

#[derive(Clone, Copy, LabelValue)]
#[label(crate = measured)]
enum Method {
    Get,
}

#[derive(Metrics)]
#[metrics(prefix = "renamed", crate = measured)]
struct Shop {
    /// Requests by method.
    #[metric(labels(method: Method))]
    requests_total: Family<Counter, 1>,
}

#[instrument("sync", crate = measured)]
fn sync() {}

#[instrument("later", crate = ::measured)]
async fn later() {}

#[instrument("returned", crate = measured)]
fn returned() -> impl Future<Output = ()> {
    async move {}
}

#[tokio::test]
async fn a_renamed_dependency() {
    sync();
    later().await;
    returned().await;
    Shop::register().requests_total(Method::Get).inc();
    let now = Snapshot::of(Registry::global());
    for path in ["sync", "later", "returned"] {
        now.assert("renamed_request_latency_seconds_count", &[("path", path)], 1.0);
    }
    now.assert("renamed_requests_total", &[("method", "get")], 1.0);
}
