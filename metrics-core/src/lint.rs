//! Naming rules: hard rules, which are checked at compile time in derived structs, and style rules, which follow
//! `promtool`.
//!
//! All rules are `const fn`s, so compile-time checks and `Registry::check` share one implementation.

use std::fmt;

use crate::kind::Kind;

/// A style rule for metrics. Most of the rules come from `promtool check metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StyleRule {
    /// A metric has a help text.
    Help,
    /// The name of a counter ends in `_total`, and no other name does.
    CounterTotal,
    /// The name of an info ends in `_info`, as OpenMetrics requires.
    InfoSuffix,
    /// Only summary and histogram names end in `_count` or `_sum`, and only histogram names end in `_bucket`. Only
    /// histograms have a `le` label, and only summaries have a `quantile` label.
    Reserved,
    /// The name of a metric does not contain its type.
    TypeInName,
    /// Names contain no colons, which are reserved for recording rules.
    Colon,
    /// Metric and label names are in `snake_case`.
    CamelCase,
    /// Units are written out: `_seconds`, not `_s`.
    AbbreviatedUnit,
    /// Units are base units: `_seconds`, not `_milliseconds`.
    BaseUnit,
    /// All series of a family have the same labels. Annotated functions that record into one family with different
    /// labels break this rule.
    MixedLabels,
}

impl StyleRule {
    pub(crate) const ALL: [Self; 9] = [
        Self::Help,
        Self::CounterTotal,
        Self::InfoSuffix,
        Self::Reserved,
        Self::TypeInName,
        Self::Colon,
        Self::CamelCase,
        Self::AbbreviatedUnit,
        Self::BaseUnit,
    ];

    /// Returns true if a family with this name, type, help text and label names breaks the rule.
    pub(crate) fn is_broken(
        self,
        name: &str,
        kind: Kind,
        help: &str,
        mut labels: impl Iterator<Item = String>,
    ) -> bool {
        match self {
            Self::Help => help.is_empty(),
            Self::Reserved => {
                breaks(self, name, kind)
                    || labels.any(|label| {
                        label == "le" && kind != Kind::Histogram || label == "quantile" && kind != Kind::Summary
                    })
            }
            Self::CamelCase => breaks(self, name, kind) || labels.any(|label| is_camel_case(label.as_bytes())),
            _ => breaks(self, name, kind),
        }
    }

    /// Returns the message for a family that breaks the rule, including the remedy.
    const fn advice(self) -> &'static str {
        match self {
            Self::Help => "a metric needs a help text that describes what it measures",
            Self::CounterTotal => {
                "the name of a counter must end in `_total`, and no other name may: rename the metric"
            }
            Self::InfoSuffix => "the name of an info must end in `_info`: rename the metric",
            Self::Reserved => {
                "`_count`, `_sum`, `_bucket`, `le` and `quantile` are reserved for summaries and histograms: rename the metric or label"
            }
            Self::TypeInName => "the name of a metric must not contain its type: remove it",
            Self::Colon => "colons are reserved for recording rules: write `_`",
            Self::CamelCase => "names must be in `snake_case`: rename the metric or label",
            Self::AbbreviatedUnit => {
                "units must be written out: write `_seconds` instead of `_s`, `_bytes` instead of `_b`"
            }
            Self::BaseUnit => {
                "use the base unit: `_seconds`, `_bytes`, `_meters`, `_grams`, `_celsius` or `_joules`, without a prefix"
            }
            Self::MixedLabels => {
                "functions record into one family with different labels; set `prefix` to separate them"
            }
        }
    }
}

impl fmt::Display for StyleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}

/// Checks the help text of a field in a derived struct. The compiler reports the panic as an error.
///
/// # Panics
///
/// Panics during constant evaluation if the text is empty.
#[track_caller]
pub const fn check_help(help: &str) {
    assert!(
        !help.trim_ascii().is_empty(),
        "a metric needs a help text: write a doc comment on the field, or `#[metric(help = \"..\")]`"
    );
}

