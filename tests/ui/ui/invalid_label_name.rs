use metrics_core::instrument;

#[instrument(größe)]
fn route(größe: &str) {
    let _ = größe;
}

fn main() {
    route("");
}
