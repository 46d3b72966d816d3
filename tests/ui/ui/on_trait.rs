use metrics_core::instrument;

#[instrument]
trait Load {
    fn load(&self) {}
}

fn main() {}
