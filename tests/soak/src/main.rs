//! A soak test: all features at once, under constant failures. All totals must equal those of an independent model.
//!
//! `cargo test --release --package soak-tests --test soak -- [--seconds N] [--seed S] [--cells N] [--clock-steps]`
//!
//! A run consists of rounds. In each round, worker threads and tasks come and go, use every metric type and the
//! options of `#[instrument]`, and keep their own counts. After each round, the merged counts must equal a scrape.
//! During the run, clients scrape and cut off scrapes, and push targets push to receivers that fail and recover. At the
//! end, every receiver must hold the totals of the model.

mod churn;
mod clock;
mod compare;
mod exemplar;
mod failures;
mod functions;
mod metrics;
mod model;
mod proto;
mod random;
mod receivers;
mod resources;
mod samples;
mod scrapes;
mod slots;
mod tasks;
mod text;
mod web;
mod work;

use std::error::Error;
use std::net::SocketAddr;
use std::panic;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use metrics_core::{ProblemKind, Registry, limit_thread_local_cells, start_http_server};

use compare::{Expected, View};
use model::{Tally, lock};
use random::Random;
use receivers::Receivers;
use resources::{Curve, Usage};
use samples::Samples;
use slots::Slots;
use work::{Round, Wave};

/// The number of seconds after which a run is long enough to compare the memory of its last two thirds, and to have
/// exercised everything.
const LONG: u64 = 60;

struct Options {
    seconds: u64,
    seed: u64,
    /// The limit on threads with dedicated cells.
    cells: Option<usize>,
    clock: clock::Clock,
}

