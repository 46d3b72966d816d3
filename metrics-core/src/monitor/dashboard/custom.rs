//! The panels of families that belong to no group.

use super::group::{describe, percentiles};
use super::panel::{Panel, Query};
use super::query::{Selector, labels};
use crate::kind::Kind;
use crate::monitor::json::{Json, object};
use crate::registry::DeclaredFamily;

/// The units of values, and of their rates, in Grafana's terms.
const UNITS: [(&str, &str, &str); 10] = [
    ("amperes", "amp", "cps"),
    ("bytes", "bytes", "binBps"),
    ("celsius", "celsius", "cps"),
    ("grams", "massg", "cps"),
    ("hertz", "hertz", "cps"),
    ("joules", "joule", "watt"),
    ("meters", "lengthm", "cps"),
    ("ratio", "percentunit", "cps"),
    ("seconds", "s", "none"),
    ("volts", "volt", "cps"),
];

/// The units of the values and of their rate.
fn units(family: &DeclaredFamily) -> (&'static str, &'static str) {
    let unit = unit(family);
    let known = UNITS.into_iter().find(|(name, ..)| *name == unit);
    known.map_or(("none", "cps"), |(_, value, rate)| (value, rate))
}

/// The declared unit, or the last word of the name.
fn unit(family: &DeclaredFamily) -> &str {
    let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
    family.unit.as_deref().unwrap_or_else(|| name.rsplit('_').next().unwrap_or_default())
}

/// The help text without its unit, or the name.
fn title(family: &DeclaredFamily) -> String {
    let help = family.help.trim();
    let help = help.strip_suffix('.').unwrap_or(help);
    let help = help.strip_suffix(&format!(", in {}", unit(family))).unwrap_or(help);
    if help.is_empty() { family.name.clone() } else { help.to_owned() }
}

pub(super) fn panels(family: &DeclaredFamily, selector: &Selector<'_>) -> Vec<Panel> {
    let DeclaredFamily { name, kind, .. } = family;
    let (title, labels, (unit, rate_unit)) = (title(family), labels(family), units(family));
    let description = format!("{}.", describe(family));
    // One line per series.
    let by_series = format!("{} {{{{instance}}}}", selector.legend(&labels, "")).trim().to_owned();
    match kind {
        Kind::Counter => {
            let query = Query::new(selector.total_rate(&labels, name), selector.legend(&labels, name));
            vec![Panel::lines(title, description, vec![query], rate_unit)]
        }
        Kind::Gauge | Kind::Untyped if name.ends_with("_timestamp_seconds") => {
            let query = Query::new(format!("({} > 0) * 1000", selector.series(name)), by_series).instant();
            vec![Panel::numbers(title, description, vec![query], "dateTimeFromNow").no_value("Never")]
        }
        Kind::Gauge | Kind::Untyped => {
            let is_share = unit == "percentunit";
            let minimum = (is_share || unit == "bytes").then_some(0.0);
            let query = Query::new(selector.series(name), by_series);
            vec![Panel::lines(title, description, vec![query], unit).range(minimum, is_share.then_some(1.0))]
        }
        Kind::Info => vec![info(family, selector, &description)],
        Kind::StateSet => vec![state_set(family, selector, title, description)],
        Kind::Summary | Kind::Histogram => {
            let legend = |name: &str| format!("{} {name}", selector.legend(&labels, "")).trim().to_owned();
            let mean = Query::new(selector.mean(family, &labels), legend("mean"));
            let rate = Query::new(selector.observations(family, &labels), legend("rate"));
            let queries = vec![mean, rate];
            let mut panels = vec![
                Panel::lines(format!("{title}: mean and rate"), description.clone(), queries, unit)
                    .range(None, None)
                    .on_right("B", "cps"),
            ];
            panels.extend(percentiles(family, selector, &labels, &title, unit, "No observations"));
            if *kind == Kind::Histogram {
                panels.push(Panel::heatmap(format!("{title}: heatmap"), description, selector.buckets(family), unit));
            }
            panels
        }
    }
}

/// Returns a string in PromQL. Characters with a meaning in Grafana are escaped, too, so that Grafana does not
/// interpret them as variables.
fn quoted(text: &str) -> String {
    let special = |c: char| matches!(c, '"' | '\\' | '\n' | '$' | '[');
    let escaped = text.chars().map(|c| if special(c) { format!("\\x{:02x}", u32::from(c)) } else { c.to_string() });
    format!("\"{}\"", escaped.collect::<String>())
}

/// A table of the labels.
fn info(family: &DeclaredFamily, selector: &Selector<'_>, description: &str) -> Panel {
    let hidden = ["Time", "Value", "__name__", "job"].map(|name| (name.into(), Json::Bool(true)));
    let organize = object! {
        "excludeByName": Json::Object(hidden.to_vec()),
        "indexByName": object! {},
        "renameByName": object! {},
    };
    let transformations = vec![object! { "id": "organize", "options": organize }];
    let query = Query::new(selector.series(&family.name), "{{instance}}").table();
    let description = format!("{description} {}", family.help);
    Panel::table(family.name.clone(), description, vec![query], None, transformations)
}

/// The number of the current state over time. Of the series of a state set, one has the value 1.
fn state_set(family: &DeclaredFamily, selector: &Selector<'_>, title: String, description: String) -> Panel {
    let name = &family.name;
    let states = family.labels.iter().find(|label| label.name == *name);
    let states = states.map_or(&[][..], |label| &label.known_values);
    let terms = states
        .iter()
        .enumerate()
        .map(|(at, state)| format!("{at} * {}", selector.series_with(name, &format!("{name}={}", quoted(state)))));
    let terms: Vec<String> = terms.collect();
    let labels = labels(family);
    let by: Vec<String> = labels.iter().map(|label| selector.label(label)).chain(["instance".to_owned()]).collect();
    let expr = format!("sum by ({}) ({})", by.join(", "), terms.join(" or "));
    let legend: Vec<String> = by.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    Panel::states(title, description, Query::new(expr, legend.join(" ")), states)
}
