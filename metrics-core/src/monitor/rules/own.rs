//! The alerts for the metrics themselves.

use super::yaml::{Alert, Rules};

/// Adds the alerts.
pub(super) fn add(rules: &mut Rules) {
    let labels = [("severity", "ticket")];
    rules.alert(&Alert {
        name: "MetricsCoreOverflow",
        expr: "sum by (job, family) (increase(metrics_core_overflowed_total[1h])) > 0",
        wait: None,
        labels: &labels,
        summary: "{{ $labels.job }}: {{ $labels.family }} has too many label sets",
        description: "In the last hour, {{ $labels.job }} counted new label sets of `{{ $labels.family }}` under \
                      `__overflow__` {{ $value | printf \"%.0f\" }} times. The family has reached `max_series`, or a \
                      label value is longer than 1,024 bytes. Sums over the family stay correct, but they cannot be \
                      broken down by label. To find the label with too many values, run `count(count by (LABEL) \
                      ({__name__=~\"{{ $labels.family }}(_count)?\", job=\"{{ $labels.job }}\"}))` for each label in \
                      place of LABEL. Restrict that label to a closed set of values, or raise `max_series`.",
    });
    rules.alert(&Alert {
        name: "MetricsCoreInternalErrors",
        expr: "sum by (job, kind) (increase(metrics_core_internal_errors_total[1h])) > 0",
        wait: None,
        labels: &labels,
        summary: "{{ $labels.job }}: metrics may be incomplete ({{ $labels.kind }})",
        description: "In the last hour, the instrumentation of {{ $labels.job }} counted \
                      {{ $value | printf \"%.0f\" }} internal errors of the kind `{{ $labels.kind }}`. To find the \
                      instance, run `sum by (instance) (increase(metrics_core_internal_errors_total{\
                      job=\"{{ $labels.job }}\", kind=\"{{ $labels.kind }}\"}[1h])) > 0`. The log of that instance \
                      contains the cause and its source location, once for each location. The troubleshooting guide \
                      of metrics-core lists a remedy for each kind.",
    });
    rules.alert(&Alert {
        name: "MetricsCoreProblems",
        expr: "max by (job) (metrics_core_problems) > 0",
        wait: Some("5m"),
        labels: &labels,
        summary: "{{ $labels.job }}: {{ $value }} problems with metrics",
        description: "An instance of {{ $labels.job }} has {{ $value }} problems, for example conflicting \
                      declarations. Metrics may be missing or incomplete. To find the instance, run \
                      `metrics_core_problems{job=\"{{ $labels.job }}\"} > 0`. Its log, at level error, contains a \
                      message with a remedy for each problem, and `Registry::check` returns the same messages in a \
                      test.",
    });
}
