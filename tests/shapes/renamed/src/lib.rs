//! A renamed dependency. The macros detect its new name and also accept an explicit `crate = path`.

#![cfg(test)]

use std::future::Future;

use measured::testing::Snapshot;
use measured::{Counter, Family, LabelValue, Metrics, Registry, instrument};

#[derive(Clone, Copy, LabelValue)]
enum Method {
    Get,
}

#[derive(Metrics)]
#[metrics(prefix = "renamed")]
struct Shop {
    /// Requests by method.
    #[metric(labels(method: Method))]
    requests_total: Family<Counter, 1>,
}

#[instrument("sync")]
fn sync() {}

#[instrument("later", crate = ::measured)]
async fn later() {}

#[instrument("returned", crate = measured)]
fn returned() -> impl Future<Output = ()> {
    async move {}
}

struct Api;

#[instrument("block")]
impl Api {
    #[measured::instrument("method")]
    fn method() {}

    fn other() {}
}

#[derive(LabelValue)]
#[label(crate = ::measured)]
enum Given {
    Label,
}

#[derive(Metrics)]
#[metrics(prefix = "given", crate = measured, global)]
struct GivenShop {
    /// Requests by label.
    #[metric(labels(label: Given))]
    requests_total: Family<Counter, 1>,
}

#[tokio::test]
async fn a_renamed_dependency() {
    sync();
    later().await;
    returned().await;
    Shop::register().requests_total(Method::Get).inc();
    Api::method();
    Api::other();
    GivenShop::global().requests_total(Given::Label).inc();
    let now = Snapshot::of(Registry::global());
    for path in ["sync", "later", "returned", "method", "block"] {
        now.assert("renamed_request_latency_seconds_count", &[("path", path)], 1.0);
    }
    now.assert("renamed_requests_total", &[("method", "get")], 1.0);
    now.assert("given_requests_total", &[("label", "label")], 1.0);
}
