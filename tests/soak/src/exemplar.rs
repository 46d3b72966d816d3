//! The source of exemplars: a trace that some operations belong to.

use std::cell::Cell;

use metrics_core::set_exemplar_source;

use crate::random::Random;

thread_local! {
    static TRACE: Cell<Option<u64>> = const { Cell::new(None) };
}

pub(crate) fn install() {
    // The source is also called by destructors of other thread-locals.
    set_exemplar_source(|| {
        TRACE.try_with(Cell::get).ok().flatten().map(|trace| [("trace_id", format!("{trace:016x}"))])
    });
}

/// Enters a trace, or leaves the current one.
pub(crate) fn enter(random: &mut Random) {
    TRACE.set(if random.once_in(3) { Some(random.next()) } else { None });
}

pub(crate) fn leave() {
    TRACE.set(None);
}
