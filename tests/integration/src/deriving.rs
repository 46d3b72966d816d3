//! Structs of metrics and closed sets of label values.

use std::thread;

use lazy_static::lazy_static;
use metrics_core::testing::Snapshot;
use metrics_core::{
    Counter, Error, Family, FieldBuilder, Gauge, Histogram, LabelValue, MetricField, Metrics, ProblemKind, Registry,
    StyleRule, Summary,
};

#[derive(Clone, Copy, LabelValue)]
enum Method {
    Get,
    Post,
}

#[derive(Clone, Copy, Debug, LabelValue)]
#[label(rename_all = "kebab-case")]
#[allow(clippy::upper_case_acronyms, reason = "to be renamed")]
enum Kind {
    NotFound,
    #[label(rename = "TLS \"1.3\"")]
    TLS,
    r#Loop,
}

type Requests = Family<Counter, 2>;

#[derive(Metrics)]
#[metrics(prefix = "shop", const_labels(zone = "eu"))]
struct Shop {
    /// Time to answer
    /// a request.
    ///
    /// Not a part of the help text.
    #[metric(labels(path: &str, method: Method))]
    request_latency_seconds: Family<Summary, 2>,
    /// Requests that failed.
    #[metric(labels(method: Method, retried: bool))]
    request_exceptions_total: Requests,
    /// Size of uploads.
    #[metric(labels(number: u16, owner: &str), buckets(10, 1e3), unit = "bytes", max_series = 2)]
    upload_bytes: Family<Histogram, 2>,
    /// Items in all baskets.
    #[metric(rename = "items", const_labels(kind = "all"))]
    basket: Gauge,
    #[metric(flatten)]
    db: Db,
    #[metric(flatten, prefix = "replica", const_labels(role = "replica"))]
    replica: Db,
}

#[derive(Debug, Metrics)]
#[metrics(prefix = "db")]
struct Db {
    /// Queries.
    #[metric(labels(type: &str))]
    queries_total: Family<Counter, 1>,
}

macro_rules! metrics_of {
    ($name:ident, $field:ident: $ty:ty) => {
        #[derive(Metrics)]
        struct $name {
            /// Made by a macro.
            #[metric(labels(path: &str, method: Method))]
            $field: $ty,
            /// Made by a macro, and of a type that is written in it.
            #[metric(labels(path: &str))]
            by_the_macro_total: Family<Counter, 1>,
        }
    };
}
metrics_of!(ByMacro, from_outside_total: Requests);

#[test]
fn a_struct_that_a_macro_writes() {
    let metrics = ByMacro::register_in(&Registry::new()).expect("valid");
    metrics.from_outside_total("/foo", Method::Get).inc();
    metrics.by_the_macro_total("/foo").inc();
    assert_eq!(metrics.from_outside_total("/foo", Method::Get).value(), 1.0);
}

