//! Every form of label and the resulting values.

use std::borrow::Cow;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use metrics_core::{Family, Label, LabelValue, Registry, Summary, instrument};

use crate::{internal_errors, sample};

fn count(prefix: &str, labels: &str) -> Option<f64> {
    sample(&format!("{prefix}_request_latency_seconds_count{{{labels}}}"))
}

#[test]
fn a_variable_an_expression_and_a_literal() {
    struct Request {
        path: String,
    }
    impl Request {
        fn path(&self) -> &str {
            &self.path
        }
    }
    #[instrument(method, path = request.path(), zone = "eu", length = request.path.len(), prefix = "forms")]
    fn route(request: Request, method: &'static str) -> String {
        request.path + method
    }
    assert_eq!(route(Request { path: "/x".to_owned() }, "GET"), "/xGET");
    assert_eq!(count("forms", r#"method="GET",path="/x",zone="eu",length="2""#), Some(1.0));
}

#[test]
fn values_of_many_types() {
    #[derive(Clone, Copy)]
    enum Method {
        Get,
    }
    impl LabelValue for Method {
        fn label(&self) -> Label<'_> {
            match self {
                Self::Get => Label::from("GET"),
            }
        }
    }
    #[instrument(a, b, c, d, e, f, g, h, prefix = "types")]
    #[allow(
        clippy::too_many_arguments,
        clippy::needless_pass_by_value,
        clippy::many_single_char_names,
        reason = "one of each"
    )]
    fn call(a: String, b: &Arc<str>, c: Cow<'_, str>, d: u128, e: i8, f: bool, g: char, h: Method) -> usize {
        let Method::Get = h;
        a.len()
            + b.len()
            + c.len()
            + usize::from(f)
            + g.len_utf8()
            + usize::try_from(d % 7).unwrap_or(0)
            + e.unsigned_abs() as usize
    }
    call("s".to_owned(), &Arc::from("arc"), Cow::Borrowed("cow"), u128::MAX, i8::MIN, true, 'ü', Method::Get);
    let labels = format!(r#"a="s",b="arc",c="cow",d="{}",e="-128",f="true",g="ü",h="GET""#, u128::MAX);
    assert_eq!(count("types", &labels), Some(1.0));
}

