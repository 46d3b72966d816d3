use metrics_core::instrument;

#[instrument("/foo", prefx = "shop", exception = 1, cancelld = 2)]
async fn foo() {}

fn main() {}
