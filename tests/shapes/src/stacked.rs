//! `#[instrument]` in combination with other attributes, in either order.

use std::future::Future;

use metrics_core::instrument;

use super::{Failed, Outcome, now, recorded, yielding};

#[async_trait::async_trait]
trait Store: Sync {
    async fn load(&self, key: u32) -> Outcome<u32>;

    async fn save(&mut self, key: String) -> Outcome<usize>;

    #[instrument("async-trait-default")]
    async fn default_method(&self) -> Outcome<u32> {
        self.load(0).await
    }
}

struct Memory(u32);

/// `#[async_trait]` expands first and produces functions that return boxed futures.
#[async_trait::async_trait]
impl Store for Memory {
    #[instrument("async-trait")]
    async fn load(&self, key: u32) -> Outcome<u32> {
        yielding().await;
        if key == 0 {
            return Err(Failed);
        }
        Ok("3".parse::<u32>()? + self.0)
    }

    #[instrument(path = key)]
    async fn save(&mut self, key: String) -> Outcome<usize> {
        self.0 += 1;
        yielding().await;
        Ok(key.len())
    }
}

struct Other;

/// `#[instrument]` on the block expands first, while the methods are still `async`.
#[instrument("async-trait-after")]
#[async_trait::async_trait]
impl Store for Other {
    async fn load(&self, key: u32) -> Outcome<u32> {
        yielding().await;
        if key == 0 { Err(Failed) } else { Ok(key) }
    }

    #[instrument(path = key)]
    async fn save(&mut self, key: String) -> Outcome<usize> {
        Ok(key.len())
    }
}

struct Third;

#[async_trait::async_trait]
#[instrument("async-trait-before")]
impl Store for Third {
    async fn load(&self, key: u32) -> Outcome<u32> {
        yielding().await;
        if key == 0 { Err(Failed) } else { Ok(key) }
    }

    #[instrument(skip)]
    async fn save(&mut self, key: String) -> Outcome<usize> {
        Ok(key.len())
    }
}

#[test]
fn async_trait_in_either_order() {
    assert_eq!(now(Memory(1).load(0)), Err(Failed));
    assert_eq!(now(Memory(1).load(1)), Ok(4));
    drop(Memory(1).load(1));
    assert_eq!(recorded("async-trait"), (2.0, 1.0));
    assert_eq!(now(Memory(1).save("async-trait-label".to_owned())), Ok(17));
    assert_eq!(recorded("async-trait-label"), (1.0, 0.0));
    assert_eq!(now(Memory(1).default_method()), Err(Failed));
    assert_eq!(recorded("async-trait-default"), (1.0, 1.0));
    assert_eq!(now(Other.load(0)), Err(Failed));
    assert_eq!(now(Other.save("async-trait-own".to_owned())), Ok(15));
    assert_eq!(recorded("async-trait-after"), (1.0, 1.0));
    assert_eq!(recorded("async-trait-own"), (1.0, 0.0));
    assert_eq!(now(Third.load(0)), Err(Failed));
    assert_eq!(now(Third.save("x".to_owned())), Ok(1));
    assert_eq!(recorded("async-trait-before"), (1.0, 1.0));
}

#[test]
fn tracing_instrument_in_either_order() {
    #[instrument("tracing-inside")]
    #[tracing::instrument]
    fn inside(n: u32) -> Outcome<u32> {
        if n == 0 { Err(Failed) } else { Ok(n) }
    }
    #[tracing::instrument(err)]
    #[instrument("tracing-outside")]
    fn outside(n: u32) -> Outcome<u32> {
        if n == 0 { Err(Failed) } else { Ok(n) }
    }
    #[instrument("tracing-inside-later")]
    #[tracing::instrument(skip_all)]
    async fn inside_later(n: u32) -> Outcome<u32> {
        yielding().await;
        if n == 0 { Err(Failed) } else { Ok(n) }
    }
    #[tracing::instrument(skip_all)]
    #[instrument("tracing-outside-later")]
    async fn outside_later(n: u32) -> Outcome<u32> {
        yielding().await;
        if n == 0 { Err(Failed) } else { Ok(n) }
    }
    assert!(inside(0).is_err() && outside(0).is_err());
    assert!(now(inside_later(0)).is_err() && now(outside_later(0)).is_err());
    for path in ["tracing-inside", "tracing-outside", "tracing-inside-later", "tracing-outside-later"].iter() {
        assert_eq!(recorded(path), (1.0, 1.0), "{}", path);
    }
}

