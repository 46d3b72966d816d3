//! Prints a Markdown table of all metrics that a program declares, for use in its documentation.
//!
//! `cargo run --release --example catalog`

use metrics_core::{Counter, DeclaredFamily, Family, Gauge, LabelValue, Metrics, Registry, instrument};

#[derive(LabelValue)]
#[expect(dead_code, reason = "a real service would use these values")]
enum Queue {
    Mail,
    Invoices,
}

#[derive(Metrics)]
#[metrics(prefix = "worker", global)]
#[expect(dead_code, reason = "a real service would update these metrics")]
struct WorkerMetrics {
    /// Jobs done.
    #[metric(labels(queue: Queue))]
    jobs_total: Family<Counter, 1>,
    /// Time of the last job, as a Unix timestamp in seconds.
    last_job_timestamp_seconds: Gauge,
}

#[instrument(path in ["/jobs", "/health"], prefix = "worker")]
#[expect(dead_code, reason = "a real service would call it")]
fn route(path: &str) -> Result<usize, String> {
    Ok(path.len())
}

fn main() {
    println!("| name | type | labels | help | declared in |");
    println!("|---|---|---|---|---|");
    for family in Registry::global().catalog() {
        let DeclaredFamily { name, kind, help, labels, location, .. } = family;
        let labels: Vec<String> = labels
            .into_iter()
            .map(|label| match label.known_values.as_slice() {
                [] => format!("`{}`", label.name),
                values => format!("`{}` ({})", label.name, values.join(", ")),
            })
            .collect();
        println!(
            "| `{name}` | {} | {} | {help} | {}:{} |",
            kind.as_str(),
            labels.join(", "),
            location.file(),
            location.line()
        );
    }
}
