//! Tests of the ids, and of the first level, which run outside of the models that share its file.

use std::sync::atomic::Ordering::Relaxed;

use super::set_associative::{
    CacheEntry, FEW_SETS, MANY_SETS, MAX_HANDLES, MAX_VALUES, TOO_LONG_FOR_ONE, find, find_one, handles,
};
use super::{CacheId, IDS, set_associative};
use crate::cell::sync::AtomicU64;
use crate::cell::{CACHE_ENTRY_WORDS, CacheSet, Handle};
use crate::lock::lock;

fn some_handles(n: u64) -> [Handle; MAX_HANDLES] {
    std::array::from_fn(|at| Handle::from_word(n * 10 + at as u64))
}

fn zeros(sets: usize) -> Vec<CacheSet> {
    (0..sets).map(|_| [(); 2].map(|()| [const { AtomicU64::new(0) }; CACHE_ENTRY_WORDS])).collect()
}

fn words_of(entry: &CacheEntry) -> [u64; MAX_HANDLES] {
    handles(entry).map(Handle::word)
}

fn found(sets: &[CacheSet], id: &CacheId, epoch: u64, values: &[&str]) -> Option<[u64; MAX_HANDLES]> {
    let found = find(sets, id, epoch, &[], values).map(words_of);
    if let [value] = values {
        let one = find_one(sets, id, epoch, value.as_bytes()).map(words_of);
        assert!(one.is_none() || one == found, "{value:?}");
    }
    found
}

fn insert(sets: &[CacheSet], id: &CacheId, epoch: u64, values: &[&str], handles: &[Handle], turn: usize) {
    set_associative::insert(sets, id, epoch, &[], values, handles, turn);
}

/// Returns values of many lengths, plus all variants of each value that differ from it in one byte.
fn values() -> Vec<String> {
    let mut values = vec![String::new()];
    for len in (1..=40).chain([71, 72, 73, 254, 255, 256]) {
        let plain = "x".repeat(len);
        for at in 0..len {
            let mut other = plain.clone();
            other.replace_range(at..=at, "y");
            values.push(other);
        }
        values.push(plain);
    }
    values
}

#[test]
fn handles_are_found_only_for_the_same_values() {
    let (id, values) = (CacheId::new(), values());
    let mut remembered = 0;
    for (n, value) in values.iter().enumerate() {
        let sets = zeros([FEW_SETS, MANY_SETS][n % 2]);
        insert(&sets, &id, 1, &[value, "z"], &some_handles(n as u64), 0);
        for (other_n, other) in values.iter().enumerate() {
            let found = found(&sets, &id, 1, &[other, "z"]);
            let expected = (n == other_n).then(|| some_handles(n as u64).map(Handle::word));
            assert!(found.is_none() || found == expected, "{other:?} finds the handles of {value:?}");
            remembered += usize::from(found.is_some());
        }
    }
    // All values that fit are cached: 8 words remain, because the second value takes one.
    assert_eq!(remembered, values.iter().filter(|value| value.len() <= 64).count());
}

#[test]
fn handles_are_found_only_for_the_same_single_value() {
    let (id, values) = (CacheId::new(), values());
    for (n, value) in values.iter().enumerate() {
        let sets = zeros(MANY_SETS);
        insert(&sets, &id, 1, &[value], &some_handles(n as u64), 0);
        for (other_n, other) in values.iter().enumerate() {
            let expected = (n == other_n && value.len() <= 71).then(|| some_handles(n as u64).map(Handle::word));
            assert_eq!(found(&sets, &id, 1, &[other]), expected, "{other:?} after {value:?}");
        }
        let one = find_one(&sets, &id, 1, value.as_bytes());
        assert_eq!(one.is_some(), value.len() < TOO_LONG_FOR_ONE, "{value:?}");
    }
}

