use metrics_core::instrument;

trait Load {
    #[instrument]
    fn load(&self);
}

impl Load for u8 {
    fn load(&self) {}
}

fn main() {
    1.load();
}
