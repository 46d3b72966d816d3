//! Every shape of function that `#[instrument]` can be put on, each with a test. The list of them stands in the docs.

#![cfg(test)]
#![allow(
    dead_code,
    dropping_copy_types,
    non_snake_case,
    clippy::all,
    clippy::pedantic,
    clippy::expect_used,
    clippy::panic,
    reason = "the shapes are what users write, in every edition"
)]

use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use metrics_core::testing::Snapshot;
use metrics_core::{Registry, instrument};

mod blocks;
mod outcomes;
mod stacked;

/// What was recorded of the function with this label: calls, exceptions.
fn recorded(path: &str) -> (f64, f64) {
    let now = Snapshot::of(Registry::global());
    let value = |name: &str| {
        let name = format!("{}_request_{}", env!("CARGO_CRATE_NAME"), name);
        now.get(&name, &[("path", path)]).unwrap_or(0.0)
    };
    (value("latency_seconds_count"), value("exceptions_total"))
}

fn cancelled(path: &str) -> f64 {
    let name = format!("{}_request_cancelled_total", env!("CARGO_CRATE_NAME"));
    Snapshot::of(Registry::global()).value(&name, &[("path", path)])
}

/// What a future gives that needs no waiting.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
    panic!("the future is still pending");
}

/// Pending at its first poll.
fn yielding() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[derive(Debug, PartialEq)]
struct Failed;

impl Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {}

impl From<std::num::ParseIntError> for Failed {
    fn from(_: std::num::ParseIntError) -> Self {
        Failed
    }
}

type Outcome<T> = Result<T, Failed>;

struct Api {
    entries: Vec<u32>,
}

fn api() -> Api {
    Api { entries: vec![1, 2] }
}

#[test]
fn free_function() {
    #[instrument("free")]
    fn free(n: u32) -> u32 {
        n + 1
    }
    assert_eq!(free(1), 2);
    assert_eq!(recorded("free"), (1.0, 0.0));
}

impl Api {
    #[instrument("new")]
    fn new() -> Self {
        api()
    }

    #[instrument("by-ref")]
    fn by_ref(&self) -> usize {
        self.entries.len()
    }

    #[instrument("by-mut")]
    fn by_mut(&mut self, entry: u32) {
        self.entries.push(entry);
    }

    #[instrument("by-value")]
    fn by_value(self) -> Vec<u32> {
        self.entries
    }

    #[instrument("mut-self")]
    fn mut_self(mut self) -> usize {
        self.entries.push(0);
        self.entries.len()
    }

    #[instrument("arc")]
    fn arc(self: Arc<Self>) -> usize {
        self.entries.len()
    }

    #[instrument("boxed")]
    fn boxed(self: Box<Self>) -> usize {
        self.entries.len()
    }

    #[instrument("pinned")]
    fn pinned(mut self: Pin<&mut Self>) -> usize {
        self.entries.push(1);
        self.entries.len()
    }

    #[instrument("borrowed")]
    fn borrowed(&self, at: usize) -> Option<&u32> {
        self.entries.get(at)
    }

    #[instrument("borrowed-mut")]
    fn borrowed_mut(&mut self) -> &mut Vec<u32> {
        &mut self.entries
    }

    #[instrument("borrowed-mut-or-error")]
    fn borrowed_mut_or_error(&mut self, at: usize) -> Result<&mut u32, Box<dyn Error>> {
        if at == 7 {
            return Err("seven".into());
        }
        Ok(self.entries.get_mut(at).ok_or(Failed)?)
    }

    #[instrument("later")]
    async fn later(&self, more: usize) -> usize {
        yielding().await;
        self.entries.len() + more
    }

    #[instrument("later-mut")]
    async fn later_mut(&mut self) -> &mut Vec<u32> {
        yielding().await;
        &mut self.entries
    }

    #[instrument("returns-future")]
    fn returns_future<'a>(&'a self, more: &'a usize) -> impl Future<Output = usize> + 'a {
        async move {
            yielding().await;
            self.entries.len() + *more
        }
    }
}

