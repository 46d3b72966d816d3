//! What the linker collected: declarations that want their series at 0 before their first use.

#[cfg(not(target_family = "wasm"))]
use linkme::distributed_slice;

/// A static declaration that can bring its series up by itself.
pub trait Declared: Sync {
    /// Registers its families and creates the series that are known, unless that was done before.
    fn claim(&self);
}

/// A declaration as the linker collects it.
pub type Entry = &'static dyn Declared;

/// All declarations that the linker kept. Losing one may only cost its export before first use.
#[cfg(not(target_family = "wasm"))]
#[distributed_slice]
pub static DECLARED: [Entry];

/// Nothing: this platform's linker collects nothing.
#[cfg(target_family = "wasm")]
pub static DECLARED: [Entry; 0] = [];

/// Brings all declarations up, before a scrape of the global registry. Runs user code, so no lock may be held.
pub(crate) fn claim_all(of_global: bool) {
    if of_global {
        DECLARED.iter().for_each(|declared| declared.claim());
    }
}
