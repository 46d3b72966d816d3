//! The series of one family, in creation order and indexed by their label values.
//!
//! A label set is stored and compared as the escaped text that a scrape copies. A removed series leaves a gap until the
//! next compaction. Each entry stores the hash of its label set, so that compaction, removal and the filter of a full
//! family do not rehash any text under the family's lock. The index stores the upper 24 bits, so that it can grow
//! without the entries. Growth and compaction take about 30 ms for a million series, and 0.1 ms for 2,000, the default
//! cap. A table of n series grows or is compacted only after about n/2 insertions or removals.

mod chunk;
mod compaction;

use std::hash::{BuildHasher, Hasher};
use std::mem;
use std::time::{Duration, SystemTime};

use foldhash::fast::RandomState;

pub(crate) use chunk::Chunk;
pub(crate) use compaction::Compaction;

use super::index::{Index, Slot};
use crate::cell::Handle;
use crate::labels::{self, OVERFLOW};

/// The label sets and handles of a family. The text of a label set is written once, when its series is created.
#[derive(Default)]
pub(crate) struct SeriesTable {
    text: String,
    /// In creation order; a removed series leaves a gap until the next compaction.
    entries: Vec<SeriesEntry>,
    index: Index,
    hasher: RandomState,
    /// The overflow series, if it exists.
    overflow: Option<Handle>,
    /// The slot of the next overflow series, so that overflow is counted even if memory is exhausted.
    reserved: Option<Handle>,
    /// The maximum length of the overflow series' text.
    overflow_len: usize,
    /// The series that do not count toward the cap, because the program bounds their number.
    exempt: Vec<Handle>,
    /// Runs of series with the same creation time: the first position and the time. Series that were created within
    /// [`CREATION_ACCURACY`] of each other share a run, so this needs little memory.
    created: Vec<(u32, SystemTime)>,
    /// True if some label value was escaped, so that texts cannot be compared byte by byte.
    has_escapes: bool,
    /// True if a series was removed after the last insertion. The next series begins a run, so that a series that is
    /// recreated is never older than the removal.
    has_removed: bool,
}

/// The accuracy of creation times.
const CREATION_ACCURACY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
struct SeriesEntry {
    /// The start of the text, which ends where the next entry's text begins.
    start: u32,
    hash: u32,
    handle: Handle,
}

