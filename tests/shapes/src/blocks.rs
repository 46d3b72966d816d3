//! A single attribute on an `impl` block.

use metrics_core::instrument;
use metrics_core::testing::Snapshot;
use metrics_core::{Registry, StyleRule};

use super::{Failed, Outcome, now, recorded, yielding};

struct Shop {
    items: Vec<u32>,
}

#[instrument]
impl Shop {
    /// Constants are left unchanged.
    const LIMIT: usize = 3;

    /// A `const fn` cannot record metrics and is left unchanged.
    const fn limit() -> usize {
        Self::LIMIT
    }

    fn put(&mut self, item: u32) -> Outcome<&mut u32> {
        if self.items.len() == Self::limit() {
            return Err(Failed);
        }
        self.items.push(item);
        self.items.last_mut().ok_or(Failed)
    }

    async fn put_later(&mut self, item: u32) -> Outcome<()> {
        yielding().await;
        self.put(item).map(drop)
    }

    #[instrument(skip)]
    fn skipped(&self) -> usize {
        self.items.len()
    }

    #[instrument(path)]
    fn labeled(&self, path: &str) -> usize {
        path.len()
    }
}

#[test]
fn a_whole_block() {
    let mut shop = Shop { items: Vec::new() };
    *shop.put(1).expect("room") = 2;
    now(shop.put_later(2)).expect("room");
    assert_eq!(shop.skipped(), 2);
    assert_eq!(shop.labeled("labeled-in-a-block"), 18);
    assert_eq!(Shop::limit(), 3);
    let recorded_of = |method: &str| {
        let name = format!("{}_function_latency_seconds_count", env!("CARGO_CRATE_NAME"));
        let function = format!("{}::blocks::Shop::{}", env!("CARGO_CRATE_NAME"), method);
        Snapshot::of(Registry::global()).get(&name, &[("function", &function)])
    };
    assert_eq!(recorded_of("put"), Some(2.0));
    assert_eq!(recorded_of("put_later"), Some(1.0));
    assert_eq!(recorded_of("skipped"), None);
    assert_eq!(recorded_of("limit"), None);
    assert_eq!(recorded("labeled-in-a-block"), (1.0, 0.0));
}

struct Queue<T>(Vec<T>);

#[instrument(prefix = "queue", in_flight)]
impl<T: Clone> Queue<T> {
    #[instrument("pop")]
    fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }

    #[instrument("push", prefix = "queue_in")]
    fn push(&mut self, value: T) {
        self.0.push(value);
    }
}

#[test]
fn options_of_a_block_and_of_its_methods() {
    let mut queue = Queue(Vec::new());
    queue.push(StyleRule::Help);
    assert_eq!(queue.pop(), Some(StyleRule::Help));
    let now = Snapshot::of(Registry::global());
    now.assert("queue_request_latency_seconds_count", &[("path", "pop")], 1.0);
    now.assert("queue_requests_in_flight", &[("path", "pop")], 0.0);
    now.assert("queue_in_request_latency_seconds_count", &[("path", "push")], 1.0);
}
