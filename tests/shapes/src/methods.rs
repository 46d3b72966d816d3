//! Free functions, methods and trait methods.

use super::*;

struct Api {
    entries: Vec<u32>,
}

fn api() -> Api {
    Api { entries: vec![1, 2] }
}

#[test]
fn free_function() {
    #[instrument("free")]
    fn free(n: u32) -> u32 {
        n + 1
    }
    assert_eq!(free(1), 2);
    assert_eq!(recorded("free"), (1.0, 0.0));
}

impl Api {
    #[instrument("new")]
    fn new() -> Self {
        api()
    }

    #[instrument("by-ref")]
    fn by_ref(&self) -> usize {
        self.entries.len()
    }

    #[instrument("by-mut")]
    fn by_mut(&mut self, entry: u32) {
        self.entries.push(entry);
    }

    #[instrument("by-value")]
    fn by_value(self) -> Vec<u32> {
        self.entries
    }

    #[instrument("mut-self")]
    fn mut_self(mut self) -> usize {
        self.entries.push(0);
        self.entries.len()
    }

    #[instrument("arc")]
    fn arc(self: Arc<Self>) -> usize {
        self.entries.len()
    }

    #[instrument("boxed")]
    fn boxed(self: Box<Self>) -> usize {
        self.entries.len()
    }

    #[instrument("pinned")]
    fn pinned(mut self: Pin<&mut Self>) -> usize {
        self.entries.push(1);
        self.entries.len()
    }

    #[instrument("borrowed")]
    fn borrowed(&self, at: usize) -> Option<&u32> {
        self.entries.get(at)
    }

    #[instrument("borrowed-mut")]
    fn borrowed_mut(&mut self) -> &mut Vec<u32> {
        &mut self.entries
    }

    #[instrument("borrowed-mut-or-error")]
    fn borrowed_mut_or_error(&mut self, at: usize) -> Result<&mut u32, Box<dyn Error>> {
        if at == 7 {
            return Err("seven".into());
        }
        Ok(self.entries.get_mut(at).ok_or(Failed)?)
    }

    #[instrument("later")]
    async fn later(&self, more: usize) -> usize {
        yielding().await;
        self.entries.len() + more
    }

    #[instrument("later-mut")]
    async fn later_mut(&mut self) -> &mut Vec<u32> {
        yielding().await;
        &mut self.entries
    }

    #[instrument("returns-future")]
    fn returns_future<'a>(&'a self, more: &'a usize) -> impl Future<Output = usize> + 'a {
        async move {
            yielding().await;
            self.entries.len() + *more
        }
    }
}

#[test]
fn inherent_methods_by_every_self() {
    let mut api = Api::new();
    assert_eq!(api.by_ref(), 2);
    api.by_mut(3);
    assert_eq!(Pin::new(&mut api).pinned(), 4);
    assert_eq!(Arc::new(self::api()).arc(), 2);
    assert_eq!(Box::new(self::api()).boxed(), 2);
    assert_eq!(self::api().mut_self(), 3);
    assert_eq!(api.by_value().len(), 4);
    for path in ["new", "by-ref", "by-mut", "pinned", "arc", "boxed", "mut-self", "by-value"].iter() {
        assert_eq!(recorded(path), (1.0, 0.0), "{}", path);
    }
}

#[test]
fn borrowed_and_mutable_returns() {
    let mut api = api();
    assert_eq!(api.borrowed(1), Some(&2));
    api.borrowed_mut().push(5);
    *api.borrowed_mut_or_error(0).expect("there") = 9;
    assert!(api.borrowed_mut_or_error(7).is_err());
    assert!(api.borrowed_mut_or_error(8).is_err());
    now(api.later_mut()).push(6);
    assert_eq!(api.entries, [9, 2, 5, 6]);
    assert_eq!(recorded("borrowed"), (1.0, 0.0));
    assert_eq!(recorded("borrowed-mut"), (1.0, 0.0));
    assert_eq!(recorded("borrowed-mut-or-error"), (3.0, 2.0));
    assert_eq!(recorded("later-mut"), (1.0, 0.0));
}

trait Load {
    type Key;

    fn load(&self, key: Self::Key) -> Outcome<u32>;

    #[instrument("default")]
    fn default_method(&self, key: Self::Key) -> Outcome<u32> {
        self.load(key)
    }
}

trait LoadLater {
    async fn load_later(&self, key: u32) -> Outcome<u32>;

    #[instrument("default-later")]
    async fn default_later(&self, key: u32) -> Outcome<u32> {
        self.load_later(key).await
    }

    fn load_soon(&self, key: u32) -> impl Future<Output = Outcome<u32>> + Send;
}

impl Load for Api {
    type Key = usize;

    #[instrument("trait")]
    fn load(&self, key: <Self as Load>::Key) -> Outcome<u32> {
        self.entries.get(key).copied().ok_or(Failed)
    }
}

impl LoadLater for Api {
    #[instrument("trait-later")]
    async fn load_later(&self, key: u32) -> Outcome<u32> {
        yielding().await;
        if key == 0 { Err(Failed) } else { Ok(key) }
    }

    #[instrument("trait-soon")]
    fn load_soon(&self, key: u32) -> impl Future<Output = Outcome<u32>> + Send {
        async move { if key == 0 { Err(Failed) } else { Ok(key) } }
    }
}

#[test]
fn trait_and_default_methods() {
    assert_eq!(api().load(0), Ok(1));
    assert_eq!(api().default_method(9), Err(Failed));
    assert_eq!(recorded("trait"), (2.0, 1.0));
    assert_eq!(recorded("default"), (1.0, 1.0));
}

#[test]
fn async_methods_and_async_trait_methods() {
    assert_eq!(now(api().later(2)), 4);
    assert_eq!(now(api().load_later(0)), Err(Failed));
    assert_eq!(now(api().default_later(1)), Ok(1));
    assert_eq!(now(api().load_soon(0)), Err(Failed));
    assert_eq!(recorded("later"), (1.0, 0.0));
    assert_eq!(recorded("trait-later"), (2.0, 1.0));
    assert_eq!(recorded("default-later"), (1.0, 0.0));
    assert_eq!(recorded("trait-soon"), (1.0, 1.0));
}