impl SeriesTable {
    /// Creates a table with room for the overflow series, if there is memory.
    pub(crate) fn new(hasher: RandomState, names: &[String]) -> Self {
        let overflow_len = names.iter().map(|name| labels::max_pair_len(name, OVERFLOW)).sum();
        let mut table = Self { hasher, overflow_len, ..Self::default() };
        table.reserve_for(1, overflow_len);
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The number of series that count toward the cap.
    pub(crate) fn capped_len(&self) -> usize {
        self.index.len() - self.exempt.len()
    }

    /// Exempts a newly inserted series from the cap.
    pub(crate) fn exempt(&mut self, handle: Handle) {
        self.exempt.push(handle);
    }

    #[inline]
    pub(crate) fn find(&self, names: &[String], values: &[&str]) -> Option<Handle> {
        Some(self.slot(names, values)?.handle)
    }

    /// Like [`SeriesTable::find`], but also returns the creation time of the series.
    pub(crate) fn find_with_creation(&self, names: &[String], values: &[&str]) -> Option<(Handle, Option<SystemTime>)> {
        let slot = self.slot(names, values)?;
        let position = self.position(slot.start);
        let runs = self.created.partition_point(|(begin, _)| *begin as usize <= position);
        let created = runs.checked_sub(1).map(|last| self.created[last].1);
        Some((slot.handle, created))
    }

    #[inline]
    fn slot(&self, names: &[String], values: &[&str]) -> Option<Slot> {
        self.index.find(self.hash(values), |slot| {
            let len = slot.text_len().unwrap_or_else(|| self.end_of_text(self.position(slot.start)) - slot.start);
            let start = slot.start as usize;
            let text = self.text.as_bytes().get(start..start + len as usize).unwrap_or_default();
            let names = names.iter().map(String::as_str);
            let values = values.iter().copied();
            if self.has_escapes {
                labels::matches(text, names, values)
            } else {
                labels::matches_plain(text, names, values)
            }
        })
    }

    /// The position of the latest entry whose text has this start.
    fn position(&self, start: u32) -> usize {
        self.entries.partition_point(|entry| entry.start <= start).saturating_sub(1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the whole text is at most 4 GiB long")]
    fn end_of_text(&self, position: usize) -> u32 {
        self.entries.get(position + 1).map_or(self.text.len() as u32, |next| next.start)
    }

    /// Adds a label set that is not in the table, created at `now`. Returns false and changes nothing if the text would
    /// exceed 4 GiB, or if memory is exhausted.
    pub(crate) fn insert(&mut self, names: &[String], values: &[&str], handle: Handle, now: SystemTime) -> bool {
        let is_overflow = is_overflow(values);
        let overflow_len = if is_overflow || self.overflow.is_some() { 0 } else { self.overflow_len };
        if !self.reserve(names, values, overflow_len) {
            return false;
        }
        let start = self.text.len();
        for (name, value) in names.iter().zip(values) {
            labels::push_pair(&mut self.text, start, name, value);
        }
        let (Ok(position), Ok(first), Ok(len), true) = (
            u32::try_from(self.entries.len()),
            u32::try_from(start),
            u32::try_from(self.text.len() - start),
            u32::try_from(self.text.len() + if is_overflow { 0 } else { self.overflow_len }).is_ok(),
        ) else {
            self.text.truncate(start);
            return false;
        };
        // Every escape begins with a backslash.
        self.has_escapes |= self.text.as_bytes()[start..].contains(&b'\\');
        // A clock that was set back begins another run.
        let continues =
            |(_, begin): &(u32, SystemTime)| now.duration_since(*begin).is_ok_and(|age| age < CREATION_ACCURACY);
        if mem::take(&mut self.has_removed) || !self.created.last().is_some_and(continues) {
            self.created.push((position, now));
        }
        let hash = self.hash(values);
        self.entries.push(SeriesEntry { start: first, hash, handle });
        self.index.add(Slot::new(hash, first, len, handle));
        if is_overflow {
            self.overflow = Some(handle);
        }
        true
    }

    /// Makes room for this label set, and for an overflow series whose text has this length, so that label sets without
    /// memory can be counted there. Returns false if memory is exhausted; earlier room for the overflow series remains.
    fn reserve(&mut self, names: &[String], values: &[&str], overflow_len: usize) -> bool {
        let text: usize = names.iter().zip(values).map(|(name, value)| labels::max_pair_len(name, value)).sum();
        self.reserve_for(if overflow_len == 0 { 1 } else { 2 }, text + overflow_len)
    }

    /// Makes room for this number of label sets, whose texts have this length. Returns false if memory is exhausted.
    fn reserve_for(&mut self, label_sets: usize, text: usize) -> bool {
        self.text.try_reserve(text).is_ok()
            && self.entries.try_reserve(label_sets).is_ok()
            && self.exempt.try_reserve(label_sets).is_ok()
            && self.created.try_reserve(label_sets).is_ok()
            && self.index.reserve(label_sets)
    }

    /// Removes a label set and returns its handle.
    pub(crate) fn remove(&mut self, names: &[String], values: &[&str]) -> Option<Handle> {
        let Slot { start, handle, .. } = self.slot(names, values)?;
        let position = self.position(start);
        let removed = &mut self.entries[position];
        removed.handle = Handle::NONE;
        self.index.remove(removed.hash, start);
        self.exempt.retain(|exempt| *exempt != handle);
        self.has_removed = true;
        self.overflow.take_if(|overflow| *overflow == handle);
        Some(handle)
    }

    /// Returns true if the table has neither an overflow series nor a slot for it.
    pub(crate) fn wants_overflow_slot(&self) -> bool {
        self.overflow.is_none() && self.reserved.is_none()
    }

    /// Keeps a slot and, if there is memory, room for the overflow series.
    pub(crate) fn reserve_overflow(&mut self, slot: Handle) {
        self.reserved = Some(slot);
        self.reserve_for(1, self.overflow_len);
    }

    /// Takes the slot that is kept for the overflow series.
    pub(crate) fn take_reserved(&mut self) -> Option<Handle> {
        self.reserved.take()
    }

    /// Removes all series except one, and returns their handles.
    pub(crate) fn remove_others(&mut self, kept: Handle) -> Vec<Handle> {
        let others = |entry: &&mut SeriesEntry| entry.handle != kept && !entry.handle.is_none();
        let removed = self.entries.iter_mut().filter(others);
        let removed: Vec<_> = removed.map(|entry| mem::replace(&mut entry.handle, Handle::NONE)).collect();
        self.index_entries();
        self.exempt.retain(|exempt| *exempt == kept);
        self.has_removed |= !removed.is_empty();
        self.overflow.take_if(|overflow| *overflow != kept);
        removed
    }

    /// Rebuilds the index from the live entries.
    fn index_entries(&mut self) {
        let mut index = mem::take(&mut self.index);
        let live = self.entries.iter().enumerate().filter(|(_, entry)| !entry.handle.is_none());
        index.retain(live.map(|(position, SeriesEntry { start, hash, handle })| {
            Slot::new(*hash, *start, self.end_of_text(position) - start, *handle)
        }));
        self.index = index;
    }

    /// The position after the last series.
    pub(crate) fn end(&self) -> usize {
        self.entries.len()
    }

    /// The handles of all series.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.entries.iter().map(|entry| entry.handle).filter(|handle| !handle.is_none())
    }

    /// Copies at most `most` of the entries between positions `from` and `end` into `chunk`, including the gaps.
    ///
    /// Returns the position to continue from, or `None` if no entries are left.
    pub(crate) fn copy(&self, from: usize, end: usize, most: usize, chunk: &mut Chunk) -> Option<usize> {
        chunk.clear();
        let end = self.entries.len().min(end);
        let to = end.min(from.saturating_add(most));
        let entries = self.entries.get(from..to)?;
        let base = entries.first()?.start;
        // The text of consecutive series is contiguous.
        let end_of_text = self.end_of_text(to - 1);
        chunk.text.push_str(&self.text[base as usize..end_of_text as usize]);
        chunk.starts.extend(entries.iter().map(|entry| entry.start - base));
        chunk.starts.push(end_of_text - base);
        chunk.handles.extend(entries.iter().map(|entry| entry.handle));
        // The run of an entry is the last one that begins at or before it.
        let first = self.created.partition_point(|(begin, _)| *begin as usize <= from).saturating_sub(1);
        let runs = self.created[first..].iter().take_while(|(begin, _)| (*begin as usize) < to);
        chunk.created.extend(runs.map(|(begin, time)| ((*begin as usize).saturating_sub(from), *time)));
        (to < end).then_some(to)
    }

    /// The hashes of all label sets; see [`hash`].
    pub(crate) fn hashes(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().filter(|entry| !entry.handle.is_none()).map(|entry| entry.hash)
    }

    fn hash(&self, values: &[&str]) -> u32 {
        hash(&self.hasher, values)
    }
}

/// Returns true if these are the values of the overflow series.
pub(crate) fn is_overflow(values: &[&str]) -> bool {
    !values.is_empty() && values.iter().all(|value| *value == OVERFLOW)
}

/// The hash of a label set in a table with this hasher.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half of a hash is a hash")]
pub(crate) fn hash(hasher: &RandomState, values: &[&str]) -> u32 {
    let mut state = hasher.build_hasher();
    for value in values {
        // No terminator: occasional collisions are harmless, because the texts are compared.
        state.write(value.as_bytes());
    }
    state.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time after 1970, in milliseconds.
    fn time(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    /// Inserts a series with this value at this time.
    fn insert(table: &mut SeriesTable, n: u64, milliseconds: u64) {
        let names = ["n".to_owned()];
        assert!(table.insert(&names, &[&n.to_string()], Handle::from_word(n), time(milliseconds)));
    }

    /// The text and the creation time of each series, copied in chunks of this size.
    fn read(table: &SeriesTable, most: usize) -> Vec<(String, SystemTime)> {
        let (mut chunk, mut all, mut next) = (Chunk::default(), Vec::new(), Some(0));
        while let Some(from) = next {
            next = table.copy(from, usize::MAX, most, &mut chunk);
            all.extend(chunk.series().map(|(at, text, _)| (text.to_owned(), chunk.created(at).expect("a time"))));
        }
        all
    }

    #[test]
    fn series_keep_their_creation_times() {
        let mut table = SeriesTable::default();
        // The clock is set back before the sixth series.
        let times = [0, 99, 100, 250, 250, 40, 130, 140, 1_000, 1_001];
        let rounded = [0, 0, 100, 250, 250, 40, 40, 140, 1_000, 1_000];
        for (n, at) in (0..).zip(times) {
            insert(&mut table, n, at);
        }
        let mut expected: Vec<_> = (0..10).zip(rounded).map(|(n, at)| (format!("n=\"{n}\""), time(at))).collect();
        for most in [1, 2, 3, 128] {
            assert_eq!(read(&table, most), expected);
        }
        for n in [0, 2, 5, 6, 9] {
            assert!(table.remove(&["n".to_owned()], &[&n.to_string()]).is_some());
        }
        expected.retain(|(text, _)| ["0", "2", "5", "6", "9"].iter().all(|n| !text.contains(n)));
        for most in [1, 2, 3, 128] {
            assert_eq!(read(&table, most), expected);
        }
        table.compact();
        insert(&mut table, 10, 1_050);
        insert(&mut table, 11, 1_100);
        // The first series after a removal begins a run.
        expected.extend([("n=\"10\"".to_owned(), time(1_050)), ("n=\"11\"".to_owned(), time(1_050))]);
        for most in [1, 2, 3, 128] {
            assert_eq!(read(&table, most), expected);
        }
        assert_eq!(table.created.len(), 5, "empty runs are removed");
        let names = ["n".to_owned()];
        assert_eq!(table.find_with_creation(&names, &["10"]), Some((Handle::from_word(10), Some(time(1_050)))));
        table.remove(&names, &["11"]);
        insert(&mut table, 11, 1_101);
        assert_eq!(table.find_with_creation(&names, &["11"]), Some((Handle::from_word(11), Some(time(1_101)))));
        assert_eq!(table.remove_others(Handle::from_word(11)).len(), 6);
        assert_eq!((table.len(), table.find(&names, &["10"])), (1, None));
        table.compact();
        assert_eq!(read(&table, 1), [("n=\"11\"".to_owned(), time(1_101))]);
    }

    #[test]
    fn insertions_and_compactions_leave_room_for_the_overflow_series() {
        let names = ["n".to_owned()];
        let mut table = SeriesTable::new(RandomState::default(), &names);
        let has_room = |table: &SeriesTable| {
            let SeriesTable { text, entries, index, exempt, created, .. } = table;
            text.capacity() >= text.len() + labels::max_pair_len("n", OVERFLOW)
                && entries.capacity() > entries.len()
                && exempt.capacity() > exempt.len()
                && created.capacity() > created.len()
                && index.has_room(1)
        };
        for n in 0..300 {
            assert!(has_room(&table), "{n}");
            insert(&mut table, n, n * 1_000);
            table.exempt(Handle::from_word(n));
        }
        for n in 0..300 {
            assert!(has_room(&table), "{n}");
            assert!(table.remove(&names, &[&n.to_string()]).is_some());
            if table.wants_compaction() {
                table.compact();
            }
        }
        assert!(has_room(&table) && table.wants_overflow_slot());
    }
}
