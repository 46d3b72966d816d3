use metrics_core::instrument;

struct Api;

#[instrument]
impl Api {
    #[cfg_attr(all(), instrument(skip))]
    fn skipped(&self) {}
}

fn main() {
    Api.skipped();
}
