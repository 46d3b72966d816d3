use metrics_core::instrument;

#[instrument("/foo")]
fn foo() -> Result<u8, String> {
    let number = "seven";
    Ok(number)
}

#[instrument("/bar")]
async fn bar() -> u8 {
    "seven"
}

fn main() {
    foo().ok();
    drop(bar());
}