#[test]
fn inherent_methods_by_every_self() {
    let mut api = Api::new();
    assert_eq!(api.by_ref(), 2);
    api.by_mut(3);
    assert_eq!(Pin::new(&mut api).pinned(), 4);
    assert_eq!(Arc::new(self::api()).arc(), 2);
    assert_eq!(Box::new(self::api()).boxed(), 2);
    assert_eq!(self::api().mut_self(), 3);
    assert_eq!(api.by_value().len(), 4);
    for path in ["new", "by-ref", "by-mut", "pinned", "arc", "boxed", "mut-self", "by-value"].iter() {
        assert_eq!(recorded(path), (1.0, 0.0), "{}", path);
    }
}

#[test]
fn borrowed_and_mutable_returns() {
    let mut api = api();
    assert_eq!(api.borrowed(1), Some(&2));
    api.borrowed_mut().push(5);
    *api.borrowed_mut_or_error(0).expect("there") = 9;
    assert!(api.borrowed_mut_or_error(7).is_err());
    assert!(api.borrowed_mut_or_error(8).is_err());
    now(api.later_mut()).push(6);
    assert_eq!(api.entries, [9, 2, 5, 6]);
    assert_eq!(recorded("borrowed"), (1.0, 0.0));
    assert_eq!(recorded("borrowed-mut"), (1.0, 0.0));
    assert_eq!(recorded("borrowed-mut-or-error"), (3.0, 2.0));
    assert_eq!(recorded("later-mut"), (1.0, 0.0));
}

trait Load {
    type Key;

    fn load(&self, key: Self::Key) -> Outcome<u32>;

    #[instrument("default")]
    fn default_method(&self, key: Self::Key) -> Outcome<u32> {
        self.load(key)
    }
}

trait LoadLater {
    async fn load_later(&self, key: u32) -> Outcome<u32>;

    #[instrument("default-later")]
    async fn default_later(&self, key: u32) -> Outcome<u32> {
        self.load_later(key).await
    }

    fn load_soon(&self, key: u32) -> impl Future<Output = Outcome<u32>> + Send;
}

impl Load for Api {
    type Key = usize;

    #[instrument("trait")]
    fn load(&self, key: <Self as Load>::Key) -> Outcome<u32> {
        self.entries.get(key).copied().ok_or(Failed)
    }
}

impl LoadLater for Api {
    #[instrument("trait-later")]
    async fn load_later(&self, key: u32) -> Outcome<u32> {
        yielding().await;
        if key == 0 { Err(Failed) } else { Ok(key) }
    }

    #[instrument("trait-soon")]
    fn load_soon(&self, key: u32) -> impl Future<Output = Outcome<u32>> + Send {
        async move { if key == 0 { Err(Failed) } else { Ok(key) } }
    }
}

#[test]
fn trait_and_default_methods() {
    assert_eq!(api().load(0), Ok(1));
    assert_eq!(api().default_method(9), Err(Failed));
    assert_eq!(recorded("trait"), (2.0, 1.0));
    assert_eq!(recorded("default"), (1.0, 1.0));
}

#[test]
fn async_methods_and_async_trait_methods() {
    assert_eq!(now(api().later(2)), 4);
    assert_eq!(now(api().load_later(0)), Err(Failed));
    assert_eq!(now(api().default_later(1)), Ok(1));
    assert_eq!(now(api().load_soon(0)), Err(Failed));
    assert_eq!(recorded("later"), (1.0, 0.0));
    assert_eq!(recorded("trait-later"), (2.0, 1.0));
    assert_eq!(recorded("default-later"), (1.0, 0.0));
    assert_eq!(recorded("trait-soon"), (1.0, 1.0));
}

#[test]
fn named_and_elided_lifetimes() {
    #[instrument("named")]
    fn named<'a, 'b: 'a>(first: &'a str, second: &'b str) -> &'a str {
        if first.is_empty() { second } else { first }
    }
    #[instrument("elided")]
    fn elided(text: &str) -> std::str::Chars<'_> {
        text.chars()
    }
    #[instrument("higher-ranked")]
    fn higher_ranked(f: impl for<'a> Fn(&'a str) -> &'a str) -> String {
        f("abc").to_owned()
    }
    #[instrument("async-lifetimes")]
    async fn later<'a>(first: &'a str, _second: &str) -> &'a str {
        yielding().await;
        first
    }
    assert_eq!(named("", "b"), "b");
    assert_eq!(elided("ab").count(), 2);
    assert_eq!(higher_ranked(|text| &text[1..]), "bc");
    assert_eq!(now(later("a", "b")), "a");
    for path in ["named", "elided", "higher-ranked", "async-lifetimes"].iter() {
        assert_eq!(recorded(path).0, 1.0, "{}", path);
    }
}

