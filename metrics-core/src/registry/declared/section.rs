//! Collected in a section of the program, whose ends the linker names.
//!
//! What `linkme` does elsewhere, without the three functions that it adds to each element to check its type: they are a
//! third of what the compiler spends on an annotated function.

use super::Entry;

/// Where the section begins and ends.
///
/// Its name has the version in it, for a program with several versions of this crate, which agree on no [`Entry`].
#[expect(unsafe_code, reason = "the linker knows these symbols, the compiler does not")]
mod bounds {
    use super::Entry;

    // SAFETY: the linker defines both for each section with such a name, and `NONE` makes that there is one. They are
    // addresses of no memory of their own.
    unsafe extern "Rust" {
        #[link_name = "__start_metrics_core_0_1"]
        pub(super) safe static START: [Entry; 0];
        #[link_name = "__stop_metrics_core_0_1"]
        pub(super) safe static STOP: [Entry; 0];
    }

    /// Of a program that declares nothing.
    // SAFETY: it adds nothing to the section.
    #[used]
    #[unsafe(link_section = "metrics_core_0_1")]
    static NONE: [Entry; 0] = [];
}

/// All declarations that the linker kept. Losing one may only cost its export before first use.
#[expect(unsafe_code, reason = "what a section consists of, the compiler does not know")]
pub(super) fn declared() -> &'static [Entry] {
    let [start, stop] = [(&raw const bounds::START).cast::<Entry>(), (&raw const bounds::STOP).cast::<Entry>()];
    let len = (stop.addr() - start.addr()) / size_of::<Entry>();
    // SAFETY: only `__metrics_core_site` writes to the section: initialised statics of type `Entry`, that nothing
    // changes and that live as long as the program, without gaps, since no static of a named section is aligned to more
    // than its type asks for.
    unsafe { std::slice::from_raw_parts(start, len) }
}

/// Tells the linker of a site, so that its series are exported before its function is first called.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {
        // SAFETY: of the type that the section is made of.
        #[used]
        #[unsafe(link_section = "metrics_core_0_1")]
        static __METRICS_DECLARED: $crate::__private::Entry = &$site;
    };
}

#[cfg(test)]
mod tests {
    /// Two versions of this crate in one program must not read each other's declarations.
    #[test]
    fn the_section_is_that_of_this_version() {
        let version = concat!("metrics_core_", env!("CARGO_PKG_VERSION_MAJOR"), "_", env!("CARGO_PKG_VERSION_MINOR"));
        let named = include_str!("section.rs").lines().filter(|line| line.trim_start().starts_with("#["));
        let names: Vec<_> =
            named.filter_map(|line| line.split('"').nth(1)).filter(|name| name.contains("metrics_core")).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(names.iter().all(|name| name.ends_with(version)), "{names:?} are not for {version}");
    }
}
