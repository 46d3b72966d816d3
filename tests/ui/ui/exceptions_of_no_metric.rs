use metrics_core::instrument;

static FAILURES: u64 = 0;

#[instrument("/foo", exceptions = FAILURES)]
fn foo() -> Result<(), ()> {
    Ok(())
}

fn main() {
    foo().ok();
}
