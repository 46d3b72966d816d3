use metrics_core::instrument;

#[instrument("/foo", exception_if = |status: &str| status.is_empty())]
fn foo() -> u16 {
    200
}

fn main() {
    foo();
}
