//! The clock used by timers, compared with `std::time::Instant`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use metrics_core::Summary;

use crate::measure::median;
use crate::report::{Report, figure};

const TIMES: usize = 3;

pub(crate) fn run(_: usize, report: &mut Report) -> Result<()> {
    let summary = Summary::builder("clock_seconds", "Durations measured by timers.").build();
    let deviations: Vec<_> = (0..TIMES).map(|_| deviation(&summary)).collect();
    let row = vec!["timer over `Instant`, in 1 s, ppm".to_owned(), figure(median(deviations.clone()))];
    report.fact("clock_deviation_ppm", median(deviations));
    report.table("Clock", &["what", "value"], &[row]);
    Ok(())
}

fn deviation(summary: &Summary) -> f64 {
    let start = Instant::now();
    let timer = summary.start_timer();
    sleep(Duration::from_secs(1));
    let by_timer = timer.stop();
    let by_instant = start.elapsed();
    (by_timer.as_secs_f64() / by_instant.as_secs_f64() - 1.0) * 1e6
}
