//! The words of all threads, and the rules for reading and writing them concurrently.
//!
//! A dedicated block is written only by the thread that owns it. A thread that ends hands its block, unchanged, to the
//! next new thread. A shared block is written under its lock ([`super::shared_blocks`]). Nothing is folded into a
//! total, so floats are always added in the same order and sums never decrease. The number of dedicated blocks never
//! exceeds the peak number of live threads. It also stays within the limit, unless the limit is lowered or threads
//! beyond it take snapshots. A thread that cannot use a block, because it is ending or memory is exhausted, writes to
//! the home block, which is shared by all threads under a lock.
//!
//! A scrape reads block by block, so that it accesses memory sequentially. It checks the generation of each cell before
//! and after it reads it.

use std::sync::atomic::Ordering::Acquire;
use std::{iter, ptr};

use super::block::{Block, held};
use super::generations::Generations;
use super::handle::{Handle, SlotAllocator};
use super::shared_blocks::{BlockWriter, SharedBlock, Sharer};
use super::sync::{self, AtomicU64, FEWEST_BLOCKS, Mutex, OnceLock, lock, zeros};

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
    generations: Generations,
    /// Receives the writes of threads that cannot use a block. All other blocks follow it in creation order, which is
    /// the order of summation.
    home: SharedBlock,
    /// The shared blocks, created when the first thread exceeds the limit.
    shared: OnceLock<&'static [SharedBlock]>,
    /// The time from which each bucket may take its next exemplar. All threads write this block.
    exemplar_times: Block,
    blocks: Mutex<Blocks>,
    /// First-level lookup caches that no thread uses. Their contents remain valid, because handles are the same for
    /// all threads.
    caches: Mutex<Vec<&'static [CacheSet]>>,
    slots: Mutex<SlotAllocator>,
}

/// The two entries of a lookup cache that a key can occupy. An array, because a lookup that divided a slice into
/// entries would be slow in a debug build.
pub(crate) type CacheSet = [[AtomicU64; CACHE_ENTRY_WORDS]; 2];
/// The number of words in an entry of a lookup cache.
pub(crate) const CACHE_ENTRY_WORDS: usize = 16;

