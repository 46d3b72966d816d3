//! Models of series with exponential buckets: chunks that are allocated, shared, read and freed while others write.

use std::sync::LazyLock;
use std::time::Instant;

use loom::thread;

use crate::cell::buckets::{Exponential, Native};
use crate::cell::distribution;
use crate::cell::distribution_reader::{self, Distribution};
use crate::cell::sync::without_memory;
use crate::cell::{self, Buckets, Handle, counter};
use crate::check;

static BUCKETS: LazyLock<Buckets> = LazyLock::new(|| {
    let native = Some(Native { schema: 0, max_buckets: 160 });
    let exponential = Exponential { schema: 0, native, quantiles: None };
    cell::new_buckets(vec![2.0], Some(exponential))
});

fn allocate() -> Handle {
    distribution::allocate(&BUCKETS, exponential()).expect("a slot")
}

fn exponential() -> &'static Exponential {
    BUCKETS.exponential.as_ref().expect("exponential buckets")
}

fn observe(handle: Handle, value: f64) {
    cell::observe(handle, &BUCKETS, value);
}

fn read(handle: Handle) -> Distribution {
    let mut all = Vec::new();
    distribution_reader::read_all(&[handle], Instant::now(), &mut all);
    all.pop().expect("one series")
}

/// The native buckets of positive values.
fn positive(distribution: &Distribution) -> Vec<(i32, u64)> {
    distribution.native.as_ref().map(|native| native.positive.clone()).unwrap_or_default()
}

#[test]
fn buckets_never_decrease_while_counts_wrap() {
    check(2, || {
        let handle = allocate();
        // The second observation wraps the count of the bucket.
        let writer = thread::spawn(move || (0..3).for_each(|_| observe(handle, 1.5)));
        let mut last = Distribution::default();
        for _ in 0..2 {
            let next = read(handle);
            assert!(next.count >= last.count && next.sum >= last.sum, "{last:?} -> {next:?}");
            let total: u64 = positive(&next).iter().map(|(_, count)| count).sum();
            assert_eq!((total, next.classic.iter().sum::<u64>()), (next.count, next.count));
            for (index, count) in positive(&last) {
                assert!(positive(&next).iter().any(|(other, later)| *other == index && *later >= count));
            }
            last = next;
        }
        writer.join().expect("no panic");
        let end = read(handle);
        assert_eq!((end.count, end.sum, positive(&end)), (3, 4.5, vec![(1, 3)]));
        assert_eq!(end.classic, [3, 0]);
    });
}

#[test]
fn buckets_in_one_word_wrap_independently() {
    check(2, || {
        let handle = allocate();
        // Both buckets wrap, and the numbers of their wraps are in one word.
        let writer = thread::spawn(move || [1.5, 3.0, 1.5, 3.0].into_iter().for_each(|value| observe(handle, value)));
        let next = read(handle);
        let total: u64 = positive(&next).iter().map(|(_, count)| count).sum();
        assert_eq!((total, next.classic.iter().sum::<u64>()), (next.count, next.count));
        assert!(next.sum <= 9.0);
        writer.join().expect("no panic");
        let end = read(handle);
        assert_eq!((end.count, end.sum, positive(&end)), (4, 9.0, vec![(1, 2), (2, 2)]));
        assert_eq!(end.classic, [2, 2]);
    });
}

#[test]
fn threads_agree_on_the_chunks() {
    check(2, || {
        let handle = allocate();
        // Both values need a chunk; the second chunk is coarse, whichever value comes first.
        let writers = [1.5, 100.0].map(|value| thread::spawn(move || observe(handle, value)));
        for writer in writers {
            writer.join().expect("no panic");
        }
        let writer = thread::spawn(move || [1.5, 100.0].into_iter().for_each(|value| observe(handle, value)));
        writer.join().expect("no panic");
        let end = read(handle);
        assert_eq!((end.count, positive(&end)), (4, vec![(1, 2), (7, 2)]));
    });
}

#[test]
fn observations_of_a_removed_series_do_not_reach_the_next_one() {
    check(2, || {
        let old = allocate();
        let writer = thread::spawn(move || [1.5, 100.0].into_iter().for_each(|value| observe(old, value)));
        distribution::free(old, &BUCKETS);
        let new = allocate();
        let writer_of_new = thread::spawn(move || observe(new, 3.0));
        let counter = counter::allocate().expect("a slot");
        writer.join().expect("no panic");
        writer_of_new.join().expect("no panic");
        let end = read(new);
        assert_eq!((end.count, end.sum, positive(&end)), (1, 3.0, vec![(2, 1)]));
        assert_eq!(counter::read(counter).whole, 0);
    });
}

#[test]
fn a_read_that_overlaps_a_removal_ends() {
    check(2, || {
        let handle = allocate();
        let writer = thread::spawn(move || (0..3).for_each(|_| observe(handle, 1.5)));
        writer.join().expect("no panic");
        let reader = thread::spawn(move || read(handle));
        distribution::free(handle, &BUCKETS);
        // The caller discards the reading of a series that has ended.
        let read = reader.join().expect("no panic");
        assert!(read.count <= 3);
    });
}

#[test]
fn a_thread_that_keeps_a_removed_series_does_not_change_the_next_one() {
    check(2, || {
        thread::spawn(|| {
            let old = allocate();
            observe(old, 1.5);
            distribution::free(old, &BUCKETS);
            // The next series takes the slot of the old one, but the thread never writes to it. The chunk of the series
            // after it takes the slot of the old one's chunk, and has the same key.
            let _next = allocate();
            let new = allocate();
            observe(new, 3.0);
            observe(old, 1.5);
            let end = read(new);
            assert_eq!((end.count, end.sum, positive(&end)), (1, 3.0, vec![(2, 1)]));
        })
        .join()
        .expect("no panic");
    });
}

#[test]
fn a_counter_in_the_first_slot_is_never_taken_for_a_chunk() {
    // The chunk of 24.0 has one of these keys, and its handle is not cached yet when 24.0 is observed.
    for key in 0..1_200 {
        check(0, move || {
            thread::spawn(move || {
                let counter = counter::allocate().expect("a slot");
                counter::add_whole(counter, key);
                let handle = allocate();
                observe(handle, 1.5);
                observe(handle, 24.0);
                let end = read(handle);
                assert_eq!((end.count, positive(&end)), (2, vec![(1, 1), (5, 1)]));
                assert_eq!(counter::read(counter).whole, key);
            })
            .join()
            .expect("no panic");
        });
    }
}

#[test]
fn observations_without_memory_are_counted() {
    check(2, || {
        let handle = allocate();
        let without = thread::spawn(move || without_memory(|| observe(handle, 1.5)));
        let with = thread::spawn(move || observe(handle, 1.5));
        for thread in [without, with] {
            thread.join().expect("no panic");
        }
        let Distribution { count, sum, .. } = read(handle);
        assert_eq!((count, sum), (2, 3.0));
    });
}
