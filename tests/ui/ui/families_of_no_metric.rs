use metrics_core::{Counter, instrument};

static ENABLED: bool = true;
static COUNT: u64 = 5;
static NAME: &str = "x";

#[instrument("/foo", in_flight = ENABLED, latency = COUNT, exceptions = NAME)]
fn statics() {}

#[instrument("/foo", in_flight = !ENABLED, latency = Some(5), exceptions = 1 + 1, exception_if = ENABLED)]
fn expressions() {}

#[instrument("/foo", latency = metric)]
fn arguments(metric: &str) {}

struct Api(Option<Counter>);

impl Api {
    #[instrument("/foo", exceptions = self.0)]
    fn call(&self) {}
}

fn main() {}
