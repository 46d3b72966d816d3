use metrics_core::instrument;

#[instrument("/foo")]
fn foo() -> Result<u8, String> {}

#[instrument("/bar")]
async fn bar() -> Result<u8, String> {}

fn main() {
    foo().ok();
    drop(bar());
}
