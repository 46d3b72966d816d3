use metrics_core::instrument;

struct Api;

#[instrument]
impl Api {
    fn load(&self) {}
}

fn main() {
    Api.load();
}
