//! Shared blocks, for threads without dedicated cells.
//!
//! Such a thread locks a shared block for each write. There are two shared blocks per core. Only as many threads run at
//! once as there are cores, so a thread almost always finds its preferred block unlocked. Otherwise, it tries the
//! others, since a scrape adds up all blocks anyway.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::block::{Block, begin};
use super::generations::Generations;
use super::handle::Handle;
use super::sync::{AtomicU64, Mutex, MutexGuard, lock};

/// A block that many threads write to, and the lock that a writer holds.
pub(super) struct SharedBlock {
    pub(super) block: Block,
    writer: Mutex<()>,
    /// 1 once the block has been written to.
    is_written: AtomicU64,
}

impl SharedBlock {
    pub(super) fn new() -> Self {
        Self { block: Block::new(), writer: Mutex::new(()), is_written: AtomicU64::new(0) }
    }

    /// Returns false if all cells are empty, so that a scrape need not read them.
    pub(super) fn is_written(&self) -> bool {
        self.is_written.load(Acquire) != 0
    }

    /// Locks the block for writing. The block must have the pages of the slots to write to, because holders of the lock
    /// must not allocate: the allocator may be user code that records metrics.
    pub(super) fn lock<'a>(&'a self, generations: &'a Generations) -> BlockWriter<'a> {
        BlockWriter { generations, shared: self, _writer: lock(&self.writer) }
    }

    /// Like [`SharedBlock::lock`], but returns `None` if another thread holds the lock.
    fn try_lock<'a>(&'a self, generations: &'a Generations) -> Option<BlockWriter<'a>> {
        let writer = self.writer.try_lock().ok()?;
        Some(BlockWriter { generations, shared: self, _writer: writer })
    }
}

/// A thread that writes to shared blocks.
#[derive(Clone, Copy)]
pub(super) struct Sharer {
    blocks: &'static [SharedBlock],
    /// The position of the block that the thread prefers.
    preferred: usize,
}

impl Sharer {
    /// Creates the sharer with this number.
    pub(super) fn new(blocks: &'static [SharedBlock], number: usize) -> Self {
        Self { blocks, preferred: number % blocks.len().max(1) }
    }

    /// Locks the preferred block for writing to these slots, or another one if it is locked. Returns `None` if there
    /// are no shared blocks, or if their pages cannot be allocated.
    pub(super) fn lock(self, generations: &'static Generations, slots: &[Handle]) -> Option<BlockWriter<'static>> {
        let (before, from) = self.blocks.split_at_checked(self.preferred)?;
        let mut prepared = from.iter().chain(before).filter(|shared| shared.block.prepare(slots));
        let first = prepared.next()?;
        let unlocked = first.try_lock(generations).or_else(|| prepared.find_map(|shared| shared.try_lock(generations)));
        Some(unlocked.unwrap_or_else(|| first.lock(generations)))
    }
}

/// The right to write to a shared block.
pub(super) struct BlockWriter<'a> {
    generations: &'a Generations,
    shared: &'a SharedBlock,
    _writer: MutexGuard<'a, ()>,
}

impl BlockWriter<'_> {
    /// The cell of a series; `None` if the series has ended.
    pub(super) fn cell(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        if self.generations.is_live(handle) { self.cell_of_slot(handle, words) } else { None }
    }

    /// The cell of a slot that belongs to a live series; see [`Store::take_slot`](super::store::Store::take_slot).
    pub(super) fn cell_of_slot(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        let SharedBlock { block, is_written, .. } = self.shared;
        let cell = block.cell(handle, words).filter(|cell| begin(cell, handle))?;
        if is_written.load(Relaxed) == 0 {
            is_written.store(1, Release);
        }
        Some(cell)
    }
}
