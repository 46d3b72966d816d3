use metrics_core::instrument;

#[instrument(quantile = "0.5")]
fn route() {}

fn main() {
    route();
}
