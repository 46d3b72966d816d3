//! Models of thread blocks: reuse after a thread ends, growth, and the limit on the number of blocks.

use loom::thread;

use crate::cell::sync::without_memory;
use crate::cell::{access, counter, summary};
use crate::check;

#[test]
fn an_ending_thread_hands_its_block_on_while_a_scrape_reads() {
    check(2, || {
        let handle = summary::allocate().expect("a slot");
        let turns = move || {
            for _ in 0..2 {
                thread::spawn(move || summary::observe(handle, 0.5)).join().expect("no panic");
            }
        };
        let writers = thread::spawn(turns);
        let mut last = 0;
        for _ in 0..2 {
            let summary::Total { count, sum } = summary::read(handle);
            assert_eq!(sum, count as f64 * 0.5);
            assert!(count >= last, "{last} -> {count}");
            last = count;
        }
        writers.join().expect("no panic");
        assert_eq!(summary::read(handle), summary::Total { count: 2, sum: 1.0 });
    });
}

#[test]
fn two_threads_never_have_one_block() {
    check(3, || {
        let handle = counter::allocate().expect("a slot");
        thread::spawn(move || counter::add_whole(handle, 1)).join().expect("no panic");
        // One writer gets the free block, and the other writer gets a new block.
        let writers = [0; 2].map(|_| {
            thread::spawn(move || {
                counter::add_whole(handle, 1);
                counter::add_whole(handle, 1);
            })
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(counter::read(handle).whole, 5);
    });
}

#[test]
fn blocks_grow_while_a_scrape_reads() {
    check(3, || {
        // The first page has room for only two of the three counters.
        let handles = [0; 3].map(|_| counter::allocate().expect("a slot"));
        let writer = thread::spawn(move || handles.into_iter().for_each(|handle| counter::add_whole(handle, 1)));
        let mut totals = Vec::new();
        counter::read_all(&handles, &mut totals);
        let first: Vec<u64> = totals.iter().map(|total| total.whole).collect();
        counter::read_all(&handles, &mut totals);
        assert!(totals.iter().zip(first).all(|(total, first)| total.whole >= first && total.whole <= 1));
        writer.join().expect("no panic");
        counter::read_all(&handles, &mut totals);
        assert!(totals.iter().all(|total| total.whole == 1));
    });
}

#[test]
fn threads_that_share_cells_lose_nothing() {
    check(3, || {
        access::limit_threads(1);
        let handle = summary::allocate().expect("a slot");
        let writers = [0; 2].map(|_| {
            thread::spawn(move || {
                summary::observe(handle, 0.5);
                summary::observe(handle, 0.5);
            })
        });
        let summary::Total { count, sum } = summary::read(handle);
        assert_eq!(sum, count as f64 * 0.5);
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(summary::read(handle), summary::Total { count: 4, sum: 2.0 });
    });
}

#[test]
fn a_late_write_never_reaches_the_series_that_reuses_a_shared_cell() {
    check(3, || {
        access::limit_threads(0);
        let old = summary::allocate().expect("a slot");
        let late = thread::spawn(move || summary::observe(old, 0.5));
        access::free(old, summary::WORDS);
        let new = summary::allocate().expect("a slot");
        let writer = thread::spawn(move || {
            summary::observe(new, 3.0);
            summary::observe(new, 3.0);
        });
        let summary::Total { count, sum } = summary::read(new);
        assert_eq!(sum, count as f64 * 3.0);
        for thread in [late, writer] {
            thread.join().expect("no panic");
        }
        assert_eq!(summary::read(new), summary::Total { count: 2, sum: 6.0 });
    });
}

#[test]
fn a_limit_holds_for_threads_that_start_while_it_is_set() {
    check(3, || {
        let handle = counter::allocate().expect("a slot");
        let writers = [0; 2].map(|_| thread::spawn(move || counter::add_whole(handle, 1)));
        access::limit_threads(1);
        let before = access::thread_blocks();
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert!(access::thread_blocks() <= before.max(1));
        assert_eq!(counter::read(handle).whole, 2);
    });
}

#[test]
fn a_thread_without_memory_loses_nothing() {
    check(3, || {
        let handle = summary::allocate().expect("a slot");
        let writer = thread::spawn(move || {
            without_memory(|| summary::observe(handle, 0.5));
            // The thread now gets its own page.
            summary::observe(handle, 0.5);
            without_memory(|| summary::observe(handle, 0.5));
        });
        let other = thread::spawn(move || without_memory(|| summary::observe(handle, 0.5)));
        let summary::Total { count, sum } = summary::read(handle);
        assert_eq!(sum, count as f64 * 0.5);
        for thread in [writer, other] {
            thread.join().expect("no panic");
        }
        assert_eq!(summary::read(handle), summary::Total { count: 4, sum: 2.0 });
    });
}

#[test]
fn a_thread_that_shares_cells_without_memory_loses_nothing() {
    check(3, || {
        access::limit_threads(0);
        let handle = summary::allocate().expect("a slot");
        let without = thread::spawn(move || without_memory(|| summary::observe(handle, 0.5)));
        let with = thread::spawn(move || summary::observe(handle, 0.5));
        for thread in [without, with] {
            thread.join().expect("no panic");
        }
        assert_eq!(summary::read(handle), summary::Total { count: 2, sum: 1.0 });
    });
}

#[test]
fn a_slot_that_could_not_be_used_goes_to_the_next_series() {
    check(1, || {
        // The first page has room for two counters, and no page can be allocated for the third one.
        let first = [0; 2].map(|_| counter::allocate().expect("a slot"));
        assert!((0..3).all(|_| without_memory(counter::allocate).is_none()));
        let third = counter::allocate().expect("a slot");
        let handles = [first[0], first[1], third];
        let writer = thread::spawn(move || handles.into_iter().for_each(|handle| counter::add_whole(handle, 1)));
        writer.join().expect("no panic");
        assert_eq!(handles.map(|handle| counter::read(handle).whole), [1; 3]);
    });
}