#[test]
fn a_struct_is_exported_as_it_is_declared() {
    let registry = Registry::new();
    let shop = Shop::register_in(&registry).expect("valid");
    shop.request_latency_seconds("/foo", Method::Get).observe(0.5);
    shop.request_exceptions_total(Method::Post, true).inc();
    shop.upload_bytes(7, "me").observe(100);
    shop.basket.set(3);
    shop.db.queries_total("select").inc();
    shop.replica.queries_total("insert").inc_by(2);
    let expected = "\
# HELP shop_db_queries_total Queries.
# TYPE shop_db_queries_total counter
shop_db_queries_total{zone=\"eu\",type=\"select\"} 1
# HELP shop_items Items in all baskets.
# TYPE shop_items gauge
shop_items{kind=\"all\",zone=\"eu\"} 3
# HELP shop_replica_db_queries_total Queries.
# TYPE shop_replica_db_queries_total counter
shop_replica_db_queries_total{role=\"replica\",zone=\"eu\",type=\"insert\"} 2
# HELP shop_request_exceptions_total Requests that failed.
# TYPE shop_request_exceptions_total counter
shop_request_exceptions_total{zone=\"eu\",method=\"get\",retried=\"false\"} 0
shop_request_exceptions_total{zone=\"eu\",method=\"get\",retried=\"true\"} 0
shop_request_exceptions_total{zone=\"eu\",method=\"post\",retried=\"false\"} 0
shop_request_exceptions_total{zone=\"eu\",method=\"post\",retried=\"true\"} 1
# HELP shop_request_latency_seconds Time to answer a request.
# TYPE shop_request_latency_seconds summary
shop_request_latency_seconds_sum{zone=\"eu\",path=\"/foo\",method=\"get\"} 0.5
shop_request_latency_seconds_count{zone=\"eu\",path=\"/foo\",method=\"get\"} 1
# HELP shop_upload_bytes Size of uploads.
# TYPE shop_upload_bytes histogram
shop_upload_bytes_bucket{zone=\"eu\",number=\"7\",owner=\"me\",le=\"10\"} 0
shop_upload_bytes_bucket{zone=\"eu\",number=\"7\",owner=\"me\",le=\"1000\"} 1
shop_upload_bytes_bucket{zone=\"eu\",number=\"7\",owner=\"me\",le=\"+Inf\"} 1
shop_upload_bytes_sum{zone=\"eu\",number=\"7\",owner=\"me\"} 100
shop_upload_bytes_count{zone=\"eu\",number=\"7\",owner=\"me\"} 1
";
    assert_eq!(registry.to_text(), expected);
    assert!(registry.check().is_empty(), "{:?}", registry.check());
}

#[test]
fn variants_have_the_values_they_are_renamed_to() {
    assert_eq!(Method::VALUES, ["get", "post"]);
    assert_eq!(Kind::VALUES, ["not-found", "TLS \"1.3\"", "loop"]);
    assert_eq!([Kind::NotFound, Kind::TLS, Kind::r#Loop].map(|kind| kind.label().as_str().to_owned()), Kind::VALUES);
    assert_eq!(<&Kind as LabelValue>::VALUES, Some(&Kind::VALUES[..]));
    assert_eq!(<String as LabelValue>::VALUES, None);
}

#[test]
fn a_struct_may_be_registered_again_and_elsewhere() {
    let first = Registry::new();
    let (one, other) = (Shop::register_in(&first).expect("valid"), Shop::register_in(&first).expect("the same"));
    one.request_exceptions_total(Method::Get, false).inc();
    other.request_exceptions_total(Method::Get, false).inc();
    assert_eq!(one.request_exceptions_total(Method::Get, false).value(), 2.0);
    for _ in 0..3 {
        let registry = Registry::new();
        let shop = Shop::register_in(&registry).expect("valid");
        assert_eq!(shop.request_exceptions_total(Method::Get, false).value(), 0.0);
        drop(shop);
        assert!(registry.to_text().contains("shop_items{kind=\"all\",zone=\"eu\"} 0\n"));
    }
}

#[test]
fn a_removed_series_of_a_closed_set_begins_anew() {
    let shop = Shop::register_in(&Registry::new()).expect("valid");
    for round in 0..3 {
        let series = || shop.request_exceptions_total(Method::Get, true);
        series().inc();
        series().inc();
        assert_eq!(series().value(), 2.0, "{round}");
        let stale = series();
        shop.request_exceptions_total.remove(["get", "true"]);
        stale.inc();
        assert_eq!(series().value(), 0.0, "{round}");
        shop.request_exceptions_total.remove(["get", "true"]);
    }
}

#[test]
fn structs_that_declare_one_family_unlike_leave_nothing_behind() {
    #[derive(Debug, Metrics)]
    struct Other {
        /// Only here.
        other_total: Counter,
        /// Another help.
        #[metric(rename = "shop_items")]
        items: Gauge,
    }
    let line = line!() - 2;
    let registry = Registry::new();
    Shop::register_in(&registry).expect("valid");
    let before = registry.to_text();
    let error = Other::register_in(&registry).expect_err("another help and labels");
    assert!(matches!(&error, Error::Conflict { name, .. } if name == "shop_items"), "{error}");
    assert_eq!(registry.to_text(), before);
    // In the global registry the others work, and this one is a problem.
    Gauge::builder("shop_items", "The first.").register();
    let other = Other::register();
    other.other_total.inc();
    other.items.set(7);
    assert_eq!(other.items.value(), 7.0);
    let problems = Registry::global().check();
    let problem = problems.iter().find(|problem| problem.family == "shop_items").expect("a problem");
    assert_eq!(problem.kind, ProblemKind::Declaration);
    let location = problem.location.expect("known");
    assert!(location.file().ends_with("deriving.rs") && location.line() == line, "{line}: {location}");
    Snapshot::of(Registry::global()).assert("other_total", &[], 1.0);
}

#[test]
fn closed_sets_over_the_cap_are_an_error() {
    #[derive(Debug, Metrics)]
    struct TooMany {
        /// Too many.
        #[metric(labels(method: Method, kind: Kind, again: Kind), max_series = 17)]
        many_total: Family<Counter, 3>,
    }
    let error = TooMany::register_in(&Registry::new()).expect_err("18 combinations");
    assert_eq!(error, Error::TooManySeries { metric: "many_total".to_owned(), combinations: 18, max_series: 17 });
}

#[derive(Metrics)]
#[metrics(prefix = "globally", global)]
struct Globally {
    /// Calls.
    #[metric(labels(method: Method))]
    calls_total: Family<Counter, 1>,
}

#[test]
fn a_global_struct_is_one_for_all_threads() {
    let before = Snapshot::of(Registry::global());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| Globally::global().calls_total(Method::Get).inc());
        }
    });
    let change = Snapshot::of(Registry::global()).since(&before);
    change.assert("globally_calls_total", &[("method", "get")], 16.0);
    change.assert("globally_calls_total", &[("method", "post")], 0.0);
}

#[test]
fn style_is_reported_with_its_place_unless_allowed() {
    #[derive(Metrics)]
    #[metrics(crate = metrics_core)]
    struct Styled {
        /// In milliseconds.
        wait_milliseconds: Gauge,
        /// In minutes, and meant so.
        #[metric(allow(base_unit))]
        wait_minutes: Gauge,
    }
    let line = line!() - 5;
    let registry = Registry::new();
    let styled = Styled::register_in(&registry).expect("style is no error");
    styled.wait_milliseconds.set(1);
    styled.wait_minutes.set(1);
    Gauge::builder("camelCase", "Written so.").allow(&[StyleRule::CamelCase]).register_in(&registry).expect("valid");
    let problems = registry.check();
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((problem.kind, problem.family.as_str()), (ProblemKind::Style(StyleRule::BaseUnit), "wait_milliseconds"));
    assert!(problem.to_string().contains(&format!("deriving.rs:{line}:")), "{line}: {problem}");
}

#[test]
fn names_that_others_use_are_names_like_any() {
    #[derive(Metrics)]
    #[metrics(prefix = "process_uptime")]
    struct Process {
        /// Time since the start.
        #[metric(unit = "seconds")]
        seconds: Gauge,
        /// About the build.
        #[metric(labels(version: &str))]
        build_info: Family<Gauge, 1>,
        /// When it was made.
        #[metric(allow(reserved))]
        binary_created: Gauge,
        /// Made by a recording rule elsewhere.
        #[metric(rename = "job:requests", allow(colon))]
        requests: Gauge,
    }
    let registry = Registry::new();
    let process = Process::register_in(&registry).expect("valid");
    process.build_info("1.0").set(1);
    process.seconds.set(7);
    [process.binary_created, process.requests].iter().for_each(|gauge| gauge.set(1));
    let text = registry.to_text();
    for line in ["seconds 7", "build_info{version=\"1.0\"} 1", "binary_created 1", "job:requests 1"] {
        assert!(text.contains(&format!("\nprocess_uptime_{line}\n")), "{line}\n{text}");
    }
    assert!(registry.check().is_empty(), "{:?}", registry.check());
}

/// Names that stand around a derived struct are not those of what is derived.
mod shadowing {
    use lazy_static::lazy_static;
    use metrics_core::{Gauge, Metrics, Registry};

    lazy_static! {
        pub(super) static ref registry: Registry = Registry::new();
    }

    #[expect(dead_code, non_upper_case_globals, reason = "it must not be taken for a variable")]
    const scope: () = ();

    #[derive(Metrics)]
    pub(super) struct Shadowed {
        /// Items.
        pub(super) items: Gauge,
    }
}

#[test]
fn a_struct_beside_constants_of_any_name() {
    let shadowed = shadowing::Shadowed::register_in(&shadowing::registry).expect("valid");
    shadowed.items.set(2);
    assert!(shadowing::registry.to_text().contains("items 2\n"));
}

type SameDb = Db;

#[test]
fn two_fields_of_one_name_never_share_a_series() {
    #[derive(Debug, Metrics)]
    #[metrics(prefix = "twice")]
    struct Twice {
        #[metric(flatten)]
        primary: Db,
        #[metric(flatten)]
        replica: SameDb,
    }
    let registry = Registry::new();
    let error = Twice::register_in(&registry).expect_err("one name");
    assert!(matches!(&error, Error::NameTaken { name, .. } if name == "twice_db_queries_total"), "{error}");
    assert_eq!(registry.to_text(), "");
    let twice = Twice::register();
    twice.primary.queries_total("select").inc();
    twice.replica.queries_total("select").inc_by(10);
    Snapshot::of(Registry::global()).assert("twice_db_queries_total", &[("type", "select")], 1.0);
    let problems = Registry::global().check();
    assert!(problems.iter().any(|problem| problem.family == "twice_db_queries_total"), "{problems:?}");
}

lazy_static! {
    static ref CONTESTED: Registry = Registry::new();
}

#[derive(Debug, Metrics)]
struct Contested {
    /// Declared by two at once.
    contested_items: Gauge,
}

/// Has somebody else register what the struct has declared just before.
#[derive(Debug)]
struct Meanwhile {
    theirs: Contested,
    own: Gauge,
}

impl MetricField for Meanwhile {
    const KIND: metrics_core::Kind = Gauge::KIND;

    fn declare(field: FieldBuilder<'_, '_>) -> Self {
        Self { theirs: Contested::register_in(&CONTESTED).expect("valid"), own: Gauge::declare(field) }
    }
}

#[test]
fn what_somebody_else_registers_meanwhile_is_shared_and_stays() {
    #[derive(Debug, Metrics)]
    #[expect(dead_code, reason = "it cannot be registered")]
    struct Loser {
        /// Declared by two at once.
        contested_items: Gauge,
        /// Declares it too.
        meanwhile: Meanwhile,
        /// Conflicts.
        taken: Gauge,
    }
    #[derive(Metrics)]
    struct Winner {
        /// Declared by two at once.
        contested_items: Gauge,
        /// Declares it too.
        meanwhile: Meanwhile,
    }
    Counter::builder("taken", "Another type.").register_in(&CONTESTED).expect("free");
    let error = Loser::register_in(&CONTESTED).expect_err("another type");
    assert!(matches!(&error, Error::Conflict { name, .. } if name == "taken"), "{error}");
    assert!(CONTESTED.to_text().contains("contested_items 0\n"), "{}", CONTESTED.to_text());
    assert!(CONTESTED.unregister("contested_items"));
    let winner = Winner::register_in(&CONTESTED).expect("valid");
    winner.contested_items.add(1);
    winner.meanwhile.theirs.contested_items.add(2);
    winner.meanwhile.own.set(7);
    let text = CONTESTED.to_text();
    assert!(text.contains("contested_items 3\n") && text.contains("meanwhile 7\n"), "{text}");
}
