//! Parameters, names, attributes and macros.

use super::*;

#[test]
fn patterns_wildcards_mut_and_cfg_parameters() {
    struct Point {
        x: u32,
        y: u32,
    }
    #[instrument("patterns")]
    fn patterns((a, b): (u32, u32), Point { x, y: renamed }: Point, [first, ..]: [u32; 3], &c: &u32) -> u32 {
        a + b + x + renamed + first + c
    }
    #[instrument("wildcards")]
    fn wildcards(_: u32, _unused: String, __: u32) -> u32 {
        __
    }
    #[instrument("mutable")]
    fn mutable(mut text: String, ref other: String) -> String {
        text.push_str(other);
        text
    }
    #[instrument("cfg")]
    fn cfg(#[cfg(test)] n: u32, #[cfg(not(test))] n: &str) -> u32 {
        n
    }
    #[instrument("patterns-later")]
    async fn later((a, mut b): (String, String), _: String) -> String {
        yielding().await;
        b.push_str(&a);
        b
    }
    assert_eq!(patterns((1, 2), Point { x: 3, y: 4 }, [5, 0, 0], &6), 21);
    assert_eq!(wildcards(0, String::new(), 3), 3);
    assert_eq!(mutable("a".to_owned(), "b".to_owned()), "ab");
    assert_eq!(cfg(5), 5);
    assert_eq!(now(later(("a".to_owned(), "b".to_owned()), String::new())), "ba");
    for path in ["patterns", "wildcards", "mutable", "cfg", "patterns-later"].iter() {
        assert_eq!(recorded(path).0, 1.0, "{}", path);
    }
}

#[test]
fn labels_from_patterns_and_raw_identifiers() {
    #[instrument(path)]
    fn destructured((path, _): (&str, u32)) {
        let _ = path;
    }
    #[instrument(path = r#type)]
    fn raw(r#type: &str) -> usize {
        r#type.len()
    }
    destructured(("destructured", 1));
    assert_eq!(raw("raw"), 3);
    assert_eq!(recorded("destructured").0, 1.0);
    assert_eq!(recorded("raw").0, 1.0);
}

#[test]
fn unsafe_and_extern_functions() {
    #[instrument("unsafe")]
    #[allow(unsafe_code, unsafe_op_in_unsafe_fn)]
    unsafe fn danger(pointer: *const u32) -> u32 {
        *pointer
    }
    #[instrument("unsafe-later")]
    #[allow(unsafe_code, unsafe_op_in_unsafe_fn)]
    async unsafe fn danger_later(pointer: *const u32) -> u32 {
        *pointer
    }
    #[instrument("extern")]
    extern "C" fn called_by_c(n: i32) -> i32 {
        n + 1
    }
    #[allow(unsafe_code)]
    // SAFETY: the pointers come from references.
    unsafe {
        assert_eq!(danger(&5), 5);
        assert_eq!(now(danger_later(&6)), 6);
    }
    let pointer: extern "C" fn(i32) -> i32 = called_by_c;
    assert_eq!(pointer(1), 2);
    for path in ["unsafe", "unsafe-later", "extern"].iter() {
        assert_eq!(recorded(path).0, 1.0, "{}", path);
    }
}

#[test]
fn recursion() {
    #[instrument("recursive")]
    fn recursive(n: u32) -> u32 {
        if n == 0 { 0 } else { recursive(n - 1) + 1 }
    }
    #[instrument("recursive-later")]
    fn recursive_later(n: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        Box::pin(async move { if n == 0 { 0 } else { recursive_later(n - 1).await + 1 } })
    }
    assert_eq!(recursive(4), 4);
    assert_eq!(now(recursive_later(4)), 4);
    assert_eq!(recorded("recursive").0, 5.0);
    assert_eq!(recorded("recursive-later").0, 5.0);
}

#[test]
fn inner_attributes_items_and_nested_functions() {
    #[instrument("inner")]
    fn inner(n: u32) -> u32 {
        #![allow(unused_variables)]
        use std::cmp::max;
        const LEAST: u32 = 3;
        #[instrument("nested")]
        fn nested(n: u32) -> u32 {
            n * 2
        }
        let unused = 1;
        max(nested(n), LEAST)
    }
    assert_eq!(inner(1), 3);
    assert_eq!(recorded("inner").0, 1.0);
    assert_eq!(recorded("nested").0, 1.0);
}

