//! `#[derive(Metrics)]` and `#[derive(LabelValue)]`: the macros never panic, their output parses, and an item without
//! an implementation gets an error.

use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::input::Source;
use crate::tokens::{expand, lex};
use crate::{label_value, metrics};

const METRIC_OPTIONS: [&str; 30] = [
    "labels(path: &str)",
    "labels($i: $t, $i: $t)",
    "labels($i)",
    "labels()",
    "rename = \"a_total\"",
    "rename = $l",
    "help = \"Help.\"",
    "help = $e",
    "unit = \"seconds\"",
    "unit = $l",
    "buckets($n, $n)",
    "buckets($e)",
    "buckets = $e",
    "quantiles($n, $n)",
    "quantiles($e)",
    "native",
    "native = true",
    "max_series = 10",
    "max_series = $l",
    "const_labels(a = \"b\")",
    "const_labels($i = $l, $i = $l)",
    "allow(base_unit, colon)",
    "allow($i)",
    "flatten",
    "flatten, prefix = \"x\"",
    "prefix = $l",
    "$i",
    "$i = $e",
    "$l",
    "labels(path: String, method: &String)",
];
const GROUP_OPTIONS: [&str; 14] = [
    "prefix = \"shop\"",
    "prefix = $l",
    "const_labels(zone = \"eu\")",
    "const_labels($i = $l)",
    "global",
    "strict",
    "crate = a::b",
    "crate = $e",
    "$i",
    "$i = $l",
    "prefix",
    "global = $l",
    "$l",
    "strict, global",
];
const METRIC_TYPES: [&str; 12] = [
    "Counter",
    "Gauge",
    "Family<Summary, 1>",
    "Histogram",
    "Summary",
    "Family<Counter, 2>",
    "Info",
    "Option<Counter>",
    "metrics_core::StateSet<$t>",
    "$t",
    "Other",
    "Family<$t, 3>",
];
const FIELD_NAMES: [&str; 14] = [
    "jobs_total",
    "seconds",
    "a",
    "a_count",
    "a_sum",
    "register",
    "global",
    "r#type",
    "camelCase",
    "__x",
    "a_bucket",
    "été",
    "a_seconds",
    "x_info",
];
const HELPS: [&str; 8] = [
    "/// Jobs.",
    "",
    "/** Jobs\n\nmore */",
    "#[doc = concat!(\"a\", \"b\")]",
    "#[doc = $e]",
    "#[doc(hidden)]",
    "/// A \"q\" \\.",
    "///",
];
const LABEL_OPTIONS: [&str; 12] = [
    "rename = \"x\"",
    "rename = $l",
    "rename_all = \"snake_case\"",
    "rename_all = \"SCREAMING-KEBAB-CASE\"",
    "rename_all = $l",
    "ignore_data",
    "crate = a::b",
    "$i",
    "rename",
    "rename_all = \"camelCase\"",
    "rename_all = \"lowercase\"",
    "$i($e)",
];
const VARIANTS: [&str; 18] = [
    "Get",
    "NotFound",
    "HTTPError2",
    "X",
    "r#Self_",
    "A(u8)",
    "B { x: $t }",
    "C = 3",
    "D()",
    "E {}",
    "Ünder",
    "snake_case",
    "__",
    "r#type",
    "A1b",
    "ẞtraße",
    "GET",
    "Ǆ",
];

/// Expands both derives for one input.
pub fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let text = match source.byte() % 8 {
        0 => String::from_utf8_lossy(source.rest()).into_owned(),
        1..=4 => structure(&mut source),
        _ => enumeration(&mut source),
    };
    let Some(item) = lex(&text) else { return };
    check(&item, metrics::expand(item.clone()));
    check(&item, label_value::expand(item.clone()));
}

fn check(item: &TokenStream, expanded: TokenStream) {
    let text = expanded.to_string();
    let refused = text.contains("compile_error");
    match syn::parse2::<syn::File>(expanded) {
        Ok(file) => assert!(refused || !file.items.is_empty(), "{item}\nhas no implementation"),
        Err(error) => panic!("{error}\n{item}\nbecomes\n{text}"),
    }
    let is_valid = syn::parse2::<DeriveInput>(item.clone()).is_ok();
    assert!(refused || is_valid, "{item}\ndoes not parse, without an error:\n{text}");
}

fn options(attribute: &str, choices: &[&str], source: &mut Source<'_>, out: &mut String) {
    if source.one_in(3) {
        return;
    }
    let mut list = String::new();
    for _ in 0..source.below(5) {
        expand(source.pick(choices), source, 3, &mut list);
        list.push_str(if source.one_in(32) { " " } else { ", " });
    }
    out.push_str(&format!("#[{attribute}({list})] "));
}

fn structure(source: &mut Source<'_>) -> String {
    let mut out = String::new();
    options("metrics", &GROUP_OPTIONS, source, &mut out);
    out.push_str(source.pick(&["struct Shop {", "pub struct Shop {", "struct Shop<'a, T: Bound> {", "union Shop {"]));
    for _ in 0..source.below(6) {
        expand(source.pick(&HELPS), source, 3, &mut out);
        out.push('\n');
        options("metric", &METRIC_OPTIONS, source, &mut out);
        out.push_str(source.pick(&["", "pub ", "pub(crate) "]));
        out.push_str(source.pick(&FIELD_NAMES));
        out.push_str(": ");
        expand(source.pick(&METRIC_TYPES), source, 3, &mut out);
        out.push_str(", ");
    }
    out.push('}');
    out
}

fn enumeration(source: &mut Source<'_>) -> String {
    let mut out = String::new();
    options("label", &LABEL_OPTIONS, source, &mut out);
    out.push_str(source.pick(&[
        "enum Method {",
        "pub enum Method {",
        "enum Method<'a, T> where T: 'a {",
        "struct Method {",
    ]));
    for _ in 0..source.below(8) {
        options("label", &LABEL_OPTIONS, source, &mut out);
        expand(source.pick(&VARIANTS), source, 3, &mut out);
        out.push_str(", ");
    }
    out.push('}');
    out
}