#[test]
fn impl_trait_in_arguments_and_anywhere_in_the_return_type() {
    #[instrument("impl-argument")]
    fn argument(values: impl IntoIterator<Item = u32>) -> u32 {
        values.into_iter().sum()
    }
    #[instrument("impl-return")]
    fn returned(up_to: u32) -> impl Iterator<Item = u32> + Clone {
        0..up_to
    }
    #[instrument("impl-nested")]
    fn nested(ok: bool) -> Result<(impl Iterator<Item = u32>, Vec<Option<impl Debug>>), Box<dyn Error>> {
        if !ok {
            return Err(Box::new(Failed));
        }
        Ok((0..3, vec![Some("x")]))
    }
    #[instrument("impl-async")]
    async fn later(up_to: u32) -> Result<impl Iterator<Item = u32>, Box<dyn Error>> {
        yielding().await;
        if up_to == 0 {
            return Err(Box::new(Failed));
        }
        Ok(0..up_to)
    }
    #[instrument("impl-closure")]
    fn closure(n: u32) -> impl Fn(u32) -> u32 {
        move |m| n + m
    }
    assert_eq!(argument(vec![1, 2]), 3);
    assert_eq!(returned(3).clone().count(), 3);
    assert_eq!(nested(true).expect("ok").0.count(), 3);
    assert!(nested(false).is_err());
    assert_eq!(now(later(3)).expect("ok").count(), 3);
    assert!(now(later(0)).is_err());
    assert_eq!(closure(1)(2), 3);
    assert_eq!(recorded("impl-argument").0, 1.0);
    assert_eq!(recorded("impl-return").0, 1.0);
    assert_eq!(recorded("impl-nested"), (2.0, 1.0));
    assert_eq!(recorded("impl-async"), (2.0, 1.0));
    assert_eq!(recorded("impl-closure").0, 1.0);
}

#[test]
fn boxed_errors_with_question_mark_and_early_return() {
    #[instrument("boxed-error")]
    fn sync(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
        if text.is_empty() {
            return Err("empty".into());
        }
        if text == "x" {
            return Err(Box::new(Failed));
        }
        Ok(text.parse::<u32>()?)
    }
    #[instrument("boxed-error-later")]
    async fn later(text: &str) -> Result<u32, Box<dyn Error>> {
        yielding().await;
        if text == "x" {
            return Err(Box::new(Failed));
        }
        Ok(text.parse::<u32>()?)
    }
    assert_eq!(sync("5").expect("a number"), 5);
    for text in ["", "x", "y"].iter() {
        assert!(sync(text).is_err());
    }
    assert_eq!(now(later("5")).expect("a number"), 5);
    assert!(now(later("x")).is_err());
    assert!(now(later("y")).is_err());
    assert_eq!(recorded("boxed-error"), (4.0, 3.0));
    assert_eq!(recorded("boxed-error-later"), (3.0, 2.0));
}

#[test]
fn aliases_of_result_and_associated_types() {
    trait Service {
        type Output;
    }
    impl Service for Api {
        type Output = Result<u32, Failed>;
    }
    #[instrument("alias")]
    fn alias(text: &str) -> Outcome<u32> {
        Ok(text.parse::<u32>()?)
    }
    #[instrument("io")]
    fn io() -> std::io::Result<()> {
        Err(std::io::Error::from(std::io::ErrorKind::NotFound))
    }
    #[instrument("associated")]
    fn associated(ok: bool) -> <Api as Service>::Output {
        if ok { Ok(1) } else { Err(Failed) }
    }
    assert!(alias("x").is_err());
    assert!(io().is_err());
    assert!(associated(false).is_err());
    for path in ["alias", "io", "associated"].iter() {
        assert_eq!(recorded(path), (1.0, 1.0), "{}", path);
    }
}

