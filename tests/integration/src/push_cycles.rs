//! Pushers release all their resources even if they are started and stopped repeatedly.

#![cfg(target_os = "linux")]
use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use metrics_core::{Counter, GraphiteBridge, Registry};

const CYCLES: u32 = 1_000;

/// Returns the number of threads and the number of open files in this process.
fn held() -> (usize, usize) {
    let entries = |folder: &str| std::fs::read_dir(folder).expect("Linux has it").count();
    (entries("/proc/self/task"), entries("/proc/self/fd"))
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Starts and stops `cycles` pushers, ten at a time, because each push waits until carbon closes the connection.
fn cycle(address: &str, cycles: u32) {
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let bridge = GraphiteBridge::new(address);
                for _ in 0..cycles / 10 {
                    bridge.start(Duration::from_secs(10)).expect("a thread").shutdown().expect("it is read");
                }
            });
        }
    });
}

#[test]
fn a_thousand_pushers_leave_nothing_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let (sends, received) = channel();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut text = String::new();
            connection.read_to_string(&mut text).expect("UTF-8");
            assert!(text.contains("cycled_total 1.0 "), "{text}");
            sends.send(()).ok();
        }
    });
    Counter::builder("cycled_total", "Counted.").register().inc();
    // Start the timer thread, which starts every push except the first and stays alive for a while.
    let pusher = GraphiteBridge::new(&address).name("first").start(Duration::from_millis(1)).expect("a thread");
    received.iter().nth(1).expect("two pushes");
    pusher.shutdown().expect("it is read");
    cycle(&address, 50);
    let (before, memory) = (held(), memory_kib());
    let size = Registry::global().to_text().lines().count();
    cycle(&address, CYCLES);
    // The last threads have reported their results, but may not have exited yet.
    let begin = Instant::now();
    while held() > before {
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?} are left of {before:?}", held());
        thread::yield_now();
    }
    let more = memory_kib().saturating_sub(memory);
    assert!(more < 1_024, "{more} KiB more than before");
    let text = Registry::global().to_text();
    assert_eq!(text.lines().count(), size);
    let successes = text
        .lines()
        .find_map(|line| line.strip_prefix("metrics_core_push_total{target=\"graphite\",outcome=\"success\"} "));
    let successes: u32 = successes.expect("counted").parse().expect("a number");
    // Each pusher makes two pushes, or one if it is shut down before its first push.
    assert!((CYCLES + 50..=2 * (CYCLES + 50)).contains(&successes), "{successes}");
}
