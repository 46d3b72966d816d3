//! The hardware limit: two raw reads of the time stamp counter, and cells that only the owning thread writes.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::{Exposition, Peer, latency};
use crate::handler::{Failed, Request, respond};
use crate::labels::{Labels, amount, write_path};
use crate::measure::{Operation, operation};

pub(crate) struct Limit;

const COUNT: usize = 0;
const SUM: usize = 1;
const ERRORS: usize = 2;

thread_local! {
    static CELLS: [AtomicU64; 3] = const { [const { AtomicU64::new(0) }; 3] };
    /// Copied into each thread, so that the limit does not include a lazy-initialization check.
    static SECONDS_PER_TICK: Cell<f64> = const { Cell::new(0.0) };
}

static CALIBRATED: LazyLock<f64> = LazyLock::new(|| {
    let (start, ticks) = (Instant::now(), ticks());
    std::thread::sleep(Duration::from_millis(20));
    start.elapsed().as_secs_f64() / ticks_since(ticks) as f64
});

impl Peer for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn counter(&self) -> Option<Operation> {
        Some(operation(move |_| add(COUNT, 1)))
    }

    fn observation(&self) -> Option<Operation> {
        Some(operation(move |number| observe(latency(number))))
    }

    fn call(&self, labels: Labels<1>, fails: bool) -> Operation {
        calibrated(operation(move |number| {
            let [path] = labels.pick(number);
            handle(path, Request::new(number, fails))
        }))
    }

    fn exposition(&self, series: usize) -> Option<Exposition> {
        let mut path = String::new();
        let lines: Vec<(Box<str>, u64)> = (0..series)
            .map(|number| {
                write_path(number, &mut path);
                let mut line = String::new();
                let _ = write!(line, "compare_items_total{{path=\"{path}\"}} ");
                (line.into(), amount(number))
            })
            .collect();
        let mut text = Vec::new();
        Some(Box::new(move || {
            text.clear();
            for (line, value) in &lines {
                text.extend_from_slice(line.as_bytes());
                text.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
                text.push(b'\n');
            }
            text.len()
        }))
    }
}

/// Calls a function whose `path` label is a literal.
pub(crate) fn call_literal(fails: bool) -> Operation {
    calibrated(operation(move |number| handle_literal(Request::new(number, fails))))
}

/// Copies the duration of a clock tick into the thread that runs the operation.
fn calibrated(run: Operation) -> Operation {
    Arc::new(move |numbers| {
        SECONDS_PER_TICK.set(*CALIBRATED);
        run(numbers);
    })
}

#[inline(never)]
fn handle(path: &str, request: Request) -> Result<u64, Failed> {
    measured(|| respond(path, request))
}

#[inline(never)]
fn handle_literal(request: Request) -> Result<u64, Failed> {
    measured(|| respond("/foo", request))
}

#[inline(always)]
fn measured(body: impl FnOnce() -> Result<u64, Failed>) -> Result<u64, Failed> {
    let start = ticks();
    let result = body();
    observe(ticks_since(start) as f64 * SECONDS_PER_TICK.get());
    if result.is_err() {
        add(ERRORS, 1);
    }
    result
}

#[inline(always)]
fn observe(value: f64) {
    add(COUNT, 1);
    CELLS.with(|cells| {
        let sum = f64::from_bits(cells[SUM].load(Ordering::Relaxed));
        cells[SUM].store((sum + value).to_bits(), Ordering::Relaxed);
    });
}

#[inline(always)]
fn add(cell: usize, amount: u64) {
    CELLS.with(|cells| {
        let value = cells[cell].load(Ordering::Relaxed);
        cells[cell].store(value + amount, Ordering::Relaxed);
    });
}

#[inline(always)]
fn ticks_since(start: u64) -> u64 {
    ticks().saturating_sub(start)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ticks() -> u64 {
    // SAFETY: every processor of this architecture supports the instruction, and it does not access memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    static CLOCK: LazyLock<quanta::Clock> = LazyLock::new(quanta::Clock::new);
    CLOCK.raw()
}
