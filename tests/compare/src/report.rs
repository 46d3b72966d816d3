//! The output: human-readable tables, machine-readable lines, and the number of requirements met.

use crate::budget::{BUDGET, Row, Verdict};

/// The results so far.
#[derive(Default)]
pub(crate) struct Report {
    judged: Vec<(&'static Row, f64)>,
    facts: Vec<(String, f64)>,
}

impl Report {
    /// Prints a table under a title.
    pub(crate) fn table(&self, title: &str, columns: &[&str], rows: &[Vec<String>]) {
        println!("\n### {title}\n\n| {} |\n|---{}|", columns.join(" | "), "|--:".repeat(columns.len() - 1));
        for row in rows {
            println!("| {} |", row.join(" | "));
        }
    }

    /// Adds the value for a budget row.
    pub(crate) fn judge(&mut self, id: &str, value: f64) {
        let row = BUDGET.iter().find(|row| row.id == id);
        self.judged.push((row.unwrap_or_else(|| panic!("the budget has no row `{id}`")), value));
    }

    /// Adds a value that is reported but has no budget.
    pub(crate) fn fact(&mut self, id: impl Into<String>, value: f64) {
        self.facts.push((id.into(), value));
    }

    /// Prints the budget with the results. Returns true if every requirement is met.
    pub(crate) fn finish(mut self) -> bool {
        self.judged.sort_by_key(|(row, _)| BUDGET.iter().position(|of_budget| of_budget.id == row.id));
        if !self.judged.is_empty() {
            let rows: Vec<_> = self.judged.iter().map(|(row, value)| judgement(row, *value)).collect();
            self.table("Budget", &["what", "value", "must", "goal", "met"], &rows);
        }
        println!();
        for (row, value) in &self.judged {
            let met = if row.verdict(*value) == Verdict::Missed { "missed" } else { "met" };
            println!("row\t{}\t{value:.4}\t{}\t{}\t{met}", row.id, row.must, row.goal);
        }
        for (id, value) in &self.facts {
            println!("row\t{id}\t{value:.4}\t-\t-\tinfo");
        }
        let met = self.judged.iter().filter(|(row, value)| row.verdict(*value) != Verdict::Missed).count();
        println!("\n{met} of {} requirements met", self.judged.len());
        met == self.judged.len()
    }
}

fn judgement(row: &Row, value: f64) -> Vec<String> {
    let verdict = match row.verdict(value) {
        Verdict::Goal => "goal",
        Verdict::Must => "must",
        Verdict::Missed => "**missed**",
    };
    let bound = |bound: f64| format!("{} {bound}", row.sign());
    vec![row.what.to_owned(), figure(value), bound(row.must), bound(row.goal), verdict.to_owned()]
}

/// Formats a number with at most two decimal places, and fewer for larger numbers.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
