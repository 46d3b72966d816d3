//! Calls with more than a literal or a path argument, each compared with the call that it extends.

use anyhow::Result;

use crate::labels::paths;
use crate::measure::{Contest, Figures};
use crate::peers::Peer;
use crate::peers::ours::{self, Ours};
use crate::report::{Report, figure};

const LITERAL: &str = "literal";
const OF_SELF: &str = "literal, families of `self`";
const PATH: &str = "path";
const LATE: &str = "path, and a label from the result";
const KIND: &str = "path, and `kind` of an error";
const ENUM: &str = "path, and an enum";
const ASYNC: &str = "path, async";

pub(crate) fn run(rounds: usize, report: &mut Report) -> Result<()> {
    let mut literal = Contest::default();
    literal.add(LITERAL, ours::call_literal(false));
    literal.add(OF_SELF, ours::call_of_self(false));
    let literal = literal.run(rounds);
    report.judge("of_self_over_static", literal.ratio(OF_SELF, LITERAL));

    let mut path = Contest::default();
    path.add(PATH, Ours.call(paths(10), false));
    path.add(LATE, ours::call_by_result(paths(10)));
    path.add(KIND, ours::call_by_kind(paths(10)));
    path.add(ENUM, ours::call_by_enum(paths(10)));
    path.add(ASYNC, ours::call_async(paths(10)));
    let path = path.run(rounds);
    report.judge("late_over_path", path.ratio(LATE, PATH));
    for (id, name) in [("kind", KIND), ("enum", ENUM), ("async", ASYNC)] {
        report.fact(format!("{id}_over_path"), path.ratio(name, PATH));
    }

    let row = |figures: &Figures, name: &str, reference: &str| {
        vec![name.to_owned(), figure(figures.median(name)), figure(figures.ratio(name, reference))]
    };
    let rows = [
        row(&literal, LITERAL, LITERAL),
        row(&literal, OF_SELF, LITERAL),
        row(&path, PATH, PATH),
        row(&path, LATE, PATH),
        row(&path, KIND, PATH),
        row(&path, ENUM, PATH),
        row(&path, ASYNC, PATH),
    ];
    report.table("Calls of other shapes", &["labels", "ns", "over a plain call"], &rows);
    Ok(())
}
