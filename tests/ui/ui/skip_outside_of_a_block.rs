use metrics_core::instrument;

#[instrument(skip)]
fn skipped() {}

fn main() {
    skipped();
}
