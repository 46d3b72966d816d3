//! Metrics about the library's endpoints, in the global registry.

use lazy_static::lazy_static;

use crate::counter::Counter;
use crate::encode::Format;
use crate::family::Family;
use crate::gauge::{Gauge, InFlight};

/// The status codes of failed scrapes. Their series are exported at 0 from the start.
const FAILURES: [&str; 6] = ["401", "403", "404", "405", "500", "503"];
/// The value of the `format` label for a response without metrics.
const NONE: &str = "none";

lazy_static! {
    static ref SCRAPES: Family<Counter, 2> =
        Counter::builder("metrics_core_scrapes_total", "Scrapes, by status code and format of the response.")
            .labels(["code", "format"])
            .register();
    static ref IN_FLIGHT: Gauge = Gauge::builder("metrics_core_scrapes_in_flight", "Scrapes in flight.").register();
}

/// Creates all series with a value of 0.
pub(crate) fn init() {
    for format in Format::ALL {
        SCRAPES.labels(["200", format.name()]);
    }
    for code in FAILURES {
        SCRAPES.labels([code, NONE]);
    }
    lazy_static::initialize(&IN_FLIGHT);
}

/// Counts a response.
pub(crate) fn answered(code: u16, format: Option<Format>) {
    SCRAPES.labels([itoa::Buffer::new().format(code), format.map_or(NONE, Format::name)]).inc();
}

pub(crate) fn in_flight() -> InFlight {
    IN_FLIGHT.track_in_flight()
}
