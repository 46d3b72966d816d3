use metrics_core::instrument;

#[instrument]
struct Request {
    path: String,
}

fn main() {
    let _ = Request { path: String::new() };
}
