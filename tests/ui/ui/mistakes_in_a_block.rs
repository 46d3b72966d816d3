use metrics_core::instrument;

struct Api;

#[instrument(path, colour(1), prefix = "my-service")]
impl Api {
    fn first(&self) {}

    fn second(&self) {}

    #[instrument(method, path = "/third")]
    fn third(&self) {}

    #[instrument(skip)]
    fn fourth(&self) {}
}

fn main() {
    Api.first();
    Api.third();
}
