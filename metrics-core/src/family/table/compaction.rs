//! Closes the gaps that removed series leave in a table.

use std::mem;

use super::{SeriesEntry, SeriesTable};

impl SeriesTable {
    /// Returns true if the table has more than 64 entries and over half of them are gaps, or if no series is left.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.entries.len() > 64 && self.entries.len() / 2 > self.index.len() || self.index.is_empty()
    }

    /// Closes the gaps, and keeps room for the overflow series. Returns the new positions and the old buffers, except
    /// the index, which the caller frees after releasing the lock. Returns `None` and changes nothing if memory is
    /// exhausted.
    pub(crate) fn compact(&mut self) -> Option<Compaction> {
        let (mut text, mut entries, mut moved) = (String::new(), Vec::new(), Vec::new());
        moved.try_reserve(self.entries.len()).ok()?;
        entries.try_reserve(self.index.len() + 1).ok()?;
        text.try_reserve(self.live_text_len() + self.overflow_len).ok()?;
        let (mut start, mut position) = (0, 0);
        for (at, entry) in self.entries.iter().enumerate() {
            moved.push(position);
            if !entry.handle.is_none() {
                text.push_str(&self.text[entry.start as usize..self.end_of_text(at) as usize]);
                entries.push(SeriesEntry { start, ..*entry });
                start += self.end_of_text(at) - entry.start;
                position += 1;
            }
        }
        for (from, _) in &mut self.created {
            *from = moved.get(*from as usize).map_or(position, |new| *new);
        }
        // Of the runs that begin at the same position, all but the last one are empty.
        self.created.reverse();
        self.created.dedup_by_key(|(from, _)| *from);
        self.created.reverse();
        let text = mem::replace(&mut self.text, text);
        let entries = mem::replace(&mut self.entries, entries);
        self.index_entries();
        Some(Compaction { moved, end: position, _freed: (text, entries) })
    }

    /// The length of the text of all entries that are not gaps.
    fn live_text_len(&self) -> usize {
        let live = self.entries.iter().enumerate().filter(|(_, entry)| !entry.handle.is_none());
        live.map(|(position, entry)| (self.end_of_text(position) - entry.start) as usize).sum()
    }
}

/// The result of a compaction: the new positions and the old buffers.
pub(crate) struct Compaction {
    /// The new position of each series, indexed by its old position. A gap maps to the new position of the next series.
    moved: Vec<u32>,
    end: u32,
    _freed: (String, Vec<SeriesEntry>),
}

impl Compaction {
    /// The new position of the series that was at `position`, or of the next series if `position` was a gap.
    pub(crate) fn moved(&self, position: usize) -> usize {
        self.moved.get(position).map_or(self.end, |new| *new) as usize
    }
}
