//! The pages of one thread, who writes them, and what happens to them when the thread ends.
//!
//! A block's words are written by the one thread that owns it. A thread that ends hands its block, as it is, to the
//! next new thread: nothing is folded, so sums are always added up in the same order and never fall. Where a thread
//! cannot have a block (its thread-locals are gone, or it is just being given one) it writes to the home block, which
//! all threads share under a lock.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};
use std::sync::{Mutex, OnceLock};

use super::lock;
use super::slot::{self, Handle, PAGES};

/// One writer's pages, for ever: blocks are leaked, and there are as many as threads were alive at once.
pub(crate) struct Block {
    pages: [OnceLock<Box<[AtomicU64]>>; PAGES],
    /// The block that was made after this one: reading goes along, without a lock or an allocation.
    next: OnceLock<&'static Block>,
}

impl Block {
    const fn new() -> Self {
        Self { pages: [const { OnceLock::new() }; PAGES], next: OnceLock::new() }
    }

    fn page(&self, page: usize) -> &[AtomicU64] {
        self.pages[page].get_or_init(|| slot::new_page(page))
    }

    /// The words of `handle`'s place, if this block has them.
    pub(crate) fn cell(&self, handle: Handle, words: usize) -> Option<&[AtomicU64]> {
        self.pages[handle.page()].get()?.get(handle.range(words))
    }
}

/// Says for each place which generation is live (first word), and takes the writes of threads without a block. All
/// other blocks follow it, in the order in which they were made: the order of adding up.
static HOME: Block = Block::new();
/// Held by whoever writes to [`HOME`].
static HOME_WRITER: Mutex<()> = Mutex::new(());
/// Blocks of ended threads.
static FREE: Mutex<Vec<&'static Block>> = Mutex::new(Vec::new());

thread_local! {
    // No destructor, so that reading it is one plain access. An empty page stands for "none yet", for "this thread is
    // ending" and for "out of range" alike: one bounds check sends all three to the cold path.
    static OWN_PAGES: [Cell<&'static [AtomicU64]>; PAGES] =
        const { [const { Cell::new([].as_slice()) }; PAGES] };
    static OWNER: Owner = const { Owner { block: Cell::new(None), busy: Cell::new(false) } };
}

/// The thread's block; its destructor hands the block on.
struct Owner {
    block: Cell<Option<&'static Block>>,
    busy: Cell<bool>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        OWN_PAGES.with(|pages| pages.iter().for_each(|page| page.set(&[])));
        if let Some(block) = self.block.take() {
            lock(&FREE).push(block);
        }
    }
}

/// Writes to the `WORDS` words of `handle` that the current thread may write; nothing if its series has ended.
///
/// `write` is called at most once, with the words of the right generation.
#[inline]
pub(crate) fn with_array<const WORDS: usize>(handle: Handle, write: impl Fn(&[AtomicU64; WORDS])) {
    let page = OWN_PAGES.with(|pages| pages[handle.page()].get());
    match page.get(handle.offset()..).and_then(<[AtomicU64]>::first_chunk::<WORDS>) {
        Some(cell) if cell[0].load(Relaxed) == handle.word() => write(cell),
        _ => with_cold(handle, WORDS, &|cell| {
            if let Some(cell) = cell.first_chunk::<WORDS>() {
                write(cell);
            }
        }),
    }
}

/// As [`with_array`], for cells whose length is known at run time only.
#[inline]
pub(crate) fn with_slice(handle: Handle, words: usize, write: impl Fn(&[AtomicU64])) {
    let page = OWN_PAGES.with(|pages| pages[handle.page()].get());
    match page.get(handle.range(words)) {
        Some(cell) if cell[0].load(Relaxed) == handle.word() => write(cell),
        _ => with_cold(handle, words, &write),
    }
}

#[cold]
#[inline(never)]
fn with_cold(handle: Handle, words: usize, write: &dyn Fn(&[AtomicU64])) {
    if !is_live(handle) {
        return;
    }
    let own = OWNER.try_with(|owner| {
        // Making a block allocates; an allocator that counts comes back to here and must not find it half made.
        if owner.busy.replace(true) {
            return None;
        }
        let cell = own_cell(owner, handle, words);
        owner.busy.set(false);
        cell
    });
    match own {
        Ok(Some(cell)) => {
            if cell[0].load(Relaxed) != handle.word() {
                start_generation(cell, handle);
            }
            write(cell);
        }
        _ => {
            let _writer = lock(&HOME_WRITER);
            if let Some(cell) = HOME.cell(handle, words)
                && cell[0].load(Relaxed) == handle.word()
            {
                write(cell);
            }
        }
    }
}

fn own_cell(owner: &Owner, handle: Handle, words: usize) -> Option<&'static [AtomicU64]> {
    let block = match owner.block.get() {
        Some(block) => block,
        None => {
            let free = lock(&FREE).pop();
            let block = free.unwrap_or_else(new_block);
            owner.block.set(Some(block));
            block
        }
    };
    let page = block.page(handle.page());
    OWN_PAGES.with(|pages| pages[handle.page()].set(page));
    page.get(handle.range(words))
}

fn new_block() -> &'static Block {
    let block: &'static Block = Box::leak(Box::new(Block::new()));
    let mut last = &HOME;
    while last.next.set(block).is_err() {
        last = last.next.get().copied().unwrap_or(last);
    }
    block
}

/// Takes a cell over for `handle`. A scrape that reads meanwhile sees another generation before or after, and skips it.
fn start_generation(cell: &[AtomicU64], handle: Handle) {
    cell[0].store(0, Relaxed);
    fence(Release);
    for word in &cell[1..] {
        word.store(0, Release);
    }
    cell[0].store(handle.word(), Release);
}

/// Whether the series of `handle` has not been ended.
pub(crate) fn is_live(handle: Handle) -> bool {
    HOME.cell(handle, 1).is_some_and(|cell| cell[0].load(Acquire) == handle.word())
}

/// Makes `handle` the live generation of its place.
pub(super) fn open(handle: Handle, words: usize) {
    let page = HOME.page(handle.page());
    let _writer = lock(&HOME_WRITER);
    start_generation(&page[handle.range(words)], handle);
}

/// Ends the live generation of a place; false if it was not `handle`.
pub(super) fn close(handle: Handle) -> bool {
    let _writer = lock(&HOME_WRITER);
    match HOME.cell(handle, 1) {
        Some(cell) if cell[0].load(Relaxed) == handle.word() => {
            cell[0].store(0, Release);
            true
        }
        _ => false,
    }
}

/// The cells that hold this series, in the order of adding up; none once it has ended.
///
/// What is read from a cell counts only if the cell [`holds`] the series afterwards too.
#[inline]
pub(crate) fn cells(handle: Handle, words: usize) -> impl Iterator<Item = &'static [AtomicU64]> {
    let first = is_live(handle).then_some(&HOME);
    std::iter::successors(first, |block| block.next.get().copied())
        .filter_map(move |block| block.cell(handle, words))
        .filter(move |cell| cell[0].load(Acquire) == handle.word())
}

/// Whether all that was read from `cell` since it was found belongs to the series of `handle`.
#[inline]
pub(crate) fn holds(cell: &[AtomicU64], handle: Handle) -> bool {
    fence(Acquire);
    cell[0].load(Relaxed) == handle.word()
}