#[test]
fn values_with_the_same_ends_share_a_set_and_are_distinguished() {
    let (sets, id) = (zeros(MANY_SETS), CacheId::new());
    let value = |middle: &str| format!("beginning{middle}the very end");
    let [one, two, three] = ["one", "two", "six"].map(value);
    for (value, n) in [(&one, 1), (&two, 2)] {
        insert(&sets, &id, 1, &[value], &some_handles(n), 0);
    }
    assert_eq!(found(&sets, &id, 1, &[&one]), Some(some_handles(1).map(Handle::word)));
    assert_eq!(found(&sets, &id, 1, &[&two]), Some(some_handles(2).map(Handle::word)));
    assert_eq!(found(&sets, &id, 1, &[&three]), None);
    insert(&sets, &id, 1, &[&three], &some_handles(3), 4);
    assert_eq!(found(&sets, &id, 1, &[&one]), Some(some_handles(1).map(Handle::word)));
    assert_eq!(found(&sets, &id, 1, &[&two]), None);
    assert_eq!(found(&sets, &id, 1, &[&three]), Some(some_handles(3).map(Handle::word)));
}

#[test]
fn boundaries_between_values_are_significant() {
    let id = CacheId::new();
    let label_sets: [&[&str]; 7] = [&["ab", "c"], &["a", "bc"], &["abc", ""], &["", "abc"], &["abc"], &[""], &["", ""]];
    for set in label_sets {
        let sets = zeros(MANY_SETS);
        insert(&sets, &id, 1, set, &some_handles(7), 0);
        for other in label_sets {
            let same = other == set;
            // All label sets of an owner have the same size, so sets of different sizes need not be distinguished.
            if other.len() == set.len() {
                assert_eq!(found(&sets, &id, 1, other).is_some(), same, "{set:?} {other:?}");
            }
        }
    }
}

#[test]
fn handles_are_found_only_for_the_same_owner_and_epoch() {
    let (sets, ids) = (zeros(MANY_SETS), [CacheId::new(), CacheId::new()]);
    insert(&sets, &ids[0], 1, &["/foo"], &some_handles(1), 0);
    assert!(found(&sets, &ids[0], 1, &["/foo"]).is_some());
    assert!(found(&sets, &ids[1], 1, &["/foo"]).is_none());
    assert!(found(&sets, &ids[0], 2, &["/foo"]).is_none());
    insert(&sets, &ids[0], 2, &["/foo"], &some_handles(2), 0);
    assert_eq!(found(&sets, &ids[0], 2, &["/foo"]), Some(some_handles(2).map(Handle::word)));
    assert!(found(&[], &ids[0], 2, &["/foo"]).is_none());
}

/// The only entry in use.
fn used(sets: &[CacheSet]) -> &CacheEntry {
    sets.iter().flatten().find(|entry| entry[0].load(Relaxed) != 0).expect("an entry is used")
}

#[test]
fn keys_of_different_shapes_are_distinguished_even_if_their_tags_are_equal() {
    // The words of these keys begin alike: 1, then 2.
    let [one, two] = ["\u{1}\0\0\0\0\0\0\0", "\u{2}\0\0\0\0\0\0\0"];
    let keys: [(&[Option<u64>; 1], &[&str]); 4] =
        [(&[Some(1)], &[two]), (&[None], &[one, two]), (&[None], &[one]), (&[Some(1)], &[])];
    let insert = |(numbers, values): (&[Option<u64>; 1], &[&str]), id| {
        let sets = zeros(FEW_SETS);
        set_associative::insert(&sets, id, 1, numbers, values, &some_handles(1), 0);
        sets
    };
    let ids = [CacheId::new(), CacheId::new()];
    for (n, key) in keys.into_iter().enumerate() {
        for (other_n, other) in keys.into_iter().enumerate() {
            let (sets, others) = (insert(key, &ids[0]), insert(other, &ids[1]));
            for (from, to) in used(&sets).iter().zip(used(&others)).skip(1) {
                to.store(from.load(Relaxed), Relaxed);
            }
            let found = find(&others, &ids[1], 1, other.0, other.1);
            assert_eq!(found.is_some(), n == other_n, "{key:?} {other:?}");
        }
    }
}

