//! An index from the hash of a label set to its handle.
//!
//! In a family with a million series, each step of a lookup is a cache miss that depends on the one before it. The
//! slots hold everything except the text, and are probed one after another, so a lookup has two such misses. A table
//! with separate control bytes, such as the one in `hashbrown`, and with positions in an array of series, would have
//! four.

use crate::cell::Handle;

/// A hash table with open addressing. The caller compares the texts.
#[derive(Default)]
pub(super) struct Index {
    slots: Vec<Slot>,
    len: usize,
}

/// One label set.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// The upper 24 bits of the hash, and the length of the text if it is less than [`LONG`].
    hash_and_len: u32,
    /// The start of the text; [`EMPTY`] if the slot is empty.
    pub(super) start: u32,
    pub(super) handle: Handle,
}

const EMPTY: u32 = u32::MAX;
const LEN_BITS: u32 = 8;
const LONG: u32 = (1 << LEN_BITS) - 1;
const FEWEST_SLOTS: usize = 4;

impl Slot {
    const UNUSED: Self = Self { hash_and_len: 0, start: EMPTY, handle: Handle::NONE };

    /// Creates the slot of a label set. Its text must start before [`EMPTY`].
    pub(super) fn new(hash: u32, start: u32, len: u32, handle: Handle) -> Self {
        Self { hash_and_len: hash & !LONG | len.min(LONG), start, handle }
    }

    /// The length of the text; `None` if it is long.
    #[inline]
    pub(super) fn text_len(self) -> Option<u32> {
        Some(self.hash_and_len & LONG).filter(|len| *len < LONG)
    }

    /// Returns true if the label set may have this hash.
    #[inline]
    fn may_have(self, hash: u32) -> bool {
        (self.hash_and_len ^ hash) >> LEN_BITS == 0
    }
}

impl Index {
    /// Removes all label sets except these, which the index must contain. Frees memory that they and one more label set
    /// do not need.
    pub(super) fn retain(&mut self, kept: impl Iterator<Item = Slot> + Clone) {
        let len = kept.clone().count() + 1;
        match Self::with_slots(len + len / 2 + 1) {
            Some(smaller) if smaller.slots.len() < self.slots.len() => *self = smaller,
            _ => {
                self.slots.fill(Slot::UNUSED);
                self.len = 0;
            }
        }
        kept.for_each(|slot| self.add(slot));
    }

