//! The words of all threads, and the rules for reading and writing them concurrently.
//!
//! The words of a block are written only by the thread that owns it. A thread that ends hands its block, unchanged, to
//! the next new thread. Nothing is folded into a total, so floats are always added in the same order and sums never
//! decrease. The number of blocks never exceeds the peak number of threads alive at the same time. A thread that cannot
//! have a block writes to the home block, which is shared under a lock.
//!
//! The home block also records the live generation of each slot. A scrape reads block by block, so that it accesses
//! memory sequentially. It checks the generation before and after it reads a cell.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::{iter, ptr};

use super::block::{Block, held, start_generation};
use super::handle::{self, Handle, SlotAllocator};
use super::sync::{AtomicU64, Mutex, MutexGuard, lock, zeros};

/// The blocks that a scrape reads.
#[derive(Clone, Copy)]
pub(super) enum ReadScope {
    All,
    /// The block of one thread; `None` for a thread that cannot have one.
    Thread(Option<&'static Block>),
}

impl ReadScope {
    fn contains(self, block: &Block) -> bool {
        match self {
            Self::All => true,
            Self::Thread(only) => only.is_some_and(|only| ptr::eq(only, block)),
        }
    }
}

/// All blocks, and the slots in use.
pub(super) struct Store {
    /// Records the live generation of each slot (its first word), and receives the writes of threads without a block.
    /// All other blocks follow it in creation order, which is the order of summation.
    home: Block,
    /// Held by every writer of the home block.
    home_writer: Mutex<()>,
    /// The time from which each bucket may take its next exemplar. All threads write this block.
    exemplar_times: Block,
    blocks: Mutex<Blocks>,
    slots: Mutex<SlotAllocator>,
}

/// The blocks that threads can take. One lock guards all fields, so that a limit also applies to threads that start
/// while it is being set.
struct Blocks {
    /// Blocks of ended threads.
    free: Vec<&'static Block>,
    /// The most recently created block, which the next one is appended to.
    last: Option<&'static Block>,
    made: usize,
    limit: usize,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            home: Block::new(),
            home_writer: Mutex::new(()),
            exemplar_times: Block::new(),
            blocks: Mutex::new(Blocks { free: Vec::new(), last: None, made: 0, limit: usize::MAX }),
            slots: Mutex::new(SlotAllocator::new()),
        }
    }

    /// Allocates a slot of `words` words, including the generation word. The other words read as zero in every thread.
    ///
    /// Returns `None` if all slots (2 GiB per thread) are in use.
    pub(super) fn allocate(&self, words: usize) -> Option<Handle> {
        let handle = self.take_slot(words)?;
        let page = self.home.page(handle.page());
        let _writer = lock(&self.home_writer);
        start_generation(&page[handle.range(words)], handle);
        Some(handle)
    }

    /// Ends the series of `handle` and makes its slot available to another series.
    pub(super) fn free(&self, handle: Handle, words: usize) {
        if self.close(handle) {
            self.give_back_slot(handle, words);
        }
    }

    /// Takes a slot that belongs to a series, such as a chunk of its buckets. The home block does not record whether it
    /// is live, because it is live for as long as its series.
    pub(super) fn take_slot(&self, words: usize) -> Option<Handle> {
        lock(&self.slots).take(words)
    }

    /// Makes a slot available to another series.
    pub(super) fn give_back_slot(&self, handle: Handle, words: usize) {
        lock(&self.slots).give_back(handle, words);
    }

    /// Ends the generation of `handle`. Returns false if it is not the live generation of its slot.
    pub(super) fn close(&self, handle: Handle) -> bool {
        let _writer = lock(&self.home_writer);
        match self.home.cell(handle, 1) {
            Some(cell) if cell[0].load(Relaxed) == handle.word() => {
                cell[0].store(0, Release);
                true
            }
            _ => false,
        }
    }

    /// Returns true if the series of `handle` has not ended.
    #[inline]
    pub(super) fn is_live(&self, handle: Handle) -> bool {
        self.home.cell(handle, 1).is_some_and(|cell| cell[0].load(Acquire) == handle.word())
    }

    /// The word with the time of a bucket's next exemplar; `None` if no series on its page has had an exemplar.
    #[inline]
    pub(super) fn exemplar_time(&self, handle: Handle, bucket: usize) -> Option<&AtomicU64> {
        self.exemplar_times.pages[handle.page()].get()?.get(handle.offset() + bucket)
    }

    /// Like [`Store::exemplar_time`], but allocates the page. The series must be live.
    ///
    /// No thread waits for another one that allocates the page, and which a fork may have left behind.
    pub(super) fn make_exemplar_time(&self, handle: Handle, bucket: usize) -> Option<&AtomicU64> {
        let page = &self.exemplar_times.pages[handle.page()];
        if page.get().is_none() {
            let _ = page.set(zeros(handle::page_words(handle.page())));
        }
        self.exemplar_time(handle, bucket)
    }

    /// Returns a block for a thread without one, or `None` if the limit on blocks has been reached.
    pub(super) fn take_block(&'static self) -> Option<&'static Block> {
        {
            let mut blocks = lock(&self.blocks);
            if let Some(free) = blocks.free.pop() {
                return Some(free);
            }
            if blocks.made >= blocks.limit {
                return None;
            }
            blocks.made += 1;
        }
        // Allocated without the lock, because the allocator may be user code.
        let block: &'static Block = Box::leak(Box::new(Block::new()));
        let mut blocks = lock(&self.blocks);
        // `next` is not set yet, because successors are only added to the last block.
        let _ = blocks.last.unwrap_or(&self.home).next.set(block);
        blocks.last = Some(block);
        Some(block)
    }

    /// Returns the block of an ended thread for reuse.
    pub(super) fn give_back(&self, block: &'static Block) {
        lock(&self.blocks).free.push(block);
    }

    /// Limits the number of blocks, not counting the home block. Existing blocks stay in use.
    pub(super) fn limit_blocks(&self, most: usize) {
        lock(&self.blocks).limit = most;
    }

    /// Writes to the home block. Does nothing if the series has ended.
    pub(super) fn write_home(&self, handle: Handle, words: usize, write: &dyn Fn(&[AtomicU64])) {
        if let Some(cell) = self.lock_home().cell(handle, words) {
            write(cell);
        }
    }

    /// Locks the home block for writing.
    pub(super) fn lock_home(&self) -> HomeWriter<'_> {
        HomeWriter { home: &self.home, _writer: lock(&self.home_writer) }
    }

    /// Iterates over the blocks, in summation order.
    pub(super) fn blocks(&'static self, scope: ReadScope) -> impl Iterator<Item = &'static Block> {
        self.in_order().filter(move |block| scope.contains(block))
    }

    fn in_order(&'static self) -> impl Iterator<Item = &'static Block> {
        iter::successors(Some(&self.home), |block| block.next.get().copied())
    }

    /// Iterates over the cells that hold this series, in summation order. Yields nothing once the series has ended.
    ///
    /// The values read from a cell are valid only if the cell still [`holds`] the series afterwards.
    #[inline]
    pub(super) fn cells(
        &'static self,
        scope: ReadScope,
        handle: Handle,
        words: usize,
    ) -> impl Iterator<Item = &'static [AtomicU64]> {
        let blocks = self.is_live(handle).then(|| self.in_order()).into_iter().flatten();
        let blocks = blocks.filter(move |block| scope.contains(block));
        blocks.filter_map(move |block| held(block, handle, words))
    }

    #[cfg(test)]
    pub(super) fn thread_blocks(&self) -> usize {
        lock(&self.blocks).made
    }

    #[cfg(test)]
    pub(super) fn hold_locks(&'static self) -> impl Sized {
        (lock(&self.home_writer), lock(&self.blocks), lock(&self.slots))
    }

    /// Reads the cells of many series, block by block, so that memory is read sequentially.
    ///
    /// The cells of each series are visited in the same order as in [`Store::cells`]. `read` receives the position of
    /// the series in `handles`.
    #[inline]
    pub(super) fn each_cell(
        &'static self,
        scope: ReadScope,
        handles: &[Handle],
        words: usize,
        mut read: impl FnMut(usize, &'static [AtomicU64]),
    ) {
        for block in self.blocks(scope) {
            let mut pages = PageByPage::of(block);
            for (position, handle) in handles.iter().enumerate() {
                if let Some(cell) = pages.cell(*handle, words) {
                    read(position, cell);
                }
            }
        }
    }

    /// Fills `live` with one flag per handle: true if its series has not ended.
    pub(super) fn are_live(&'static self, handles: &[Handle], live: &mut Vec<bool>) {
        let mut home = PageByPage::of(&self.home);
        live.clear();
        live.extend(handles.iter().map(|handle| home.cell(*handle, 1).is_some()));
    }
}

/// The right to write to the home block.
pub(super) struct HomeWriter<'a> {
    home: &'a Block,
    _writer: MutexGuard<'a, ()>,
}