#[test]
fn never_and_diverging_bodies() {
    #[instrument("never")]
    fn never(n: u32) -> ! {
        panic!("number {}", n)
    }
    #[instrument("never-later")]
    async fn never_later() -> ! {
        yielding().await;
        panic!("later")
    }
    #[instrument("diverging")]
    fn diverging() -> u32 {
        panic!("no number")
    }
    #[instrument("unimplemented")]
    fn unfinished() -> impl Iterator<Item = u32> {
        if true {
            unimplemented!("not yet")
        }
        std::iter::empty()
    }
    #[instrument("loops")]
    fn loops() -> u32 {
        loop {
            return 1;
        }
    }
    assert!(catch_unwind(|| never(1)).is_err());
    assert!(catch_unwind(|| now(never_later())).is_err());
    assert!(catch_unwind(diverging).is_err());
    assert!(catch_unwind(|| drop(unfinished())).is_err());
    assert_eq!(loops(), 1);
    for path in ["never", "never-later", "diverging", "unimplemented"].iter() {
        assert_eq!(recorded(path), (1.0, 1.0), "{}", path);
    }
    assert_eq!(recorded("loops"), (1.0, 0.0));
}

#[test]
fn generics_const_generics_and_where() {
    #[instrument("generic")]
    fn generic<T: Clone, U>(value: &T, other: U) -> (T, U)
    where
        U: Default + PartialEq,
    {
        (value.clone(), other)
    }
    #[instrument("const-generic")]
    fn const_generic<const N: usize>(values: [u8; N]) -> [u8; N] {
        values
    }
    #[instrument("generic-later")]
    async fn later<T, E: Error + 'static>(value: Result<T, E>) -> Result<T, Box<dyn Error>> {
        yielding().await;
        Ok(value?)
    }
    struct Wrapper<T>(T);
    impl<T: Display> Wrapper<T> {
        #[instrument("generic-impl")]
        fn show(&self) -> String {
            self.0.to_string()
        }
    }
    assert_eq!(generic(&1, 2), (1, 2));
    assert_eq!(const_generic([1, 2, 3]), [1, 2, 3]);
    assert!(now(later::<u32, _>(Err(Failed))).is_err());
    assert_eq!(Wrapper(5).show(), "5");
    assert_eq!(recorded("generic").0, 1.0);
    assert_eq!(recorded("const-generic").0, 1.0);
    assert_eq!(recorded("generic-later"), (1.0, 1.0));
    assert_eq!(recorded("generic-impl").0, 1.0);
}

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

#[test]
fn functions_that_return_impl_future() {
    #[instrument("future-block")]
    fn block(n: u32) -> impl Future<Output = Outcome<u32>> {
        async move {
            yielding().await;
            if n == 0 {
                return Err(Failed);
            }
            let parsed: u32 = "7".parse()?;
            Ok(n + parsed)
        }
    }
    #[instrument("future-statements")]
    fn statements(text: &str) -> impl Future<Output = usize> + Send {
        let text = text.to_owned();
        async move {
            yielding().await;
            text.len()
        }
    }
    #[instrument("future-other")]
    fn other(n: u32) -> impl Future<Output = Outcome<u32>> + Send + Unpin {
        std::future::ready(if n == 0 { Err(Failed) } else { Ok(n) })
    }
    #[instrument("future-error")]
    fn boxed_error(n: u32) -> impl Future<Output = Result<u32, Box<dyn Error>>> {
        async move {
            if n == 0 {
                return Err(Box::new(Failed));
            }
            Ok(n)
        }
    }
    assert_eq!(now(block(0)), Err(Failed));
    assert_eq!(now(block(1)), Ok(8));
    // Not polled, and so no call.
    drop(block(1));
    assert_eq!(recorded("future-block"), (2.0, 1.0));
    assert_eq!(now(statements("abc")), 3);
    assert_eq!(recorded("future-statements"), (1.0, 0.0));
    assert_eq!(now(other(0)), Err(Failed));
    assert_eq!(recorded("future-other"), (1.0, 1.0));
    assert!(now(boxed_error(0)).is_err());
    assert_eq!(recorded("future-error"), (1.0, 1.0));
}