/// Checks the name of a field in a derived struct. The compiler reports the panic as an error.
///
/// The derive macro has already checked colons and labels, and [`check_help`] checks the help text.
///
/// # Panics
///
/// Panics during constant evaluation if the name breaks a rule that is not in `allowed`, or if the field's options need
/// another kind of metric.
#[track_caller]
pub const fn check_name(kind: Kind, name: &str, needed: Option<Kind>, allowed: &[StyleRule]) {
    let is_total = ends_with(name.as_bytes(), b"_total");
    let is_counter = matches!(kind, Kind::Counter);
    assert!(
        is_total || !is_counter || allows(allowed, StyleRule::CounterTotal),
        "the name of a counter must end in `_total`: rename the field, or write `rename = \"..\"`"
    );
    assert!(
        is_counter || !is_total || allows(allowed, StyleRule::CounterTotal),
        "only the name of a counter may end in `_total`: rename the field, or make it a `Counter`"
    );
    assert!(
        fine(StyleRule::InfoSuffix, name, kind, allowed),
        "the name of an info must end in `_info`: rename the field, or write `allow(info_suffix)`"
    );
    assert!(
        !breaks(StyleRule::Reserved, name, Kind::Untyped) || allows(allowed, StyleRule::Reserved),
        "the suffixes `_count`, `_sum` and `_bucket` are reserved for samples of summaries and histograms: rename the field"
    );
    assert!(
        !ends_with(name.as_bytes(), b"_created") || allows(allowed, StyleRule::Reserved),
        "the suffix `_created` is reserved for the creation times of OpenMetrics: rename the field, or write `allow(reserved)`"
    );
    assert!(
        !matches!(needed, Some(Kind::Histogram)) || matches!(kind, Kind::Histogram),
        "`buckets` and `native` require a `Histogram`: remove the option, or change the type of the field"
    );
    assert!(
        !matches!(needed, Some(Kind::Summary)) || matches!(kind, Kind::Summary),
        "`quantiles` requires a `Summary`: remove the option, or change the type of the field"
    );
}

/// Like [`check_name`], but also checks the style rules, for derived structs with the `strict` option.
///
/// # Panics
///
/// Panics during constant evaluation if the name breaks a rule that is not in `allowed`, or if the field's options need
/// another kind of metric.
#[track_caller]
pub const fn check_name_and_style(kind: Kind, name: &str, needed: Option<Kind>, allowed: &[StyleRule]) {
    check_name(kind, name, needed, allowed);
    assert!(
        fine(StyleRule::TypeInName, name, kind, allowed),
        "the name of a metric must not contain its type: rename the field, or write `allow(type_in_name)`"
    );
    assert!(
        fine(StyleRule::CamelCase, name, kind, allowed),
        "names must be in `snake_case`: rename the field, or write `allow(camel_case)`"
    );
    assert!(
        fine(StyleRule::AbbreviatedUnit, name, kind, allowed),
        "units must be written out, as `_seconds` instead of `_s`: rename the field, or write `allow(abbreviated_unit)`"
    );
    assert!(
        fine(StyleRule::BaseUnit, name, kind, allowed),
        "use the base unit, such as `_seconds` or `_bytes`: rename the field, or write `allow(base_unit)`"
    );
}

const fn fine(rule: StyleRule, name: &str, kind: Kind, allowed: &[StyleRule]) -> bool {
    !breaks(rule, name, kind) || allows(allowed, rule)
}

const fn allows(allowed: &[StyleRule], rule: StyleRule) -> bool {
    let mut at = 0;
    while at < allowed.len() {
        if allowed[at] as u8 == rule as u8 {
            return true;
        }
        at += 1;
    }
    false
}

const TYPES: [&[u8]; 4] = [b"counter", b"gauge", b"summary", b"histogram"];
const ABBREVIATIONS: [&[u8]; 14] =
    [b"s", b"ms", b"us", b"ns", b"sec", b"b", b"kb", b"mb", b"gb", b"tb", b"pb", b"m", b"h", b"d"];
const BASE_UNITS: [&[u8]; 11] = [
    b"amperes", b"bytes", b"celsius", b"grams", b"joules", b"kelvin", b"meters", b"metres", b"moles", b"seconds",
    b"volts",
];
const OTHER_UNITS: [&[u8]; 14] = [
    b"minutes",
    b"hours",
    b"days",
    b"weeks",
    b"kelvins",
    b"fahrenheit",
    b"rankine",
    b"inches",
    b"yards",
    b"miles",
    b"bits",
    b"calories",
    b"pounds",
    b"ounces",
];
const PREFIXES: [&[u8]; 18] = [
    b"pico", b"nano", b"micro", b"milli", b"centi", b"deci", b"deca", b"hecto", b"kilo", b"kibi", b"mega", b"mibi",
    b"giga", b"gibi", b"tera", b"tebi", b"peta", b"pebi",
];

