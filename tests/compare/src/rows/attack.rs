//! A family at its series limit that receives a new label value on each call.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use metrics_core::{Counter, instrument};

use crate::measure::Operation;
use crate::report::{Report, figure};
use crate::threads::{Entrant, rates};

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let (values, overflowing, late) = (new_values(), overflowing(), overflowing_late());
    let entrants = vec![
        Entrant::new("values 1", &values, 1),
        Entrant::new("values 2", &values, 2),
        Entrant::new("ours 1", &overflowing, 1),
        Entrant::new("ours 2", &overflowing, 2),
        Entrant::new("late 1", &late, 1),
        Entrant::new("late 2", &late, 2),
    ];
    let rates = rates(entrants, rounds);
    let row = |what: &str, name: &str| {
        let [one, two] = [format!("{name} 1"), format!("{name} 2")];
        vec![
            what.to_owned(),
            figure(rates.median(&one) / 1e6),
            figure(rates.median(&two) / 1e6),
            figure(rates.ratio(&two, &one)),
        ]
    };
    report.fact("attack_1_thread_mops", rates.median("ours 1") / 1e6);
    report.fact("attack_2_threads_mops", rates.median("ours 2") / 1e6);
    report.judge("attack_2_threads", rates.ratio("ours 2", "ours 1"));
    report.fact("attack_late_2_threads", rates.ratio("late 2", "late 1"));
    let rows = [
        row("creating the values only", "values"),
        row("counting them", "ours"),
        row("calling a function with a label from its result", "late"),
    ];
    report.table(
        "New label values in a full family of 2,000 series",
        &["what", "1 thread, M/s", "2 threads, M/s", "factor"],
        &rows,
    );
    Ok(())
}

fn overflowing() -> Operation {
    let family = Counter::builder("attacked_total", "A counter.").labels(["value"]).build();
    while family.len() < 2_000 {
        family.labels([&format!("value-{}", family.len())]).inc();
    }
    each_new(move |value| family.labels([value]).inc())
}

fn overflowing_late() -> Operation {
    #[instrument(path, ok = |out| *out, prefix = "attacked")]
    fn route(path: &str) -> bool {
        !path.is_empty()
    }
    for number in 0..3_000 {
        route(&format!("value-{number}"));
    }
    each_new(|value| {
        black_box(route(value));
    })
}

fn new_values() -> Operation {
    each_new(|value| {
        black_box(value);
    })
}

/// Returns an operation that calls `run` with a new number each time, formatted as text.
fn each_new(run: impl Fn(&str) + Send + Sync + 'static) -> Operation {
    let next = AtomicU64::new(0);
    Arc::new(move |numbers| {
        let count = numbers.end - numbers.start;
        let first = next.fetch_add(count, Ordering::Relaxed);
        for number in first..first + count {
            run(itoa::Buffer::new().format(number));
        }
    })
}
