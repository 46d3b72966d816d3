//! The performance budget: a requirement and a goal for each row.

/// The direction of a row's bounds.
#[derive(Clone, Copy)]
enum Side {
    AtMost,
    AtLeast,
}

use Side::{AtLeast, AtMost};

/// One row of the budget.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    side: Side,
    pub(crate) must: f64,
    pub(crate) goal: f64,
}

/// The strictest bound that a value meets.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    Goal,
    Must,
    Missed,
}

impl Row {
    pub(crate) fn verdict(&self, value: f64) -> Verdict {
        let reaches = |bound: f64| match self.side {
            AtMost => value <= bound,
            AtLeast => value >= bound,
        };
        if reaches(self.goal) {
            Verdict::Goal
        } else if reaches(self.must) {
            Verdict::Must
        } else {
            Verdict::Missed
        }
    }

    pub(crate) fn sign(&self) -> &'static str {
        match self.side {
            AtMost => "<=",
            AtLeast => ">=",
        }
    }
}

const fn row(id: &'static str, what: &'static str, side: Side, must: f64, goal: f64) -> Row {
    Row { id, what, side, must, goal }
}

/// The budget. The modules in `rows` measure the values and refer to these entries by ID.
pub(crate) const BUDGET: [Row; 70] = [
    row("call_literal_ok", "`#[instrument(\"/foo\")]` call, `Ok`, over the limit", AtMost, 1.15, 1.05),
    row("call_literal_err", "`#[instrument(\"/foo\")]` call, `Err`, over the limit", AtMost, 1.15, 1.05),
    row("call_path_ok", "`#[instrument(path)]` call, 10 paths, `Ok`, over the limit", AtMost, 1.4, 1.2),
    row("call_path_err", "`#[instrument(path)]` call, 10 paths, `Err`, over the limit", AtMost, 1.4, 1.2),
    row(
        "call_literal_ok_over_prometheus",
        "literal call, `Ok`, over `prometheus` by hand, `with_label_values`",
        AtMost,
        0.50,
        0.35,
    ),
    row(
        "call_literal_err_over_prometheus",
        "literal call, `Err`, over `prometheus` by hand, `with_label_values`",
        AtMost,
        0.50,
        0.35,
    ),
    row("call_path_ok_over_prometheus", "call by path, `Ok`, over `prometheus` by hand", AtMost, 0.4, 0.3),
    row("call_path_err_over_prometheus", "call by path, `Err`, over `prometheus` by hand", AtMost, 0.4, 0.3),
    row("async_over_sync", "`#[instrument]` async call over the sync one", AtMost, 1.1, 1.03),
    row("counter_held", "counter, handle held, over `prometheus::IntCounter`", AtMost, 0.2, 0.1),
    row("summary_held", "summary, handle held, over `prometheus::Histogram`", AtMost, 0.15, 0.1),
    row("counter_10_values", "counter looked up, 10 values, over `prometheus`", AtMost, 0.4, 0.3),
    row("counter_3_labels", "counter looked up, 3 labels, over `prometheus`", AtMost, 0.5, 0.4),
    row("counter_100k", "counter looked up among 100k label sets, over `prometheus`", AtMost, 1.0, 0.7),
    row("counter_1m", "counter looked up among 1M label sets, over `prometheus`", AtMost, 1.2, 0.9),
    row("of_self_over_static", "literal call with families of `self`, over one with static families", AtMost, 2.0, 1.5),
    row("late_over_path", "call by path with a label from the result, over a call by path", AtMost, 1.8, 1.4),
    row("threads_literal", "2 threads over 1, literal call, as a share of the limit's factor", AtLeast, 0.95, 0.98),
    row("threads_path", "2 threads over 1, call by path, as a share of the limit's factor", AtLeast, 0.95, 0.98),
    row(
        "threads_literal_over_prometheus",
        "literal calls at 2 threads over `prometheus` by hand, `with_label_values`",
        AtLeast,
        6.0,
        10.0,
    ),
    row("threads_path_over_prometheus", "calls by path at 2 threads over `prometheus` by hand", AtLeast, 6.0, 10.0),
    row("allocations_literal_ok", "allocations of a literal call, `Ok`", AtMost, 0.0, 0.0),
    row("allocations_literal_err", "allocations of a literal call, `Err`", AtMost, 0.0, 0.0),
    row("allocations_path_ok", "allocations of a call by path, `Ok`", AtMost, 0.0, 0.0),
    row("allocations_path_err", "allocations of a call by path, `Err`", AtMost, 0.0, 0.0),
    row("allocations_async", "allocations of an async call", AtMost, 0.0, 0.0),
    row("allocations_lookup", "allocations of a counter looked up", AtMost, 0.0, 0.0),
    row("scrape_100k_over_limit", "scrape of 100k counters over the flat limit", AtMost, 2.0, 1.3),
    row("scrape_100k_over_best_peer", "scrape of 100k counters over the best peer", AtMost, 0.5, 0.2),
    row("scrape_1m_over_best_peer", "scrape of 1M counters over the best peer", AtMost, 0.3, 0.15),
    row("scrape_64_threads", "scrape of summaries that 64 threads have written, over 1 thread", AtMost, 2.9, 1.8),
    row("snapshot_over_scrape", "snapshot of 2,000 series for the live page over a scrape", AtMost, 1.0, 0.8),
    row("snapshot_memory_over_scrape", "memory of that snapshot over that of the scrape", AtMost, 1.0, 1.0),
    row("attack_2_threads", "new label sets of a full family, 2 threads over 1", AtLeast, 1.0, 1.7),
    row("memory_per_series", "memory per series, 1M counters, over `prometheus-client`", AtMost, 0.8, 0.7),
    row(
        "memory_512_threads",
        "memory of 2,000 summaries that 512 threads have written, over `prometheus`",
        AtMost,
        8.0,
        3.0,
    ),
    row(
        "tail_scrapes",
        "99.9th percentile of a call during scrapes of 100k series, over an idle process",
        AtMost,
        1.5,
        1.1,
    ),
    row("push", "calls by path while 10k series are pushed every second, over none", AtMost, 1.05, 1.02),
    row("storm", "calls by path while clients attack the endpoint, over none", AtMost, 1.05, 1.02),
    row("debug_literal", "literal call in a debug build, over `prometheus` by hand", AtMost, 0.7, 0.4),
    row("debug_path", "call by path in a debug build, over `prometheus` by hand", AtMost, 1.0, 0.6),
    row("compile_time", "`cargo check` per annotated function over fastrace's `#[trace]`", AtMost, 1.2, 1.0),
    row("machine_code", "machine code per annotated function, bytes", AtMost, 205.0, 180.0),
    row("crates_default", "crates in the default build, more than `prometheus` has", AtMost, 27.0, 24.0),
    row("crates_without_http", "the same without the HTTP server", AtMost, 13.0, 10.0),
    row("quantiles_over_plain", "summary with quantiles, over the plain summary", AtMost, 2.0, 1.5),
    row("native_over_plain", "histogram with native and classic buckets, over the plain summary", AtMost, 2.0, 1.5),
    row("quantiles_over_prometheus", "summary with quantiles, over `prometheus::Histogram`", AtMost, 0.5, 0.25),
    row(
        "native_over_prometheus",
        "histogram with native and classic buckets, over `prometheus::Histogram`",
        AtMost,
        0.5,
        0.25,
    ),
    row("quantiles_2_threads", "summary with quantiles, 2 threads over 1", AtLeast, 1.7, 1.95),
    row("native_2_threads", "histogram with native and classic buckets, 2 threads over 1", AtLeast, 1.7, 1.95),
    row("native_scrape_over_best_peer", "scrape of 10,000 native histograms over the best peer", AtMost, 0.5, 0.3),
    row(
        "quantiles_scrape_over_best_peer",
        "scrape of 10,000 summaries with 3 quantiles over the best peer",
        AtMost,
        0.5,
        0.3,
    ),
    row("quantiles_memory_kib", "memory of a series with quantiles, 1 thread, KiB", AtMost, 6.0, 3.0),
    row("native_memory_kib", "memory of a series with native buckets, 1 thread, KiB", AtMost, 2.0, 1.0),
    row(
        "quantiles_memory_64_threads_mib",
        "memory of 2,000 series with quantiles, 64 threads, MiB",
        AtMost,
        400.0,
        100.0,
    ),
    row(
        "native_memory_64_threads_mib",
        "memory of 2,000 series with native buckets, 64 threads, MiB",
        AtMost,
        160.0,
        40.0,
    ),
    row("instructions_literal", "instructions: literal call", AtMost, 130.0, 100.0),
    row("instructions_path", "instructions: call by path", AtMost, 260.0, 200.0),
    row("instructions_three_labels", "instructions: call by three labels", AtMost, 310.0, 250.0),
    row("instructions_kind", "instructions: literal call with `kind`", AtMost, 300.0, 250.0),
    row("instructions_async", "instructions: literal async call", AtMost, 140.0, 115.0),
    row("instructions_in_flight", "instructions: literal call with `in_flight`", AtMost, 330.0, 200.0),
    row("instructions_of_self", "instructions: literal call with families of `self`", AtMost, 310.0, 250.0),
    row("instructions_quantiles", "instructions: literal call with `quantiles(..)`", AtMost, 220.0, 200.0),
    row("instructions_histogram", "instructions: literal call with `histogram`", AtMost, 220.0, 200.0),
    row("instructions_counter", "instructions: counter, handle held", AtMost, 27.0, 22.0),
    row("instructions_summary", "instructions: summary, handle held", AtMost, 31.0, 28.0),
    row("instructions_layer", "instructions: request through the tower layer", AtMost, 5300.0, 3000.0),
    row("instructions_no_layer", "instructions: the same request without the layer", AtMost, 1100.0, 1100.0),
];