#[test]
fn numbers_are_part_of_the_key() {
    let id = CacheId::new();
    let keys = [[Some(1), Some(2)], [Some(2), Some(1)], [Some(1), Some(1)], [Some(0), Some(2)]];
    for key in keys {
        for values in [&[][..], &["a"], &["a value of many bytes", "b"]] {
            let sets = zeros(MANY_SETS);
            set_associative::insert(&sets, &id, 1, &key, values, &some_handles(1), 0);
            for other in keys {
                assert_eq!(find(&sets, &id, 1, &other, values).is_some(), other == key, "{other:?} after {key:?}");
            }
        }
    }
    // Three values of 16 bytes take all 9 words of a key, so there is no room for a number.
    let (sets, values) = (zeros(MANY_SETS), ["x".repeat(16), "y".repeat(16), "z".repeat(16)]);
    for (number, is_cached) in [(None, true), (Some(1), false)] {
        set_associative::insert(&sets, &id, 1, &[number], &values, &some_handles(1), 0);
        assert_eq!(find(&sets, &id, 1, &[number], &values).is_some(), is_cached);
    }
}

#[test]
fn eight_values_are_cached() {
    let (sets, id) = (zeros(MANY_SETS), CacheId::new());
    let values: [String; MAX_VALUES] = std::array::from_fn(|at| "x".repeat(at));
    for numbers in [[None], [Some(7)]] {
        set_associative::insert(&sets, &id, 1, &numbers, &values, &some_handles(1), 0);
        assert!(find(&sets, &id, 1, &numbers, &values).is_some(), "{numbers:?}");
    }
    let fewer = &values[..MAX_VALUES - 1];
    set_associative::insert(&sets, &id, 1, &[], fewer, &some_handles(1), 0);
    assert!(find(&sets, &id, 1, &[], fewer).is_some());
    let more: Vec<&str> = values.iter().map(String::as_str).chain(["y"]).collect();
    assert!(find(&sets, &id, 1, &[], &more).is_none());
}

#[test]
fn lengths_do_not_run_into_each_other() {
    let (sets, id) = (zeros(MANY_SETS), CacheId::new());
    insert(&sets, &id, 1, &["a", "bbbbb"], &some_handles(1), 0);
    for len in [5 + 128, 5 + 256] {
        assert!(found(&sets, &id, 1, &["", &"b".repeat(len)]).is_none());
        assert!(found(&sets, &id, 1, &["a", &"b".repeat(len)]).is_none());
    }
}

#[test]
fn values_that_do_not_fit_are_not_cached() {
    let (sets, id) = (zeros(MANY_SETS), CacheId::new());
    let many = [""; MAX_VALUES + 1];
    for set in [many.as_slice(), &[&"x".repeat(300)], &["x".repeat(40).as_str(), &"y".repeat(40)]] {
        insert(&sets, &id, 1, set, &some_handles(1), 0);
        assert!(found(&sets, &id, 1, set).is_none());
    }
}

#[test]
fn indexes_are_reused_once_their_owners_are_dropped() {
    let next = || {
        let mut ids = lock(&IDS);
        ids.used += 1;
        ids.used
    };
    let before = next();
    // A function whose family panics drops its ids after each attempt.
    for _ in 0..1_000 {
        drop([CacheId::permanent(), CacheId::permanent()]);
        drop(CacheId::new());
    }
    // Other tests, which run at the same time, have few owners.
    assert!(next() - before < 100);
    let permanent = CacheId::permanent();
    let index = permanent.index;
    drop(permanent);
    assert_ne!(CacheId::new().index, index, "the caches of threads may contain keys of an earlier owner");
}
