//! The list of declarations in a linker section, whose bounds the linker defines.
//!
//! `linkme` does the same, but adds three functions to each element to check its type. They account for 0.6 ms of the
//! 2.1 ms of compile time per annotated function, so `linkme` is not used on Linux. The compiler cannot verify the
//! bounds of the section, so reading it requires the only unsafe code in the library. No thread ever writes to the
//! section.

use std::sync::atomic::AtomicU8;

use super::DeclaredRef;

/// A declaration in the section.
///
/// What its name says is all that another copy of this crate in the same program, of another commit, may rely on: the
/// first word tells whose element it is.
#[repr(C)]
pub struct Element {
    copy: &'static AtomicU8,
    entry: DeclaredRef,
}

/// Its address is this copy of the crate's own; no linker takes what can be written to for the same as another.
static COPY: AtomicU8 = AtomicU8::new(0);

impl Element {
    /// An element of this copy.
    #[must_use]
    pub const fn new(entry: DeclaredRef) -> Self {
        Self { copy: &COPY, entry }
    }
}

/// The section.
#[expect(unsafe_code, reason = "the linker knows these symbols, the compiler does not")]
mod section {
    use super::Element;

    // SAFETY: the linker defines both for each section with such a name, and `NOTHING` makes that there is one. They are
    // addresses of no memory of their own.
    unsafe extern "Rust" {
        #[link_name = "__start_metrics_core_0_1"]
        pub(super) safe static START: [Element; 0];
        #[link_name = "__stop_metrics_core_0_1"]
        pub(super) safe static STOP: [Element; 0];
    }

    /// Takes no room, but makes the section, also in a program that declares nothing.
    // SAFETY: it adds nothing to the section.
    #[used]
    #[unsafe(link_section = "metrics_core_0_1")]
    pub(super) static NOTHING: [Element; 0] = [];
}

/// All declarations that the linker kept. Losing one may only cost its export before first use.
pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    // Refers to something in the section: a linker that drops what nobody refers to then keeps its ends.
    std::hint::black_box(&section::NOTHING);
    elements().iter().filter(|element| std::ptr::eq(element.copy, &raw const COPY)).map(|element| element.entry)
}

#[expect(unsafe_code, reason = "what a section consists of, the compiler does not know")]
fn elements() -> &'static [Element] {
    let [start, stop] = [(&raw const section::START).cast::<Element>(), (&raw const section::STOP).cast::<Element>()];
    let len = (stop.addr() - start.addr()) / size_of::<Element>();
    // SAFETY: only `__metrics_core_site` writes to the section: initialised statics of type `Element`, that nothing
    // changes and that live as long as the program, without gaps, since no static of a named section is aligned to more
    // than its type asks for. Those of another copy of this crate have the same layout, and no more than their first
    // word is read.
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
        static __METRICS_DECLARED: $crate::__private::linked::Element = $crate::__private::linked::Element::new(&$site);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two versions of this crate in one program may lay their elements out differently.
    #[test]
    fn the_section_is_that_of_this_version() {
        let version = concat!("metrics_core_", env!("CARGO_PKG_VERSION_MAJOR"), "_", env!("CARGO_PKG_VERSION_MINOR"));
        let attributes = include_str!("section.rs").lines().filter(|line| line.trim_start().starts_with("#["));
        let quoted = attributes.filter_map(|line| line.split('"').nth(1));
        let names: Vec<_> = quoted.filter(|text| text.contains("metrics_core")).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        assert!(names.iter().all(|name| name.ends_with(version)), "{names:?} are not for {version}");
    }

    struct Foreign;

    impl super::super::Declared for Foreign {
        fn initialize(&self, _: super::super::UserCode) {
            unreachable!("it is not ours")
        }

        fn is_ready_for_scrape(&self) -> bool {
            unreachable!("it is not ours")
        }

        fn problem(&self) -> Option<super::super::Problem> {
            unreachable!("it is not ours")
        }
    }

    static OTHER_COPY: AtomicU8 = AtomicU8::new(0);

    /// As another commit of this crate would declare it.
    #[expect(unsafe_code, reason = "as the macro does it")]
    // SAFETY: of the type that the section is made of.
    #[used]
    #[unsafe(link_section = "metrics_core_0_1")]
    static FOREIGN: Element = Element { copy: &OTHER_COPY, entry: &Foreign };

    #[test]
    fn what_another_copy_of_this_crate_declares_is_left_alone() {
        assert!(elements().iter().any(|element| std::ptr::eq(element, &raw const FOREIGN)));
        let others = elements().iter().filter(|element| std::ptr::eq(element.copy, &raw const OTHER_COPY)).count();
        assert_eq!(declared().count(), elements().len() - others);
        assert_eq!(others, 1);
    }
}