impl HomeWriter<'_> {
    /// The cell of a series; `None` if the series has ended.
    pub(super) fn cell(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        self.home.cell(handle, words).filter(|cell| cell[0].load(Relaxed) == handle.word())
    }

    /// The cell of a slot that belongs to a live series; see [`Store::take_slot`].
    pub(super) fn cell_of_slot(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        let cell = self.home.cell(handle, words)?;
        if cell[0].load(Relaxed) != handle.word() {
            start_generation(cell, handle);
        }
        Some(cell)
    }

    /// Allocates the page of a slot. The caller must not hold the lock.
    pub(super) fn prepare(store: &Store, handle: Handle) {
        store.home.page(handle.page());
    }
}

/// Reads the cells of many handles in one block. Caches the page, because consecutive handles usually share it.
struct PageByPage {
    block: &'static Block,
    number: usize,
    page: &'static [AtomicU64],
}

impl PageByPage {
    fn of(block: &'static Block) -> Self {
        Self { block, number: usize::MAX, page: &[] }
    }

    #[inline]
    fn cell(&mut self, handle: Handle, words: usize) -> Option<&'static [AtomicU64]> {
        if handle.page() != self.number {
            self.number = handle.page();
            self.page = self.block.pages[self.number].get().map_or(&[], |page| page);
        }
        self.page.get(handle.range(words)).filter(|cell| cell[0].load(Acquire) == handle.word())
    }
}
