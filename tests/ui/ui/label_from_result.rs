use metrics_core::instrument;

#[instrument(status = |out| out.to_string())]
fn route() -> u16 {
    200
}

fn main() {
    route();
}