#[instrument("test-above")]
#[test]
fn above_test() {}

#[test]
#[instrument("test-below")]
fn below_test() -> Result<(), Box<dyn std::error::Error>> {
    Ok("1".parse::<u32>().map(drop)?)
}

#[instrument("tokio-test-above")]
#[tokio::test]
async fn above_tokio_test() {
    tokio::task::yield_now().await;
}

#[tokio::test]
#[instrument("tokio-test-below")]
async fn below_tokio_test() {
    tokio::task::yield_now().await;
}

/// Calls the annotated tests directly. The test harness may also have run them, so more calls may be recorded.
#[test]
fn annotated_tests() {
    above_test();
    below_test().expect("a number");
    above_tokio_test();
    below_tokio_test();
    for path in ["test-above", "test-below", "tokio-test-above", "tokio-test-below"].iter() {
        let (calls, exceptions) = recorded(path);
        assert!(calls >= 1.0 && exceptions == 0.0, "{}: {} calls", path, calls);
    }
}

#[test]
fn tokio_main_in_either_order() {
    #[instrument("tokio-main-above")]
    #[tokio::main(flavor = "current_thread")]
    async fn above() -> Outcome<u32> {
        tokio::task::yield_now().await;
        Err(Failed)
    }
    #[tokio::main(flavor = "current_thread")]
    #[instrument("tokio-main-below")]
    async fn below() -> Outcome<u32> {
        tokio::task::yield_now().await;
        Err(Failed)
    }
    assert!(above().is_err() && below().is_err());
    assert_eq!(recorded("tokio-main-above"), (1.0, 1.0));
    assert_eq!(recorded("tokio-main-below"), (1.0, 1.0));
}

struct Probe<'a, F>(&'a F, NotSend);

impl<F: Send> Probe<'_, F> {
    fn is_send(&self) -> bool {
        true
    }
}

struct NotSend;

impl NotSend {
    fn is_send(&self) -> bool {
        false
    }
}

impl<F> std::ops::Deref for Probe<'_, F> {
    type Target = NotSend;

    fn deref(&self) -> &NotSend {
        &self.1
    }
}

macro_rules! is_send {
    ($future:expr) => {
        Probe(&$future, NotSend).is_send()
    };
}

#[test]
fn futures_are_send_exactly_when_they_were() {
    #[instrument("send")]
    async fn send(text: String) -> usize {
        yielding_send().await;
        text.len()
    }
    #[instrument("not-send")]
    async fn not_send(text: std::rc::Rc<String>) -> usize {
        yielding_send().await;
        text.len()
    }
    #[instrument(path, status = |out: &usize| *out, prefix = "send")]
    async fn send_by_result(path: String) -> usize {
        yielding_send().await;
        path.len()
    }
    #[instrument("send-future")]
    fn returned(text: String) -> impl Future<Output = usize> {
        async move {
            yielding_send().await;
            text.len()
        }
    }
    #[instrument("not-send-future")]
    fn returned_not_send(text: std::rc::Rc<String>) -> impl Future<Output = usize> {
        async move {
            yielding_send().await;
            text.len()
        }
    }
    async fn yielding_send() {
        std::future::ready(()).await;
    }
    assert!(is_send!(send(String::new())));
    assert!(is_send!(send_by_result(String::new())));
    assert!(is_send!(returned(String::new())));
    assert!(is_send!(Memory(1).load(1)));
    assert!(!is_send!(not_send(Default::default())));
    assert!(!is_send!(returned_not_send(Default::default())));
}
