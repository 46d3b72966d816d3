use metrics_core::instrument;

trait Paths {
    const ALL: [&'static str; 1];
}

#[instrument(path in P::ALL)]
fn route<P: Paths>(path: &str) {
    let _ = path;
}

fn main() {}
