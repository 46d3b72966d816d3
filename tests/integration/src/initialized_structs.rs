//! `init` declares structs even if the logger uses one of them and the declaration of another panics.

use log::{Log, Metadata, Record};
use metrics_core::{Counter, Family, FieldBuilder, Gauge, Kind, MetricField, Metrics, Registry};

#[derive(Metrics)]
#[metrics(global)]
struct Logging {
    /// Lines that were logged.
    #[metric(labels(level: &str))]
    logged_lines_total: Family<Counter, 1>,
    /// Conflicts with a counter, which is logged.
    taken: Gauge,
}

#[derive(Metrics)]
#[metrics(prefix = "panicking", global)]
#[expect(dead_code, reason = "`init` declares it")]
struct Panicking {
    /// Declared before the panic.
    items: Gauge,
    /// Panics.
    never: Never,
}

struct Never;

impl MetricField for Never {
    const KIND: Kind = Gauge::KIND;

    fn declare(_: FieldBuilder<'_, '_>) -> Self {
        panic!("as it does in the test")
    }
}

/// A logger that counts lines in a struct whose declaration may still be in progress.
struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        Logging::global().logged_lines_total(record.level().as_str()).inc();
    }

    fn flush(&self) {}
}

#[test]
fn neither_a_counting_logger_nor_a_panic_stops_the_initialization() {
    log::set_logger(&Logger).expect("the first");
    log::set_max_level(log::LevelFilter::Info);
    Counter::builder("taken", "Another type.").register();
    assert!(!Registry::global().to_text().contains("panicking_items"), "a scrape declared a struct");
    metrics_core::init();
    let texts: Vec<String> = (0..2).map(|_| Registry::global().to_text()).collect();
    for text in texts {
        for line in [
            "logged_lines_total{level=\"ERROR\"} 1",
            "logged_lines_total{level=\"WARN\"} 1",
            "metrics_core_internal_errors_total{kind=\"collector_panic\"} 1",
            "panicking_items 0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        }
    }
    Logging::global().taken.set(1);
    // The failure is reported as a problem, and the declaration is retried until it succeeds.
    let problems = Registry::global().check();
    assert!(problems.iter().any(|problem| problem.message.contains("Panicking panicked")), "{problems:?}");
    let text = Registry::global().to_text();
    assert!(text.contains("\nmetrics_core_internal_errors_total{kind=\"collector_panic\"} 2\n"), "{text}");
}
