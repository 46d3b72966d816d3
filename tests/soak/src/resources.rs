//! The memory, threads and descriptors of the process over time.

#![allow(unsafe_code, reason = "an allocator requires unsafe code")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::failures;
use crate::model::lock;

/// Counts the bytes that are allocated.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: all calls are forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size as i64 - layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The number of operations of all workers that have ended.
pub(crate) static OPERATIONS: AtomicU64 = AtomicU64::new(0);
/// The number of times that the system clock stepped by more than a minute.
pub(crate) static CLOCK_STEPS: AtomicU64 = AtomicU64::new(0);

/// The use of resources at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) seconds: u64,
    operations: u64,
    /// The live bytes of the allocator.
    pub(crate) live: i64,
    /// The resident set in bytes.
    resident: i64,
    pub(crate) threads: i64,
    pub(crate) descriptors: i64,
}

impl Usage {
    pub(crate) fn now(begin: Instant) -> Self {
        let number = |text: &str| text.parse::<i64>().ok();
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let resident = statm.split(' ').nth(1).and_then(number).unwrap_or_default() * 4_096;
        // One descriptor belongs to the listing itself.
        let entries = |path: &str| fs::read_dir(path).map_or(0, |entries| entries.count() as i64);
        Self {
            seconds: begin.elapsed().as_secs(),
            operations: OPERATIONS.load(Ordering::Relaxed),
            live: LIVE.load(Ordering::Relaxed),
            resident,
            threads: entries("/proc/self/task"),
            descriptors: entries("/proc/self/fd") - 1,
        }
    }
}

/// Returns one of the values.
type Of = fn(&Usage) -> i64;

/// The samples of each second, and the minima of each second at the times between two rounds, when no worker runs.
pub(crate) struct Curve {
    every_second: Mutex<Vec<Usage>>,
    between_rounds: Mutex<Vec<Usage>>,
}

impl Curve {
    /// Reserves memory for a run of this length, so that the samples themselves do not make the live bytes grow.
    pub(crate) fn new(seconds: u64) -> Self {
        let samples = || Mutex::new(Vec::with_capacity(seconds as usize + 60));
        Self { every_second: samples(), between_rounds: samples() }
    }

    /// Samples every second until the channel is closed.
    pub(crate) fn sample(&self, begin: Instant, stop: &mpsc::Receiver<()>) {
        let mut last = (Instant::now(), SystemTime::now());
        while stop.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
            lock(&self.every_second).push(Usage::now(begin));
            let now = (Instant::now(), SystemTime::now());
            let forward = now.1.duration_since(last.1).unwrap_or_else(|error| error.duration());
            let step = forward.abs_diff(now.0 - last.0);
            CLOCK_STEPS.fetch_add(u64::from(step > Duration::from_secs(60)), Ordering::Relaxed);
            last = now;
        }
    }

    pub(crate) fn end_round(&self, begin: Instant) {
        let (mut samples, now) = (lock(&self.between_rounds), Usage::now(begin));
        match samples.last_mut().filter(|last| last.seconds == now.seconds) {
            Some(last) => {
                last.live = last.live.min(now.live);
                last.resident = last.resident.min(now.resident);
                last.threads = last.threads.min(now.threads);
                last.descriptors = last.descriptors.min(now.descriptors);
            }
            None => samples.push(now),
        }
    }

    /// Prints at most 20 rows.
    pub(crate) fn print(&self) {
        println!("seconds  operations  live KiB  resident KiB  threads  descriptors");
        let samples = lock(&self.every_second);
        let step = samples.len().div_ceil(20).max(1);
        for usage in samples.iter().step_by(step).chain(samples.last()) {
            let Usage { seconds, operations, live, resident, threads, descriptors } = usage;
            let (live, resident) = (live / 1_024, resident / 1_024);
            println!("{seconds:7}  {operations:10}  {live:8}  {resident:12}  {threads:7}  {descriptors:11}");
        }
    }

    /// Compares the second third of the run with the last one, at the times when no worker runs. The first third is
    /// the warm-up.
    ///
    /// At these times, all series exist, and only scrapes and pushes are in progress. Their buffers, threads and
    /// connections only add to a minimum, so the minima of many samples are compared. In runs without a leak, they
    /// differ by less than 100 KiB of live bytes, two threads and two connections. A leak of one byte per operation
    /// exceeds the limit. The library reserves large zeroed pages, which count as live at once but become resident
    /// later, so the resident set is compared as well. It varies by about 2 MiB with the allocator's fragmentation.
    pub(crate) fn check(&self) {
        let samples = lock(&self.between_rounds);
        let third = samples.len() / 3;
        let (second, last) = samples[third..].split_at(third);
        let checks: [(&str, i64, Of); 4] = [
            ("live bytes", 256 << 10, |usage| usage.live),
            ("resident bytes", 6 << 20, |usage| usage.resident),
            ("threads", 2, |usage| usage.threads),
            ("descriptors", 4, |usage| usage.descriptors),
        ];
        for (name, limit, of) in checks {
            let [before, after] = [second, last].map(|samples| samples.iter().map(of).min().unwrap_or_default());
            println!("{name} between rounds: at least {before} in the second third, {after} in the last one");
            if after - before > limit {
                failures::report(format!("{name} grew from {before} to {after}, by more than {limit}"));
            }
        }
    }
}

/// Waits until the process has no more threads and descriptors than at the beginning, except for the alarm thread.
pub(crate) fn check_end(begin: Usage) {
    let start = Instant::now();
    loop {
        let now = Usage::now(start);
        // Windows of quantiles keep the alarm thread running.
        if now.threads <= begin.threads + 1 && now.descriptors <= begin.descriptors {
            return println!("at the end: {} threads, {} descriptors", now.threads, now.descriptors);
        }
        if start.elapsed() > Duration::from_secs(30) {
            return failures::report(format!("threads or descriptors remain: {now:?}, at the beginning {begin:?}"));
        }
        thread::sleep(Duration::from_millis(50));
    }
}
