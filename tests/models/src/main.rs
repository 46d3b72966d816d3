//! Loom models of the `metrics-core` cells, built from the crate's source files.
//!
//! Loom runs each model in every interleaving of threads with at most two or three preemptions, and with every value
//! that the memory model allows a load to return.

mod blocks;
mod cache;
#[expect(dead_code, unreachable_pub, reason = "the rest of the crate uses more of it")]
mod cell;
mod chunks;
mod handles;
mod pairs;

/// Runs a model in every interleaving with at most this number of preemptions.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
