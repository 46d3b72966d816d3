//! A pusher makes its last push even if the process can no longer spawn threads.

#![cfg(target_os = "linux")]
use std::env;
use std::error::Error;
use std::fs;
use std::process::{self, Command};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver as Channel, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use log::{Log, Metadata, Record};
use metrics_core::{Counter, PushContext, PushTarget, Pusher, Registry};

/// The environment variable from which the standard library reads the stack size of new threads.
const STACK: &str = "RUST_MIN_STACK";
/// The stack size of new threads, which exceeds the memory still available under the limit. A few of them fit into the
/// address space.
const STACK_KIB: u64 = if cfg!(target_pointer_width = "64") { 1024 * 1024 } else { 256 * 1024 };
const INTERVAL: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// A push target that sends the text of each push to a channel.
struct Texts(Sender<String>);

impl PushTarget for Texts {
    fn name(&self) -> &'static str {
        "texts"
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.0.send(push.scrape().to_text())?)
    }
}

/// A logger that notifies the test when a thread cannot be spawned, and then waits for the test's signal.
struct Logger(Mutex<(Sender<()>, Channel<()>)>);

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().contains("could not spawn a thread") {
            let gate = self.0.lock().expect("no panic");
            gate.0.send(()).expect("somebody waits");
            gate.1.recv_timeout(LONG).ok();
        }
    }

    fn flush(&self) {}
}

#[test]
fn the_last_push_is_still_made() {
    if env::var_os(STACK).is_some() {
        ends();
        return;
    }
    let mut same = Command::new(env::current_exe().expect("known"));
    let output = same.arg("--test-threads=1").env(STACK, (STACK_KIB << 10).to_string()).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn ends() {
    let ((says, failed), (go_on, waits)) = (channel(), channel());
    log::set_logger(Box::leak(Box::new(Logger(Mutex::new((says, waits)))))).expect("the only one");
    log::set_max_level(log::LevelFilter::Warn);
    let registry = Registry::new();
    let counter = Counter::builder("c_total", "").register_in(&registry).expect("valid");
    let (sends, texts) = channel();
    let pusher = Pusher::builder(Texts(sends)).registry(&registry).interval(INTERVAL).start().expect("a thread");
    // Wait for the second push, which the timer thread starts. The timer thread keeps running.
    for _ in 0..2 {
        texts.recv_timeout(LONG).expect("a push");
    }
    // The lowest memory usage measured before the next push is the baseline with no push running.
    let mut taken = u64::MAX;
    while texts.try_recv().is_err() {
        taken = taken.min(memory_kib());
    }
    let limit = (taken + STACK_KIB / 2) << 10;
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--pid={}", process::id())).arg(format!("--as={limit}:{limit}"));
    assert!(prlimit.status().expect("it is there").success());
    // Use up the stacks of exited threads, which the C library caches.
    let begin = Instant::now();
    while failed.try_recv().is_err() {
        assert!(begin.elapsed() < LONG, "threads can still be spawned");
        thread::Builder::new().spawn(thread::park).ok();
        thread::yield_now();
    }
    // The thread that failed to start a push is still blocked in the logger.
    counter.inc();
    pusher.shutdown().expect("it is made on this thread");
    assert_eq!(texts.try_iter().last().as_deref(), Some("# TYPE c_total counter\nc_total 1\n"));
    go_on.send(()).expect("it waits");
}

/// Returns the size of the address space in KiB.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("it is there");
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("VmSize");
    size.trim().trim_end_matches(" kB").parse().expect("a number")
}
