//! The position of each label set in its family's table, found by hash.
//!
//! In a family with a million series, each step of a lookup is a cache miss that depends on the one before it. Slots
//! that hold both the hash and the position, probed one after another, need one miss less than a table with separate
//! control bytes, such as the one in `hashbrown`.

/// A hash table with open addressing. It stores positions; the caller compares the label sets.
#[derive(Default)]
pub(super) struct Index {
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u32,
    /// [`EMPTY`] if the slot is empty.
    position: u32,
}

const EMPTY: u32 = u32::MAX;
const FEWEST_SLOTS: usize = 4;

impl Index {
    /// Creates an index of these hashes and positions.
    pub(super) fn of(entries: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let len = entries.clone().count();
        let mut index = Self::with_slots(len + len / 2);
        entries.for_each(|(hash, position)| index.insert(hash, position));
        index
    }

    fn with_slots(slots: usize) -> Self {
        Self { slots: vec![Slot { hash: 0, position: EMPTY }; slots], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the first position with this hash for which `is_equal` returns true.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_equal: impl Fn(u32) -> bool) -> Option<u32> {
        let at = self.slot_of(hash, is_equal)?;
        Some(self.slots[at].position)
    }

    /// Adds a position, which must be smaller than [`EMPTY`] and not in the index.
    pub(super) fn insert(&mut self, hash: u32, position: u32) {
        // At most three quarters of the slots are in use.
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            let mut larger = Self::with_slots((self.slots.len() + self.slots.len() / 2).max(FEWEST_SLOTS));
            self.slots.iter().filter(|slot| slot.position != EMPTY).for_each(|slot| larger.add(*slot));
            *self = larger;
        }
        self.add(Slot { hash, position });
    }

    fn add(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while self.slots[at].position != EMPTY {
            at = self.after(at);
        }
        self.slots[at] = slot;
        self.len += 1;
    }

    /// Removes a position. Moves the slots after it, so that no lookup ends before it reaches its slot.
    pub(super) fn remove(&mut self, hash: u32, position: u32) {
        let Some(mut gap) = self.slot_of(hash, |at| at == position) else { return };
        let mut at = self.after(gap);
        while self.slots[at].position != EMPTY {
            if self.distance(self.home(self.slots[at].hash), at) >= self.distance(gap, at) {
                self.slots[gap] = self.slots[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.slots[gap].position = EMPTY;
        self.len -= 1;
    }

    #[inline]
    fn slot_of(&self, hash: u32, is_equal: impl Fn(u32) -> bool) -> Option<usize> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots.get(at)?;
            if slot.position == EMPTY {
                return None;
            }
            if slot.hash == hash && is_equal(slot.position) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    /// The slot at which the search for a hash begins.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
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

    #[test]
    fn positions_are_found_until_they_are_removed() {
        // Some hashes are equal, and many share a home.
        let hash = |n: u32| n.wrapping_mul(0x9e37_79b9) & 0xff00_0003;
        let mut index = Index::default();
        let mut live: Vec<u32> = Vec::new();
        let mut random = 1_u32;
        for n in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if n < 2_000 || random >> 31 == 0 {
                index.insert(hash(n), n);
                live.push(n);
            } else if !live.is_empty() {
                let removed = live.swap_remove(random as usize % live.len());
                assert_eq!(index.find(hash(removed), |at| at == removed), Some(removed));
                index.remove(hash(removed), removed);
                assert_eq!(index.find(hash(removed), |at| at == removed), None);
            }
            assert_eq!(index.len(), live.len());
            if n % 500 == 0 {
                assert!(live.iter().all(|n| index.find(hash(*n), |at| at == *n) == Some(*n)));
            }
        }
        let rebuilt = Index::of(live.iter().map(|n| (hash(*n), *n)));
        assert!(live.iter().all(|n| rebuilt.find(hash(*n), |at| at == *n) == Some(*n)));
        for n in &live {
            index.remove(hash(*n), *n);
        }
        assert!(index.is_empty() && index.slots.iter().all(|slot| slot.position == EMPTY));
    }

    #[test]
    fn an_index_always_has_empty_slots() {
        let has_room = |index: &Index| index.len() * 4 <= index.slots.len() * 3;
        let mut index = Index::default();
        assert_eq!(index.find(7, |_| true), None);
        index.remove(7, 7);
        for n in 0..10_000 {
            index.insert(n << 16, n);
            assert!(has_room(&index) && index.slots.len() <= 2 * index.len() + 2, "{n}");
        }
        for len in 0..100 {
            assert!(has_room(&Index::of((0..len).map(|n| (n << 16, n)))), "{len}");
        }
    }

    #[test]
    fn the_last_hash_wraps_around() {
        let mut index = Index::default();
        for n in 0..3 {
            index.insert(u32::MAX, n);
        }
        index.remove(u32::MAX, 0);
        assert_eq!([0, 1, 2].map(|n| index.find(u32::MAX, |at| at == n)), [None, Some(1), Some(2)]);
    }
}