/// The cells that a thread writes to.
#[derive(Clone, Copy)]
pub(super) enum ThreadCells {
    Dedicated(&'static Block),
    Shared(Sharer),
}

/// The blocks that threads can take. One lock guards all fields, so that a limit also applies to threads that start
/// while it is being set.
struct Blocks {
    /// Blocks of ended threads.
    free: Vec<&'static Block>,
    /// The most recently created block, which the next one is appended to.
    last: Option<&'static Block>,
    made: usize,
    /// The maximum number of dedicated blocks; `None` until a limit is set or the default is computed.
    limit: Option<usize>,
    /// The number of threads assigned to shared blocks so far.
    sharers: usize,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            generations: Generations::new(),
            home: SharedBlock::new(),
            shared: OnceLock::new(),
            exemplar_times: Block::new(),
            blocks: Mutex::new(Blocks { free: Vec::new(), last: None, made: 0, limit: None, sharers: 0 }),
            caches: Mutex::new(Vec::new()),
            slots: Mutex::new(SlotAllocator::new()),
        }
    }

    /// Allocates a slot of `words` words, including the generation word. The other words read as zero in every thread.
    ///
    /// Returns `None` if all slots (2 GiB per thread) are in use, or if memory is exhausted.
    pub(super) fn allocate(&self, words: usize) -> Option<Handle> {
        let handle = self.take_slot(words)?;
        if self.generations.begin(handle) {
            return Some(handle);
        }
        self.give_back_slot(handle, words);
        None
    }

    /// Ends the series of `handle` and makes its slot available to another series.
    pub(super) fn free(&self, handle: Handle, words: usize) {
        if self.close(handle) {
            self.give_back_slot(handle, words);
        }
    }

    /// Takes a slot that belongs to a series, such as a chunk of its buckets. [`Generations`] does not track such a
    /// slot; it is live for as long as its series.
    ///
    /// The home block has the page of each slot, which occupies no memory until a thread writes to it. A thread that
    /// cannot allocate its own page can therefore always write to the home block.
    pub(super) fn take_slot(&self, words: usize) -> Option<Handle> {
        let slot = lock(&self.slots).take(words)?;
        if self.home.block.prepare(&[slot]) {
            return Some(slot);
        }
        self.give_back_slot(slot, words);
        None
    }

    /// Makes a slot available to another series.
    pub(super) fn give_back_slot(&self, handle: Handle, words: usize) {
        lock(&self.slots).give_back(handle, words);
    }

    /// Ends the generation of `handle`. Returns false if it is not the live generation of its slot.
    pub(super) fn close(&self, handle: Handle) -> bool {
        self.generations.end(handle)
    }

    /// Returns true if the series of `handle` has not ended.
    #[inline]
    pub(super) fn is_live(&self, handle: Handle) -> bool {
        self.generations.is_live(handle)
    }

    /// The word with the time of a bucket's next exemplar; `None` if no series on its page has had an exemplar.
    #[inline]
    pub(super) fn exemplar_time(&self, handle: Handle, bucket: usize) -> Option<&AtomicU64> {
        self.exemplar_times.pages[handle.page()].get()?.get(handle.offset() + bucket)
    }

    /// Like [`Store::exemplar_time`], but allocates the page if there is memory. The series must be live.
    ///
    /// No thread waits for another one that allocates the page, and which a fork may have left behind.
    pub(super) fn make_exemplar_time(&self, handle: Handle, bucket: usize) -> Option<&AtomicU64> {
        self.exemplar_times.prepare(&[handle]);
        self.exemplar_time(handle, bucket)
    }

    /// Assigns a dedicated block to a new thread, or the shared blocks once the limit is reached. Returns `None` if
    /// they cannot be allocated.
    pub(super) fn take_cells(&'static self) -> Option<ThreadCells> {
        let mut default = None;
        loop {
            let mut blocks = lock(&self.blocks);
            if let Some(free) = blocks.free.pop() {
                return Some(ThreadCells::Dedicated(free));
            }
            if blocks.made < blocks.limit.unwrap_or(FEWEST_BLOCKS) {
                // Reserves space in advance, so that returning the block never allocates.
                let not_free = blocks.made - blocks.free.len();
                blocks.free.try_reserve(not_free + 1).ok()?;
                blocks.made += 1;
                drop(blocks);
                let new = self.new_block();
                if new.is_none() {
                    lock(&self.blocks).made -= 1;
                }
                return new.map(ThreadCells::Dedicated);
            }
            if blocks.limit.is_some() {
                blocks.sharers += 1;
                let number = blocks.sharers;
                drop(blocks);
                return Some(ThreadCells::Shared(Sharer::new(self.shared_blocks()?, number)));
            }
            // The default may be read from files, so it is computed without the lock.
            match default {
                Some(limit) => blocks.limit = Some(limit),
                None => {
                    drop(blocks);
                    default = Some(sync::default_blocks());
                }
            }
        }
    }

    /// Creates a dedicated block; `None` if memory is exhausted. The caller counts it toward the limit if the limit
    /// applies.
    pub(super) fn new_block(&'static self) -> Option<&'static Block> {
        // Allocated without the lock, because the allocator may be user code.
        let mut new = Vec::new();
        new.try_reserve_exact(1).ok()?;
        new.push(Block::new());
        let block: &'static Block = new.leak().first()?;
        lock(&self.blocks).append(&self.home.block, block);
        Some(block)
    }

    fn shared_blocks(&'static self) -> Option<&'static [SharedBlock]> {
        if self.shared.get().is_none() {
            let number = sync::shared_blocks();
            let mut made = Vec::new();
            made.try_reserve_exact(number).ok()?;
            made.resize_with(number, SharedBlock::new);
            let mut blocks = lock(&self.blocks);
            if self.shared.get().is_none() {
                // Scrapes must find a block before any thread writes to it.
                let made: &'static [SharedBlock] = made.leak();
                for shared in made {
                    blocks.append(&self.home.block, &shared.block);
                }
                let _ = self.shared.set(made);
            }
        }
        self.shared.get().copied()
    }

    /// Returns the block of an ended thread for reuse. A block beyond the limit is not reused if the list cannot grow.
    pub(super) fn give_back(&self, block: &'static Block) {
        let mut blocks = lock(&self.blocks);
        if blocks.free.try_reserve(1).is_ok() {
            blocks.free.push(block);
        }
    }

    /// Limits the number of blocks, not counting the home block and the shared blocks. Existing blocks stay in use.
    pub(super) fn limit_blocks(&self, most: usize) {
        lock(&self.blocks).limit = Some(most);
    }

    /// Returns a lookup cache with this number of sets; `None` if memory is exhausted.
    pub(super) fn take_cache(&self, sets: usize) -> Option<&'static [CacheSet]> {
        let free = {
            let mut caches = lock(&self.caches);
            let at = caches.iter().position(|cache| cache.len() == sets);
            at.map(|at| caches.swap_remove(at))
        };
        match free {
            Some(free) => Some(free),
            None => {
                let words: &'static [AtomicU64] = Box::leak(zeros(sets * 2 * CACHE_ENTRY_WORDS)?);
                Some(words.as_chunks().0.as_chunks().0)
            }
        }
    }

    /// Returns a lookup cache that a thread no longer needs. Without memory for the list, no thread reuses it.
    pub(super) fn give_back_cache(&self, cache: &'static [CacheSet]) {
        let mut caches = lock(&self.caches);
        if caches.try_reserve(1).is_ok() {
            caches.push(cache);
        }
    }

    /// The generations of all slots; see [`Sharer::lock`].
    pub(super) fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Locks the home block, which has the pages of all slots.
    pub(super) fn lock_home(&self) -> BlockWriter<'_> {
        self.home.lock(&self.generations)
    }

    /// Iterates over the blocks that may have been written to, in summation order.
    pub(super) fn blocks(&'static self, scope: ReadScope) -> impl Iterator<Item = &'static Block> {
        let all = iter::successors(Some(&self.home.block), |block| block.next.get().copied());
        // Most programs never write to the home block, which has all pages.
        all.skip(usize::from(!self.home.is_written())).filter(move |block| scope.contains(block))
    }

    /// Iterates over the cells that hold this series, in summation order. Yields nothing once the series has ended.
    ///
    /// The values read from a cell are valid only if the cell still [`holds`](super::block::holds) the series
    /// afterwards.
    #[inline]
    pub(super) fn cells(
        &'static self,
        scope: ReadScope,
        handle: Handle,
        words: usize,
    ) -> impl Iterator<Item = &'static [AtomicU64]> {
        let blocks = self.is_live(handle).then(|| self.blocks(scope)).into_iter().flatten();
        blocks.filter_map(move |block| held(block, handle, words))
    }

    #[cfg(test)]
    pub(super) fn thread_blocks(&self) -> usize {
        lock(&self.blocks).made
    }

    #[cfg(test)]
    pub(super) fn hold_locks(&'static self) -> impl Sized {
        (self.lock_home(), lock(&self.blocks), lock(&self.caches), lock(&self.slots))
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
        live.clear();
        live.extend(handles.iter().map(|handle| self.is_live(*handle)));
    }
}