#[test]
fn calls_by_closed_sets_count_under_their_values() {
    #[derive(Clone, Copy, LabelValue)]
    enum Method {
        Get,
        Put,
    }
    #[derive(Clone, Copy, LabelValue)]
    enum Verb {
        Put,
        Get,
        Delete,
    }
    #[instrument(what, cached, prefix = "closed_sets")]
    fn call<T: LabelValue + Copy>(what: T, cached: bool) {}
    let counted = |what: &str, cached: bool| {
        count("closed_sets", &format!(r#"what="{what}",cached="{cached}""#)).unwrap_or_default()
    };
    for _ in 0..3 {
        for cached in [false, true] {
            call(Method::Get, cached);
            call(Method::Put, cached);
        }
        // A type with the same values in a different order and a type without a closed set share these series.
        [Verb::Put, Verb::Get, Verb::Delete].into_iter().for_each(|verb| call(verb, true));
        call("get", true);
    }
    assert_eq!([counted("get", false), counted("put", false), counted("delete", false)], [3.0, 3.0, 0.0]);
    assert_eq!([counted("get", true), counted("put", true), counted("delete", true)], [9.0, 6.0, 3.0]);
}

#[test]
fn closed_sets_are_capped_and_removed_like_any() {
    static CALLS: LazyLock<Family<Summary, 1>> =
        LazyLock::new(|| Summary::builder("closed_calls_seconds", "").labels(["on"]).max_series(1).register());
    #[instrument(on, latency = CALLS, prefix = "closed_calls")]
    fn call(on: bool) {}
    let counted = |on: &str| sample(&format!(r#"closed_calls_seconds_count{{on="{on}"}}"#));
    (0..3).for_each(|_| call(true));
    (0..3).for_each(|_| call(false));
    assert_eq!([counted("true"), counted("false"), counted("__overflow__")], [Some(3.0), None, Some(3.0)]);
    assert!(CALLS.remove(["true"]));
    (0..3).for_each(|_| call(false));
    call(true);
    assert_eq!([counted("true"), counted("false"), counted("__overflow__")], [None, Some(3.0), Some(4.0)]);
}

#[test]
fn any_expression_is_a_value() {
    mod status {
        pub(super) const ALL: [&str; 1] = ["4"];
    }
    #[instrument(class = status / 100, late = !early, code = -i64::from(status), zone = 7, on = true, prefix = "expressions")]
    fn respond(status: u32, early: bool) -> u32 {
        status + u32::from(early)
    }
    // A module with the same name as an argument is not mistaken for the argument.
    #[instrument(class = status / 100 in status::ALL, prefix = "modules")]
    fn classify(status: u32) -> u32 {
        status
    }
    respond(404, false);
    assert_eq!(count("expressions", r#"class="4",late="true",code="-404",zone="7",on="true""#), Some(1.0));
    classify(404);
    classify(500);
    assert_eq!(count("modules", "class=\"4\""), Some(1.0));
    assert_eq!(count("modules", "class=\"other\""), Some(1.0));
}

#[test]
fn any_text_is_a_value() {
    #[instrument(path, prefix = "texts")]
    fn route(path: &str) -> usize {
        path.len()
    }
    for path in ["", "\"", "\\", "a\nb", "\u{1F600}"] {
        route(path);
    }
    for escaped in ["", "\\\"", "\\\\", "a\\nb", "\u{1F600}"] {
        assert_eq!(count("texts", &format!("path=\"{escaped}\"")), Some(1.0), "{escaped}");
    }
    route(&"x".repeat(1 << 20));
    assert_eq!(count("texts", "path=\"__overflow__\""), Some(1.0));
}

#[test]
fn a_closed_set_counts_all_other_values_as_other() {
    #[instrument(path in ["/foo", "/bar"], prefix = "closed")]
    fn route(path: &str) -> Result<(), ()> {
        if path == "/bar" { Err(()) } else { Ok(()) }
    }
    for path in ["/foo", "/bar", "/nowhere", "/elsewhere", "other", ""] {
        route(path).ok();
    }
    assert_eq!(count("closed", "path=\"/foo\""), Some(1.0));
    assert_eq!(count("closed", "path=\"other\""), Some(4.0));
    assert_eq!(sample("closed_request_exceptions_total{path=\"/bar\"}"), Some(1.0));
    let text = Registry::global().to_text();
    assert_eq!(text.matches("\nclosed_request_latency_seconds_count{").count(), 3);
}

#[test]
fn an_open_set_allows_other_values() {
    #[instrument(path in ["/foo", "/bar"], open, prefix = "open")]
    fn route(path: &str) -> usize {
        path.len()
    }
    route("/else");
    assert_eq!(count("open", "path=\"/foo\""), Some(0.0));
    assert_eq!(count("open", "path=\"/else\""), Some(1.0));
    assert_eq!(count("open", "path=\"other\""), None);
}

#[test]
fn known_values_of_several_labels_are_combined() {
    const METHODS: [&str; 2] = ["GET", "POST"];
    #[instrument(path = path.trim() in vec!["/a".to_owned()], method in METHODS, zone = "eu", prefix = "combined")]
    fn route(path: &str, method: &str) -> usize {
        path.len() + method.len()
    }
    route(" /a ", "PUT");
    for (path, method, calls) in [
        ("/a", "GET", 0.0),
        ("/a", "POST", 0.0),
        ("/a", "other", 1.0),
        ("other", "GET", 0.0),
        ("other", "POST", 0.0),
        ("other", "other", 0.0),
    ] {
        let labels = format!("path=\"{path}\",method=\"{method}\",zone=\"eu\"");
        assert_eq!(count("combined", &labels), Some(calls), "{labels}");
    }
}

#[test]
fn more_known_values_than_the_cap_are_a_problem() {
    static VALUES: [&str; 20] =
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"];
    #[instrument(n in VALUES, max_series = 5, prefix = "toomany")]
    fn call(n: &str) -> usize {
        n.len()
    }
    for n in VALUES {
        call(n);
    }
    let problems = Registry::global().check();
    assert!(
        problems.iter().any(|problem| problem.message.contains("toomany_") && problem.message.contains("max_series"))
    );
    assert_eq!(count("toomany", "n=\"4\""), Some(1.0));
    assert_eq!(count("toomany", "n=\"__overflow__\""), Some(15.0));
}

#[test]
fn the_list_is_evaluated_once_by_the_first_caller() {
    static EVALUATED: AtomicUsize = AtomicUsize::new(0);
    fn values() -> Vec<&'static str> {
        EVALUATED.fetch_add(1, Ordering::Relaxed);
        vec!["/x"]
    }
    #[instrument(path in values(), prefix = "once")]
    fn route(path: &str) -> usize {
        path.len()
    }
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| route("/x"));
            scope.spawn(|| Registry::global().to_text());
        }
    });
    assert_eq!(EVALUATED.load(Ordering::Relaxed), 1);
    assert_eq!(count("once", "path=\"/x\""), Some(16.0));
}

#[test]
fn a_list_that_panics_leaves_other() {
    fn values() -> Vec<String> {
        panic!("no list");
    }
    #[instrument(path in values(), prefix = "nolist")]
    fn route(path: &str) -> usize {
        path.len()
    }
    let before = internal_errors("label_list");
    assert_eq!(route("/x"), 2);
    assert_eq!(count("nolist", "path=\"other\""), Some(1.0));
    // Another test may already have evaluated the list.
    assert!(internal_errors("label_list") >= before.max(1.0));
}

#[test]
fn a_list_that_calls_its_own_function_does_not_hang() {
    #[instrument(path in values(), prefix = "selfcall")]
    fn route(path: &str) -> usize {
        path.len()
    }
    fn values() -> Vec<&'static str> {
        route("/x");
        vec!["/x"]
    }
    route("/x");
    assert_eq!(count("selfcall", "path=\"/x\""), Some(1.0));
    assert_eq!(count("selfcall", "path=\"other\""), Some(1.0));
}

