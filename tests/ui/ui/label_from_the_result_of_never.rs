use metrics_core::instrument;

#[instrument(status = |out| *out)]
fn never() -> ! {
    loop {}
}

#[instrument("/x", kind)]
async fn never_later() -> ! {
    loop {}
}

fn main() {
    drop(never_later());
    never();
}
