//! Models of handles whose series are removed while other threads write through the handles, reuse their slots, or look
//! them up.

use std::sync::atomic::Ordering::{Acquire, Release};

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use crate::cache::{CacheId, FixedSeries, FullFilter};
use crate::cell::gauge_slot::{self, GaugeSlot};
use crate::cell::sync::{Mutex, lock};
use crate::cell::{CacheSet, Handle, access, counter, summary};
use crate::{cache, check};

#[test]
fn a_stale_handle_never_writes_into_the_next_series() {
    check(3, || {
        let old = counter::allocate().expect("a slot");
        let writer = thread::spawn(move || {
            counter::add_whole(old, 10);
            counter::add_whole(old, 10);
        });
        access::free(old, counter::WORDS);
        let new = counter::allocate().expect("the same slot");
        assert_ne!(old, new);
        thread::spawn(move || counter::add_whole(new, 1)).join().expect("no panic");
        assert_eq!(counter::read(new).whole, 1);
        writer.join().expect("no panic");
        assert_eq!(counter::read(new).whole, 1);
        assert_eq!(counter::read(old).whole, 0);
    });
}

#[test]
fn a_reused_slot_shows_only_what_is_its_own() {
    check(3, || {
        let old = summary::allocate().expect("a slot");
        // The writer alternates between the old and the new handle, so its cell switches between generations.
        let (at_new, new_of) = loom::sync::mpsc::channel::<Handle>();
        let writer = thread::spawn(move || {
            summary::observe(old, 4.0);
            let new = new_of.recv().expect("sent");
            summary::observe(new, 0.5);
            summary::observe(old, 4.0);
            summary::observe(new, 0.5);
        });
        access::free(old, summary::WORDS);
        let new = summary::allocate().expect("the same slot");
        at_new.send(new).expect("received");
        let mut last = 0;
        for _ in 0..2 {
            let summary::Total { count, sum } = summary::read(new);
            assert_eq!(sum, count as f64 * 0.5);
            assert!(count >= last, "{last} -> {count}");
            last = count;
        }
        assert_eq!(summary::read(old).count, 0);
        writer.join().expect("no panic");
        // The write through the old handle did not discard any of the new series' values.
        assert_eq!(summary::read(new), summary::Total { count: 2, sum: 1.0 });
    });
}

#[test]
fn a_scrape_of_a_series_that_ends_sees_nothing_of_the_next() {
    check(3, || {
        let old = summary::allocate().expect("a slot");
        let write = |handle, value| thread::spawn(move || summary::observe(handle, value));
        write(old, 4.0).join().expect("no panic");
        let scrape = thread::spawn(move || {
            let summary::Total { count, sum } = summary::read(old);
            assert_eq!(sum, count as f64 * 4.0);
        });
        access::free(old, summary::WORDS);
        let new = summary::allocate().expect("the same slot");
        // The new thread reuses the block of the first thread, and therefore its cell.
        write(new, 0.5).join().expect("no panic");
        scrape.join().expect("no panic");
        assert_eq!(summary::read(new), summary::Total { count: 1, sum: 0.5 });
    });
}

#[test]
fn values_read_in_an_unchanged_epoch_are_those_of_their_series() {
    const FIRST: u64 = 1;
    const SECOND: u64 = 2;
    check(3, || {
        let old = counter::allocate().expect("a slot");
        thread::spawn(move || counter::add_whole(old, 5)).join().expect("no panic");
        let epoch = Arc::new(AtomicU64::new(FIRST));
        let changed = Arc::clone(&epoch);
        let scrape = thread::spawn(move || {
            let mut totals = Vec::new();
            counter::read_all(&[old], &mut totals);
            access::end_reads();
            let value = totals[0].whole;
            assert!(value == 5 || changed.load(Acquire) == SECOND, "{value}");
        });
        // This thread takes over the first thread's block. If it gets the same slot, it resets the cell.
        let writer = thread::spawn(|| counter::add_whole(counter::allocate().expect("a slot"), 1));
        // Like `FamilyCore::remove`, this changes the epoch before it frees the series.
        epoch.store(SECOND, Release);
        access::free(old, counter::WORDS);
        scrape.join().expect("no panic");
        writer.join().expect("no panic");
    });
}

