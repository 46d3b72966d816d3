//! The rows of a group of annotated functions or routes, and of all groups together.

use std::iter;

use super::layout::Row;
use super::panel::{PLAIN, Panel, Query, SHARE, Steps, thresholds};
use super::query::{PERCENTILES, Selector, labels, share};
use crate::kind::Kind;
use crate::monitor::endpoint::EndpointGroup;
use crate::monitor::json::{Json, object};
use crate::registry::DeclaredFamily;

/// The colors of statuses, by their beginning.
const STATUS_COLORS: [(&str, &str); 7] = [
    ("^1", "light-blue"),
    ("^2", "green"),
    ("^3", "blue"),
    ("^4", "orange"),
    ("^5", "red"),
    ("^panic", "dark-red"),
    ("^cancelled", "purple"),
];

/// The expressions of a group, in total or by label.
struct Expressions {
    rate: String,
    exceptions: Option<String>,
    share: Option<String>,
    cancelled: Option<String>,
    in_flight: Option<String>,
    mean: String,
    /// The names and expressions of the percentiles, if the latency is a histogram.
    percentiles: Vec<(&'static str, String)>,
}

impl Expressions {
    fn of(group: &EndpointGroup<'_>, selector: &Selector<'_>, by: &[&str]) -> Self {
        let EndpointGroup { names, latency, .. } = group;
        let rate = selector.observations(latency, by);
        let exceptions = names.exceptions.map(|name| selector.total_rate(by, name));
        let percentiles = if latency.kind == Kind::Histogram { &PERCENTILES[..] } else { &[] };
        let percentiles = percentiles.iter().map(|(name, q)| (*name, selector.quantile(latency, *q, by)));
        Self {
            share: exceptions.as_ref().map(|exceptions| share(exceptions, &rate)),
            rate,
            exceptions,
            cancelled: names.cancelled.map(|name| selector.total_rate(by, name)),
            in_flight: names.in_flight.map(|name| selector.total(by, &selector.series(name))),
            mean: selector.mean(latency, by),
            percentiles: percentiles.collect(),
        }
    }