fn options() -> Result<Options, lexopt::Error> {
    use lexopt::prelude::{Long, ValueExt};

    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut options = Options { seconds: 120, seed, cells: None, clock: clock::Clock::Real };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("cells") => options.cells = Some(parser.value()?.parse()?),
            Long("clock-steps") => options.clock = clock::Clock::Steps,
            Long("under-stepping-clock") => options.clock = clock::Clock::Stepping,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

/// Discards the library's warnings about receivers and collectors that fail, and counts them.
struct Log;

static LOGGED: AtomicU64 = AtomicU64::new(0);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        LOGGED.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

/// Ends the process at the first panic that is not planned.
fn watch_panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let message = payload.downcast_ref::<&str>().copied();
        let message = message.or(payload.downcast_ref::<String>().map(String::as_str));
        let is_planned = message.is_some_and(|message| message.starts_with(functions::PLANNED));
        if !is_planned {
            hook(info);
            println!("FAILURE: a panic that is not planned");
            receivers::remove_files();
            std::process::exit(1);
        }
    }));
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = options()?;
    if let clock::Clock::Steps = options.clock {
        return clock::run_with_steps(options.seconds, options.seed);
    }
    log::set_logger(&Log).map_err(|error| error.to_string())?;
    log::set_max_level(log::LevelFilter::Warn);
    watch_panics();
    println!("soak --seconds {} --seed {}", options.seconds, options.seed);
    let mut random = Random::new(options.seed);
    // Without the option, the seed decides whether most threads share cells.
    let cells = random.pick(&[None, Some(16), Some(2)]);
    if let Some(cells) = options.cells.or(cells) {
        println!("at most {cells} threads have dedicated cells");
        limit_thread_local_cells(cells);
    }
    run(&options, &mut random)?;
    if let clock::Clock::Stepping = options.clock {
        let steps = resources::CLOCK_STEPS.load(Ordering::Relaxed);
        println!("the clock stepped {steps} times");
        if steps < 3 {
            failures::report("the clock did not step");
        }
    }
    match failures::count() {
        0 => {
            println!("all totals are equal");
            Ok(ExitCode::SUCCESS)
        }
        failures => {
            println!("{failures} failures with the seed {}", options.seed);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn run(options: &Options, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    // If another package enables the signals of tokio, the first runtime creates two sockets that are never closed.
    drop(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
    let at_begin = Usage::now(begin);
    exemplar::install();
    metrics::register();
    let collector = Registry::global().register_collector(churn::Moody)?;
    let server = start_http_server("127.0.0.1:0")?;
    let address = server.local_addr();
    let problems = Registry::global().check();
    let problems = problems.into_iter().filter(|problem| !matches!(problem.kind, ProblemKind::Style(_)));
    problems.for_each(|problem| failures::report(problem.to_string()));
    let mut receivers = Receivers::start(random)?;
    let (curve, slots) = (Curve::new(options.seconds), Arc::new(Slots::new()));
    let mut totals = Totals::default();
    let stop = AtomicBool::new(false);
    let (sampling, stop_sampling) = mpsc::channel();
    let disturbance = (random.split(), random.split());
    thread::scope(|scope| {
        let curve = &curve;
        scope.spawn(move || curve.sample(begin, &stop_sampling));
        for _ in 0..2 {
            let (watching, cutting) = (random.split(), random.split());
            scope.spawn(|| scrapes::watch(address, watching, &stop));
            scope.spawn(|| scrapes::cut(address, cutting, &stop));
        }
        scope.spawn(|| receivers.disturb(disturbance.0, &stop));
        scope.spawn(|| change_moods(disturbance.1, &stop));
        let mut rounds = Rounds { address, slots: &slots, service: web::service(), curve, begin };
        while begin.elapsed() < Duration::from_secs(options.seconds) && failures::count() < 20 {
            rounds.run(random, &mut totals);
        }
        stop.store(true, Ordering::SeqCst);
        drop(sampling);
    });
    churn::MOOD.store(0, Ordering::SeqCst);
    compare_everything(address, &mut receivers, &totals.expected(&slots));
    check_internal_errors(address);
    report(&totals, &receivers, &slots, options.seconds >= LONG);
    drop(receivers);
    server.shutdown();
    Registry::global().unregister_collector(collector);
    curve.print();
    if options.seconds >= LONG {
        curve.check();
    }
    resources::check_end(at_begin);
    Ok(())
}

/// Changes the mood of the collector until `stop`. It is in a good mood half of the time.
fn change_moods(mut random: Random, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        churn::MOOD.store(random.pick(&[0, 0, 0, 1, 2, 3]), Ordering::SeqCst);
        thread::sleep(Duration::from_millis(random.between(20, 400)));
    }
}

/// The merged model, and the sizes of the run.
#[derive(Default)]
struct Totals {
    tally: Tally,
    rounds: u64,
    threads: u64,
    tasks: u64,
}

impl Totals {
    fn expected(&self, slots: &Slots) -> Expected {
        Expected::new(&self.tally, slots)
    }
}

struct Rounds<'r> {
    address: SocketAddr,
    slots: &'r Arc<Slots>,
    service: Router,
    curve: &'r Curve,
    begin: Instant,
}

impl Rounds<'_> {
    /// Runs waves of threads and a set of tasks, waits for all of them, and compares a scrape with the model.
    fn run(&mut self, random: &mut Random, totals: &mut Totals) {
        let mut random = random.split();
        let round =
            Arc::new(Round { slots: Arc::clone(self.slots), service: self.service.clone(), shared: Arc::default() });
        let (mut wave_random, mut task_random) = (random.split(), random.split());
        let (threads, mut tally, tasks) = thread::scope(|scope| {
            let waves = scope.spawn(|| {
                let (mut threads, mut tally) = (0, Tally::default());
                for _ in 0..wave_random.between(2, 6) {
                    let wave = Wave::plan(&mut wave_random);
                    threads += wave.threads;
                    tally.merge(wave.run(&mut wave_random, &round));
                }
                (threads, tally)
            });
            let tasks = tasks::run(&mut task_random, &round);
            let (threads, tally) = waves.join().expect("panics of the plan are caught");
            (threads, tally, tasks)
        });
        tally.merge(tasks.1);
        tally.merge(std::mem::take(&mut *lock(&round.shared)));
        totals.tally.merge(tally);
        totals.rounds += 1;
        totals.threads += threads;
        totals.tasks += tasks.0;
        resources::OPERATIONS.store(totals.tally.operations, Ordering::Relaxed);
        let format = random.pick(&scrapes::FORMATS);
        compare_scrape(self.address, format, &totals.expected(self.slots));
        self.curve.end_round(self.begin);
    }
}

