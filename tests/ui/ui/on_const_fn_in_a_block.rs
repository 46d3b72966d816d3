use metrics_core::instrument;

struct Api;

#[instrument]
impl Api {
    const fn left_as_it_is() {}

    #[instrument("/named")]
    const fn named() {}

    #[instrument]
    const fn also_named() {}
}

fn main() {
    Api::left_as_it_is();
    Api::named();
    Api::also_named();
}
