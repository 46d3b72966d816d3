use metrics_core::instrument;

struct Router {
    paths: Vec<String>,
}

impl Router {
    #[instrument(path in self.paths)]
    fn route(&self, path: &str) {
        let _ = path;
    }
}

#[instrument(path in paths.iter())]
fn route(paths: &[&str], path: &str) {
    let _ = (paths, path);
}

fn main() {
    Router { paths: Vec::new() }.route("");
    route(&[], "");
}