/// Returns true if a name breaks a rule. Rules that need more than the name and the type are not checked here.
const fn breaks(rule: StyleRule, name: &str, kind: Kind) -> bool {
    let name = name.as_bytes();
    match rule {
        StyleRule::Help | StyleRule::MixedLabels => false,
        StyleRule::CounterTotal => ends_with(name, b"_total") != matches!(kind, Kind::Counter),
        StyleRule::InfoSuffix => matches!(kind, Kind::Info) && !ends_with(name, b"_info"),
        StyleRule::Reserved => {
            let own_sums = matches!(kind, Kind::Summary | Kind::Histogram);
            (ends_with(name, b"_count") || ends_with(name, b"_sum")) && !own_sums
                || ends_with(name, b"_bucket") && !matches!(kind, Kind::Histogram)
        }
        StyleRule::TypeInName => has_later_part(name, &TYPES),
        StyleRule::Colon => has_byte(name, b':'),
        StyleRule::CamelCase => is_camel_case(name),
        StyleRule::AbbreviatedUnit => has_later_part(name, &ABBREVIATIONS),
        StyleRule::BaseUnit => has_other_unit(name),
    }
}

const fn has_byte(name: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < name.len() {
        if name[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Returns true if the name has a lowercase letter followed by an uppercase letter.
const fn is_camel_case(name: &[u8]) -> bool {
    let mut at = 1;
    while at < name.len() {
        if name[at - 1].is_ascii_lowercase() && name[at].is_ascii_uppercase() {
            return true;
        }
        at += 1;
    }
    false
}

/// Returns true if a part of the name after the first underscore is one of these words, ignoring case.
const fn has_later_part(name: &[u8], words: &[&[u8]]) -> bool {
    let mut start = next_part(name, 0);
    while start <= name.len() {
        let end = end_of_part(name, start);
        let mut word = 0;
        while word < words.len() {
            if is_in_any_case(name, start, end, words[word]) {
                return true;
            }
            word += 1;
        }
        start = end + 1;
    }
    false
}

/// Returns true if the first unit in the name is not a base unit.
const fn has_other_unit(name: &[u8]) -> bool {
    let mut start = 0;
    while start <= name.len() {
        let end = end_of_part(name, start);
        if is_any(name, start, end, &BASE_UNITS) {
            return false;
        }
        if is_any(name, start, end, &OTHER_UNITS) {
            return true;
        }
        let mut prefix = 0;
        while prefix < PREFIXES.len() {
            let behind = start + PREFIXES[prefix].len();
            if behind <= end
                && is(name, start, behind, PREFIXES[prefix])
                && (is_any(name, behind, end, &BASE_UNITS) || is_any(name, behind, end, &OTHER_UNITS))
            {
                return true;
            }
            prefix += 1;
        }
        start = end + 1;
    }
    false
}

const fn is_any(name: &[u8], start: usize, end: usize, words: &[&[u8]]) -> bool {
    let mut at = 0;
    while at < words.len() {
        if is(name, start, end, words[at]) {
            return true;
        }
        at += 1;
    }
    false
}

/// Returns the start of the part after the next underscore, or a position past the end of the name if no underscore
/// follows.
const fn next_part(name: &[u8], start: usize) -> usize {
    end_of_part(name, start) + 1
}

const fn end_of_part(name: &[u8], start: usize) -> usize {
    let mut end = start;
    while end < name.len() && name[end] != b'_' {
        end += 1;
    }
    end
}

/// Returns true if this part of the name equals `word`.
const fn is(name: &[u8], start: usize, end: usize, word: &[u8]) -> bool {
    let mut at = 0;
    while start + at < end && at < word.len() && name[start + at] == word[at] {
        at += 1;
    }
    at == word.len() && start + at == end
}

/// Returns true if this part of the name equals the lowercase `word`, ignoring case.
const fn is_in_any_case(name: &[u8], start: usize, end: usize, word: &[u8]) -> bool {
    let mut at = 0;
    while start + at < end && at < word.len() && name[start + at].to_ascii_lowercase() == word[at] {
        at += 1;
    }
    at == word.len() && start + at == end
}

const fn ends_with(name: &[u8], suffix: &[u8]) -> bool {
    name.len() >= suffix.len() && is(name, name.len() - suffix.len(), name.len(), suffix)
}
