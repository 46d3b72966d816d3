use metrics_core::instrument;

struct Path(String);

#[instrument(path)]
fn route(path: Path) -> usize {
    path.0.len()
}

fn main() {
    route(Path(String::new()));
}
