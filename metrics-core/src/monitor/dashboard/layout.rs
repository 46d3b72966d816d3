//! The positions of panels.

use super::panel::Panel;
use crate::monitor::json::{Json, object};

/// The width of a dashboard.
const COLUMNS: u32 = 24;

/// A row with a title, and lines of panels below it.
pub(super) struct Row {
    title: String,
    lines: Vec<Line>,
    is_collapsed: bool,
}

/// Panels of the same height.
struct Line {
    panels: Vec<Panel>,
    /// The maximum number of panels side by side.
    at_most: usize,
    height: u32,
}

impl Row {
    /// Three panels side by side.
    pub(super) fn new(title: impl Into<String>, panels: Vec<Panel>) -> Self {
        Self { title: title.into(), lines: Vec::new(), is_collapsed: false }.with(panels, 3, 8)
    }

    /// Adds panels, at most this number of them side by side.
    pub(super) fn with(mut self, panels: Vec<Panel>, at_most: usize, height: u32) -> Self {
        let panels = panels.into_iter().filter(|panel| !panel.is_empty()).collect();
        self.lines.push(Line { panels, at_most, height });
        self
    }

    /// Shows only the title at first.
    pub(super) fn collapsed(self) -> Self {
        Self { is_collapsed: true, ..self }
    }
}

/// Returns the panels of all rows with their numbers, in reading order, and positions. Rows without panels are skipped.
pub(super) fn panels(rows: Vec<Row>, data_source: &str) -> Vec<Json> {
    let mut all = Vec::new();
    let (mut y, mut id) = (0, 0);
    for Row { title, lines, is_collapsed } in rows {
        if lines.iter().all(|line| line.panels.is_empty()) {
            continue;
        }
        id += 1;
        let header = object! {
            "id": id, "type": "row", "title": title, "collapsed": is_collapsed,
            "gridPos": object! { "x": 0, "y": y, "w": COLUMNS, "h": 1 },
        };
        y += 1;
        let mut placed = Vec::new();
        for Line { mut panels, at_most, height } in lines {
            let mut lines = panels.len().div_ceil(at_most);
            while lines > 0 {
                // The panels are spread evenly over the remaining lines.
                let part: Vec<Panel> = panels.drain(..panels.len().div_ceil(lines)).collect();
                let count = u32::try_from(part.len()).unwrap_or(COLUMNS);
                for (at, panel) in (0..).zip(part) {
                    id += 1;
                    let (x, end) = (COLUMNS * at / count, COLUMNS * (at + 1) / count);
                    placed.push(panel.placed(id, [x, y, end - x, height], data_source));
                }
                y += height;
                lines -= 1;
            }
        }
        if is_collapsed {
            all.push(header.with("panels", placed));
        } else {
            all.push(header.with("panels", Vec::<Json>::new()));
            all.append(&mut placed);
        }
    }
    all
}
