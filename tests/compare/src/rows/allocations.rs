//! Allocations per call, not counting the first call on a thread.

use anyhow::Result;

use crate::allocator::allocations;
use crate::labels::paths;
use crate::measure::Operation;
use crate::peers;
use crate::peers::Peer;
use crate::peers::ours::{self, Ours};
use crate::report::Report;

const CALLS: u64 = 1 << 16;

pub(crate) fn run(_: usize, report: &mut Report) -> Result<()> {
    for fails in [false, true] {
        let outcome = if fails { "err" } else { "ok" };
        report.judge(&format!("allocations_literal_{outcome}"), per_call(&ours::call_literal(fails)));
        report.judge(&format!("allocations_path_{outcome}"), per_call(&Ours.call(paths(10), fails)));
    }
    report.judge("allocations_async", per_call(&ours::polled(true)));
    let mut rows = Vec::new();
    for peer in peers::all() {
        let lookup = peer.counter_by_one(paths(10)).map(|operation| per_call(&operation));
        if peer.name() == Ours.name() {
            report.judge("allocations_lookup", lookup.unwrap_or(f64::NAN));
        }
        let show = |count: f64| format!("{count:.1}");
        let [ok, err] = [false, true].map(|fails| show(per_call(&peer.call(paths(10), fails))));
        rows.push(vec![peer.name().to_owned(), lookup.map_or_else(|| "-".to_owned(), show), ok, err]);
    }
    report.table("Allocations", &["who", "counter looked up", "call, `Ok`", "call, `Err`"], &rows);
    Ok(())
}

fn per_call(operation: &Operation) -> f64 {
    operation(0..CALLS);
    allocations(|| operation(0..CALLS)) as f64 / CALLS as f64
}
