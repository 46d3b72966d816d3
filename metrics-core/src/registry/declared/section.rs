//! The lists of declarations in two linker sections, whose bounds the linker defines.
//!
//! One section contains the sites of annotated functions, and the other one contains references to global structs.
//! `linkme` does the same, but adds three functions to each element to check its type, which take a noticeable share of
//! the compile time of an annotated function, so `linkme` is not used on Linux. The compiler cannot verify the bounds
//! of a section, so reading it requires unsafe code, the only unsafe code in the library.
//!
//! A program may contain several copies of this crate, built from different commits of the same version, which share
//! the sections. Each element therefore begins with an `Owner`, which identifies the copy that it belongs to. Other
//! copies must not read beyond it. All copies that share a section must have elements of the same size, so the name of
//! the section of sites ends with the number of words in a `Site`.

use std::sync::atomic::AtomicU8;

use super::DeclaredRef;
use crate::call::Site;

/// Identifies the copy of this crate that an element belongs to. It is the first field of each element.
#[repr(transparent)]
pub(crate) struct Owner(&'static AtomicU8);

/// A static whose address identifies this copy of the crate. Because it is mutable, no linker merges it with an
/// identical static.
static THIS_COPY: AtomicU8 = AtomicU8::new(0);

impl Owner {
    /// Identifies this copy.
    pub(crate) const fn new() -> Self {
        Self(&THIS_COPY)
    }

    fn is_this_copy(&self) -> bool {
        std::ptr::eq(self.0, &raw const THIS_COPY)
    }
}

/// An element for a declaration that is not a [`Site`].
#[repr(C)]
pub struct Element {
    owner: Owner,
    entry: DeclaredRef,
}

impl Element {
    /// Creates an element that belongs to this copy.
    #[must_use]
    pub const fn new(entry: DeclaredRef) -> Self {
        Self { owner: Owner::new(), entry }
    }
}

/// The bounds of the sections.
#[expect(unsafe_code, reason = "only the linker knows these symbols")]
mod bounds {
    use super::{Element, Site};

    // SAFETY: the linker defines these symbols for each section whose name is a C identifier, and `NOTHING` and
    // `NO_SITES` ensure that the sections exist. All of them are zero-sized, so only their addresses matter.
    unsafe extern "Rust" {
        #[link_name = "__start_metrics_core_0_1"]
        pub(super) safe static START: [Element; 0];
        #[link_name = "__stop_metrics_core_0_1"]
        pub(super) safe static STOP: [Element; 0];
        #[link_name = "__start_metrics_core_sites_0_1_12"]
        pub(super) safe static START_OF_SITES: [Site; 0];
        #[link_name = "__stop_metrics_core_sites_0_1_12"]
        pub(super) safe static STOP_OF_SITES: [Site; 0];
    }

    /// A zero-sized static that creates the section even in a program without declarations.
    // SAFETY: the static adds no bytes to the section.
    #[used]
    #[unsafe(link_section = "metrics_core_0_1")]
    pub(super) static NOTHING: [Element; 0] = [];

    /// Like [`NOTHING`], for the section of sites.
    // SAFETY: the static adds no bytes to the section.
    #[used]
    #[unsafe(link_section = "metrics_core_sites_0_1_12")]
    pub(super) static NO_SITES: [Site; 0] = [];
}

/// A section of statics of type `T`, each of which begins with an [`Owner`].
struct Section<T> {
    start: *const T,
    stop: *const T,
}

impl Section<Element> {
    fn of_elements() -> Self {
        // References the section, so that a linker that drops unreferenced sections keeps this section's bounds.
        std::hint::black_box(&bounds::NOTHING);
        Self { start: (&raw const bounds::START).cast(), stop: (&raw const bounds::STOP).cast() }
    }
}

impl Section<Site> {
    fn of_sites() -> Self {
        // For the same reason as above.
        std::hint::black_box(&bounds::NO_SITES);
        Self { start: (&raw const bounds::START_OF_SITES).cast(), stop: (&raw const bounds::STOP_OF_SITES).cast() }
    }
}

// If this fails, rename the section.
const _: () = assert!(size_of::<Site>() == 12 * size_of::<usize>());

impl<T: Sync + 'static> Section<T> {
    /// Returns the number of elements, including those of other copies.
    fn len(&self) -> usize {
        (self.stop.addr() - self.start.addr()) / size_of::<T>()
    }

    /// Returns the elements that belong to this copy.
    #[expect(unsafe_code, reason = "the compiler does not know the contents of a section")]
    fn own(self) -> impl Iterator<Item = &'static T> {
        (0..self.len()).filter_map(move |at| {
            let element = self.start.wrapping_add(at);
            // SAFETY: only the macros below add to the sections, and they add only initialized statics of the section's
            // type, which live for the whole program. There are no gaps between them, since a static in a named section
            // is not aligned more strictly than its type requires. Elements of another copy of this crate have the same
            // size and also begin with an owner, and nothing else of them is read. Owners are never modified. The
            // families in a site change, but only through a `OnceLock`, and all references to the site are shared.
            unsafe { (*element.cast::<Owner>()).is_this_copy().then(|| &*element) }
        })
    }
}

