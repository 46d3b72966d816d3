//! The figures as a table, as lines for programs, and against the budget.

use std::time::Duration;

use crate::Cost;
use crate::variant::{FASTRACE, OURS, PLAIN, VARIANTS};

/// Most that the check of one function may take, as a multiple of what fastrace's attribute takes.
const MUST_RATIO: f64 = 1.5;
/// Most machine code of one function.
const MUST_BYTES: f64 = 500.0;

/// What one annotated function costs beyond a plain one.
struct Row {
    name: &'static str,
    check_ms: f64,
    release_ms: f64,
    text_bytes: f64,
    data_bytes: f64,
}

/// Prints all there is to say of costs that stand in the order of the variants.
pub(crate) fn print(costs: &[Cost], functions: usize) {
    let rows: Vec<_> = VARIANTS
        .iter()
        .zip(costs)
        .map(|(variant, cost)| row(variant.name, cost, &costs[PLAIN], functions as f64))
        .collect();
    print_plain(&costs[PLAIN], functions);
    print_table(&rows);
    print_lines(&rows);
    print_budget(&rows[OURS], &rows[FASTRACE]);
}

fn row(name: &'static str, cost: &Cost, plain: &Cost, functions: f64) -> Row {
    Row {
        name,
        check_ms: (median_ms(&cost.check) - median_ms(&plain.check)) / functions,
        release_ms: (median_ms(&cost.release) - median_ms(&plain.release)) / functions,
        text_bytes: (cost.size.text as f64 - plain.size.text as f64) / functions,
        data_bytes: (cost.size.data as f64 - plain.size.data as f64) / functions,
    }
}

fn print_plain(plain: &Cost, functions: usize) {
    println!(
        "{functions} functions without an attribute: check {:.0} ms, release {:.0} ms, {} bytes of machine code",
        median_ms(&plain.check),
        median_ms(&plain.release),
        plain.size.text,
    );
}

fn print_table(rows: &[Row]) {
    println!("\nMore for each annotated function, medians:\n");
    println!("| attribute | check ms | release ms | machine code bytes | data bytes |");
    println!("|---|---|---|---|---|");
    for Row { name, check_ms, release_ms, text_bytes, data_bytes } in rows {
        println!("| {name} | {check_ms:.2} | {release_ms:.2} | {text_bytes:.0} | {data_bytes:.0} |");
    }
}

fn print_lines(rows: &[Row]) {
    println!();
    for Row { name, check_ms, release_ms, text_bytes, data_bytes } in rows {
        println!(
            "compile_cost,{name},check_ms={check_ms:.4},release_ms={release_ms:.4},text_bytes={text_bytes:.1},\
             data_bytes={data_bytes:.1}"
        );
    }
}

fn print_budget(ours: &Row, fastrace: &Row) {
    println!();
    let ratio = ours.check_ms / fastrace.check_ms;
    print_must("check time over fastrace's", "check_ratio", ratio, MUST_RATIO);
    print_must("machine code bytes of a function", "text_bytes", ours.text_bytes, MUST_BYTES);
    println!("release time over fastrace's: {:.2} (no budget)", ours.release_ms / fastrace.release_ms);
}

fn print_must(what: &str, key: &str, value: f64, must: f64) {
    let met = if value <= must { "met" } else { "missed" };
    println!("{what}: {value:.2}, must be <= {must}: {met}");
    println!("compile_cost_budget,{key}={value:.3},must={must},{met}");
}

fn median_ms(times: &[Duration]) -> f64 {
    let mut times: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    if times.len() % 2 == 1 { times[middle] } else { f64::midpoint(times[middle - 1], times[middle]) }
}