#[test]
fn a_family_of_a_generic_parameter_of_the_block_is_evaluated_by_each_call() {
    trait Backend {
        fn latency() -> &'static Family<Summary, 1>;
    }
    lazy_static::lazy_static! {
        static ref DISK: Family<Summary, 1> = Summary::builder("disk_seconds", "").labels(["path"]).build();
        static ref MEMORY: Family<Summary, 1> = Summary::builder("memory_seconds", "").labels(["path"]).build();
    }
    struct Disk;
    struct Memory;
    impl Backend for Disk {
        fn latency() -> &'static Family<Summary, 1> {
            &DISK
        }
    }
    impl Backend for Memory {
        fn latency() -> &'static Family<Summary, 1> {
            &MEMORY
        }
    }
    struct Store<B>(std::marker::PhantomData<B>);
    impl<B: Backend> Store<B> {
        #[instrument("/get", latency = B::latency(), prefix = "backend")]
        fn get(&self) {}
    }
    Store::<Disk>(std::marker::PhantomData).get();
    (0..2).for_each(|_| Store::<Memory>(std::marker::PhantomData).get());
    let count = |family: &Family<Summary, 1>| family.get(["/get"]).map(|summary| summary.count());
    assert_eq!([count(&DISK), count(&MEMORY)], [Some(1), Some(2)]);
}

#[test]
fn an_enum_with_the_list_of_its_values_starts_at_0() {
    #[derive(Clone, Copy, metrics_core::LabelValue)]
    enum Method {
        Get,
        Post,
    }
    #[instrument(path in ["/x"], method in Method::VALUES, prefix = "listed_enum")]
    fn route(path: &str, method: Method) {}
    metrics_core::init();
    let counts = || ["get", "post"].map(|method| count("listed_enum", &format!("path=\"/x\",method=\"{method}\"")));
    assert_eq!(counts(), [Some(0.0), Some(0.0)]);
    for method in [Method::Get, Method::Post, Method::Post] {
        route("/x", method);
    }
    assert_eq!(counts(), [Some(1.0), Some(2.0)]);
}

