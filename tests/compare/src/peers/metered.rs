//! The `metered` crate, which measures the response times and errors of methods, without labels.

use std::sync::LazyLock;

use metered::metric::Histogram as _;
use metered::{ErrorCount, HitCount, ResponseTime, metered};

use super::{Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::Labels;
use crate::measure::{Operation, operation};

pub(crate) struct Metered;

#[derive(Default)]
struct Service {
    metrics: ServiceMetrics,
}

static SERVICE: LazyLock<Service> = LazyLock::new(Service::default);

#[metered(registry = ServiceMetrics)]
impl Service {
    #[measure([ResponseTime, ErrorCount])]
    #[inline(never)]
    fn handle(&self, path: &str, request: Request) -> Result<u64, Failed> {
        respond(path, request)
    }
}

impl Peer for Metered {
    fn name(&self) -> &'static str {
        "metered"
    }

    fn counter(&self) -> Option<Operation> {
        let counter = <HitCount>::default();
        Some(operation(move |_| counter.incr()))
    }

    /// Records milliseconds, the unit of `metered`.
    fn observation(&self) -> Option<Operation> {
        let times = <ResponseTime>::default();
        Some(operation(move |number| times.record((latency(number) * 1e3) as u64)))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        let service = &*SERVICE;
        operation(move |number| {
            let [path] = labels.pick(number);
            service.handle(path, Request::new(number, fails))
        })
    }
}
