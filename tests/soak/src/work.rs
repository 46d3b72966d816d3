//! The worker threads of a round: they come in waves, record, and keep their own counts.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::thread;

use axum::Router;

use crate::churn;
use crate::exemplar;
use crate::functions::{self, ENDS, End, How, ORDERS, PATHS, Shop};
use crate::metrics::{BOTH, CALLED_BACK, Method, RECENT, SIZE, Soak, TEXTS, THEIR, THEIRS, WAIT};
use crate::model::{Shared, Tally, lock};
use crate::random::Random;
use crate::slots::Slots;
use crate::web;

/// The parts that all workers of a round share.
pub(crate) struct Round {
    pub(crate) slots: Arc<Slots>,
    pub(crate) service: Router,
    /// The model of futures and of thread-local destructors.
    pub(crate) shared: Arc<Shared>,
}

/// A group of threads that start together.
pub(crate) struct Wave {
    pub(crate) threads: u64,
    pub(crate) operations: u64,
}

impl Wave {
    /// Plans a wave. One in six is a burst of more threads than have dedicated cells by default on two cores.
    pub(crate) fn plan(random: &mut Random) -> Self {
        if random.once_in(6) {
            Self { threads: random.between(70, 140), operations: random.between(20, 100) }
        } else {
            Self { threads: random.between(1, 8), operations: random.between(300, 3_000) }
        }
    }

    /// Runs the threads of the wave at the same time, and returns their counts.
    pub(crate) fn run(&self, random: &mut Random, round: &Arc<Round>) -> Tally {
        let barrier = Arc::new(Barrier::new(self.threads as usize));
        let threads: Vec<_> = (0..self.threads)
            .map(|_| {
                let (mut random, round, barrier) = (random.split(), Arc::clone(round), Arc::clone(&barrier));
                let operations = random.between(self.operations / 2, self.operations);
                thread::spawn(move || {
                    let tally = work(&mut random, operations, &round);
                    barrier.wait();
                    tally
                })
            })
            .collect();
        let mut tally = Tally::default();
        for thread in threads {
            tally.merge(thread.join().expect("panics of the plan are caught"));
        }
        tally
    }
}

/// Records when its thread ends.
struct Farewell {
    shared: Arc<Shared>,
    end: End,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let soak = Soak::global();
        soak.ticks_total.inc();
        soak.sent_total(Method::Post, true).inc();
        soak.size_bytes.observe(3);
        functions::route(PATHS[0], self.end).ok();
        let mut tally = lock(&self.shared);
        tally.count("soak_ticks_total", []);
        tally.count("soak_sent_total", [("method", "post".into()), ("cached", "true".into())]);
        tally.observe(&SIZE, [], 12);
        functions::count_route(&mut tally, PATHS[0], self.end);
        tally.operations += 4;
    }
}

