//! Detects labels that are probably misspelled options, or options of `tracing::instrument`.

use super::OPTIONS;
use super::form::{Arg, Value};

/// The options of `tracing::instrument`.
pub(super) const OPTIONS_OF_TRACING: [&str; 9] =
    ["err", "fields", "follows_from", "level", "name", "parent", "ret", "skip_all", "target"];

/// Returns an error message for a label that is probably a misspelled option or an option of `tracing::instrument`. A
/// raw identifier is always a label.
pub(super) fn mistaken_option(Arg { name, value }: &Arg) -> Option<String> {
    if !matches!(value, Value::Expr { .. } | Value::List(_)) || name.to_string().starts_with("r#") {
        return None;
    }
    let given = name.to_string();
    let label = format!("write `r#{given} = ..` for a label of that name");
    // `rate` is more likely a label than a misspelled `crate`.
    let options = OPTIONS.iter().filter(|option| **option != "crate");
    let most = if given.len() < 9 { 1 } else { 2 };
    // `bucket` is more likely an object store's bucket than a misspelled `buckets`.
    if given == "bucket" && matches!(value, Value::Expr { .. }) {
        return None;
    }
    if given == "histogram" {
        return Some(format!(
            "`histogram` takes no value: write it alone, or `buckets(0.1, 1.0)` for other bounds; {label}"
        ));
    }
    if given == "skip" && matches!(value, Value::List(_)) {
        return Some(of_tracing(&given));
    }
    if let Some(option) = options.copied().find(|option| distance(&given, option) <= most) {
        return Some(format!("unknown option `{given}`; did you mean `{option}`? {label}"));
    }
    OPTIONS_OF_TRACING.contains(&given.as_str()).then(|| of_tracing(&given))
}

pub(super) fn of_tracing(given: &str) -> String {
    format!(
        "`{given}` is an option of `tracing::instrument`, not of this attribute; write `r#{given} = ..` for a label of that name"
    )
}

/// Returns the edit distance: the minimum number of insertions, deletions, replacements and swaps of letters that turn
/// one name into the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=other.len()).collect();
    for i in 1..=one.len() {
        for j in 1..=other.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[one.len()][other.len()]
}