#[test]
fn a_list_that_panicked_does_not_affect_later_calls_with_families_of_self() {
    static FAILS: AtomicBool = AtomicBool::new(true);
    fn values() -> Vec<&'static str> {
        assert!(!FAILS.load(Ordering::SeqCst), "no list yet");
        vec!["/x"]
    }
    struct Service {
        latency: Family<Summary, 1>,
    }
    impl Service {
        #[instrument(path in values(), latency = self.latency, prefix = "later_list")]
        fn route(&self, path: &str) {}
    }
    let service = Service { latency: Summary::builder("later_list_seconds", "").labels(["path"]).build() };
    let counts = || ["other", "/x"].map(|path| service.latency.get([path]).map_or(0, |summary| summary.count()));
    // The first call also initializes the families, so only the second one could be cached.
    service.route("/x");
    service.route("/x");
    assert_eq!(counts(), [2, 0]);
    FAILS.store(false, Ordering::SeqCst);
    metrics_core::init();
    for _ in 0..3 {
        service.route("/x");
    }
    service.route("/y");
    assert_eq!(counts(), [3, 3]);
}

#[test]
fn a_label_that_panics_is_a_panic_of_the_call_and_is_counted() {
    #[instrument(path = path.expect("a path"), in_flight, prefix = "labelpanic")]
    fn route(path: Option<&str>) -> usize {
        path.map_or(0, str::len)
    }
    let before = internal_errors("label_panic");
    route(Some("/x"));
    let payload = catch_unwind(|| route(None)).expect_err("goes on");
    assert_eq!(
        payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied()),
        Some("a path")
    );
    assert_eq!(count("labelpanic", "path=\"__overflow__\""), Some(1.0));
    assert_eq!(sample("labelpanic_request_exceptions_total{path=\"__overflow__\"}"), Some(1.0));
    assert_eq!(sample("labelpanic_requests_in_flight{path=\"/x\"}"), Some(0.0));
    assert!(internal_errors("label_panic") > before);
}

#[test]
fn a_label_that_panics_is_counted_by_families_of_the_call_too() {
    struct Worker {
        latency: metrics_core::Family<metrics_core::Summary, 1>,
    }
    impl Worker {
        #[instrument(kind = kind.expect("a kind"), latency = self.latency, prefix = "workerpanic")]
        fn run(&self, kind: Option<&str>) -> usize {
            kind.map_or(0, str::len)
        }
    }
    let latency = metrics_core::Summary::builder("workerpanic_seconds", "").labels(["kind"]).build();
    let worker = Worker { latency };
    assert!(catch_unwind(std::panic::AssertUnwindSafe(|| worker.run(None))).is_err());
    assert_eq!(worker.latency.get(["__overflow__"]).map(|summary| summary.count()), Some(1));
    assert_eq!(sample("workerpanic_request_exceptions_total{kind=\"__overflow__\"}"), Some(1.0));
}

#[test]
fn labels_are_evaluated_once_before_the_body() {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    fn take(path: &str) -> &str {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        path
    }
    #[instrument(path = take(&path), prefix = "taken")]
    fn route(mut path: String) -> String {
        assert_eq!(TAKEN.load(Ordering::Relaxed), 1);
        path.push_str("/changed");
        path
    }
    assert_eq!(route("/x".to_owned()), "/x/changed");
    assert_eq!(TAKEN.load(Ordering::Relaxed), 1);
    assert_eq!(count("taken", "path=\"/x\""), Some(1.0));
}

#[test]
fn lists_of_all_label_values_and_labels_named_like_options() {
    #[instrument(status in [200_u16, 404], prefix = "numbers")]
    fn respond(status: u16) -> u16 {
        status
    }
    #[instrument(shard in 0..3, by_char in ['a'], prefix = "ranges")]
    fn store(shard: u8, by_char: char) -> (u8, char) {
        (shard, by_char)
    }
    #[instrument(r#name = "x", r#level = 1 + 1, prefix = "rawnames")]
    fn named() {}
    respond(404);
    respond(500);
    store(2, 'a');
    named();
    assert_eq!(count("numbers", r#"status="200""#), Some(0.0));
    assert_eq!(count("numbers", r#"status="404""#), Some(1.0));
    assert_eq!(count("numbers", r#"status="other""#), Some(1.0));
    assert_eq!(count("ranges", r#"shard="2",by_char="a""#), Some(1.0));
    assert_eq!(count("ranges", r#"shard="0",by_char="a""#), Some(0.0));
    assert_eq!(count("rawnames", r#"name="x",level="2""#), Some(1.0));
}
