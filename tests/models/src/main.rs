//! Loom runs the cells of `metrics-core`, its own source files, in every order in which threads can meet with two or
//! three preemptions, and with every value that the memory model lets a load see.

mod blocks;
mod cache;
#[expect(dead_code, unreachable_pub, reason = "the rest of the crate uses more of it")]
mod cell;
mod handles;
mod pairs;

/// Runs a model in every order of up to this many preemptions.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
