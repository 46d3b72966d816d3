use std::future::Future;
use std::pin::Pin;

use metrics_core::instrument;

#[instrument("/x")]
fn wrong_boxed_future() -> Pin<Box<dyn Future<Output = u32>>> {
    Box::pin(async move { "text" })
}

#[instrument("/x")]
fn wrong_future() -> impl Future<Output = u32> {
    async move {
        if true {
            return "text";
        }
        1
    }
}

fn main() {
    drop((wrong_boxed_future(), wrong_future()));
}