#[test]
fn functions_that_return_boxed_futures() {
    type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

    #[instrument("boxed-block")]
    fn block(n: u32) -> Pin<Box<dyn Future<Output = Result<u32, Box<dyn Error + Send + Sync>>> + Send>> {
        Box::pin(async move {
            yielding().await;
            if n == 0 {
                return Err(Box::new(Failed) as Box<dyn Error + Send + Sync>);
            }
            Ok(n + "7".parse::<u32>()?)
        })
    }
    #[instrument("boxed-alias")]
    fn alias<'a>(text: &'a str) -> Later<'a, Result<usize, Box<dyn Error>>> {
        let len = text.len();
        Box::pin(async move {
            if len == 0 {
                return Err(Box::new(Failed));
            }
            Ok(len)
        })
    }
    #[instrument("boxed-early")]
    fn early(n: u32) -> futures_util::future::LocalBoxFuture<'static, u32> {
        if n == 0 {
            return Box::pin(std::future::ready(0));
        }
        Box::pin(async move { n + 1 })
    }
    #[instrument("boxed-method")]
    fn method(n: u32) -> futures_util::future::BoxFuture<'static, u32> {
        use futures_util::FutureExt;
        async move { n }.boxed()
    }
    struct Service;
    trait Call {
        type Future: Future;
        fn call(&mut self, n: u32) -> Self::Future;
    }
    impl Call for Service {
        type Future = Later<'static, Outcome<u32>>;

        #[instrument("boxed-associated")]
        fn call(&mut self, n: u32) -> Self::Future {
            let doubled = n * 2;
            Box::pin(async move {
                yielding().await;
                if doubled == 0 { Err(Failed) } else { Ok(doubled) }
            })
        }
    }
    assert!(now(block(0)).is_err());
    assert_eq!(now(block(1)).expect("a number"), 8);
    assert_eq!(recorded("boxed-block"), (2.0, 1.0));
    assert!(now(alias("")).is_err());
    assert_eq!(recorded("boxed-alias"), (1.0, 1.0));
    assert_eq!((now(early(0)), now(early(1))), (0, 2));
    assert_eq!(recorded("boxed-early"), (2.0, 0.0));
    assert_eq!(now(method(3)), 3);
    assert_eq!(recorded("boxed-method"), (1.0, 0.0));
    assert_eq!(now(Service.call(0)), Err(Failed));
    assert_eq!(recorded("boxed-associated"), (1.0, 1.0));
}

#[test]
fn a_returned_future_that_is_dropped_or_panics() {
    #[instrument("future-pending")]
    fn pending() -> impl Future<Output = ()> {
        std::future::pending()
    }
    #[instrument("future-panics")]
    fn panics() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { panic!("in the future") })
    }
    #[instrument("making-panics")]
    fn making_panics(text: &str) -> impl Future<Output = ()> {
        let number: u32 = text.parse().expect("a number");
        async move { drop(number) }
    }
    let mut future = Box::pin(pending());
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    assert_eq!((recorded("future-pending"), cancelled("future-pending")), ((1.0, 0.0), 1.0));
    assert!(catch_unwind(AssertUnwindSafe(|| now(panics()))).is_err());
    assert_eq!((recorded("future-panics"), cancelled("future-panics")), ((1.0, 1.0), 0.0));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(making_panics("x")))).is_err());
    assert_eq!((recorded("making-panics"), cancelled("making-panics")), ((1.0, 1.0), 0.0));
    now(making_panics("1"));
    assert_eq!(recorded("making-panics"), (2.0, 1.0));
}

/// Each line of the list in the docs names tests, and these exist.
#[test]
fn the_list_in_the_docs_names_tests() {
    let list = include_str!("../../../metrics-core/src/guide/shapes.md");
    let sources = [
        include_str!("lib.rs"),
        include_str!("blocks.rs"),
        include_str!("outcomes.rs"),
        include_str!("stacked.rs"),
        include_str!("../renamed/src/lib.rs"),
    ];
    let mut named = 0;
    for line in list.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        let cells = line.trim_end_matches(" |").split(" | ").skip(1);
        for test in cells.flat_map(|cell| cell.split(", ")).filter(|name| name.starts_with('`')) {
            let function = format!("fn {}(", test.trim_matches('`'));
            assert!(sources.iter().any(|source| source.contains(&function)), "there is no test {}", test);
            named += 1;
        }
    }
    assert!(named > 40, "only {} tests are named", named);
}
