//! The rows of the process and of the library's own metrics.

use super::layout::Row;
use super::panel::{ANY, Panel, Query};
use super::query::Selector;

const INSTANCE: &str = "{{instance}}";

/// The row of the families that `process_metrics!` exports.
pub(super) fn process(selector: &Selector<'_>) -> Row {
    let lines = |title: &str, name: &str, expr: String, unit| {
        Panel::lines(title, format!("`{name}`."), vec![Query::new(expr, INSTANCE)], unit)
    };
    let gauge = |title, name, unit| lines(title, name, selector.series(name), unit);
    let (cpu, start) = ("process_cpu_seconds_total", "process_start_time_seconds");
    let open = selector.series("process_open_fds");
    let share = format!("{open} / {}", selector.series("process_max_fds"));
    let descriptors = vec![Query::new(open, "{{instance}} open"), Query::new(share, "{{instance}} share of the limit")];
    let uptime = Query::new(format!("time() - {}", selector.series(start)), INSTANCE).instant();
    let restarts = format!("changes({}[$__rate_interval])", selector.series(start));
    let panels = vec![
        lines("CPU cores used", cpu, selector.rate(cpu), "none"),
        gauge("Resident memory", "process_resident_memory_bytes", "bytes"),
        Panel::lines("Open file descriptors", "`process_open_fds`, `process_max_fds`.", descriptors, "none")
            .on_right("B", "percentunit"),
        gauge("Threads", "process_threads", "none"),
        lines("Restarts", start, restarts, "none").bars(),
        Panel::numbers("Uptime", format!("`{start}`."), vec![uptime], "s"),
    ];
    Row::new("Process", panels)
}

/// The row of the library's own families. It is collapsed, so its queries run only if somebody opens it.
pub(super) fn health(selector: &Selector<'_>) -> Row {
    let by =
        |name: &str, labels: &[&str]| vec![Query::new(selector.total_rate(labels, name), selector.legend(labels, ""))];
    let each = |name: &str| vec![Query::new(selector.series(name), INSTANCE)];
    let problems = "metrics_core_problems";
    let panels = vec![
        Panel::lines(
            "Overflowed lookups per second by family",
            "`metrics_core_overflowed_total`. Lookups of label sets that were counted in the overflow series of their \
             family.",
            by("metrics_core_overflowed_total", &["family"]),
            "cps",
        ),
        Panel::lines(
            "Internal errors per second by kind",
            "`metrics_core_internal_errors_total`. Internal errors of the instrumentation.",
            by("metrics_core_internal_errors_total", &["kind"]),
            "cps",
        ),
        Panel::numbers(
            "Problems",
            "`metrics_core_problems`. Problems with declarations, collected families and layers. The log and \
             `Registry::check` list them.",
            each(problems),
            "none",
        )
        .steps(ANY),
        Panel::lines(
            "Scrapes per second by code and format",
            "`metrics_core_scrapes_total`.",
            by("metrics_core_scrapes_total", &["code", "format"]),
            "cps",
        ),
        Panel::lines(
            "Duration of a scrape",
            "`scrape_duration_seconds`, which Prometheus records.",
            each("scrape_duration_seconds"),
            "s",
        ),
        Panel::lines(
            "Samples in a scrape",
            "`scrape_samples_scraped`, which Prometheus records.",
            each("scrape_samples_scraped"),
            "none",
        ),
    ];
    Row::new("Metrics library", panels).collapsed()
}
