//! Ends the slices of quantile windows on the alarm thread, for as long as there are windows.
//!
//! Scrapes end slices as well. Without the alarm thread, which may fail to start, a window therefore reaches back to
//! the scrape before. A forked child has no alarm until it creates a series with quantiles or serves a scrape.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Instant;

use crate::alarm::Alarm;
use crate::cell::chunks::SHARDS;
use crate::cell::distribution;
use crate::internal::InternalError;
use crate::lock::lock;
use crate::per_process::PerProcess;

/// The alarm for the next slice that ends.
#[derive(Default)]
struct Keeper {
    alarm: Mutex<Option<(Instant, Alarm)>>,
    /// The shard that the alarm is for, so that other alarms can go off between two shards.
    shard: AtomicUsize,
    /// The end of the next slice in the shards before.
    earliest: Mutex<Option<Instant>>,
}

static KEEPER: PerProcess<Keeper> = PerProcess::new();

/// Ensures that slices that end at `end` or later are ended on time. The caller must not hold a lock.
pub(crate) fn keep(end: Instant) {
    let mut alarm = lock(&KEEPER.get().alarm);
    if alarm.as_ref().is_some_and(|(at, _)| *at <= end) {
        return;
    }
    let replaced = match Alarm::set(end, &Waker::from(Arc::new(EndSlices))) {
        Some(new) => alarm.replace((end, new)),
        None => {
            drop(alarm);
            return InternalError::ThreadSpawnFailed.record(&"quantiles");
        }
    };
    drop(alarm);
    drop(replaced);
}

struct EndSlices;

impl Wake for EndSlices {
    fn wake(self: Arc<Self>) {
        let keeper = KEEPER.get();
        let now = Instant::now();
        let shard = keeper.shard.load(Ordering::Relaxed);
        let end = distribution::advance_windows(shard, now);
        let mut earliest = lock(&keeper.earliest);
        *earliest = [*earliest, end].into_iter().flatten().min();
        let is_last = shard + 1 == SHARDS;
        keeper.shard.store(if is_last { 0 } else { shard + 1 }, Ordering::Relaxed);
        let next = if is_last { earliest.take() } else { Some(now) };
        drop(earliest);
        // The alarm that has just gone off.
        let _gone_off = lock(&keeper.alarm).take();
        if let Some(next) = next {
            keep(next);
        }
    }
}
