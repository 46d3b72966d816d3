use metrics_core::instrument;

#[instrument(le, __path, prefix = "9", max_series = many, buckets(2, 1))]
fn route(le: &str, __path: &str) {
    let _ = (le, __path);
}

fn main() {
    route("", "");
}
