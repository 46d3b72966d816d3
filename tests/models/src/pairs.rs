//! Models of scrapes that read consistent values of a series while other threads write to it.

use std::sync::LazyLock;

use loom::thread;

use crate::cell::{self, Buckets, counter, histogram, summary};
use crate::check;

#[test]
fn count_and_sum_of_a_summary_belong_together() {
    check(3, || {
        let handle = summary::allocate().expect("a slot");
        let writer = thread::spawn(move || (0..3).for_each(|_| summary::observe(handle, 0.5)));
        let mut last = 0;
        for _ in 0..2 {
            let summary::Total { count, sum } = summary::read(handle);
            assert_eq!(sum, count as f64 * 0.5);
            assert!(count >= last, "{last} -> {count}");
            last = count;
        }
        writer.join().expect("no panic");
        assert_eq!(summary::read(handle), summary::Total { count: 3, sum: 1.5 });
    });
}

#[test]
fn buckets_and_sum_of_a_histogram_belong_together() {
    static BUCKETS: LazyLock<Buckets> = LazyLock::new(|| cell::new_buckets(vec![1.0], None));
    check(3, || {
        let handle = histogram::allocate(&BUCKETS).expect("a slot");
        let writer = thread::spawn(move || {
            for value in [1.0, 3.0, 1.0] {
                cell::observe(handle, &BUCKETS, value);
            }
        });
        let mut totals = histogram::Totals::default();
        let mut last = (0, 0);
        for _ in 0..2 {
            histogram::read_all(&[handle], &BUCKETS, &mut totals);
            let [small, large] = totals.counts[..] else { panic!("two buckets") };
            let count = small + large;
            assert_eq!(totals.sums[0], [0.0, 1.0, 4.0, 5.0][usize::try_from(count).expect("few")]);
            assert!(small >= last.0 && count >= last.1, "{last:?} -> {:?}", (small, count));
            last = (small, count);
        }
        writer.join().expect("no panic");
        histogram::read_all(&[handle], &BUCKETS, &mut totals);
        assert_eq!((&totals.counts[..], totals.sums[0]), ([2, 1].as_slice(), 5.0));
    });
}

#[test]
fn a_counter_that_many_write_is_exact_and_never_falls() {
    check(2, || {
        let handle = counter::allocate().expect("a slot");
        let writers = [0; 2].map(|_| {
            thread::spawn(move || {
                counter::add_whole(handle, 1);
                counter::add_whole(handle, 2);
            })
        });
        let [first, second] = [counter::read(handle).whole, counter::read(handle).whole];
        assert!(first <= second, "{first} -> {second}");
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(counter::read(handle).whole, 6);
    });
}

#[test]
fn exceptions_never_exceed_calls_while_a_block_changes_hands() {
    check(2, || {
        let exceptions = counter::allocate().expect("a slot");
        let latency = summary::allocate().expect("a slot");
        let call = move || {
            summary::observe(latency, 0.5);
            counter::add_whole(exceptions, 1);
        };
        // The second thread takes over the block of the first one.
        let calls = thread::spawn(move || (0..2).for_each(|_| thread::spawn(call).join().expect("no panic")));
        for _ in 0..2 {
            let failed = counter::read(exceptions).whole;
            let count = summary::read(latency).count;
            assert!(failed <= count, "{failed} exceptions, {count} calls");
        }
        calls.join().expect("no panic");
        assert_eq!((counter::read(exceptions).whole, summary::read(latency).count), (2, 2));
    });
}

#[test]
fn a_histogram_that_ends_while_it_is_read_shows_nothing_of_the_next() {
    static BUCKETS: LazyLock<Buckets> = LazyLock::new(|| cell::new_buckets(vec![1.0], None));
    check(2, || {
        let old = histogram::allocate(&BUCKETS).expect("a slot");
        let write = |handle, value| thread::spawn(move || cell::observe(handle, &BUCKETS, value));
        write(old, 0.5).join().expect("no panic");
        let scrape = thread::spawn(move || {
            let mut totals = histogram::Totals::default();
            histogram::read_all(&[old], &BUCKETS, &mut totals);
            let [small, large] = totals.counts[..] else { panic!("two buckets") };
            assert!(small <= 1 && large == 0, "{small}, {large}");
            assert_eq!(totals.sums[0], f64::from(u32::try_from(small).expect("few")) * 0.5);
        });
        histogram::free(old, &BUCKETS);
        let new = histogram::allocate(&BUCKETS).expect("the same slot");
        // The new thread reuses the block of the first thread, and therefore its cell.
        write(new, 3.0).join().expect("no panic");
        scrape.join().expect("no panic");
        let mut totals = histogram::Totals::default();
        histogram::read_all(&[new], &BUCKETS, &mut totals);
        assert_eq!((&totals.counts[..], totals.sums[0]), ([0, 1].as_slice(), 3.0));
    });
}
