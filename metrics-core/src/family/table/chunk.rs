//! Entries of a family's table, copied so that they can be read without its lock.

use std::time::SystemTime;

use crate::cell::Handle;

/// A copy of some entries that can be read without holding their family's lock.
#[derive(Default)]
pub(crate) struct Chunk {
    pub(super) text: String,
    /// The start of each entry's text, and the end of the last one.
    pub(super) starts: Vec<u32>,
    pub(super) handles: Vec<Handle>,
    /// Runs of series with the same creation time: the first position and the time.
    pub(super) created: Vec<(usize, SystemTime)>,
}

impl Chunk {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.starts.clear();
        self.handles.clear();
        self.created.clear();
    }

    /// The creation time of the series at this position, rounded down by at most a tenth of a second.
    #[inline]
    pub(crate) fn created(&self, at: usize) -> Option<SystemTime> {
        // Nearly all chunks have a single run.
        if let [(_, created)] = self.created[..] {
            return Some(created);
        }
        let runs = self.created.partition_point(|(from, _)| *from <= at);
        Some(self.created.get(runs.checked_sub(1)?)?.1)
    }

    /// The handles of the entries, in creation order; [`Handle::NONE`] for the gap that a removed series has left.
    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// The labels of the entry at this position.
    #[inline]
    pub(crate) fn text(&self, at: usize) -> &str {
        &self.text[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// The positions, labels and handles of the series.
    pub(crate) fn series(&self) -> impl Iterator<Item = (usize, &str, Handle)> {
        let all = self.handles.iter().enumerate().filter(|(_, handle)| !handle.is_none());
        all.map(|(at, handle)| (at, self.text(at), *handle))
    }

    /// All positions, sorted by the text of their entries.
    pub(crate) fn sorted(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.handles.len()).collect();
        order.sort_by_key(|at| self.text(*at));
        order
    }
}
