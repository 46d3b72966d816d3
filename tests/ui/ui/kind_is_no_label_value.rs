use metrics_core::instrument;

struct Failed;

#[instrument("/x", kind)]
fn call() -> Result<u32, Failed> {
    Err(Failed)
}

#[instrument("/x", status = |out: &Result<u32, Failed>| out.as_ref().ok())]
fn result() -> Result<u32, Failed> {
    Err(Failed)
}

fn main() {
    let _ = (call(), result());
}
