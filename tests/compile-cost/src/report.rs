//! Prints the figures as a table and as machine-readable lines, and compares them with the budget.

use std::time::Duration;

use crate::Cost;
use crate::variant::{FASTRACE, OURS, PLAIN};

/// Maximum `cargo check` time per function, relative to fastrace's attribute.
const MUST_RATIO: f64 = 1.2;
/// Maximum machine code per function, in bytes.
const MUST_BYTES: f64 = 205.0;

/// The additional cost of an annotated function compared with a plain one.
struct Row {
    name: &'static str,
    check_ms: f64,
    /// `None` if only checks were timed.
    release_ms: Option<f64>,
    text_bytes: f64,
    data_bytes: f64,
}

/// Prints the costs of all variants.
pub(crate) fn print(costs: &[(&'static str, Cost)], functions: usize) {
    let Some((_, plain)) = costs.iter().find(|(name, _)| *name == PLAIN) else { return };
    let rows: Vec<_> = costs.iter().map(|(name, cost)| row(name, cost, plain, functions as f64)).collect();
    print_plain(plain, functions);
    print_table(&rows);
    print_lines(&rows);
    let of = |name: &str| rows.iter().find(|row| row.name == name);
    if let (Some(ours), Some(fastrace)) = (of(OURS), of(FASTRACE)) {
        print_budget(ours, fastrace, check_ratio(costs, plain));
    }
}

fn row(name: &'static str, cost: &Cost, plain: &Cost, functions: f64) -> Row {
    let more_ms = |cost: &[Duration], plain: &[Duration]| Some(median(more_in_each(cost, plain))? * 1e3 / functions);
    Row {
        name,
        check_ms: more_ms(&cost.check, &plain.check).unwrap_or(f64::NAN),
        release_ms: more_ms(&cost.release, &plain.release),
        text_bytes: (cost.size.text as f64 - plain.size.text as f64) / functions,
        data_bytes: (cost.size.data as f64 - plain.size.data as f64) / functions,
    }
}

fn print_plain(plain: &Cost, functions: usize) {
    let times = [("check", &plain.check), ("release", &plain.release)];
    let in_ms = |times: &[Duration]| median(times.iter().map(|time| time.as_secs_f64() * 1e3));
    let times = times.iter().filter_map(|(step, times)| Some(format!("{step} {:.0} ms, ", in_ms(times)?)));
    println!(
        "{functions} functions without an attribute: {}{} bytes of machine code",
        times.collect::<String>(),
        plain.size.text,
    );
}

fn print_table(rows: &[Row]) {
    println!("\nAdditional cost per annotated function, median of the rounds:\n");
    println!("| attribute | check ms | release ms | machine code bytes | data bytes |");
    println!("|---|---|---|---|---|");
    for Row { name, check_ms, release_ms, text_bytes, data_bytes } in rows {
        let release_ms = release_ms.map_or_else(|| "-".to_owned(), |time| format!("{time:.2}"));
        println!("| {name} | {check_ms:.2} | {release_ms} | {text_bytes:.0} | {data_bytes:.0} |");
    }
}

fn print_lines(rows: &[Row]) {
    println!();
    for Row { name, check_ms, release_ms, text_bytes, data_bytes } in rows {
        let release_ms = release_ms.map_or_else(String::new, |time| format!("release_ms={time:.4},"));
        println!(
            "compile_cost,{name},check_ms={check_ms:.4},{release_ms}text_bytes={text_bytes:.1},\
             data_bytes={data_bytes:.1}"
        );
    }
}

fn print_budget(ours: &Row, fastrace: &Row, check_ratio: f64) {
    println!();
    print_must("check time relative to fastrace", "check_ratio", check_ratio, MUST_RATIO);
    print_must("machine code per function, bytes", "text_bytes", ours.text_bytes, MUST_BYTES);
    if let (Some(ours), Some(fastrace)) = (ours.release_ms, fastrace.release_ms) {
        println!("release time relative to fastrace: {:.2} (no budget)", ours / fastrace);
    }
}

fn print_must(what: &str, key: &str, value: f64, must: f64) {
    let met = if value <= must { "met" } else { "missed" };
    println!("{what}: {value:.2}, must be <= {must}: {met}");
    println!("compile_cost_budget,{key}={value:.3},must={must},{met}");
}

/// Returns the `cargo check` time per function, relative to fastrace's attribute.
///
/// The result is the median of the per-round ratios, because other load slows all crates in a round alike.
fn check_ratio(costs: &[(&'static str, Cost)], plain: &Cost) -> f64 {
    let checks = |name: &str| costs.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, cost)| &cost.check);
    let [ours, fastrace] = [OURS, FASTRACE].map(|name| more_in_each(checks(name), &plain.check));
    median(ours.zip(fastrace).map(|(ours, fastrace)| ours / fastrace)).unwrap_or(f64::NAN)
}

/// Returns each round's additional time compared with the plain functions, in seconds.
fn more_in_each(cost: &[Duration], plain: &[Duration]) -> impl Iterator<Item = f64> {
    cost.iter().zip(plain).map(|(cost, plain)| cost.as_secs_f64() - plain.as_secs_f64())
}

/// Returns the median, or `None` if there are no values.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let [below, above] = [values.len().saturating_sub(1) / 2, values.len() / 2];
    Some(f64::midpoint(*values.get(below)?, *values.get(above)?))
}
