use metrics_core::{Family, Summary, instrument};

struct Session;

impl Session {
    async fn user(&self) -> String {
        String::new()
    }

    async fn latency(&self) -> Family<Summary, 1> {
        todo!()
    }

    #[instrument(user = self.user().await)]
    async fn open(&self) {}

    #[instrument(user = format!("{}", self.user().await))]
    async fn close(&self) {}

    #[instrument("/refresh", latency = self.latency().await)]
    async fn refresh(&self) {}

    #[instrument(user = block_on(async { self.user().await }))]
    fn read(&self) {}

    #[instrument(user = block_on((async || self.user().await)()))]
    fn write(&self) {}

    #[instrument(user = later(async move |Self {}: &Self, _: &str| self.user().await, ""))]
    fn delete(&self) {}

    #[instrument(user = later(async || -> Result<String, ()> { Ok(self.user().await) }, ""))]
    fn create(&self) {}

    #[instrument(user = later(async || pair::<String, ()>(self.user().await), ""))]
    fn update(&self) {}

    #[instrument(user = { async fn none() { std::future::ready(()).await } later(none, "") })]
    fn count(&self) {}

    #[instrument(user = later(async || String::new(), &self.user().await))]
    async fn rename(&self) {}
}

fn pair<A, B>(first: A) -> (A, Option<B>) {
    (first, None)
}

fn later<F>(_: F, name: &str) -> String {
    name.to_owned()
}

fn block_on(_: impl Future<Output = String>) -> String {
    String::new()
}

fn main() {}