#[test]
fn an_old_gauge_never_changes_the_gauge_that_reuses_its_slot() {
    let handle = |generation: u64| Handle::from_word(generation << 32 | 5);
    check(3, move || {
        let slot = Arc::new(GaugeSlot::new(0));
        let (old, new) = (handle(1), handle(2));
        gauge_slot::begin(&slot, old);
        let shared = Arc::clone(&slot);
        let writer = thread::spawn(move || {
            gauge_slot::update(&shared, old, |value| value + 1.0);
            gauge_slot::update(&shared, old, |value| value + 1.0);
        });
        let shared = Arc::clone(&slot);
        // Only one of several threads that remove the series may pass its slot on.
        let other_remover = thread::spawn(move || gauge_slot::end(&shared, old));
        let is_ours = gauge_slot::end(&slot, old);
        if is_ours {
            gauge_slot::begin(&slot, new);
            gauge_slot::update(&slot, new, |value| value + 10.0);
            assert_eq!(gauge_slot::read(&slot, old), None);
        }
        assert_ne!(other_remover.join().expect("no panic"), is_ours);
        writer.join().expect("no panic");
        assert_eq!(gauge_slot::read(&slot, new), is_ours.then_some(10.0));
    });
}

/// A family with one series, whose handle changes when the series is removed and created again.
struct FamilyOfOne {
    id: CacheId,
    epoch: AtomicU64,
    table: Mutex<Handle>,
}

impl FamilyOfOne {
    /// Looks up the series as `FamilyCore::resolve` does, in a cache that belongs to the thread.
    fn resolve(&self, cache: &[CacheSet]) -> Handle {
        let epoch = self.epoch.load(Acquire);
        cache::find_one(cache, &self.id, epoch, "/foo").unwrap_or_else(|| {
            let handle = *lock(&self.table);
            cache::insert_one(cache, &self.id, epoch, "/foo", handle);
            handle
        })
    }

    fn replace(&self, handle: Handle) {
        let mut table = lock(&self.table);
        *table = handle;
        self.epoch.store(2, Release);
    }
}

#[test]
fn a_cache_that_changes_hands_returns_no_removed_series() {
    check(3, || {
        let (old, new) = (Handle::from_word(1), Handle::from_word(2));
        let id = CacheId { index: 0 };
        let family = Arc::new(FamilyOfOne { id, epoch: AtomicU64::new(1), table: Mutex::new(old) });
        let zeros = [(); 2].map(|()| std::array::from_fn(|_| AtomicU64::new(0)));
        let pool = Arc::new(Mutex::new(Some(Box::new([zeros]))));
        let removals = Arc::new(AtomicU64::new(0));
        let look_up_twice = || {
            let (family, pool, removals) = (Arc::clone(&family), Arc::clone(&pool), Arc::clone(&removals));
            thread::spawn(move || {
                let Some(cache) = lock::<Option<Box<[CacheSet; 1]>>>(&pool).take() else { return };
                for _ in 0..2 {
                    let was_removed = removals.load(Acquire) == 1;
                    let found = family.resolve(&*cache);
                    assert!(found == new || found == old && !was_removed);
                }
                *lock(&pool) = Some(cache);
            })
        };
        let (first, second) = (look_up_twice(), look_up_twice());
        family.replace(new);
        removals.store(1, Release);
        first.join().expect("no panic");
        second.join().expect("no panic");
    });
}

#[test]
fn fixed_handles_are_those_of_their_epoch() {
    const FIRST: u64 = 1;
    const SECOND: u64 = 2;
    let handles = |epoch: u64| [Handle::from_word(epoch * 10), Handle::from_word(epoch * 10 + 1)];
    check(3, move || {
        let fixed = Arc::new((AtomicU64::new(0), [AtomicU64::new(0), AtomicU64::new(0)]));
        cache::set(&fixed.0, &fixed.1, FIRST, handles(FIRST));
        let shared = Arc::clone(&fixed);
        let writer = thread::spawn(move || cache::set(&shared.0, &shared.1, SECOND, handles(SECOND)));
        for epoch in [FIRST, SECOND] {
            if let Some(found) = cache::get(&fixed.0, &fixed.1, epoch) {
                assert_eq!(found, handles(epoch));
            }
        }
        writer.join().expect("no panic");
        assert_eq!(cache::get(&fixed.0, &fixed.1, SECOND), Some(handles(SECOND)));
    });
}