    /// Creates an empty index; `None` if memory is exhausted.
    fn with_slots(len: usize) -> Option<Self> {
        let mut slots = Vec::new();
        slots.try_reserve_exact(len).ok()?;
        slots.resize(len, Slot::UNUSED);
        Some(Self { slots, len: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the first label set with this hash for which `is_equal` returns true.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_equal: impl Fn(Slot) -> bool) -> Option<Slot> {
        let at = self.position(hash, is_equal)?;
        Some(self.slots[at])
    }

    /// Makes room for this number of further label sets. Returns false if memory is exhausted.
    pub(super) fn reserve(&mut self, label_sets: usize) -> bool {
        if !self.has_room(label_sets) {
            let len = (self.slots.len() + self.slots.len() / 2).max(FEWEST_SLOTS);
            let Some(mut larger) = Self::with_slots(len) else { return false };
            self.slots.iter().filter(|slot| slot.start != EMPTY).for_each(|slot| larger.add(*slot));
            *self = larger;
        }
        true
    }

    /// Returns true if at most three quarters of the slots are in use with this number of further label sets.
    pub(super) fn has_room(&self, label_sets: usize) -> bool {
        (self.len + label_sets) * 4 <= self.slots.len() * 3
    }

    /// Adds a label set that is not in the index, which must have [room](Self::reserve) for it.
    pub(super) fn add(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash_and_len);
        while self.slots[at].start != EMPTY {
            at = self.after(at);
        }
        self.slots[at] = slot;
        self.len += 1;
    }

    /// Removes the label set with this hash whose text has this start. Shifts later slots back, so that no lookup stops
    /// at the gap.
    pub(super) fn remove(&mut self, hash: u32, start: u32) {
        let Some(mut gap) = self.position(hash, |slot| slot.start == start) else { return };
        let mut at = self.after(gap);
        while self.slots[at].start != EMPTY {
            if self.distance(self.home(self.slots[at].hash_and_len), at) >= self.distance(gap, at) {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.slots[gap] = Slot::UNUSED;
        self.len -= 1;
    }

    #[inline]
    fn position(&self, hash: u32, is_equal: impl Fn(Slot) -> bool) -> Option<usize> {
        let mut at = self.home(hash);
        loop {
            let slot = *self.slots.get(at)?;
            if slot.start == EMPTY {
                return None;
            }
            if slot.may_have(hash) && is_equal(slot) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    /// The slot at which the search for a hash begins. Depends on the upper 24 bits only.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash >> LEN_BITS) * self.slots.len() as u64) >> (32 - LEN_BITS)) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    /// The number of steps from one slot to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        if from <= to { to - from } else { to + self.slots.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A label set whose text starts at `n`.
    fn slot(hash: u32, n: u32) -> Slot {
        Slot::new(hash, n, n, Handle::from_word(n.into()))
    }

    fn insert(index: &mut Index, slot: Slot) {
        assert!(index.reserve(1));
        index.add(slot);
    }

    /// Returns an index of these label sets, from which others have been removed.
    fn of(slots: impl Iterator<Item = Slot> + Clone) -> Index {
        let mut index = Index::default();
        slots.clone().chain((0..10).map(|n| slot(n << 20, n))).for_each(|slot| insert(&mut index, slot));
        index.retain(slots);
        index
    }

    /// The handle of the label set whose text starts at `n`.
    fn found(index: &Index, hash: u32, n: u32) -> Option<u64> {
        index.find(hash, |slot| slot.start == n).map(|slot| slot.handle.word())
    }

    #[test]
    fn label_sets_are_found_until_they_are_removed() {
        // Some hashes are equal, and many share a home.
        let hash = |n: u32| n.wrapping_mul(0x9e37_79b9) & 0xff00_0303;
        let mut index = Index::default();
        let mut live: Vec<u32> = Vec::new();
        let mut random = 1_u32;
        for n in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n < 2_000 || random >> 31 == 0 {
                insert(&mut index, slot(hash(n), n));
                live.push(n);
            } else if !live.is_empty() {
                let removed = live.swap_remove(random as usize % live.len());
                assert_eq!(found(&index, hash(removed), removed), Some(removed.into()));
                index.remove(hash(removed), removed);
                assert_eq!(found(&index, hash(removed), removed), None);
            }
            assert_eq!(index.len(), live.len());
            if n % 500 == 0 {
                assert!(live.iter().all(|n| found(&index, hash(*n), *n) == Some((*n).into())));
            }
        }
        let rebuilt = of(live.iter().map(|n| slot(hash(*n), *n)));
        assert!(live.iter().all(|n| found(&rebuilt, hash(*n), *n) == Some((*n).into())));
        for n in &live {
            index.remove(hash(*n), *n);
        }
        assert!(index.is_empty() && index.slots.iter().all(|slot| slot.start == EMPTY));
    }

    #[test]
    fn an_index_always_has_empty_slots() {
        let has_room = |index: &Index| index.len() * 4 <= index.slots.len() * 3;
        let mut index = Index::default();
        assert_eq!(found(&index, 7, 7), None);
        index.remove(7, 7);
        for n in 0..10_000 {
            insert(&mut index, slot(n << 16, n));
            assert!(has_room(&index) && index.slots.len() <= 2 * index.len() + 2, "{n}");
        }
        for len in 0..100 {
            assert!(has_room(&of((0..len).map(|n| slot(n << 16, n)))), "{len}");
        }
    }

    #[test]
    fn the_last_hash_wraps_around() {
        let mut index = Index::default();
        for n in 0..3 {
            insert(&mut index, slot(u32::MAX, n));
        }
        index.remove(u32::MAX, 0);
        assert_eq!([0, 1, 2].map(|n| found(&index, u32::MAX, n)), [None, Some(1), Some(2)]);
    }

    #[test]
    fn a_slot_stores_the_text_length_unless_it_is_long() {
        let lengths = [0, 1, 254, 255, 256, 70_000].map(|len| Slot::new(u32::MAX, 0, len, Handle::NONE).text_len());
        assert_eq!(lengths, [Some(0), Some(1), Some(254), None, None, None]);
    }
}
