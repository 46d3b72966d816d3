//! Help texts of derived structs from doc comments, macros and options, and label values of enums with data.

use std::io;

use metrics_core::{Counter, Family, Gauge, LabelValue, Metrics, Registry, instrument};

use crate::sample;

const HELP: &str = "From a constant.";

macro_rules! documented {
    ($name:ident, $help:expr) => {
        #[derive(Metrics)]
        #[metrics(prefix = "by_macro")]
        struct $name {
            #[doc = $help]
            items: Gauge,
            #[doc = concat!("Like `", stringify!($name), "`.")]
            #[metric(labels(path: &str))]
            misses_total: Family<Counter, 1>,
        }
    };
}
documented!(ByMacro, "Items of a macro.");

#[derive(Metrics)]
#[metrics(prefix = "help")]
struct Shop {
    #[doc = concat!("Made by ", "concat.\n\nNot a part of the help text.")]
    #[metric(labels(path: &str))]
    concatenated_total: Family<Counter, 1>,
    ///
    /// A literal, and
    #[doc = concat!("one ", "more")]
    /// line.
    ///
    /// Not a part of the help text.
    mixed: Gauge,
    #[doc = include_str!("deriving_help.txt")]
    included: Gauge,
    /// Not the help text.
    #[metric(help = " Instead of the doc comment. ")]
    given: Gauge,
    #[metric(help = HELP, labels(path: &str))]
    constant_total: Family<Counter, 1>,
    #[metric(help = concat!("By ", "a macro."))]
    made: Gauge,
}

#[test]
fn help_texts_come_from_macros_and_options() {
    let registry = Registry::new();
    let shop = Shop::register_in(&registry).expect("valid");
    shop.concatenated_total("/a").inc();
    shop.constant_total("/a").inc();
    for gauge in [&shop.mixed, &shop.included, &shop.given, &shop.made] {
        gauge.set(1);
    }
    let by_macro = ByMacro::register_in(&registry).expect("valid");
    by_macro.items.set(1);
    by_macro.misses_total("/a").inc();
    let text = registry.to_text();
    for (name, help) in [
        ("help_concatenated_total", "Made by concat."),
        ("help_mixed", "A literal, and one more line."),
        ("help_included", "Text of a file, in two lines."),
        ("help_given", "Instead of the doc comment."),
        ("help_constant_total", "From a constant."),
        ("help_made", "By a macro."),
        ("by_macro_items", "Items of a macro."),
        ("by_macro_misses_total", "Like `ByMacro`."),
    ] {
        assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}: {text}");
    }
}

#[derive(LabelValue)]
#[label(ignore_data)]
enum LoadError<E> {
    Io(#[allow(dead_code, reason = "only its kind is counted")] io::Error),
    NotFound {
        #[allow(dead_code, reason = "only its kind is counted")]
        path: String,
    },
    #[label(rename = "other")]
    Inner(#[allow(dead_code, reason = "only its kind is counted")] E),
}

#[instrument("/load", kind, prefix = "ignored_data")]
fn load(path: &str) -> Result<(), LoadError<String>> {
    match path {
        "" => Err(LoadError::Io(io::ErrorKind::InvalidInput.into())),
        "/a" | "/b" => Err(LoadError::NotFound { path: path.to_owned() }),
        _ => Ok(()),
    }
}

#[test]
fn errors_with_data_count_by_their_variant() {
    for path in ["", "/a", "/b", "/c"] {
        load(path).ok();
    }
    for (kind, count) in [("io", 1.0), ("not_found", 2.0), ("other", 0.0), ("panic", 0.0)] {
        let series = format!("ignored_data_request_exceptions_total{{path=\"/load\",kind=\"{kind}\"}}");
        assert_eq!(sample(&series), Some(count), "{kind}");
    }
    assert_eq!(LoadError::Inner(()).label().as_str(), "other");
}