#[test]
fn a_call_finds_no_series_that_was_removed_before() {
    const OLD: u64 = 10;
    const NEW: u64 = 20;
    check(3, || {
        // The handle in a family's table, and what an annotated function has found in it.
        let table = Arc::new(Mutex::new(OLD));
        let found = Arc::new(FixedSeries::<1>::new());
        let look_up = |table: &Mutex<u64>, found: &FixedSeries<1>| {
            let epoch = found.epoch();
            let handle = Handle::from_word(*lock(table));
            found.set(epoch, [handle]);
        };
        let call = {
            let (table, found) = (Arc::clone(&table), Arc::clone(&found));
            thread::spawn(move || look_up(&table, &found))
        };
        {
            let mut table = lock(&table);
            *table = NEW;
            found.invalidate();
        }
        let is_current = || [Handle::NONE, Handle::from_word(NEW)].contains(&found.handle(0));
        assert!(is_current());
        look_up(&table, &found);
        assert!(is_current());
        call.join().expect("no panic");
        assert_eq!(found.handle(0), Handle::from_word(NEW));
    });
}

#[test]
fn a_filter_never_excludes_a_label_set_that_the_family_has_or_has_room_for() {
    const FIRST: u32 = 1;
    const SECOND: u32 = 2;
    const OTHER: u32 = 3;
    check(3, || {
        let table = Arc::new(Mutex::new(vec![FIRST]));
        let filter = Arc::new(FullFilter::new());
        let fill = |table: &Mutex<Vec<u32>>, filter: &FullFilter| {
            filter.allocate(1);
            let table = lock(table);
            if !table.is_empty() {
                filter.fill(table.iter().copied());
            }
        };
        fill(&table, &filter);
        assert!(filter.excludes(|| OTHER) && !filter.excludes(|| FIRST));
        let filling = {
            let (table, filter) = (Arc::clone(&table), Arc::clone(&filter));
            thread::spawn(move || {
                fill(&table, &filter);
                {
                    // Inserted without regard to the cap.
                    let mut table = lock(&table);
                    table.push(SECOND);
                    filter.add(|| SECOND);
                }
                assert!(!filter.excludes(|| SECOND));
            })
        };
        {
            let mut table = lock(&table);
            table.retain(|hash| *hash != FIRST);
            filter.invalidate();
        }
        filling.join().expect("no panic");
        assert!(!filter.excludes(|| SECOND));
    });
}

#[test]
fn a_label_set_is_never_excluded_while_the_filter_is_filled_again() {
    const ALWAYS: u32 = 1;
    check(3, || {
        let filter = Arc::new(FullFilter::new());
        filter.allocate(1);
        filter.fill([ALWAYS].into_iter());
        let filling = {
            let filter = Arc::clone(&filter);
            thread::spawn(move || {
                filter.invalidate();
                filter.fill([ALWAYS].into_iter());
            })
        };
        assert!(!filter.excludes(|| ALWAYS));
        filling.join().expect("no panic");
        assert!(!filter.excludes(|| ALWAYS) && filter.excludes(|| ALWAYS + 1));
    });
}

#[test]
fn a_new_exceptions_handle_implies_a_new_latency_handle() {
    check(3, || {
        let found = Arc::new(FixedSeries::<2>::new());
        let [old, new] = [10, 20].map(|first| [Handle::from_word(first), Handle::from_word(first + 1)]);
        found.set(found.epoch(), old);
        let replacing = {
            let found = Arc::clone(&found);
            thread::spawn(move || {
                found.invalidate();
                found.set(found.epoch(), new);
            })
        };
        let exceptions = found.handle(1);
        let latency = found.handle(0);
        assert!(exceptions != new[1] || latency == new[0]);
        replacing.join().expect("no panic");
    });
}

#[test]
fn handles_that_are_read_together_were_set_together() {
    check(3, || {
        let found = Arc::new(FixedSeries::<2>::new());
        let [old, new] = [10, 20].map(|first| [Handle::from_word(first), Handle::from_word(first + 1)]);
        assert_eq!(found.all(), None);
        found.set(found.epoch(), old);
        assert_eq!(found.all(), Some(old));
        // Setting the same handles once more causes no miss.
        let again = {
            let found = Arc::clone(&found);
            thread::spawn(move || found.set(1, old))
        };
        assert_eq!(found.all(), Some(old));
        again.join().expect("no panic");
        let replacing = {
            let found = Arc::clone(&found);
            thread::spawn(move || {
                found.invalidate();
                assert_eq!(found.all(), None);
                found.set(found.epoch(), new);
            })
        };
        let all = found.all();
        assert!([None, Some(old), Some(new)].contains(&all), "{all:?}");
        replacing.join().expect("no panic");
        assert_eq!(found.all(), Some(new));
    });
}
