//! The series of one family, in creation order and indexed by their label values.
//!
//! A label set is stored, and compared, as the escaped text that a scrape copies. A removed series leaves a gap until
//! the next compaction.

use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::cell::Handle;
use crate::labels;

/// Label sets and handles. The text of a set is written once, when its series is born.
#[derive(Default)]
pub(crate) struct SeriesTable {
    text: String,
    /// In the order of creation; a removed series leaves a gap until the next compaction.
    entries: Vec<SeriesEntry>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// The series that the cap does not count, because the program bounds their number.
    exempt: Vec<Handle>,
}

#[derive(Clone, Copy)]
struct SeriesEntry {
    start: u32,
    len: u32,
    handle: Handle,
}

impl SeriesEntry {
    fn text(self, text: &str) -> &str {
        &text[self.range()]
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

impl SeriesTable {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The number of series that the cap counts.
    pub(crate) fn capped_len(&self) -> usize {
        self.index.len() - self.exempt.len()
    }

    /// Exempts a series that was just inserted from the cap.
    pub(crate) fn exempt(&mut self, handle: Handle) {
        self.exempt.push(handle);
    }

    pub(crate) fn find(&self, names: &[String], values: &[&str]) -> Option<Handle> {
        let position = *self
            .index
            .find(self.hash(values), |at| matches(self.entries[*at as usize].text(&self.text), names, values))?;
        Some(self.entries[position as usize].handle)
    }

    /// Adds a label set that is not there; false, with nothing changed, where 4 GiB of text do not suffice.
    pub(crate) fn insert(&mut self, names: &[String], values: &[&str], handle: Handle) -> bool {
        let start = self.text.len();
        for (name, value) in names.iter().zip(values) {
            labels::push_pair(&mut self.text, start, name, value);
        }
        let (Ok(position), Ok(first), Ok(len), true) = (
            u32::try_from(self.entries.len()),
            u32::try_from(start),
            u32::try_from(self.text.len() - start),
            u32::try_from(self.text.len()).is_ok(),
        ) else {
            self.text.truncate(start);
            return false;
        };
        let hash = self.hash(values);
        let Self { text, entries, index, hasher, .. } = self;
        entries.push(SeriesEntry { start: first, len, handle });
        index.insert_unique(hash, position, |at| hash_text(hasher, entries[*at as usize].text(text)));
        true
    }

    /// Removes a label set and returns the handle it had.
    pub(crate) fn remove(&mut self, names: &[String], values: &[&str]) -> Option<Handle> {
        let hash = self.hash(values);
        let Self { text, entries, index, .. } = self;
        let entry = index.find_entry(hash, |at| matches(entries[*at as usize].text(text), names, values)).ok()?;
        let (position, _) = entry.remove();
        let handle = std::mem::replace(&mut self.entries[position as usize].handle, Handle::NONE);
        self.exempt.retain(|exempt| *exempt != handle);
        Some(handle)
    }

    /// Whether more than half of the entries are gaps.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.entries.len() > 64 && self.entries.len() / 2 > self.index.len() || self.index.is_empty()
    }

    /// Closes the gaps; positions change.
    pub(crate) fn compact(&mut self) {
        let exempt = std::mem::take(&mut self.exempt);
        let old = std::mem::replace(self, Self { hasher: self.hasher.clone(), exempt, ..Self::default() });
        for entry in old.entries {
            if entry.handle.is_none() {
                continue;
            }
            let (Ok(start), Ok(position)) = (u32::try_from(self.text.len()), u32::try_from(self.entries.len())) else {
                return;
            };
            self.text.push_str(entry.text(&old.text));
            self.entries.push(SeriesEntry { start, ..entry });
            let Self { text, entries, index, hasher, .. } = self;
            let hash = |at: &u32| hash_text(hasher, entries[*at as usize].text(text));
            index.insert_unique(hash(&position), position, hash);
        }
    }

    /// Where the series at this position, or behind it, stand after a compaction.
    pub(crate) fn compacted(&self, position: usize) -> usize {
        self.entries.iter().take(position).filter(|entry| !entry.handle.is_none()).count()
    }

    /// The position behind the last series.
    pub(crate) fn end(&self) -> usize {
        self.entries.len()
    }

    /// Removes all series, and returns their handles; positions do not change.
    pub(crate) fn clear(&mut self) -> Vec<Handle> {
        self.index.clear();
        self.exempt.clear();
        let handles = self.entries.iter_mut().map(|entry| std::mem::replace(&mut entry.handle, Handle::NONE));
        handles.filter(|handle| !handle.is_none()).collect()
    }

    /// Copies up to `most` of the series from position `from` to position `end`; the position to go on from, if there are
    /// more.
    pub(crate) fn copy(&self, from: usize, end: usize, most: usize, chunk: &mut Chunk) -> Option<usize> {
        chunk.clear();
        let end = self.entries.len().min(end);
        let to = end.min(from.saturating_add(most));
        let entries = self.entries.get(from..to)?;
        let base = entries.first()?.start;
        // The texts of series that follow each other do so too.
        chunk.text.push_str(&self.text[base as usize..entries.last()?.range().end]);
        for entry in entries.iter().filter(|entry| !entry.handle.is_none()) {
            chunk.texts.push((entry.start - base, entry.len));
            chunk.handles.push(entry.handle);
        }
        (to < end).then_some(to)
    }

    fn hash(&self, values: &[&str]) -> u64 {
        let mut state = self.hasher.build_hasher();
        for value in values {
            value.hash(&mut state);
        }
        state.finish()
    }
}

/// Like [`SeriesTable::hash`], for the values that a text holds.
fn hash_text(hasher: &RandomState, text: &str) -> u64 {
    let mut state = hasher.build_hasher();
    for (_, value) in labels::pairs(text) {
        value.as_ref().hash(&mut state);
    }
    state.finish()
}

fn matches(text: &str, names: &[String], values: &[&str]) -> bool {
    labels::matches(text, names.iter().map(String::as_str), values.iter().copied())
}

/// A copy of some series, so that they can be read without holding their family's lock.
#[derive(Default)]
pub(crate) struct Chunk {
    text: String,
    /// Where the text of each series begins, and how long it is.
    texts: Vec<(u32, u32)>,
    handles: Vec<Handle>,
}

impl Chunk {
    fn clear(&mut self) {
        self.text.clear();
        self.texts.clear();
        self.handles.clear();
    }

    /// The series, in the order of their creation.
    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// The labels of the series at this position.
    #[inline]
    pub(crate) fn text(&self, at: usize) -> &str {
        let (start, len) = self.texts[at];
        &self.text[start as usize..][..len as usize]
    }

    /// All positions in the order of the series' texts.
    pub(crate) fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_by_key(|at| self.text(*at));
        order
    }
}