/// Returns all declarations that the linker kept. If the linker drops a declaration, its series are exported only after
/// their first use.
pub(super) fn declared() -> impl Iterator<Item = DeclaredRef> {
    let sites = Section::of_sites().own().map(|site| -> DeclaredRef { site });
    Section::of_elements().own().map(|element| element.entry).chain(sites)
}

/// Adds a declaration to a section, so that its series are exported before their first use.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_declared {
    ($declared:ident) => {
        // SAFETY: the static has the type of the section's elements.
        #[used]
        #[unsafe(link_section = "metrics_core_0_1")]
        static __METRICS_DECLARED: $crate::__private::linked::Element =
            $crate::__private::linked::Element::new(&$declared);
    };
}

/// Defines the site of a function in a section, so that its series are exported before the function is first called.
#[doc(hidden)]
#[macro_export]
macro_rules! __metrics_core_site {
    ($site:ident, $function:literal, $parts:expr) => {
        // SAFETY: the static has the type of the section's elements.
        #[used]
        #[unsafe(link_section = "metrics_core_sites_0_1_12")]
        static $site: $crate::__private::Site = $crate::__private::Site::new(::core::module_path!(), $function, $parts);
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two versions of this crate in one program may lay out elements differently, so each version has its own
    /// sections.
    #[test]
    fn the_sections_are_named_after_this_version() {
        let version = concat!("_", env!("CARGO_PKG_VERSION_MAJOR"), "_", env!("CARGO_PKG_VERSION_MINOR"));
        let attributes = include_str!("section.rs").lines().filter(|line| line.trim_start().starts_with("#["));
        let quoted = attributes.filter_map(|line| line.split('"').nth(1));
        let names: Vec<_> = quoted.filter(|text| text.contains("metrics_core")).collect();
        for (section, words, count) in [("metrics_core", "", 5), ("metrics_core_sites", "_12", 5)] {
            let expected = format!("{section}{version}{words}");
            let is_name = |name: &&&str| name.trim_start_matches("__start_").trim_start_matches("__stop_") == expected;
            assert_eq!(names.iter().filter(is_name).count(), count, "{expected}: {names:?}");
        }
        assert_eq!(names.len(), 10, "{names:?}");
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

    /// Elements as this crate and another copy of it would add them.
    #[expect(unsafe_code, reason = "declared as by the macros")]
    mod added {
        use super::{Element, Foreign, OTHER_COPY, Owner, Site};
        use crate::call::Part;

        // SAFETY: the static has the type of the section's elements.
        #[used]
        #[unsafe(link_section = "metrics_core_0_1")]
        pub(super) static FOREIGN: Element = Element { owner: Owner(&OTHER_COPY), entry: &Foreign };

        // SAFETY: the static has the type of the section's elements.
        #[used]
        #[unsafe(link_section = "metrics_core_sites_0_1_12")]
        pub(super) static FOREIGN_SITE: Site = Site::owned_by(Owner(&OTHER_COPY), "section", "foreign", &[]);

        crate::__private::site!(OWN_SITE, "own", &[Part::Prefix("section_tests")]);

        pub(super) fn own_site() -> &'static Site {
            &OWN_SITE
        }
    }

    #[test]
    fn declarations_of_another_copy_of_this_crate_are_ignored() {
        assert_ne!(&raw const OTHER_COPY, &raw const THIS_COPY, "the linker has merged the copies");
        let (elements, sites) = (Section::of_elements(), Section::of_sites());
        let (all_elements, all_sites) = (elements.len(), sites.len());
        let has_foreign = (0..all_elements).any(|at| elements.start.wrapping_add(at) == &raw const added::FOREIGN);
        let has_foreign_site = (0..all_sites).any(|at| sites.start.wrapping_add(at) == &raw const added::FOREIGN_SITE);
        assert!(has_foreign && has_foreign_site);
        let own: Vec<_> = Section::of_sites().own().collect();
        assert!(own.iter().any(|site| std::ptr::eq(*site, added::own_site())));
        assert_eq!((elements.own().count(), own.len()), (all_elements - 1, all_sites - 1));
        assert_eq!(declared().count(), all_elements + all_sites - 2);
    }
}
