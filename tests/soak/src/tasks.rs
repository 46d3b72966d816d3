//! The asynchronous tasks of a round, on a runtime that is created and dropped with it. Some tasks are aborted.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use crate::functions::{self, ENDS, End, How, ORDERS};
use crate::model::{Shared, Tally};
use crate::random::Random;
use crate::web;
use crate::work::Round;

/// Runs tasks. Some are aborted, and some are still running when the runtime is dropped. Returns their number.
pub(crate) fn run(random: &mut Random, round: &Arc<Round>) -> (u64, Tally) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("threads");
    let mut tally = Tally::default();
    let tasks = random.between(50, 400);
    let mut aborted = Vec::new();
    let mut awaited = Vec::new();
    for _ in 0..tasks {
        let task = runtime.spawn(task(random.split(), Arc::clone(&round.shared)));
        match random.below(4) {
            0 => aborted.push(task),
            // The runtime cancels the task.
            1 => drop(task),
            _ => awaited.push(task),
        }
        if random.once_in(8) {
            web::request(&round.service, random, &mut tally);
        }
        if random.once_in(4) {
            aborted.drain(..).for_each(|task| task.abort());
        }
    }
    runtime.block_on(async {
        for task in awaited {
            if let Err(error) = task.await {
                assert!(error.is_panic(), "nobody aborts it");
            }
        }
    });
    drop(runtime);
    tally.operations += 2 * tasks;
    (tasks, tally)
}

/// Makes calls until it is done, panics, or is aborted.
async fn task(mut random: Random, shared: Arc<Shared>) {
    for _ in 0..random.between(1, 6) {
        let end = if random.once_in(10) { End::Panic } else { random.pick(&ENDS[..3]) };
        let how = How { yields: random.below(5) as u32, end };
        let shared = Arc::clone(&shared);
        match random.below(4) {
            0 => {
                functions::order(random.pick(&ORDERS), how, shared).await;
            }
            1 => drop(functions::own("/own", how, shared).await.ok()),
            2 => drop(functions::boxed(how, shared).await.ok()),
            _ => {
                let call = functions::order(random.pick(&ORDERS), How { yields: u32::MAX, end }, shared);
                tokio::time::timeout(Duration::from_micros(random.below(2_000)), call).await.ok();
            }
        }
    }
    if random.once_in(8) {
        tokio::time::sleep(Duration::from_millis(random.below(50))).await;
    }
}
