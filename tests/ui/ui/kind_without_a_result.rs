use metrics_core::instrument;

#[instrument("/x", kind)]
fn no_result(n: u32) -> u32 {
    n
}

#[instrument("/x", kind = |error| error.len())]
fn no_result_by_closure(n: u32) -> u32 {
    n
}

fn main() {
    no_result(1);
    no_result_by_closure(1);
}