    fn p99(&self) -> Option<&String> {
        self.percentiles.iter().find(|(name, _)| *name == "p99").map(|(_, expr)| expr)
    }
}

/// The requests or calls of a group, for titles.
fn works(group: &EndpointGroup<'_>) -> [&'static str; 2] {
    if group.names.work == "request" { ["requests", "Requests"] } else { ["calls", "Calls"] }
}

fn title(group: &EndpointGroup<'_>) -> String {
    format!("{} {}", group.names.prefix, group.noun())
}

/// The label by which the panels of a group are broken down.
fn main_label<'a>(group: &'a EndpointGroup<'_>) -> &'a [&'a str] {
    &group.labels[..group.labels.len().min(1)]
}

/// The row for all groups, with one line each. Functions are not added to requests, because both count the same work.
pub(super) fn overview(groups: &[EndpointGroup<'_>], selector: &Selector<'_>) -> Row {
    let of_groups: Vec<(String, Expressions)> =
        groups.iter().map(|group| (title(group), Expressions::of(group, selector, &[]))).collect();
    let queries = |expr: &dyn Fn(&Expressions) -> Option<String>| -> Vec<Query> {
        of_groups.iter().filter_map(|(title, of_group)| Some(Query::new(expr(of_group)?, title.clone()))).collect()
    };
    let rate = || queries(&|of_group| Some(of_group.rate.clone()));
    let share = || queries(&|of_group| of_group.share.clone());
    let cancelled = || queries(&|of_group| of_group.cancelled.clone());
    let in_flight = || queries(&|of_group| of_group.in_flight.clone());
    let mean = || queries(&|of_group| Some(of_group.mean.clone()));
    let p99 = || queries(&|of_group| of_group.p99().cloned());
    let latencies = of_groups.iter().flat_map(|(title, of_group)| {
        let of_group =
            [("mean", &of_group.mean)].into_iter().chain(of_group.percentiles.iter().map(|(name, expr)| (*name, expr)));
        of_group.map(move |(name, expr)| Query::new(expr.clone(), format!("{title} {name}")))
    });
    // Without requests, these have no value. Otherwise, the panel would show the last value as if it were current.
    let now = |queries: Vec<Query>| queries.into_iter().map(Query::instant).collect::<Vec<_>>();
    let (none, empty) = ("No requests", "");
    let numbers = vec![
        Panel::numbers("Rate", empty, rate(), "reqps"),
        Panel::numbers("Share of exceptions", empty, now(share()), "percentunit").steps(SHARE).no_value(none),
        Panel::numbers("Canceled", empty, cancelled(), "reqps"),
        Panel::numbers("In flight", empty, in_flight(), "none"),
        Panel::numbers("Mean latency", empty, now(mean()), "s").no_value(none),
        Panel::numbers("99th percentile of the latency", empty, now(p99()), "s").no_value(none),
    ];
    let graphs = vec![
        Panel::lines("Rate", empty, rate(), "reqps"),
        Panel::lines("Share of exceptions", empty, share(), "percentunit").steps(SHARE).no_value(none),
        Panel::lines("Latency", empty, latencies.collect(), "s").no_value(none),
        Panel::lines("Canceled per second", empty, cancelled(), "reqps"),
        Panel::lines("In flight", empty, in_flight(), "none"),
    ];
    Row::new("Overview", Vec::new()).with(numbers, 6, 4).with(graphs, 3, 8)
}

/// The row of a group.
pub(super) fn row(group: &EndpointGroup<'_>, selector: &Selector<'_>, catalog: &[DeclaredFamily]) -> Row {
    let by = main_label(group);
    let [works, capitalized] = works(group);
    let expressions = Expressions::of(group, selector, by);
    let legend = selector.legend(by, &title(group));
    let by_label = by.first().map_or_else(String::new, |label| format!(" by {label}"));
    let line = |title: String, names: &[&str], expr: &String, unit| {
        Panel::lines(title, described(names, catalog), vec![Query::new(expr.clone(), legend.clone())], unit)
    };
    let names = &group.names;
    let no_value = if works == "requests" { "No requests" } else { "No calls" };
    let mut panels =
        vec![line(format!("{capitalized} per second{by_label}"), &[names.latency], &expressions.rate, "reqps")];
    if let (Some(name), Some(share)) = (names.exceptions, &expressions.share) {
        let title = format!("Share of {works} with exceptions{by_label}");
        panels.push(line(title, &[name, names.latency], share, "percentunit").steps(SHARE).no_value(no_value));
        if group.has_kind {
            let labels = [by, &["kind"]].concat();
            let query = Query::new(selector.total_rate(&labels, name), selector.legend(&labels, ""));
            let description = described(&[name], catalog);
            panels.push(Panel::lines("Exceptions per second by kind", description, vec![query], "cps").stacked());
        }
    }
    let mean = line(format!("Mean latency{by_label}"), &[names.latency], &expressions.mean, "s");
    panels.push(mean.no_value(no_value));
    panels.extend(percentiles(group.latency, selector, by, &format!("Latency{by_label}"), "s", no_value));
    if let (Some(name), Some(expr)) = (names.cancelled, &expressions.cancelled) {
        panels.push(line(format!("Canceled {works} per second{by_label}"), &[name], expr, "reqps"));
    }
    if let (Some(name), Some(expr)) = (names.in_flight, &expressions.in_flight) {
        panels.push(line(format!("{capitalized} in flight{by_label}"), &[name], expr, "none"));
    }
    for label in labels(group.latency).into_iter().filter(|label| !by.contains(label)) {
        let query = Query::new(selector.observations(group.latency, &[label]), selector.legend(&[label], ""));
        let title = format!("{capitalized} per second by {label}");
        panels.push(Panel::lines(title, described(&[names.latency], catalog), vec![query], "reqps").stacked());
    }
    if let Some(name) = names.responses {
        let query = Query::new(selector.total_rate(&["status"], name), "{{status}}");
        let title = "Responses per second by status";
        let panel = Panel::lines(title, described(&[name], catalog), vec![query], "reqps").stacked();
        panels.push(STATUS_COLORS.into_iter().fold(panel, |panel, (pattern, color)| {
            let color = object! { "fixedColor": color, "mode": "fixed" };
            panel.with_override("byRegexp", format!("/{pattern}/"), vec![("color", color)])
        }));
    }
    let row = Row::new(title(group), panels);
    match by {
        [label] => row.with(vec![now(group, selector, label, &expressions)], 1, 8),
        _ => row,
    }
}

/// The table of the endpoints, those with the most exceptions first.
fn now(group: &EndpointGroup<'_>, selector: &Selector<'_>, label: &str, expressions: &Expressions) -> Panel {
    let [_, capitalized] = works(group);
    let rate = if capitalized == "Requests" { "Requests/s" } else { "Calls/s" };
    let Expressions { exceptions, share, cancelled, in_flight, mean, .. } = expressions;
    let columns: [(&str, &str, Steps, Option<&String>); 7] = [
        (rate, "reqps", PLAIN, Some(&expressions.rate)),
        ("Exceptions/s", "cps", PLAIN, exceptions.as_ref()),
        ("Share of exceptions", "percentunit", SHARE, share.as_ref()),
        ("Canceled/s", "cps", PLAIN, cancelled.as_ref()),
        ("In flight", "none", PLAIN, in_flight.as_ref()),
        ("Mean latency", "s", PLAIN, Some(mean)),
        ("99th percentile", "s", PLAIN, expressions.p99()),
    ];
    let columns: Vec<_> =
        columns.into_iter().filter_map(|(title, unit, steps, expr)| Some((title, unit, steps, expr?))).collect();
    let queries = columns.iter().map(|(.., expr)| Query::new((*expr).clone(), selector.legend(&[label], "")).table());
    // Grafana calls the columns by the queries' letters.
    let value = |id: char| format!("Value #{id}");
    let names = columns.iter().zip('A'..).map(|((title, ..), id)| (value(id).into(), Json::from(*title)));
    let order = iter::once(selector.label(label)).chain(('A'..).take(columns.len()).map(value));
    let order = order.zip(0_u32..).map(|(name, at)| (name.into(), at.into()));
    let organize = object! {
        "excludeByName": object! { "Time": true },
        "indexByName": Json::Object(order.collect()),
        "renameByName": Json::Object(names.collect()),
    };
    let transformations =
        vec![object! { "id": "merge", "options": object! {} }, object! { "id": "organize", "options": organize }];
    let title = match label {
        "path" => "Endpoints now".to_owned(),
        "function" => "Functions now".to_owned(),
        other => format!("Now, by {other}"),
    };
    let sort_by = if exceptions.is_some() { "Exceptions/s" } else { rate };
    let panel = Panel::table(title, "", queries.collect(), Some(sort_by), transformations);
    columns.iter().fold(panel, |panel, (title, unit, steps, _)| {
        let mut properties = vec![("unit", Json::from(*unit))];
        if *steps != PLAIN {
            properties.push(("thresholds", thresholds(steps)));
            properties.push(("custom.cellOptions", object! { "type": "color-text" }));
        }
        panel.with_override("byName", *title, properties)
    })
}

/// The panel of the percentiles that the type of a family allows, if any.
pub(super) fn percentiles(
    family: &DeclaredFamily,
    selector: &Selector<'_>,
    by: &[&str],
    title: &str,
    unit: &'static str,
    no_value: &'static str,
) -> Option<Panel> {
    let legend = |name: &str| format!("{} {name}", selector.legend(by, "")).trim().to_owned();
    let name = &family.name;
    if family.kind == Kind::Histogram {
        let queries = PERCENTILES.map(|(name, q)| Query::new(selector.quantile(family, q, by), legend(name)));
        let title = format!("{title}: percentiles");
        return Some(Panel::lines(title, format!("`{name}`."), queries.to_vec(), unit).no_value(no_value));
    }
    if family.quantiles.is_empty() {
        return None;
    }
    let labels = [by, &["quantile"]].concat();
    let expr = selector.aggregate("max", &labels, &selector.series_with(name, "quantile!=\"\""));
    let description = format!(
        "`{name}`. Quantiles of several series cannot be aggregated, so each line is the highest of all instances and \
         label sets."
    );
    let query = Query::new(expr, legend("quantile {{quantile}}"));
    Some(Panel::lines(format!("{title}: highest quantiles"), description, vec![query], unit).no_value(no_value))
}

/// Describes families by their names and labels.
fn described(names: &[&str], catalog: &[DeclaredFamily]) -> String {
    let describe = |name: &&str| match catalog.iter().find(|family| family.name == **name) {
        Some(family) => describe(family),
        None => format!("`{name}`"),
    };
    format!("{}.", names.iter().map(describe).collect::<Vec<_>>().join(", "))
}

/// Describes a family by its name and labels.
pub(super) fn describe(family: &DeclaredFamily) -> String {
    let labels: Vec<String> = family.labels.iter().map(|label| format!("`{}`", label.name)).collect();
    match &labels[..] {
        [] => format!("`{}`", family.name),
        labels => format!("`{}` (labels: {})", family.name, labels.join(", ")),
    }
}
