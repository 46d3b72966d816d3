use metrics_core::instrument;

struct Router {
    paths: Vec<String>,
}

impl Router {
    const PATHS: [&str; 2] = ["/a", "/b"];

    #[instrument(path in Self::PATHS)]
    fn route_known(&self, path: &str) {
        let _ = path;
    }

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
