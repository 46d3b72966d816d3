//! The texts of alerts on the error budget: a summary and a description, both templates.

use super::events::Events;
use super::{Severity, endpoint_ratio, scraped};
use crate::monitor::endpoint::EndpointGroup;

fn percent(share: f64) -> String {
    format!("{}%", (share * 1e8).round() / 1e6)
}

fn find_endpoint(group: &EndpointGroup<'_>, events: &Events<'_>, verb: &str) -> String {
    if group.labels.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = scraped(group).into_iter().map(|label| format!("`{label}`")).collect();
    format!(
        " To find the {} with the highest share of {} that {verb}, run \
         `topk(5, {}{{job=\"{{{{ $labels.job }}}}\"}})`.",
        labels.join(" and "),
        group.noun(),
        endpoint_ratio(group, events),
    )
}

pub(super) fn availability(
    group: &EndpointGroup<'_>,
    events: &Events<'_>,
    family: &str,
    objective: f64,
    severity: &Severity,
) -> [String; 2] {
    let noun = group.noun();
    let Severity { short_windows, budget, .. } = severity;
    let endpoint = find_endpoint(group, events, "fail");
    let kinds = if group.has_kind {
        format!(
            " To see the kinds of errors, run `sum by (kind) (rate({family}{{job=\"{{{{ $labels.job }}}}\"}}[5m]))`."
        )
    } else {
        String::new()
    };
    [
        format!("{{{{ $labels.job }}}}: {{{{ $value | humanizePercentage }}}} of {noun} fail"),
        format!(
            "In the last {short_windows}, {{{{ $value | humanizePercentage }}}} of the {noun} of {{{{ $labels.job }}}} \
             failed. The objective is that {} succeed. {budget}{endpoint}{kinds} Then check the logs and recent \
             deployments.",
            percent(objective),
        ),
    ]
}

pub(super) fn latency(
    group: &EndpointGroup<'_>,
    events: &Events<'_>,
    seconds: f64,
    objective: f64,
    severity: &Severity,
) -> [String; 2] {
    let noun = group.noun();
    let Severity { short_windows, budget, .. } = severity;
    let endpoint = find_endpoint(group, events, "are slow");
    let in_flight = group.names.in_flight.map_or_else(String::new, |family| {
        format!(" If `sum({family}{{job=\"{{{{ $labels.job }}}}\"}})` is rising, the service is overloaded.")
    });
    [
        format!("{{{{ $labels.job }}}}: {{{{ $value | humanizePercentage }}}} of {noun} take longer than {seconds} s"),
        format!(
            "In the last {short_windows}, {{{{ $value | humanizePercentage }}}} of the {noun} of {{{{ $labels.job }}}} \
             took longer than {seconds} s. The objective is that {} take at most {seconds} s. \
             {budget}{endpoint}{in_flight} Then check dependencies and recent deployments.",
            percent(objective),
        ),
    ]
}