thread_local! {
    static BEFORE: RefCell<Option<Farewell>> = const { RefCell::new(None) };
    static AFTER: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

fn work(random: &mut Random, operations: u64, round: &Arc<Round>) -> Tally {
    let farewell = |end| Farewell { shared: Arc::clone(&round.shared), end };
    // Destructors run in the reverse order of their registration, before and after the library's own.
    if random.once_in(4) {
        BEFORE.set(Some(farewell(End::Value)));
    }
    let mut slot = round.slots.free();
    let mut tally = Tally::default();
    let mut level = 0;
    let mut guards = Vec::new();
    for _ in 0..operations {
        exemplar::enter(random);
        match random.below(100) {
            0..40 => direct(random, &mut tally, &mut level),
            40..66 => calls(random, &mut tally),
            66..82 => futures(random, &round.shared),
            82..88 => web::request(&round.service, random, &mut tally),
            88..96 => {
                if let Some(slot) = &mut slot {
                    slot.change(random);
                }
            }
            96..98 if guards.len() < 8 => guards.push(Soak::global().guards_in_flight.track_in_flight()),
            96..98 => guards.clear(),
            98 => churn::sessions(random, &mut tally),
            _ if random.once_in(12) => churn::registry(random, &mut tally),
            _ => {}
        }
    }
    exemplar::leave();
    Soak::global().level.sub(level);
    tally.operations += operations;
    if random.once_in(4) {
        AFTER.set(Some(farewell(random.pick(&[End::Value, End::NotFound]))));
    }
    tally
}

/// Records directly into one of the metrics.
fn direct(random: &mut Random, tally: &mut Tally, level: &mut i64) {
    let soak = Soak::global();
    let quarters = random.below(64) as i64;
    let value = quarters as f64 / 4.0;
    let (method, name) = random.pick(&[(Method::Get, "get"), (Method::Post, "post")]);
    match random.below(16) {
        0 => {
            soak.ticks_total.inc();
            tally.count("soak_ticks_total", []);
        }
        1 => {
            soak.amounts_total.inc_by(value);
            tally.amount("soak_amounts_total", quarters);
        }
        2 => {
            let (cached, text) = random.pick(&[(false, "false"), (true, "true")]);
            soak.sent_total(method, cached).inc_by(3);
            for _ in 0..3 {
                tally.count("soak_sent_total", [("method", name.into()), ("cached", text.into())]);
            }
        }
        3 => {
            let change = random.below(9) as i64 - 4;
            soak.level.add(change);
            *level += change;
        }
        4 => {
            soak.wait_seconds.observe(value);
            tally.observe(&WAIT, [], quarters);
        }
        5 => {
            soak.recent_seconds.observe(value);
            tally.observe(&RECENT, [], quarters);
        }
        6 => {
            let timer = soak.timed_seconds.start_timer();
            if random.once_in(3) {
                timer.discard();
            } else {
                tally.count("soak_timed_seconds_count", []);
            }
        }
        7 => {
            soak.size_bytes.observe(value);
            tally.observe(&SIZE, [], quarters);
        }
        8 => {
            let quarters = quarters << random.below(12);
            soak.both_seconds(method).observe(quarters as f64 / 4.0);
            tally.observe(&BOTH, [("method", name.into())], quarters);
        }
        9 => soak.leader_info.set([&random.below(5).to_string()]),
        10 => {
            let text = random.pick(&TEXTS);
            soak.texts_total(text).inc();
            tally.count("soak_texts_total", [("text", text.into())]);
        }
        11 => {
            let user = random.below(160);
            soak.seen_total(user).inc();
            tally.count("soak_seen_total", [("user", user.into())]);
        }
        12 => {
            soak.attacks_total(random.next()).inc();
            tally.count("soak_attacks_total", []);
        }
        13 => {
            CALLED_BACK.fetch_add(1, Ordering::SeqCst);
            tally.count("soak_called_back_total", []);
            tally.count("soak_called_back_level", []);
        }
        14 => {
            let way = random.pick(&["in", "out"]);
            THEIR.counter.with_label_values(&[way]).inc();
            tally.count("soak_theirs_total", [("way", way.into())]);
            THEIR.histogram.observe(value);
            tally.observe(&THEIRS, [], quarters);
        }
        _ => {
            THEIR.bridged.inc();
            tally.count("soak_bridged_total", []);
            churn::MOODY.fetch_add(1, Ordering::SeqCst);
            tally.count("soak_moody_total", []);
        }
    }
}

/// Calls an annotated function.
fn calls(random: &mut Random, tally: &mut Tally) {
    let end = random.pick(&ENDS);
    match random.below(6) {
        0 | 1 => {
            let path = random.pick(&[PATHS[0], PATHS[1], PATHS[2], "/unknown"]);
            catch_unwind(|| functions::route(path, end).ok()).ok();
            functions::count_route(tally, path, end);
        }
        2 => {
            let user = random.below(120);
            catch_unwind(|| functions::user(user, end).ok()).ok();
            functions::count_user(tally, user, end);
        }
        3 => {
            let size = random.below(60);
            catch_unwind(|| functions::late(size, end).ok()).ok();
            functions::count_late(tally, end);
        }
        4 => {
            let path = random.pick(&[Some("/a"), Some("/b"), None]);
            catch_unwind(|| functions::labeled(path)).ok();
            functions::count_labeled(tally, path);
        }
        _ => {
            catch_unwind(|| Shop.put(end).ok()).ok();
            functions::count_put(tally, end);
            catch_unwind(|| Shop.find(end)).ok();
            functions::count_find(tally, end);
        }
    }
}

/// Polls the future of an annotated function to its end, drops it before, or never polls it.
fn futures(random: &mut Random, shared: &Arc<Shared>) {
    let yields = random.below(4) as u32;
    let how = How { yields, end: random.pick(&ENDS) };
    let polls = random.below(6) as u32;
    let shared = Arc::clone(shared);
    match random.below(3) {
        0 => poll(Box::pin(functions::order(random.pick(&ORDERS), how, shared)), polls),
        1 => poll(Box::pin(functions::own(random.pick(&["/own", "/else"]), how, shared)), polls),
        _ => poll(functions::boxed(how, shared), polls),
    }
}

fn poll<F: Future + ?Sized>(mut future: Pin<Box<F>>, polls: u32) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        let ended = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context).is_ready()));
        if ended.unwrap_or(true) {
            break;
        }
    }
}