impl Blocks {
    /// Adds a new block to the list that begins with the home block.
    fn append(&mut self, home: &Block, block: &'static Block) {
        // `next` is not set yet, because successors are only added to the last block.
        let _ = self.last.unwrap_or(home).next.set(block);
        self.last = Some(block);
    }
}

/// Reads the cells of many handles in one block. Caches the page, because consecutive handles usually share it.
pub(super) struct PageByPage {
    block: &'static Block,
    number: usize,
    page: &'static [AtomicU64],
}

impl PageByPage {
    pub(super) fn of(block: &'static Block) -> Self {
        Self { block, number: usize::MAX, page: &[] }
    }

    #[inline]
    pub(super) fn cell(&mut self, handle: Handle, words: usize) -> Option<&'static [AtomicU64]> {
        let cell = self.words(handle, words);
        (cell.first()?.load(Acquire) == handle.word()).then_some(cell)
    }

    /// The words from `handle`'s slot onward; empty if the block has no page for them.
    #[inline]
    pub(super) fn words(&mut self, handle: Handle, words: usize) -> &'static [AtomicU64] {
        if handle.page() != self.number {
            self.number = handle.page();
            self.page = self.block.pages[self.number].get().map_or(&[], |page| page);
        }
        self.page.get(handle.range(words)).unwrap_or_default()
    }
}