/// Compares a scrape with the model. The collector may be in a bad mood, so the scrape is repeated.
fn compare_scrape(address: SocketAddr, format: scrapes::Format, expected: &Expected) {
    compare_until_equal(&format!("{format:?}"), View::Exposition, expected, || scrapes::scrape(address, format, None));
}

/// Compares repeatedly, because a collector may be in a bad mood and datagrams may be in flight, but only for a while.
fn compare_until_equal(name: &str, view: View, expected: &Expected, samples: impl Fn() -> Result<Samples, String>) {
    let begin = Instant::now();
    loop {
        let differences = samples().map_or_else(|error| vec![error], |samples| expected.differences(view, &samples));
        if differences.is_empty() {
            return;
        }
        let patience = if failures::count() == 0 { 15 } else { 1 };
        if begin.elapsed() > Duration::from_secs(patience) {
            return differences.into_iter().for_each(|difference| failures::report(format!("{name}: {difference}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn compare_everything(address: SocketAddr, receivers: &mut Receivers, expected: &Expected) {
    for format in scrapes::FORMATS {
        compare_scrape(address, format, expected);
    }
    match receivers.finish() {
        Err(error) => failures::report(error),
        Ok(stores) => {
            for store in stores {
                compare_until_equal(store.name, store.view, expected, || Ok((store.samples)()));
            }
        }
    }
    println!("{} values of the model were compared with each receiver", expected.len());
}

/// Prints the errors that the library has counted, and reports those that are not planned.
fn check_internal_errors(address: SocketAddr) {
    const PLANNED: [&str; 4] = ["collector_error", "collector_panic", "collector_timeout", "label_panic"];
    let samples = scrapes::scrape(address, scrapes::Format::Text, None).unwrap_or_default();
    for (series, sample) in samples.iter().filter(|(_, sample)| sample.value > 0.0) {
        match series.name.as_str() {
            "metrics_core_internal_errors_total" => {
                println!("{series} {}", sample.value);
                if !series.label("kind").is_some_and(|kind| PLANNED.contains(&kind)) {
                    failures::report(format!("{series} is {}", sample.value));
                }
            }
            "metrics_core_push_total" | "metrics_core_push_samples_dropped_total" => {
                println!("{series} {}", sample.value);
            }
            _ => {}
        }
    }
}

/// Prints the sizes of the run. Reports a failure if a long run has not exercised something.
fn report(totals: &Totals, receivers: &Receivers, slots: &Slots, is_long: bool) {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let Totals { tally, rounds, threads, tasks } = totals;
    println!("{rounds} rounds, {} operations, {threads} threads, {tasks} tasks", tally.operations);
    println!("{} scrapes, {} cut off", load(&scrapes::SCRAPES), load(&scrapes::CUTS));
    let (sessions, registries) = (load(&churn::SESSIONS), load(&churn::REGISTRIES));
    println!("{} series removed, {registries} registries created and dropped", sessions + slots.removals());
    println!("{} bad runs of a collector, {} warnings", load(&churn::FAULTY_RUNS), load(&LOGGED));
    println!("{} exemplars", load(&text::EXEMPLARS));
    let mut counts = vec![sessions, slots.removals(), registries, load(&churn::FAULTY_RUNS), load(&text::EXEMPLARS)];
    let (mut all_failed, mut all_deaths) = (0, 0);
    for (name, stored, failed, deaths) in receivers.counts() {
        println!("{name}: {stored} requests stored, {failed} failed, {deaths} deaths of the receiver");
        counts.push(stored);
        all_failed += failed;
        all_deaths += deaths;
    }
    counts.extend([all_failed, all_deaths]);
    if is_long && counts.contains(&0) {
        failures::report(format!("something was not exercised: {counts:?}"));
    }
}
