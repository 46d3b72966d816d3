//! The words of all threads, and the rules for writing them and for reading them concurrently.
//!
//! The words of a block are written only by the thread that owns it. A thread that ends hands its block, unchanged, to
//! the next new thread. Nothing is folded into a total, so floats are always added in the same order and sums never
//! decrease. There are at most as many blocks as threads that recorded at the same time. Threads that cannot have a
//! block write to the home block, which they share under a lock.
//!
//! The home block also records the live generation of each slot. A scrape reads block by block, so that it accesses
//! memory sequentially, and checks the generation before and after it reads a cell.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::{array, iter, ptr};

use super::handle::{self, Handle, SlotAllocator};
use super::sync::{AtomicU64, Mutex, OnceLock, PAGES, lock, zeros};

/// One writer's pages, for ever: blocks are leaked, and there are as many as threads were alive at once.
pub(super) struct Block {
    pages: [OnceLock<Box<[AtomicU64]>>; PAGES],
    /// For what its threads have looked up; nobody else reads it.
    cache_words: OnceLock<Box<[AtomicU64]>>,
    /// The block that was made after this one: reading goes along, without a lock or an allocation.
    next: OnceLock<&'static Block>,
}

impl Block {
    fn new() -> Self {
        Self { pages: array::from_fn(|_| OnceLock::new()), cache_words: OnceLock::new(), next: OnceLock::new() }
    }

    pub(super) fn page(&self, page: usize) -> &[AtomicU64] {
        self.pages[page].get_or_init(|| zeros(handle::page_words(page)))
    }

    pub(super) fn cache_words(&self, words: usize) -> &[AtomicU64] {
        self.cache_words.get_or_init(|| zeros(words))
    }

    /// The words of `handle`'s slot, if this block has them.
    #[inline]
    fn cell(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        self.pages[handle.page()].get()?.get(handle.range(words))
    }
}

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

/// All blocks, and which slots in them are in use.
pub(super) struct Store {
    /// Says for each slot which generation is live (first word), and takes the writes of threads without a block. All
    /// other blocks follow it, in the order in which they were made: the order of adding up.
    home: Block,
    /// Held by whoever writes to the home block.
    home_writer: Mutex<()>,
    blocks: Mutex<Blocks>,
    slots: Mutex<SlotAllocator>,
}

/// The blocks that threads can take. One lock guards all of it, so that a limit holds for threads that start while it is
/// set.
struct Blocks {
    /// Blocks of ended threads.
    free: Vec<&'static Block>,
    /// The block that was made last, if any: the next one follows it.
    last: Option<&'static Block>,
    made: usize,
    limit: usize,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            home: Block::new(),
            home_writer: Mutex::new(()),
            blocks: Mutex::new(Blocks { free: Vec::new(), last: None, made: 0, limit: usize::MAX }),
            slots: Mutex::new(SlotAllocator::new()),
        }
    }

    /// A slot of `words` words (the generation word included) for a new series, at zero in every thread.
    ///
    /// `None` when all slots there are (2 GiB a thread) are in use.
    pub(super) fn allocate(&self, words: usize) -> Option<Handle> {
        let handle = lock(&self.slots).take(words)?;
        let page = self.home.page(handle.page());
        let _writer = lock(&self.home_writer);
        start_generation(&page[handle.range(words)], handle);
        Some(handle)
    }

    /// Ends the series of `handle`: its slot may now serve another one.
    pub(super) fn free(&self, handle: Handle, words: usize) {
        if self.close(handle) {
            lock(&self.slots).give_back(handle, words);
        }
    }

    /// Ends the live generation of a slot; false if it was not `handle`.
    fn close(&self, handle: Handle) -> bool {
        let _writer = lock(&self.home_writer);
        match self.home.cell(handle, 1) {
            Some(cell) if cell[0].load(Relaxed) == handle.word() => {
                cell[0].store(0, Release);
                true
            }
            _ => false,
        }
    }

    /// Whether the series of `handle` has not been ended.
    #[inline]
    pub(super) fn is_live(&self, handle: Handle) -> bool {
        self.home.cell(handle, 1).is_some_and(|cell| cell[0].load(Acquire) == handle.word())
    }

    /// A block for a thread that has none; `None` when there are as many as there may be.
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
        // Allocated without the lock, because the allocator may be code of the user.
        let block: &'static Block = Box::leak(Box::new(Block::new()));
        let mut blocks = lock(&self.blocks);
        // Never set before, because only the last block gets a successor.
        let _ = blocks.last.unwrap_or(&self.home).next.set(block);
        blocks.last = Some(block);
        Some(block)
    }

    /// The block of a thread that has ended, for the next one.
    pub(super) fn give_back(&self, block: &'static Block) {
        lock(&self.blocks).free.push(block);
    }

    /// From now on blocks are made only up to this number, which does not count the home block.
    pub(super) fn limit_blocks(&self, most: usize) {
        lock(&self.blocks).limit = most;
    }

    /// Writes to the home block; nothing if the series has ended.
    pub(super) fn write_home(&self, handle: Handle, words: usize, write: &dyn Fn(&[AtomicU64])) {
        let _writer = lock(&self.home_writer);
        if let Some(cell) = self.home.cell(handle, words)
            && cell[0].load(Relaxed) == handle.word()
        {
            write(cell);
        }
    }

    fn in_order(&'static self) -> impl Iterator<Item = &'static Block> {
        iter::successors(Some(&self.home), |block| block.next.get().copied())
    }

    /// The cells that hold this series, in the order of adding up; none once it has ended.
    ///
    /// What is read from a cell counts only if the cell [`holds`] the series afterwards too.
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

    /// Reads the cells of many series.
    ///
    /// It goes block by block: memory is read sequentially, and the cells of each series come in the same order as alone.
    /// `read` gets the position of the series.
    #[inline]
    pub(super) fn each_cell(
        &'static self,
        scope: ReadScope,
        handles: &[Handle],
        words: usize,
        mut read: impl FnMut(usize, &'static [AtomicU64]),
    ) {
        for block in self.in_order().filter(|block| scope.contains(block)) {
            let mut pages = PageByPage::of(block);
            for (position, handle) in handles.iter().enumerate() {
                if let Some(cell) = pages.cell(*handle, words) {
                    read(position, cell);
                }
            }
        }
    }

    /// Whether each of these series has not been ended.
    pub(super) fn are_live(&'static self, handles: &[Handle], live: &mut Vec<bool>) {
        let mut home = PageByPage::of(&self.home);
        live.clear();
        live.extend(handles.iter().map(|handle| home.cell(*handle, 1).is_some()));
    }
}

/// Reads one block for one handle after the other, most of which are in the same page as the one before.
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

/// The block's cell of this series, if it has one.
#[inline]
fn held(block: &'static Block, handle: Handle, words: usize) -> Option<&'static [AtomicU64]> {
    block.cell(handle, words).filter(|cell| cell[0].load(Acquire) == handle.word())
}

/// Takes a cell over for `handle`. A scrape that reads meanwhile sees another generation before or after, and skips it.
pub(super) fn start_generation(cell: &[AtomicU64], handle: Handle) {
    cell[0].store(0, Relaxed);
    // Whoever reads one of these reads no generation from before.
    for word in &cell[1..] {
        word.store(0, Release);
    }
    cell[0].store(handle.word(), Release);
}

/// Whether all that was read from `cell` since it was found, by loads that acquire, belongs to the series of `handle`.
#[inline]
pub(super) fn holds(cell: &[AtomicU64], handle: Handle) -> bool {
    cell[0].load(Relaxed) == handle.word()
}
