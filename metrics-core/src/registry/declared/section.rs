//! The list of declarations in a linker section, whose bounds the linker defines.
//!
//! `linkme` does the same, but adds three functions to each element to check its type. These functions account for 0.6
//! ms of the 2.1 ms of compile time per annotated function, so `linkme` is not used on Linux. The compiler cannot
//! verify the bounds of the section, so reading the section requires unsafe code, the only unsafe code in the library.
//! No thread ever writes to the section.

use std::sync::atomic::AtomicU8;

use super::DeclaredRef;

/// A declaration in the section.
///
/// A program may contain several copies of this crate, built from different commits of the same version, which share
/// the section. The first word identifies the copy that an element belongs to. Other copies must not read beyond that
/// word.
#[repr(C)]
pub struct Element {
    copy: &'static AtomicU8,
    entry: DeclaredRef,
}

/// A static whose address identifies this copy of the crate. Because it is mutable, no linker merges it with an
/// identical static.
static COPY: AtomicU8 = AtomicU8::new(0);

impl Element {
    /// Creates an element that belongs to this copy.
    #[must_use]
    pub const fn new(entry: DeclaredRef) -> Self {
        Self { copy: &COPY, entry }
    }
}

/// The bounds of the section.
#[expect(unsafe_code, reason = "only the linker knows these symbols")]
mod section {
    use super::Element;

    // SAFETY: the linker defines both symbols for each section whose name is a C identifier, and `NOTHING` ensures that
    // the section exists. Both statics are zero-sized, so only their addresses matter.
    unsafe extern "Rust" {
        #[link_name = "__start_metrics_core_0_1"]
        pub(super) safe static START: [Element; 0];
        #[link_name = "__stop_metrics_core_0_1"]
        pub(super) safe static STOP: [Element; 0];
    }

    /// A zero-sized static that creates the section even in a program without declarations.
    // SAFETY: the static adds no bytes to the section.
    #[used]
    #[unsafe(link_section = "metrics_core_0_1")]
    pub(super) static NOTHING: [Element; 0] = [];
}

/// Returns all declarations that the linker kept. If the linker drops a declaration, its series are exported only after
/// their first use.
pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    // References the section, so that a linker that drops unreferenced sections keeps this section's bounds.
    std::hint::black_box(&section::NOTHING);
    elements().iter().filter(|element| std::ptr::eq(element.copy, &raw const COPY)).map(|element| element.entry)
}

#[expect(unsafe_code, reason = "the compiler does not know the contents of a section")]
fn elements() -> &'static [Element] {
    let [start, stop] = [(&raw const section::START).cast::<Element>(), (&raw const section::STOP).cast::<Element>()];
    let len = (stop.addr() - start.addr()) / size_of::<Element>();
    // SAFETY: only `__metrics_core_site` adds to the section, and it adds only initialized statics of type `Element`,
    // which are never modified and live for the whole program. There are no gaps between them, since a static in a
    // named section is not aligned more strictly than its type requires. Elements of another copy of this crate have
    // the same layout, and only their first word is read.
    unsafe { std::slice::from_raw_parts(start, len) }
}

/// Adds a site to the section, so that its series are exported before its function is first called.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident) => {
        // SAFETY: the static has the type of the section's elements.
        #[used]
        #[unsafe(link_section = "metrics_core_0_1")]
        static __METRICS_DECLARED: $crate::__private::linked::Element = $crate::__private::linked::Element::new(&$site);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two versions of this crate in one program may lay out elements differently, so each version has its own section.
    #[test]
    fn the_section_is_named_after_this_version() {
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

    /// An element as another copy of this crate would declare it.
    #[expect(unsafe_code, reason = "declared as by the macro")]
    // SAFETY: the static has the type of the section's elements.
    #[used]
    #[unsafe(link_section = "metrics_core_0_1")]
    static FOREIGN: Element = Element { copy: &OTHER_COPY, entry: &Foreign };

    #[test]
    fn declarations_of_another_copy_of_this_crate_are_ignored() {
        assert!(elements().iter().any(|element| std::ptr::eq(element, &raw const FOREIGN)));
        let others = elements().iter().filter(|element| std::ptr::eq(element.copy, &raw const OTHER_COPY)).count();
        assert_eq!(declared().count(), elements().len() - others);
        assert_eq!(others, 1);
    }
}
