//! Ends the slices of quantile windows on the alarm thread, for as long as there are windows.
//!
//! Scrapes end slices as well. If the alarm thread cannot be started, a window may reach back to the previous scrape. A
//! forked child has no alarm until it creates a series with quantiles or serves a scrape.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Instant;

use crate::alarm::Alarm;
use crate::cell::distribution_reader;
use crate::cell::handle::SHARDS;
use crate::internal::InternalError;
use crate::lock::lock;
use crate::per_process::PerProcess;

/// The alarm for the next slice that ends.
#[derive(Default)]
struct Keeper {
    alarm: Mutex<Option<(Instant, Alarm)>>,
    /// The shard to process next. Each alarm processes one shard, so that other alarms can fire in between.
    shard: AtomicUsize,
    /// The earliest slice end in the shards that this pass has processed.
    earliest: Mutex<Option<Instant>>,
}

static KEEPER: PerProcess<Keeper> = PerProcess::new();

/// Ensures that an alarm is set for `end` or earlier. The caller must not hold a lock.
pub(crate) fn keep(end: Instant) {
    let keeper = KEEPER.get();
    let mut alarm = lock(&keeper.alarm);
    if let Some((at, _)) = &*alarm
        && *at <= end
    {
        if *at < end {
            // The pass that the alarm belongs to may already have visited the shard of a new series.
            keeper.include(end);
        }
        return;
    }
    let Some(new) = Alarm::set(end, &Waker::from(Arc::new(EndSlices))) else {
        drop(alarm);
        return InternalError::ThreadSpawnFailed.record(&"quantiles");
    };
    let replaced = alarm.replace((end, new));
    if let Some((at, _)) = &replaced {
        keeper.include(*at);
    }
    drop(alarm);
    drop(replaced);
}

impl Keeper {
    /// Ensures that the alarm after the current pass is set for `end` or earlier. Called while `alarm` is locked, so
    /// that the pass cannot end first.
    fn include(&self, end: Instant) {
        let mut earliest = lock(&self.earliest);
        *earliest = earliest.map_or(Some(end), |other| Some(other.min(end)));
    }
}

struct EndSlices;

impl Wake for EndSlices {
    fn wake(self: Arc<Self>) {
        let keeper = KEEPER.get();
        // Taken first, so that a panic cannot leave an alarm that has gone off.
        let gone_off = lock(&keeper.alarm).take();
        drop(gone_off);
        let now = Instant::now();
        let shard = keeper.shard.load(Ordering::Relaxed);
        let end = distribution_reader::advance_windows(shard, now);
        let mut earliest = lock(&keeper.earliest);
        *earliest = [*earliest, end].into_iter().flatten().min();
        let is_last = shard + 1 == SHARDS;
        keeper.shard.store(if is_last { 0 } else { shard + 1 }, Ordering::Relaxed);
        let next = if is_last { earliest.take() } else { Some(now) };
        drop(earliest);
        if let Some(next) = next {
            keep(next);
        }
    }
}
