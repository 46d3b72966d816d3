//! A process whose first use of our crate is in a collector, while the `prometheus` registry is locked.

use lazy_static::lazy_static;
use metrics_core::Counter;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

lazy_static! {
    static ref TOUCHED: Counter = Counter::builder("touched_total", "").register();
}

struct Touches(Desc);

impl Collector for Touches {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        TOUCHED.inc();
        Vec::new()
    }
}

#[test]
fn a_first_use_during_a_gather_does_not_hang() {
    let desc = Desc::new("touches".to_owned(), "Touches.".to_owned(), Vec::new(), Default::default());
    prometheus::register(Box::new(Touches(desc.expect("valid")))).expect("free");
    assert_eq!(prometheus::gather().len(), 0);
    // The bridge is installed as soon as the lock is released.
    let mut gathered = prometheus::gather();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while gathered.is_empty() {
        assert!(std::time::Instant::now() < deadline, "the bridge was never installed");
        std::thread::yield_now();
        gathered = prometheus::gather();
    }
    assert!(gathered.iter().any(|family| family.name() == "touched_total"));
}
