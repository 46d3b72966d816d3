//! The second level: a hash table of the label sets that one thread has looked up for one owner.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::cell::Handle;

/// The maximum number of label sets in a table.
const MAX_ENTRIES: usize = 16 << 10;
/// The maximum size of the label values in a table, including their lengths, in bytes.
const MAX_KEY_BYTES: usize = 4 << 20;

/// The cached lookups of one owner in one thread.
#[derive(Default)]
pub(super) struct ThreadTable {
    pub(super) epoch: u64,
    index: HashTable<TableEntry>,
    /// The length (4 bytes) and the bytes of each value, one label set after another.
    keys: Vec<u8>,
    handles: Vec<Handle>,
    hasher: RandomState,
}

struct TableEntry {
    key: u32,
    handles: u32,
}

impl ThreadTable {
    pub(super) fn new(epoch: u64) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// The number of label sets.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns the handles for these values.
    #[inline]
    pub(super) fn find<const N: usize>(&self, values: &[&str]) -> Option<&[Handle; N]> {
        let is_same = |entry: &TableEntry| matches(&self.keys, entry.key, values);
        let entry = self.index.find(hash(&self.hasher, values), is_same)?;
        self.handles.get(entry.handles as usize..)?.first_chunk()
    }

    /// Returns false if the table has too many label sets. Caches nothing if memory is exhausted.
    pub(super) fn insert(&mut self, values: &[&str], handles: &[Handle]) -> bool {
        let hash_of = hash(&self.hasher, values);
        if self.index.find(hash_of, |entry| matches(&self.keys, entry.key, values)).is_some() {
            return true;
        }
        let key_len: usize = values.iter().map(|value| value.len() + 4).sum();
        if self.index.len() >= MAX_ENTRIES || self.keys.len() + key_len > MAX_KEY_BYTES {
            return false;
        }
        let (Ok(key), Ok(first)) = (u32::try_from(self.keys.len()), u32::try_from(self.handles.len())) else {
            return false;
        };
        if self.keys.try_reserve(key_len).is_err() || self.handles.try_reserve(handles.len()).is_err() {
            return true;
        }
        let Self { index, keys, hasher, .. } = self;
        let rehash = |entry: &TableEntry| hash_key(hasher, keys, entry.key, values.len());
        if index.try_reserve(1, rehash).is_err() {
            return true;
        }
        index.insert_unique(hash_of, TableEntry { key, handles: first }, rehash);
        for value in values {
            // A longer value would not have fit into the table.
            let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
            self.keys.extend_from_slice(&len.to_le_bytes());
            self.keys.extend_from_slice(value.as_bytes());
        }
        self.handles.extend_from_slice(handles);
        true
    }
}

#[inline]
fn hash(hasher: &RandomState, values: &[&str]) -> u64 {
    let mut state = hasher.build_hasher();
    for value in values {
        value.as_bytes().hash(&mut state);
    }
    state.finish()
}

/// Like [`hash`], for values stored in `keys`.
fn hash_key(hasher: &RandomState, keys: &[u8], key: u32, count: usize) -> u64 {
    let mut state = hasher.build_hasher();
    let mut rest = &keys[key as usize..];
    for _ in 0..count {
        let Some((value, after)) = split_value(rest) else { break };
        value.hash(&mut state);
        rest = after;
    }
    state.finish()
}

#[inline]
fn matches(keys: &[u8], key: u32, values: &[&str]) -> bool {
    let mut rest = &keys[key as usize..];
    values.iter().all(|value| match split_value(rest) {
        Some((kept, after)) => {
            rest = after;
            kept == value.as_bytes()
        }
        None => false,
    })
}

#[inline]
fn split_value(keys: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = keys.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}
