//! The file format of Prometheus rules: YAML whose strings are in double quotes, as in JSON.

use crate::encode::json::push_string;

const HEADER: &str = "\
# Generated from the catalog of metrics; do not edit.
#
# A page implies a ticket. To send only the page, add this to the configuration of Alertmanager:
#
#   inhibit_rules:
#     - source_matchers: [severity = \"page\"]
#       target_matchers: [severity = \"ticket\"]
#       equal: [alertname, job, family]
groups:
";

/// A file of rules.
pub(super) struct Rules {
    out: Vec<u8>,
}

/// An alert. `summary` and `description` are templates.
pub(super) struct Alert<'a> {
    pub(super) name: &'a str,
    pub(super) expr: &'a str,
    /// The time for which the condition must hold.
    pub(super) wait: Option<&'a str>,
    pub(super) labels: &'a [(&'a str, &'a str)],
    pub(super) summary: &'a str,
    pub(super) description: &'a str,
}

impl Rules {
    pub(super) fn new() -> Self {
        Self { out: HEADER.as_bytes().to_vec() }
    }

    /// Begins a group of rules.
    pub(super) fn begin(&mut self, name: &str) {
        self.line("  - name", name);
        self.out.extend_from_slice(b"    rules:\n");
    }

    /// Adds a recording rule.
    pub(super) fn record(&mut self, name: &str, expr: &str) {
        self.line("      - record", name);
        self.line("        expr", expr);
    }

    pub(super) fn alert(&mut self, alert: &Alert<'_>) {
        self.line("      - alert", alert.name);
        self.line("        expr", alert.expr);
        if let Some(wait) = alert.wait {
            self.line("        for", wait);
        }
        self.out.extend_from_slice(b"        labels:\n");
        for (name, value) in alert.labels {
            self.line(&format!("          {name}"), value);
        }
        self.out.extend_from_slice(b"        annotations:\n");
        self.line("          summary", alert.summary);
        self.line("          description", alert.description);
    }

    pub(super) fn finish(self) -> String {
        String::from_utf8(self.out).unwrap_or_default()
    }

    fn line(&mut self, key: &str, value: &str) {
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b": ");
        push_string(&mut self.out, value);
        self.out.push(b'\n');
    }
}
