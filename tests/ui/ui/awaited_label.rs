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
}

fn block_on(_: impl Future<Output = String>) -> String {
    String::new()
}

fn main() {}