macro_rules! handler {
    ($(#[$attribute:meta])* $name:ident($argument:ident: $ty:ty) -> $output:ty $body:block) => {
        $(#[$attribute])*
        #[instrument(path = $argument)]
        fn $name($argument: $ty) -> $output $body
    };
}

macro_rules! whole_handler {
    ($name:ident) => {
        #[instrument(path)]
        fn $name(path: &str) -> Outcome<usize> {
            let parsed: u32 = path.parse()?;
            Ok(parsed as usize)
        }
    };
}

#[test]
fn functions_made_by_macro_rules() {
    handler!(
        /// Documented.
        from_outside(text: &str) -> usize { text.len() }
    );
    whole_handler!(from_inside);
    macro_rules! later {
        ($body:expr) => {
            #[instrument("macro-later")]
            async fn from_expression(n: u32) -> u32 {
                let add = $body;
                add + n
            }
        };
    }
    later!(2 + 3);
    assert_eq!(from_outside("macro-outside"), 13);
    assert!(from_inside("macro-inside").is_err());
    assert_eq!(now(from_expression(1)), 6);
    assert_eq!(recorded("macro-outside").0, 1.0);
    assert_eq!(recorded("macro-inside"), (1.0, 1.0));
    assert_eq!(recorded("macro-later").0, 1.0);
}

#[test]
fn raw_names_and_keywords() {
    #[instrument("raw-name")]
    fn r#loop(r#in: u32) -> u32 {
        r#in
    }
    assert_eq!(r#loop(1), 1);
    assert_eq!(recorded("raw-name").0, 1.0);
}

#[test]
fn attributes_of_the_function_stay() {
    #[must_use]
    #[inline(always)]
    #[instrument("inlined")]
    fn inlined() -> u32 {
        1
    }
    #[instrument("cold")]
    #[cold]
    #[doc(hidden)]
    #[deprecated]
    fn cold() -> u32 {
        2
    }
    #[allow(deprecated)]
    let sum = inlined() + cold();
    assert_eq!(sum, 3);
    assert_eq!(recorded("inlined").0, 1.0);
    assert_eq!(recorded("cold").0, 1.0);
}

#[test]
fn track_caller_compiles_and_says_the_place_in_the_body() {
    #[track_caller]
    fn plain() -> &'static std::panic::Location<'static> {
        std::panic::Location::caller()
    }
    #[instrument("track-caller")]
    #[track_caller]
    fn instrumented() -> (u32, &'static std::panic::Location<'static>) {
        (line!(), std::panic::Location::caller())
    }
    assert_eq!((plain().file(), plain().line()), (file!(), line!()));
    let (in_body, location) = instrumented();
    assert_eq!((location.file(), location.line()), (file!(), in_body));
    assert_eq!(recorded("track-caller").0, 1.0);
}

mod shadowed {
    #![no_implicit_prelude]

    mod std {}
    mod core {}
    mod metrics_core {}
    #[derive(::std::clone::Clone, ::std::cmp::PartialEq, ::std::fmt::Debug)]
    pub(super) struct Some(pub(super) u8);
    pub(super) struct Result;
    struct Box;
    struct Option;
    trait Future {}

    #[::metrics_core::instrument("shadowed")]
    pub(super) fn shadowed(call: u8, span: u8, site: u8, output: u8) -> Some {
        Some(call + span + site + output)
    }

    #[::metrics_core::instrument("shadowed-later")]
    pub(super) async fn later(out: u8) -> Result {
        if out == 0 {
            return Result;
        }
        Result
    }

    #[::metrics_core::instrument("shadowed-future")]
    pub(super) fn soon(out: u8) -> impl ::std::future::Future<Output = u8> {
        ::std::future::ready(out)
    }

    #[::metrics_core::instrument("shadowed-boxed")]
    pub(super) fn boxed(out: u8) -> ::std::pin::Pin<::std::boxed::Box<dyn ::std::future::Future<Output = u8>>> {
        let doubled = out * 2;
        ::std::boxed::Box::pin(async move { doubled })
    }

    #[::metrics_core::instrument(path, status = |out| *out)]
    pub(super) fn by_result(path: &str) -> bool {
        path.is_empty()
    }
}

#[test]
fn callers_that_shadow_everything() {
    assert_eq!(shadowed::shadowed(1, 2, 3, 4), shadowed::Some(10));
    now(shadowed::later(0));
    assert_eq!(now(shadowed::soon(1)), 1);
    assert_eq!(now(shadowed::boxed(2)), 4);
    for path in ["shadowed", "shadowed-later", "shadowed-future", "shadowed-boxed"].iter() {
        assert_eq!(recorded(path).0, 1.0, "{}", path);
    }
}

#[test]
fn parameters_named_like_what_is_emitted() {
    #[instrument("own-names")]
    fn own_names(__metrics: u32, metrics_call: u32, METRICS_SITE: u32) -> u32 {
        __metrics + metrics_call + METRICS_SITE
    }
    #[instrument("own-out")]
    async fn own_out(out: u32, result: u32) -> u32 {
        out + result
    }
    #[instrument("same-names", prefix = "same_names", status = |__metrics_out| *__metrics_out)]
    fn same_names(__metrics_call: u32, __metrics_out: u32) -> u32 {
        __metrics_call + __metrics_out
    }
    #[instrument("same-names")]
    async fn same_names_later(__metrics_call: String, __metrics_out: String) -> usize {
        yielding().await;
        __metrics_call.len() + __metrics_out.len()
    }
    assert_eq!(same_names(1, 2), 3);
    assert_eq!(now(same_names_later("a".to_owned(), "b".to_owned())), 2);
    assert_eq!(own_names(1, 2, 3), 6);
    assert_eq!(now(own_out(1, 2)), 3);
    assert_eq!(recorded("own-names").0, 1.0);
    assert_eq!(recorded("own-out").0, 1.0);
}
