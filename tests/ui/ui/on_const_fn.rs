use metrics_core::instrument;

#[instrument("/foo")]
const fn foo() -> u8 {
    1
}

fn main() {
    const { foo() };
}
